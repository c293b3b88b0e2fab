"""What may go of codes, tokens and requests, and what has to stay so that a copy of it is still recognised.

A redeemed code and a rotated refresh token are worth nothing to their owner, and everything to us: presented again
they show that there are two of them, and the grant with all its tokens is revoked (RFC 9700 sections 4.5 and 4.14.2).
So they stay for as long as there is anything to revoke, and go when their grant is over for good. A code that nobody
redeemed has given nothing, and an access token is looked at for its own sake alone: both go when they have run out.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select

from accounts.consent import Consent
from accounts.database import Base, Transaction
from accounts.sweeping import Sweep, delete_some
from identity.session import Session
from oidc.access_token import AccessToken
from oidc.authorization_code import AuthorizationCode
from oidc.grant import Grant
from oidc.interaction import InteractionRow
from oidc.logout import LogoutDelivery
from oidc.protocol.lifetimes import LONGEST
from oidc.pushed_request import PushedRequest
from oidc.refresh_token import RefreshToken
from oidc.service_token import ServiceToken
from oidc.sign_out import SignOut
from oidc.waiting_request import WaitingRequest

DAY = timedelta(days=1)
"""How long what has run out stays, so that a late visitor is told what happened and a clock may be wrong."""
SETTLED = timedelta(days=30)
"""How long it stays on record that a service was told of a sign-out, or could not be."""


async def _codes(db: Transaction, now: datetime) -> int:
    end = _end(now)
    code = AuthorizationCode
    done = code.redeemed_at.is_(None) | _is_over(code.grant_id, end)
    return await delete_some(db, code, code.digest, (code.expires_at <= end) & done, code.expires_at)


async def _refresh_tokens(db: Transaction, now: datetime) -> int:
    end = _end(now)
    token = RefreshToken
    over = (token.expires_at <= end) & _is_over(token.grant_id, end)
    return await delete_some(db, token, token.digest, over, token.expires_at)


async def _waiting_requests(db: Transaction, now: datetime) -> int:
    end = _end(now)
    request = WaitingRequest
    done = request.redeemed_at.is_(None) | _is_over(request.grant_id, end)
    return await delete_some(db, request, request.id, (request.expires_at <= end) & done, request.expires_at)


async def _deliveries(db: Transaction, now: datetime) -> int:
    row = LogoutDelivery
    return await delete_some(db, row, row.id, row.settled_at <= now - SETTLED, row.id)


def _expired(table: Any, key: Any) -> Sweep:
    """Rows that ran out a day ago."""

    async def sweep(db: Transaction, now: datetime) -> int:
        kind: type[Base] = table
        return await delete_some(db, kind, key, table.expires_at <= now - DAY, table.expires_at)

    return sweep


def _end(now: datetime) -> datetime:
    """What ended before this has had time for its last access token to run out as well, whoever got it."""
    return now - DAY - LONGEST.access_token


def _is_over(grant_id: Any, end: datetime) -> ColumnElement[bool]:
    """The grant can never stand again, or nothing that it gave is alive, since before `end`. A session does not come
    back, an agreement that ended revives no old grant, and without an unused refresh token no new token can come."""
    other = RefreshToken.__table__.alias("successor")
    alive = select(1).where(other.c.grant_id == Grant.id, other.c.rotated_at.is_(None), other.c.expires_at > end)
    return (
        select(1)
        .select_from(Grant)
        .join(Consent, Consent.id == Grant.consent_id)
        .outerjoin(Session, Session.id == Grant.session_id)
        .where(
            Grant.id == grant_id,
            (Grant.revoked_at <= end)
            | (Consent.ended_at <= end)
            | (Grant.is_offline.is_(False) & ((Session.ended_at <= end) | (Session.alive_until <= end)))
            | ~alive.exists(),
        )
        .exists()
    )


SWEEPS: dict[str, Sweep] = {
    "authorization_code": _codes,
    "access_token": _expired(AccessToken, AccessToken.digest),
    "refresh_token": _refresh_tokens,
    "service_token": _expired(ServiceToken, ServiceToken.digest),
    "pushed_request": _expired(PushedRequest, PushedRequest.digest),
    "waiting_request": _waiting_requests,
    "interaction": _expired(InteractionRow, InteractionRow.id),
    "sign_out": _expired(SignOut, SignOut.digest),
    "logout_delivery": _deliveries,
}
"""The sweeps of this package, by table."""
