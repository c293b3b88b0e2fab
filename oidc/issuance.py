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
from oidc.provider import ProviderPolicy
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


def new_access_token(
    policy: ProviderPolicy, scopes: tuple[str, ...], now: datetime, sender: Sender = ANYONE
) -> NewTokens:
    """An access token alone, bound to who asked for it."""
    return NewTokens(new_secret(), now + policy.access_token, scopes, sender=sender)


class Spending:
    """One way to spend. `spend` is a conditional UPDATE with parameters, `AT` among them, that returns `grant_id` and
    `client_id`: of many that race, the database lets one through. `refresh_table` keeps refresh tokens."""

    def __init__(self, spend: ReturningUpdate[UUID, str], refresh_table: type[Base]) -> None:
        self._spend = spend
        self._keep_refresh = _insert(refresh_table, "refresh")
        self._whole = {False: _one_statement(spend, None), True: _one_statement(spend, refresh_table)}

    async def into(self, db: Transaction, presented: dict[str, Any], tokens: NewTokens, now: datetime) -> bool:
        """Spend and write; False, and nothing written, when it could not be spent."""
        has_refresh = tokens.refresh_token is not None
        if db.dialect == "postgresql":
            parameters = {**presented, **_parameters(tokens), "at": now}
            return await db.first(self._whole[has_refresh], parameters) is not None
        spent = await db.first(self._spend, {**presented, "at": now})
        if spent is None:
            return False
        parameters = {**_parameters(tokens), "at": now, "for_grant": spent.grant_id, "for_client": spent.client_id}
        await db.execute(KEEP_ACCESS, parameters)
        if has_refresh:
            await db.execute(self._keep_refresh, parameters)
        return True


async def keep_access_token(db: Transaction, tokens: NewTokens, grant_id: Any, client_id: str, now: datetime) -> None:
    """Write an access token down where nothing is spent for it."""
    parameters = {**_parameters(tokens), "at": now, "for_grant": grant_id, "for_client": client_id}
    await db.execute(KEEP_ACCESS, parameters)


def _parameters(tokens: NewTokens) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "access_digest": digest(tokens.access_token),
        "access_scopes": tokens.scopes,
        "access_expires_at": tokens.access_expires_at,
        "access_jkt": tokens.sender.jkt,
        "access_certificate": tokens.sender.certificate,
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
    return (
        bindparam(f"{name}_digest", type_=LargeBinary()),
        grant_id,
        client_id,
        bindparam(f"{name}_scopes", type_=Json()),
        AT,
        bindparam(f"{name}_expires_at", type_=Instant()),
        bindparam(f"{name}_jkt", type_=String()),
        bindparam(f"{name}_certificate", type_=String()),
    )


def _insert(table: type[Base], name: str) -> Insert:
    values = _values(name, bindparam("for_grant", type_=Uuid()), bindparam("for_client", type_=String()))
    return insert(table).values(dict(zip(COLUMNS, values, strict=True)))


KEEP_ACCESS = _insert(AccessToken, "access")


def _one_statement(spend: ReturningUpdate[UUID, str], refresh_table: type[Base] | None) -> Select[Any]:
    spent = spend.cte("spent")
    tables: list[tuple[str, type[Base]]] = [("access", AccessToken)]
    if refresh_table is not None:
        tables.append(("refresh", refresh_table))
    whole = select(spent.c.grant_id)
    for name, table in tables:
        values = select(*_values(name, spent.c.grant_id, spent.c.client_id)).select_from(spent)
        whole = whole.add_cte(insert(table).from_select(COLUMNS, values).cte(f"kept_{name}"))
    return whole
