"""Spending what was presented and writing down what it gives, in one step that happens once.

On PostgreSQL it is one statement and one round trip; SQLite, which has no data-modifying CTE, runs the same parts one
after the other in its transaction.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Insert, LargeBinary, Select, String, Uuid, bindparam, insert, select
from sqlalchemy.sql.dml import ReturningUpdate

from accounts.database import AT, Base, Instant, Json, Transaction, digest, new_secret
from oidc.access_token import AccessToken
from oidc.grant import GrantView
from oidc.protocol.authorization_details import narrow_details
from oidc.protocol.lifetimes import Lifetimes
from oidc.protocol.resource import narrow_resources, one_audience
from oidc.sender import ANYONE, Sender


class NewTokens(msgspec.Struct, frozen=True):
    """Tokens that were made and are not written down yet; only their digests will be. `scopes` are the access token's;
    a refresh token keeps all that was granted."""

    access_token: str
    access_expires_at: datetime
    scopes: tuple[str, ...]
    refresh_token: str | None = None
    refresh_expires_at: datetime | None = None
    granted_scopes: tuple[str, ...] = ()
    sender: Sender = ANYONE
    """Whom the access token is bound to."""
    refresh_sender: Sender = ANYONE
    audience: str | None = None
    """The one API that the access token is for. It will be a JWT: there is nothing to keep, and it is not made yet."""
    details: tuple[dict[str, Any], ...] = ()
    detail_positions: tuple[int, ...] = ()
    """Where these stand among those of the grant."""


class Wish(msgspec.Struct, frozen=True):
    """What a token request wants of all that was granted (RFC 8707 section 2.2, RFC 9396 section 6); empty is all."""

    resources: tuple[str, ...] = ()
    details: tuple[dict[str, Any], ...] = ()


ALL = Wish()


def new_access_token(
    lifetimes: Lifetimes, scopes: tuple[str, ...], now: datetime, sender: Sender = ANYONE
) -> NewTokens:
    """An access token alone, bound to who asked for it."""
    return NewTokens(new_secret(), now + lifetimes.access_token, scopes, sender=sender)


def access_token_of(
    lifetimes: Lifetimes, grant: GrantView, scopes: tuple[str, ...], wish: Wish, now: datetime, sender: Sender
) -> NewTokens:
    """An access token for what is wished. Raises `invalid_target`, `invalid_authorization_details`."""
    tokens = new_access_token(lifetimes, scopes, now, sender)
    if not grant.resources and not grant.details and wish == ALL:
        return tokens
    positions = narrow_details(grant.details, wish.details)
    return msgspec.structs.replace(
        tokens,
        audience=one_audience(narrow_resources(grant.resources, wish.resources)),
        details=tuple(grant.details[position] for position in positions),
        detail_positions=positions,
    )


class Spending:
    """One way to spend. `spend` is a conditional UPDATE with parameters, `AT` among them, that returns `grant_id` and
    `client_id`: of many that race, the database lets one through. `refresh_table` keeps refresh tokens."""

    def __init__(self, spend: ReturningUpdate[UUID, str], refresh_table: type[Base]) -> None:
        self._spend = spend
        self._keep_refresh = _insert(refresh_table, "refresh")
        self._whole = {
            (has_access, has_refresh): _one_statement(
                spend, AccessToken if has_access else None, refresh_table if has_refresh else None
            )
            for has_access in (True, False)
            for has_refresh in (True, False)
        }

    async def into(self, db: Transaction, presented: dict[str, Any], tokens: NewTokens, now: datetime) -> bool:
        """Spend and write; False, and nothing written, when it could not be spent."""
        has_access, has_refresh = tokens.audience is None, tokens.refresh_token is not None
        if db.dialect == "postgresql":
            parameters = {**presented, **_parameters(tokens), "at": now}
            return await db.first(self._whole[has_access, has_refresh], parameters) is not None
        spent = await db.first(self._spend, {**presented, "at": now})
        if spent is None:
            return False
        parameters = {**_parameters(tokens), "at": now, "for_grant": spent.grant_id, "for_client": spent.client_id}
        if has_access:
            await db.execute(KEEP_ACCESS, parameters)
        if has_refresh:
            await db.execute(self._keep_refresh, parameters)
        return True


async def keep_access_token(db: Transaction, tokens: NewTokens, grant_id: Any, client_id: str, now: datetime) -> None:
    """Write an access token down where nothing is spent for it."""
    if tokens.audience is None:
        parameters = {**_parameters(tokens), "at": now, "for_grant": grant_id, "for_client": client_id}
        await db.execute(KEEP_ACCESS, parameters)


def _parameters(tokens: NewTokens) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "access_digest": digest(tokens.access_token),
        "access_scopes": tokens.scopes,
        "access_expires_at": tokens.access_expires_at,
        "access_jkt": tokens.sender.jkt,
        "access_certificate": tokens.sender.certificate,
        "access_details": list(tokens.detail_positions) or None,
    }
    if tokens.refresh_token is not None:
        parameters["refresh_digest"] = digest(tokens.refresh_token)
        parameters["refresh_scopes"] = tokens.granted_scopes
        parameters["refresh_expires_at"] = tokens.refresh_expires_at
        parameters["refresh_jkt"] = tokens.refresh_sender.jkt
        parameters["refresh_certificate"] = tokens.refresh_sender.certificate
    return parameters


COLUMNS = ("digest", "grant_id", "client_id", "scopes", "issued_at", "expires_at", "dpop_jkt", "certificate_thumbprint")


def _values(name: str, grant_id: Any, client_id: Any) -> tuple[Any, ...]:
    values = (
        bindparam(f"{name}_digest", type_=LargeBinary()),
        grant_id,
        client_id,
        bindparam(f"{name}_scopes", type_=Json()),
        AT,
        bindparam(f"{name}_expires_at", type_=Instant()),
        bindparam(f"{name}_jkt", type_=String()),
        bindparam(f"{name}_certificate", type_=String()),
    )
    return (*values, bindparam("access_details", type_=Json())) if name == "access" else values


def _insert(table: type[Base], name: str) -> Insert:
    values = _values(name, bindparam("for_grant", type_=Uuid()), bindparam("for_client", type_=String()))
    return insert(table).values(dict(zip(_columns(name), values, strict=True)))


def _columns(name: str) -> tuple[str, ...]:
    return (*COLUMNS, "detail_positions") if name == "access" else COLUMNS


KEEP_ACCESS = _insert(AccessToken, "access")


def _one_statement(
    spend: ReturningUpdate[UUID, str], access_table: type[Base] | None, refresh_table: type[Base] | None
) -> Select[Any]:
    spent = spend.cte("spent")
    whole = select(spent.c.grant_id)
    for name, table in (("access", access_table), ("refresh", refresh_table)):
        if table is None:
            continue
        values = select(*_values(name, spent.c.grant_id, spent.c.client_id)).select_from(spent)
        whole = whole.add_cte(insert(table).from_select(_columns(name), values).cte(f"kept_{name}"))
    return whole
