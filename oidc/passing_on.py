"""Passing a citizen's access on: whose token is presented, and by whom it may be exchanged (RFC 8693)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import LargeBinary, bindparam, null, select

from accounts.database import AT, Transaction, digest
from oidc.access_token import AccessToken
from oidc.grant import Grant, leaning, stands
from oidc.service_token import ServiceToken


class SubjectToken(msgspec.Struct, frozen=True):
    """A live token of ours that stands for a citizen. `act` is the chain of services that it came by."""

    client_id: str
    grant_id: UUID
    account_id: UUID
    scopes: tuple[str, ...]
    audience: tuple[str, ...]
    act: dict[str, Any] | None
    dpop_jkt: str | None
    certificate_thumbprint: str | None
    expires_at: datetime


async def find_subject_token(db: Transaction, token: str, now: datetime) -> SubjectToken | None:
    """The token, if its grant stands; None for anything else, a service's own token included: it has no citizen."""
    for statement in _STATEMENTS:
        row = await db.first(statement, {"token": digest(token), "at": now})
        if row is not None:
            return SubjectToken(
                row.client_id,
                row.grant_id,
                row.account_id,
                tuple(row.scopes),
                tuple(row.audience or ()),
                row.act,
                row.dpop_jkt,
                row.certificate_thumbprint,
                row.expires_at,
            )
    return None


def _of(table: Any, act: Any) -> Any:
    token = (table.client_id, table.grant_id, table.scopes, table.audience, table.expires_at)
    binding = (table.dpop_jkt, table.certificate_thumbprint)
    query = select(*token, *binding, act, Grant.account_id).select_from(table).join(Grant, Grant.id == table.grant_id)
    return leaning(query).where(
        table.digest == bindparam("token", type_=LargeBinary()), table.expires_at > AT, stands()
    )


_STATEMENTS = (_of(AccessToken, null().label("act")), _of(ServiceToken, ServiceToken.act))
