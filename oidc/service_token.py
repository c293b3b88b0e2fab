"""Service tokens: access tokens that a service holds in its own name, for itself or acting for a citizen.

Apart from `access_token`, whose rows each lean on a citizen's grant: a service that speaks for itself has none.
No such token opens userinfo.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import AT, Base, Instant, Json, Transaction, digest
from oidc.client import ClientRecord
from oidc.grant import Grant, standing_grant
from oidc.protocol.access_token import confirmation
from oidc.protocol.introspection import TokenFacts


class ServiceToken(Base):
    __tablename__ = "service_token"
    __table_args__ = (Index("ix_service_token_expires", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255))
    grant_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("oidc_grant.id"))
    """The citizen's grant that was passed on (RFC 8693); null where the service acts for itself."""
    sub: Mapped[str | None] = mapped_column(String(64))
    """The citizen as this service's sector sees them; null where the service is its own subject."""
    act: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Who acts for the citizen, and for whom in turn (RFC 8693 section 4.1)."""
    scopes: Mapped[list[str]] = mapped_column(Json)
    audience: Mapped[list[str] | None] = mapped_column(Json)
    dpop_jkt: Mapped[str | None] = mapped_column(String(64))
    certificate_thumbprint: Mapped[str | None] = mapped_column(String(64))
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class PassedOn(msgspec.Struct, frozen=True):
    """Whose access a service token carries, and the chain of services that it came by."""

    grant_id: UUID
    sub: str
    act: dict[str, Any]


async def keep_service_token(
    db: Transaction,
    token: str,
    client_id: str,
    *,
    scopes: Collection[str],
    audience: Collection[str] = (),
    passed_on: PassedOn | None = None,
    dpop_jkt: str | None = None,
    certificate_thumbprint: str | None = None,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Write one down: one statement, committed when this returns."""
    await db.alone(
        _INSERT,
        {
            "digest": digest(token),
            "client_id": client_id,
            "grant_id": passed_on.grant_id if passed_on else None,
            "sub": passed_on.sub if passed_on else None,
            "act": passed_on.act if passed_on else None,
            "scopes": list(scopes),
            "audience": list(audience) or None,
            "dpop_jkt": dpop_jkt,
            "certificate_thumbprint": certificate_thumbprint,
            "issued_at": now,
            "expires_at": expires_at,
        },
    )


async def find_service_facts(db: Transaction, token: str, now: datetime) -> TokenFacts | None:
    """What introspection may say of it; None where it is worth nothing: unknown, expired, its client disabled, or the
    citizen's grant behind it does not stand."""
    row = await db.first(_FACTS, {"token": digest(token), "at": now})
    if row is None:
        return None
    return TokenFacts(
        client_id=row.client_id,
        scope=tuple(row.scopes),
        token_type="DPoP" if row.dpop_jkt else "Bearer",
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        # RFC 9068 section 2.2: without a citizen the service is the subject.
        sub=row.sub or row.client_id,
        audience=tuple(row.audience or ()),
        auth_time=row.auth_time,
        acr=row.acr,
        act=row.act or {},
        cnf=confirmation(jkt=row.dpop_jkt, certificate=row.certificate_thumbprint),
    )


async def revoke_service_token(db: Transaction, token: str, client_id: str, now: datetime) -> bool:
    """End one of this client; False when there was nothing to end."""
    ended = await db.execute(_REVOKE, {"token": digest(token), "by": client_id, "at": now})
    return ended.rowcount == 1


_INSERT = insert(ServiceToken)
_IS_THIS = (ServiceToken.digest == bindparam("token", type_=LargeBinary())) & (ServiceToken.expires_at > AT)
_FACTS = (
    select(
        ServiceToken.client_id,
        ServiceToken.scopes,
        ServiceToken.audience,
        ServiceToken.sub,
        ServiceToken.act,
        ServiceToken.grant_id,
        ServiceToken.dpop_jkt,
        ServiceToken.certificate_thumbprint,
        ServiceToken.issued_at,
        ServiceToken.expires_at,
        Grant.acr,
        Grant.auth_time,
    )
    .select_from(ServiceToken)
    .join(ClientRecord, ClientRecord.client_id == ServiceToken.client_id)
    .outerjoin(Grant, Grant.id == ServiceToken.grant_id)
    .where(_IS_THIS, ClientRecord.disabled_at.is_(None))
    .where(ServiceToken.grant_id.is_(None) | standing_grant(ServiceToken.grant_id))
)
_REVOKE = (
    update(ServiceToken)
    .where(_IS_THIS, ServiceToken.client_id == bindparam("by", type_=String()))
    .values(expires_at=AT)
)
