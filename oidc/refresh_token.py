"""Refresh tokens: rotated, each derived from the one before it, a reused one takes the whole grant along (R8)."""

from base64 import urlsafe_b64encode
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Json, Transaction, digest, insert_ignoring, new_secret
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.grant import GrantView, find_standing_grant, revoke_grant, standing_grant
from oidc.protocol.errors import INVALID_GRANT, ProtocolError
from oidc.protocol.token_request import RefreshGrant, narrow_scope
from oidc.provider import ProviderPolicy


class RefreshToken(Base):
    __tablename__ = "refresh_token"
    __table_args__ = (
        Index("ix_refresh_token_expires", "expires_at"),
        Index("ix_refresh_token_grant", "grant_id"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("oidc_grant.id"))
    client_id: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[list[str]] = mapped_column(Json)
    dpop_jkt: Mapped[str | None] = mapped_column(String(64))
    certificate_thumbprint: Mapped[str | None] = mapped_column(String(64))
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    rotated_at: Mapped[datetime | None] = mapped_column(Instant)


class Refreshed(msgspec.Struct, frozen=True):
    """What a refresh token gave: the grant, all that may be asked for with it, and the token for the next time."""

    grant: GrantView
    scopes: tuple[str, ...]
    refresh_token: str


async def issue_refresh_token(
    db: Transaction, policy: ProviderPolicy, grant: GrantView, scopes: Collection[str], now: datetime
) -> str:
    """The first refresh token of a grant."""
    token = new_secret()
    await _keep(db, policy, grant, token, scopes, now)
    return token


async def refresh(
    db: Transaction,
    vault: Vault,
    policy: ProviderPolicy,
    client: RegisteredClient,
    asked: RefreshGrant,
    now: datetime,
) -> Refreshed:
    """Rotate the token. Of many that race one rotates it, and all get the same successor.

    The successor is derived from its predecessor, so it need not be kept to be told again: for as long as the grace
    lasts an answer that was lost can be asked for again. Later the token can only have been copied, and the grant is
    revoked with all its tokens (RFC 9700 section 4.14.2). Asking for more scope than was granted rotates nothing.
    """
    if asked.scope:
        kept = await db.scalar(_mine(select(RefreshToken.scopes), client, asked.refresh_token))
        narrow_scope(kept or asked.scope, asked.scope)
    rotated = await db.first(
        _mine(update(RefreshToken), client, asked.refresh_token)
        .where(RefreshToken.rotated_at.is_(None), RefreshToken.expires_at > now)
        .where(standing_grant(RefreshToken.grant_id, now))
        .values(rotated_at=now)
        .returning(RefreshToken.grant_id, RefreshToken.scopes)
    )
    row = rotated or await _in_grace(db, policy, client, asked.refresh_token, now)
    grant = await find_standing_grant(db, row.grant_id, now)
    if grant is None:
        raise ProtocolError(INVALID_GRANT, "The refresh token is not valid.")
    successor = successor_of(vault, asked.refresh_token)
    if rotated is not None:
        await _keep(db, policy, grant, successor, row.scopes, now)
    return Refreshed(grant, narrow_scope(row.scopes, asked.scope), successor)


def successor_of(vault: Vault, token: str) -> str:
    """The one token that follows this one: nobody without our key can compute it."""
    return urlsafe_b64encode(vault.mac("refresh_token", token.encode())).rstrip(b"=").decode()


async def _in_grace(
    db: Transaction, policy: ProviderPolicy, client: RegisteredClient, token: str, now: datetime
) -> Any:
    """A token that was rotated moments ago; raises `invalid_grant` for every other, and revokes what a copy of an
    older one may have reached."""
    row = await db.first(
        _mine(select(RefreshToken.grant_id, RefreshToken.scopes, RefreshToken.rotated_at), client, token)
    )
    if row is None or row.rotated_at is None:
        raise ProtocolError(INVALID_GRANT, "The refresh token is not valid.")
    if now - row.rotated_at > policy.refresh_grace:
        await revoke_grant(db, row.grant_id, "refresh_reused", now)
        raise ProtocolError(INVALID_GRANT, "The refresh token is not valid.", detail="used again after its rotation")
    return row


def _mine(statement: Any, client: RegisteredClient, token: str) -> Any:
    return statement.where(RefreshToken.digest == digest(token), RefreshToken.client_id == client.client_id)


async def _keep(
    db: Transaction, policy: ProviderPolicy, grant: GrantView, token: str, scopes: Collection[str], now: datetime
) -> None:
    await db.execute(
        insert_ignoring(db, RefreshToken).values(
            digest=digest(token),
            grant_id=grant.id,
            client_id=grant.client_id,
            scopes=list(scopes),
            issued_at=now,
            expires_at=min(now + policy.refresh_token, grant.created_at + policy.grant),
        )
    )
