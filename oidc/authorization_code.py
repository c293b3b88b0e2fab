"""Authorization codes: issued once, spent once, good for a minute (RFC 6749 section 4.1.2, R4)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, Uuid, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import data_key_of
from accounts.database import AT, Base, Instant, Transaction, digest, new_secret
from accounts.vault import Vault
from identity.session import SessionView
from oidc.client import RegisteredClient
from oidc.fate import why_not
from oidc.grant import (
    GRANT_COLUMNS,
    Grant,
    GrantView,
    grant_view,
    leaning,
    open_grant,
    revoke_grant,
    standing_grant,
    stands,
)
from oidc.grant_details import with_details
from oidc.issuance import ALL, NewTokens, Spending, Wish, access_token_of
from oidc.protocol.authorization import AuthorizationRequest
from oidc.protocol.client import lifetimes_of
from oidc.protocol.client_metadata import REFRESH_TOKEN
from oidc.protocol.errors import INVALID_GRANT, ProtocolError, Replayed
from oidc.protocol.pkce import verify_code_verifier
from oidc.protocol.token_request import CodeGrant, require_same_redirect_uri
from oidc.provider import ProviderPolicy
from oidc.refresh_token import RefreshToken, with_refresh_token
from oidc.sender import ANYONE, Sender, refresh_binding, require_bound_sender
from oidc.subject import sid_of, subject_of

INVALID = "The code is not valid."


class AuthorizationCode(Base):
    __tablename__ = "authorization_code"
    __table_args__ = (Index("ix_authorization_code_expires", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("oidc_grant.id"))
    client_id: Mapped[str] = mapped_column(String(255))
    redirect_uri: Mapped[str] = mapped_column(String(2048))
    code_challenge: Mapped[str | None] = mapped_column(String(64))
    nonce: Mapped[str | None] = mapped_column(Text)
    dpop_jkt: Mapped[str | None] = mapped_column(String(64))
    """The key that alone may redeem it (RFC 9449 section 10)."""
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    redeemed_at: Mapped[datetime | None] = mapped_column(Instant)


class RedeemedCode(msgspec.Struct, frozen=True):
    """What a code was worth."""

    grant: GrantView
    nonce: str | None
    tokens: NewTokens


async def issue_code(
    db: Transaction,
    vault: Vault,
    policy: ProviderPolicy,
    *,
    client: RegisteredClient,
    session: SessionView,
    consent_id: UUID,
    request: AuthorizationRequest,
    scopes: Collection[str],
    now: datetime,
    acr: str | None = None,
    sub: str | None = None,
) -> str:
    """A new grant and the code for it. `scopes` are those granted: `offline_access` among them lets the grant outlive
    the session. What the ID token will say of the sign-in is what the session says now; `acr` where the request
    insists on one of certain values, and the session reached more (OpenID Connect Core section 5.5.1.1); `sub` where
    it is at hand."""
    sector = client.subject_sector
    grant_id = await open_grant(
        db,
        account_id=session.account_id,
        client_id=client.client_id,
        session_id=session.id,
        consent_id=consent_id,
        sub=sub or await subject_of(db, session.account_id, sector, now),
        sid=sid_of(vault, session.id, sector),
        scopes=scopes,
        claims=msgspec.to_builtins(request.claims),
        acr=acr or session.acr,
        amr=session.amr,
        auth_time=session.auth_time,
        now=now,
        resources=request.resource,
        details=request.authorization_details,
        key=await data_key_of(db, vault, session.account_id) if request.authorization_details else None,
    )
    code = new_secret()
    await db.execute(
        _INSERT,
        {
            "digest": digest(code),
            "grant_id": grant_id,
            "client_id": client.client_id,
            "redirect_uri": request.redirect_uri,
            "code_challenge": request.code_challenge,
            "nonce": request.nonce,
            "dpop_jkt": request.dpop_jkt,
            "issued_at": now,
            "expires_at": now + policy.code,
        },
    )
    return code


_INSERT = insert(AuthorizationCode)


async def redeem(
    db: Transaction,
    vault: Vault,
    policy: ProviderPolicy,
    client: RegisteredClient,
    asked: CodeGrant,
    now: datetime,
    sender: Sender = ANYONE,
    wish: Wish = ALL,
) -> RedeemedCode:
    """Spend the code for tokens, bound to who asks. Of many that race, the database lets one through.

    A code that exists is spent by whoever presents it, also by the wrong client, with the wrong redirect URI or with
    the wrong verifier: it has leaked or its owner is confused, and a second guess is worth more to a thief than to
    either (RFC 9700 section 4.5). Its grant, which has given nothing yet, is revoked with it.
    Presented again by its own client, a redeemed code revokes what it gave (RFC 6749 section 4.1.2). Another client
    that presents a redeemed code learns and changes nothing.
    """
    presented = {"presented": digest(asked.code)}
    row = await db.first(_PRESENTED, {**presented, "at": now})
    if row is None:
        raise await _refusal(db, client, presented, now)
    try:
        if row.client_id != client.client_id:
            raise ProtocolError(INVALID_GRANT, INVALID, detail="of another client")
        require_same_redirect_uri(asked.redirect_uri, row.redirect_uri)
        verify_code_verifier(row.code_challenge, asked.code_verifier)
        require_bound_sender(sender, jkt=row.dpop_jkt, certificate=None)
    except ProtocolError:
        await db.execute(_SPEND, {**presented, "at": now})
        await revoke_grant(db, row.id, "code_misused", now)
        raise
    grant = await with_details(db, vault, grant_view(row))
    lifetimes = lifetimes_of(client, policy.lifetimes)
    tokens = access_token_of(lifetimes, grant, grant.scopes, wish, now, sender)
    if client.uses(REFRESH_TOKEN):
        tokens = with_refresh_token(tokens, lifetimes, grant, new_secret(), now, refresh_binding(client, sender))
    # What was read is asserted again: the code is unspent and its grant stands, or nothing is written.
    if not await _REDEMPTION.into(db, presented, tokens, now):
        raise await _refusal(db, client, presented, now)
    return RedeemedCode(grant, row.nonce, tokens)


_IS_PRESENTED = AuthorizationCode.digest == bindparam("presented", type_=LargeBinary())
_IS_GOOD = _IS_PRESENTED & AuthorizationCode.redeemed_at.is_(None) & (AuthorizationCode.expires_at > AT)
_PRESENTED = leaning(
    select(
        AuthorizationCode.redirect_uri,
        AuthorizationCode.code_challenge,
        AuthorizationCode.nonce,
        AuthorizationCode.dpop_jkt,
        *GRANT_COLUMNS,
    )
    .select_from(AuthorizationCode)
    .join(Grant, Grant.id == AuthorizationCode.grant_id)
).where(_IS_GOOD, stands())
_SPEND = (
    update(AuthorizationCode)
    .where(_IS_GOOD, standing_grant(AuthorizationCode.grant_id))
    .values(redeemed_at=AT)
    .returning(AuthorizationCode.grant_id, AuthorizationCode.client_id)
)
_REDEMPTION = Spending(_SPEND, RefreshToken)
_FATE = select(
    AuthorizationCode.grant_id, AuthorizationCode.client_id, AuthorizationCode.redeemed_at, AuthorizationCode.expires_at
).where(_IS_PRESENTED)


async def _refusal(
    db: Transaction, client: RegisteredClient, presented: dict[str, bytes], now: datetime
) -> ProtocolError:
    """Why a code is good for nothing: read now that it is refused, and told to the log alone."""
    row = await db.first(_FATE, presented)
    if row is not None and row.client_id == client.client_id and row.redeemed_at is not None:
        await revoke_grant(db, row.grant_id, "code_replayed", now)
        return Replayed(INVALID_GRANT, INVALID, detail="replayed")
    return ProtocolError(INVALID_GRANT, INVALID, detail=why_not(row, client.client_id, now))
