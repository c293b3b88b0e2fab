"""Polling for a request that waits for its citizen, and redeeming it once (RFC 8628 section 3.5, CIBA Core 11)."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Integer, Uuid, bindparam, select, update

from accounts.database import AT, Transaction, digest, new_secret
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.fate import why_not
from oidc.grant import GRANT_COLUMNS, Grant, GrantView, grant_view, leaning, revoke_grant, standing_grant, stands
from oidc.grant_details import with_details
from oidc.issuance import ALL, NewTokens, Spending, Wish, access_token_of
from oidc.protocol.client import lifetimes_of
from oidc.protocol.client_metadata import REFRESH_TOKEN
from oidc.protocol.errors import INVALID_GRANT, ProtocolError, Replayed
from oidc.protocol.polling import Waiting, poll
from oidc.provider import ProviderPolicy
from oidc.refresh_token import RefreshToken, with_refresh_token
from oidc.sender import ANYONE, Sender, refresh_binding
from oidc.waiting_request import IS_NAMED, IS_PRESENTED, Kind, WaitingRequest

UNKNOWN = "The code is not valid."


class Redeemed(msgspec.Struct, frozen=True):
    """What the citizen's answer was worth."""

    grant: GrantView
    tokens: NewTokens


async def redeem_waiting(
    db: Transaction,
    vault: Vault,
    policy: ProviderPolicy,
    client: RegisteredClient,
    kind: Kind,
    secret: str,
    now: datetime,
    sender: Sender = ANYONE,
    wish: Wish = ALL,
) -> Redeemed:
    """Tokens, once the citizen has agreed; until then, and when the client asks too often, the refusal that says so.

    Of many polls that race, the database lets one redeem. One more afterwards can only be a copy, and revokes what the
    first one gave, as with a code. Another client's secret is no secret here.
    """
    presented: dict[str, Any] = {"presented": digest(secret), "by": client.client_id, "of_kind": kind}
    row = await db.first(_PRESENTED, presented)
    if row is None:
        why = why_not(await db.first(_FATE, presented), client.client_id, now)
        raise ProtocolError(INVALID_GRANT, UNKNOWN, detail=why)
    if row.redeemed_at is not None:
        await revoke_grant(db, row.grant_id, "code_replayed", now)
        raise Replayed(INVALID_GRANT, UNKNOWN, detail="replayed")
    waiting = Waiting(row.expires_at, timedelta(seconds=row.interval), row.polled_at, row.answer)
    polled = poll(waiting, now)
    if polled.refusal is not None:
        await db.execute(_POLLED, {"request_id": row.id, "every": int(polled.interval.total_seconds()), "at": now})
        raise polled.refusal
    found = await db.first(_STANDING, {"grant_id": row.grant_id, "at": now})
    if found is None:
        raise ProtocolError(INVALID_GRANT, UNKNOWN, detail="its grant has ended")
    grant = await with_details(db, vault, grant_view(found))
    lifetimes = lifetimes_of(client, policy.lifetimes)
    tokens = access_token_of(lifetimes, grant, grant.scopes, wish, now, sender)
    if client.uses(REFRESH_TOKEN):
        tokens = with_refresh_token(tokens, lifetimes, grant, new_secret(), now, refresh_binding(client, sender))
    if not await _REDEMPTION.into(db, presented, tokens, now):
        raise ProtocolError(INVALID_GRANT, UNKNOWN, detail="lost a race")
    return Redeemed(grant, tokens)


_FATE = select(WaitingRequest.client_id, WaitingRequest.expires_at).where(IS_NAMED)
_PRESENTED = select(
    WaitingRequest.id,
    WaitingRequest.expires_at,
    WaitingRequest.interval,
    WaitingRequest.polled_at,
    WaitingRequest.answer,
    WaitingRequest.grant_id,
    WaitingRequest.redeemed_at,
).where(IS_PRESENTED)
_POLLED = (
    update(WaitingRequest)
    .where(WaitingRequest.id == bindparam("request_id", type_=Uuid()))
    .values(polled_at=AT, interval=bindparam("every", type_=Integer()))
)
_STANDING = leaning(select(*GRANT_COLUMNS).select_from(Grant)).where(
    Grant.id == bindparam("grant_id", type_=Uuid()), stands()
)
_REDEMPTION = Spending(
    update(WaitingRequest)
    .where(IS_PRESENTED, WaitingRequest.redeemed_at.is_(None), WaitingRequest.answer == "granted")
    .where(WaitingRequest.expires_at > AT, standing_grant(WaitingRequest.grant_id))
    .values(redeemed_at=AT)
    .returning(WaitingRequest.grant_id, WaitingRequest.client_id),
    RefreshToken,
)
