"""Access tokens: opaque, one row each, worth as much as the grant they lean on."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, bindparam, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import AT, Base, Instant, Json, Transaction, digest
from accounts.vault import Vault
from identity.session import Session
from oidc.grant import Grant, leaning, stands
from oidc.grant_details import details_of_grant
from oidc.protocol.access_token import confirmation
from oidc.protocol.introspection import TokenFacts
from oidc.release import RELEASE_COLUMNS, with_sources


class AccessToken(Base):
    __tablename__ = "access_token"
    __table_args__ = (Index("ix_access_token_expires", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("oidc_grant.id"))
    client_id: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[list[str]] = mapped_column(Json)
    audience: Mapped[list[str] | None] = mapped_column(Json)
    """The resources it was narrowed to (RFC 8707)."""
    authorization_details: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    """As releases before `detail_positions` wrote them: read, never written."""
    detail_positions: Mapped[list[int] | None] = mapped_column(Json)
    """Which of its grant's authorization details it is for: what they say stands there alone, sealed (R60)."""
    dpop_jkt: Mapped[str | None] = mapped_column(String(64))
    certificate_thumbprint: Mapped[str | None] = mapped_column(String(64))
    """`x5t#S256` (RFC 8705 section 3.1)."""
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


async def find_released(db: Transaction, token: str, now: datetime) -> Any:
    """Everything userinfo needs, in one statement: a row with `scopes`, `client_id`, `sub`, `acr`, what the token is
    bound to, and `RELEASE_COLUMNS`; None where the token is unknown or expired, or its grant does not stand."""
    return await db.first(_RELEASED, {"token": digest(token), "at": now})


async def fate_of(db: Transaction, token: str) -> Any:
    """What is kept of a token that is not released: a row with `client_id` and `expires_at`, or None."""
    return await db.first(_FATE, {"token": digest(token)})


async def find_facts(db: Transaction, vault: Vault, token: str, now: datetime) -> TokenFacts | None:
    """What introspection may say of a live access token, in one statement (and one for authorization details); None
    where it is worth nothing."""
    row = await db.first(_FACTS, {"token": digest(token), "at": now})
    if row is None:
        return None
    details = tuple(row.authorization_details or ())
    if row.detail_positions is not None:
        details = await details_of_grant(db, vault, row.grant_id, row.detail_positions)
    return facts_of(row, token_type="DPoP" if row.dpop_jkt else "Bearer", details=details)


def facts_of(row: Any, *, token_type: str, details: tuple[dict[str, Any], ...] = ()) -> TokenFacts:
    """A token joined to its grant, as a value."""
    return TokenFacts(
        client_id=row.client_id,
        scope=tuple(row.scopes),
        token_type=token_type,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        sub=row.sub,
        audience=tuple(row.audience or ()),
        auth_time=row.auth_time,
        acr=row.acr,
        cnf=confirmation(jkt=row.dpop_jkt, certificate=row.certificate_thumbprint),
        authorization_details=details,
    )


async def revoke_access_token(db: Transaction, token: str, client_id: str, now: datetime) -> bool:
    """End one access token of this client; False when there was nothing to end."""
    ended = await db.execute(
        update(AccessToken)
        .where(AccessToken.digest == digest(token), AccessToken.client_id == client_id, AccessToken.expires_at > now)
        .values(expires_at=now)
    )
    return ended.rowcount == 1


_FATE = select(AccessToken.client_id, AccessToken.expires_at).where(
    AccessToken.digest == bindparam("token", type_=LargeBinary())
)
_FACT_COLUMNS: tuple[Any, ...] = (
    AccessToken.scopes,
    AccessToken.client_id,
    AccessToken.audience,
    AccessToken.dpop_jkt,
    AccessToken.certificate_thumbprint,
    AccessToken.authorization_details,
    AccessToken.detail_positions,
    AccessToken.grant_id,
    AccessToken.issued_at,
    AccessToken.expires_at,
    Grant.sub,
    Grant.auth_time,
    Grant.acr,
)
_FACTS = leaning(select(*_FACT_COLUMNS).select_from(AccessToken).join(Grant, Grant.id == AccessToken.grant_id)).where(
    AccessToken.digest == bindparam("token", type_=LargeBinary()), AccessToken.expires_at > AT, stands()
)
_RELEASED = with_sources(
    leaning(
        select(
            AccessToken.scopes,
            AccessToken.client_id,
            AccessToken.dpop_jkt,
            AccessToken.certificate_thumbprint,
            Grant.sub,
            # What was reached. The grant has what was reported: a service may insist on the name of a lower level.
            func.coalesce(Session.acr, Grant.acr).label("acr"),
            *RELEASE_COLUMNS,
        )
        .select_from(AccessToken)
        .join(Grant, Grant.id == AccessToken.grant_id)
    )
).where(
    AccessToken.digest == bindparam("token", type_=LargeBinary()),
    AccessToken.expires_at > AT,
    stands(),
)
