"""Refresh tokens: rotated, each derived from the one before it, a reused one takes the whole grant along (R8).

Clients that authenticate and hold sender-constrained tokens keep theirs.
"""

from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, bindparam, null, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import AT, Base, Instant, Json, Transaction, digest
from accounts.vault import Vault
from oidc.access_token import facts_of
from oidc.client import RegisteredClient
from oidc.fate import why_not
from oidc.grant import GRANT_COLUMNS, Grant, GrantView, grant_view, leaning, revoke_grant, standing_grant, stands
from oidc.grant_details import with_details
from oidc.issuance import ALL, NewTokens, Spending, Wish, access_token_of, keep_access_token
from oidc.protocol.client import lifetimes_of
from oidc.protocol.errors import INVALID_GRANT, ProtocolError, Replayed
from oidc.protocol.introspection import TokenFacts
from oidc.protocol.lifetimes import Lifetimes
from oidc.protocol.token_request import RefreshGrant, narrow_scope
from oidc.provider import ProviderPolicy
from oidc.sender import ANYONE, Sender, keeps_its_refresh_token, refresh_binding, require_bound_sender

INVALID = "The refresh token is not valid."


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
    """What a refresh token gave."""

    grant: GrantView
    tokens: NewTokens


def with_refresh_token(
    tokens: NewTokens,
    lifetimes: Lifetimes,
    grant: GrantView,
    refresh_token: str,
    now: datetime,
    sender: Sender = ANYONE,
) -> NewTokens:
    """The same tokens and a refresh token for all that was granted."""
    return msgspec.structs.replace(
        tokens,
        refresh_token=refresh_token,
        refresh_expires_at=_unused_until(lifetimes, grant, now),
        granted_scopes=grant.scopes,
        refresh_sender=sender,
    )


def _unused_until(lifetimes: Lifetimes, grant: GrantView, now: datetime) -> datetime:
    """It expires when it is not used, and with the longest life of a grant."""
    return min(now + lifetimes.refresh_token, grant.created_at + lifetimes.grant)


async def refresh(
    db: Transaction,
    vault: Vault,
    policy: ProviderPolicy,
    client: RegisteredClient,
    asked: RefreshGrant,
    now: datetime,
    sender: Sender = ANYONE,
    wish: Wish = ALL,
) -> Refreshed:
    """Rotate the token. Of many that race one rotates it, and all get the same successor.

    The successor is derived from its predecessor, so it need not be kept to be told again: for as long as the grace
    lasts an answer that was lost can be asked for again. Later the token can only have been copied, and the grant is
    revoked with all its tokens (RFC 9700 section 4.14.2). Asking for more scope than was granted rotates nothing.
    """
    presented = {"presented": digest(asked.refresh_token), "by": client.client_id}
    row = await _presented(db, presented, now)
    require_bound_sender(sender, jkt=row.dpop_jkt, certificate=row.certificate_thumbprint)
    grant = await with_details(db, vault, grant_view(row))
    lifetimes = lifetimes_of(client, policy.lifetimes)
    tokens = access_token_of(lifetimes, grant, narrow_scope(row.granted, asked.scope), wish, now, sender)
    if row.rotated_at is None and keeps_its_refresh_token(client):
        if not await _RENEWAL.into(db, {**presented, "until": _unused_until(lifetimes, grant, now)}, tokens, now):
            raise ProtocolError(INVALID_GRANT, INVALID, detail="lost a race")
        return Refreshed(grant, tokens)
    successor = successor_of(vault, asked.refresh_token)
    if row.rotated_at is None:
        whole = with_refresh_token(tokens, lifetimes, grant, successor, now, refresh_binding(client, sender))
        if await _ROTATION.into(db, presented, whole, now):
            return Refreshed(grant, whole)
        row = await _presented(db, presented, now)  # another request was quicker
    await _require_grace(db, policy, row, now)
    await keep_access_token(db, tokens, grant.id, client.client_id, now)
    return Refreshed(grant, msgspec.structs.replace(tokens, refresh_token=successor))


async def revoke_by_refresh_token(db: Transaction, token: str, client_id: str, now: datetime) -> bool:
    """Revoke the grant that a refresh token of this client stands for (RFC 7009 section 2.1); a rotated one serves
    as well. False when the token is not known."""
    grant_id = await db.scalar(
        select(RefreshToken.grant_id).where(RefreshToken.digest == digest(token), RefreshToken.client_id == client_id)
    )
    if grant_id is not None:
        await revoke_grant(db, grant_id, "revoked_by_client", now)
    return grant_id is not None


async def find_refresh_facts(db: Transaction, token: str, now: datetime) -> TokenFacts | None:
    """What introspection may say of a refresh token that can still be used; None otherwise."""
    row = await db.first(_FACTS, {"token": digest(token), "at": now})
    return None if row is None else facts_of(row, token_type="refresh_token")


def successor_of(vault: Vault, token: str) -> str:
    """The one token that follows this one: nobody without our key can compute it."""
    return urlsafe_b64encode(vault.mac("refresh_token", token.encode())).rstrip(b"=").decode()


async def _presented(db: Transaction, presented: dict[str, Any], now: datetime) -> Any:
    row = await db.first(_PRESENTED, {**presented, "at": now})
    if row is None:
        why = why_not(await db.first(_FATE, presented), str(presented["by"]), now)
        raise ProtocolError(INVALID_GRANT, INVALID, detail=why)
    return row


async def _require_grace(db: Transaction, policy: ProviderPolicy, row: Any, now: datetime) -> None:
    if row.rotated_at is None:
        raise ProtocolError(INVALID_GRANT, INVALID, detail="could not be rotated")
    if now - row.rotated_at > policy.refresh_grace:
        await revoke_grant(db, row.id, "refresh_reused", now)
        raise Replayed(INVALID_GRANT, INVALID, detail="used again after its rotation")


_FACT_COLUMNS: tuple[Any, ...] = (
    RefreshToken.scopes,
    RefreshToken.client_id,
    null().label("audience"),
    RefreshToken.dpop_jkt,
    RefreshToken.certificate_thumbprint,
    RefreshToken.issued_at,
    RefreshToken.expires_at,
    Grant.sub,
    Grant.auth_time,
    Grant.acr,
)
_FACTS = leaning(select(*_FACT_COLUMNS).select_from(RefreshToken).join(Grant, Grant.id == RefreshToken.grant_id)).where(
    RefreshToken.digest == bindparam("token", type_=LargeBinary()),
    RefreshToken.rotated_at.is_(None),
    RefreshToken.expires_at > AT,
    stands(),
)
_IS_NAMED = RefreshToken.digest == bindparam("presented", type_=LargeBinary())
_FATE = select(RefreshToken.client_id, RefreshToken.expires_at).where(_IS_NAMED)
_IS_PRESENTED = _IS_NAMED & (RefreshToken.client_id == bindparam("by", type_=String()))
# A rotated token is looked at beyond its own end: only so is its reuse seen.
_IS_GOOD = _IS_PRESENTED & ((RefreshToken.expires_at > AT) | RefreshToken.rotated_at.is_not(None))
_PRESENTED = leaning(
    select(
        RefreshToken.rotated_at,
        RefreshToken.scopes.label("granted"),
        RefreshToken.dpop_jkt,
        RefreshToken.certificate_thumbprint,
        *GRANT_COLUMNS,
    )
    .select_from(RefreshToken)
    .join(Grant, Grant.id == RefreshToken.grant_id)
).where(_IS_GOOD, stands())
_CURRENT = (
    update(RefreshToken)
    .where(_IS_PRESENTED, RefreshToken.rotated_at.is_(None), RefreshToken.expires_at > AT)
    .where(standing_grant(RefreshToken.grant_id))
    .returning(RefreshToken.grant_id, RefreshToken.client_id)
)
_ROTATION = Spending(_CURRENT.values(rotated_at=AT), RefreshToken)
_RENEWAL = Spending(_CURRENT.values(expires_at=bindparam("until", type_=Instant())), RefreshToken)
