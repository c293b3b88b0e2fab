"""The end of a sign-in: one session begins or is raised, once, and what happened is on record."""

from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

import msgspec

from accounts.account import data_key_of
from accounts.activity import record
from accounts.database import Transaction
from accounts.vault import Vault
from identity import session as sessions
from identity.assurance import amr_of, meets, reached
from identity.device import device_name
from identity.known_browser import recognise
from identity.notice import detail_of, tell
from identity.policy import IdentityPolicy
from identity.remembered_browser import mark_used
from identity.session import Device, SessionView
from identity.sign_in import SignInView, step
from identity.sign_in_rules import Proven, Standing, needed, proven

GRACE = timedelta(seconds=10)


class Completed(msgspec.Struct, frozen=True):
    """Where to go on, and the secret for the session's cookie; None where the session stays as it is."""

    path: str
    secret: str | None


async def complete(
    db: Transaction,
    vault: Vault,
    sign_in: SignInView,
    standing: Standing,
    session: SessionView | None,
    *,
    browser: bytes,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> Completed | None:
    """Complete a sign-in to which nothing is missing. None, and nothing changes, when it was completed meanwhile or
    something it leans on has ended: the citizen is then sent back to its dispatcher.

    The same account's session is raised (its row, `sid` and grants stay); another account's session ends. What is
    reported is what was done: `auth_time` is when the last proof was given, not when the citizen had written their new
    recovery codes down; where an earlier session's proof is needed, its time stays the `auth_time`.
    """
    proved = proven(sign_in, session, now)
    if proved.account_id != standing.account_id or needed(sign_in, standing, session, policy, now) != "done":
        raise AssertionError("a sign-in to which something is missing")
    if not await step(db, sign_in, now, completed_at=now):
        return None
    if not proved.here:  # another tab has done the work: its session already says so
        return Completed(sign_in.return_to, None)
    proved = _without_what_adds_nothing(proved, policy)
    if session is not None and session.account_id != standing.account_id:
        await sessions.end(db, vault, session.id, "replaced", now)
        session = None
    acr = reached(proved.methods, policy.assurance) or ""
    auth_time = proved.leans_since or max(proof.at for proof in sign_in.proofs if proof.method in proved.here)
    secret = None
    if session is not None:
        secret = await sessions.raise_to(
            db,
            session,
            acr=acr,
            amr=amr_of(proved.methods),
            auth_time=auth_time,
            policy=policy.session,
            now=now,
            secret=_secret_of(vault, sign_in),
        )
    key = await data_key_of(db, vault, standing.account_id)
    if secret is None:
        if proved.leans_since is not None:  # the session that it leans on has just ended
            await db.rollback()
            return None
        _, secret = await sessions.start(
            db,
            key,
            standing.account_id,
            browser=browser,
            acr=acr,
            amr=amr_of(proved.methods),
            device=device,
            policy=policy.session,
            now=now,
            auth_time=auth_time,
            secret=_secret_of(vault, sign_in),
        )
    if standing.is_remembered:
        await mark_used(db, standing.account_id, browser, now)
    if not await recognise(db, standing.account_id, browser, now):
        await tell(db, vault, key, standing.account_id, "new_device", detail_of(device), now)
    await record(
        db,
        standing.account_id,
        "signed_in",
        now,
        key=key,
        device=device_name(device.user_agent),
        address=device.address,
        acr=acr,
        service=sign_in.onward.service_name or "",
    )
    return Completed(sign_in.return_to, secret)


async def completed_just_now(db: Transaction, vault: Vault, sign_in: SignInView, now: datetime) -> Completed | None:
    """What `complete` answered, for a browser that asks again within seconds: it pressed twice, or the answer with the
    cookie was lost on its way. None when it is too late for that or the session has ended or was raised since.

    As with a refresh token's successor (R8), the secret is made again from what it came from, and stored nowhere.
    """
    if sign_in.completed_at is None or not timedelta(0) <= now - sign_in.completed_at <= GRACE:
        return None
    secret = _secret_of(vault, sign_in)
    alive = await sessions.find_session(db, secret, now)
    return None if alive is None else Completed(sign_in.return_to, secret)


def _secret_of(vault: Vault, sign_in: SignInView) -> str:
    """Of the session that this sign-in begins or raises: 256 bits, new with each sign-in (R40)."""
    return urlsafe_b64encode(vault.mac("session.secret", sign_in.id.bytes)).rstrip(b"=").decode()


def _without_what_adds_nothing(proved: Proven, policy: IdentityPolicy) -> Proven:
    """What this sign-in has proved alone, where that reaches as much as together with the earlier session."""
    alone, together = reached(proved.here, policy.assurance), reached(proved.methods, policy.assurance)
    if together is not None and meets(alone, together, policy.assurance):
        return Proven(proved.account_id, proved.here, proved.here, None)
    return proved
