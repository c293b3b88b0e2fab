"""Access tokens: opaque, one row each, worth as much as the grant they lean on."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import AT, Base, Instant, Json, Transaction, digest
from oidc.grant import Grant, leaning, stands
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
    dpop_jkt: Mapped[str | None] = mapped_column(String(64))
    certificate_thumbprint: Mapped[str | None] = mapped_column(String(64))
    """`x5t#S256` (RFC 8705 section 3.1)."""
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


async def find_released(db: Transaction, token: str, now: datetime) -> Any:
    """Everything userinfo needs, in one statement: a row with `scopes`, `client_id`, `sub` and `RELEASE_COLUMNS`; None
    where the token is unknown or expired, or its grant does not stand.

    A token that is bound to a key is not for those who only hold it (RFC 9449 section 7.1).
    """
    return await db.first(_RELEASED, {"token": digest(token), "at": now})


_RELEASED = with_sources(
    leaning(
        select(AccessToken.scopes, AccessToken.client_id, Grant.sub, *RELEASE_COLUMNS)
        .select_from(AccessToken)
        .join(Grant, Grant.id == AccessToken.grant_id)
    )
).where(
    AccessToken.digest == bindparam("token", type_=LargeBinary()),
    AccessToken.expires_at > AT,
    AccessToken.dpop_jkt.is_(None),
    AccessToken.certificate_thumbprint.is_(None),
    stands(),
)
