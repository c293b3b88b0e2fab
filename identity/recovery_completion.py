"""The end of a recovery: it only ever adds a way to sign in, and signs nobody in (R50, R51)."""

from datetime import datetime
from uuid import UUID

from accounts.account import data_key_of
from accounts.activity import record
from accounts.contact import contacts_of
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.profile import profile_of
from accounts.store import Store
from accounts.vault import Vault
from identity import password, recovery, remembered_browser, totp
from identity import session as sessions
from identity.authenticator import authenticators_of
from identity.ceremony import Answer
from identity.device import device_name
from identity.notice import detail_of, tell
from identity.pardon import pardon
from identity.passkey_registration import verify_registration
from identity.password import Hasher
from identity.policy import IdentityPolicy
from identity.recovery import Running
from identity.session import Device
from identity.sign_in import forget_proofs


async def set_password(
    db: Transaction,
    vault: Vault,
    hasher: Hasher,
    running: Running,
    typed: str,
    has_lost_second: bool,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> bool:
    """A new password. True where that is all: the account has its second authenticator still, and is asked for it
    when the citizen signs in; False where an app has to follow.

    Raises Refusal "password_too_short", "password_too_long", "password_common", "password_context" or "busy"."""
    account_id = running.account_id
    key = await data_key_of(db, vault, account_id)
    claims = (await profile_of(db, key, account_id)).claims
    context = [contact.value.partition("@")[0] for contact in await contacts_of(db, key, account_id)]
    context += [name for name in (claims.name, claims.given_name, claims.family_name) if name]
    password.verify_acceptable(typed, context, alone=False, policy=policy.password)
    having = await authenticators_of(db, account_id)
    await db.pause()
    hashed = await hasher.hash(typed)
    if not await recovery.mark_password(db, running, now):
        return True
    await password.set_password(db, account_id, hashed, now)
    await _sign_everybody_out(db, vault, account_id, now)
    if has_lost_second or not having.has_second:
        return False
    await _finish(db, vault, running, device, now)
    return True


async def add_app(
    db: Transaction, vault: Vault, running: Running, totp_id: UUID, code: str, device: Device, now: datetime
) -> None:
    """A new authenticator app, by its first code. Raises Refusal("code_wrong")."""
    key = await data_key_of(db, vault, running.account_id)
    if not await totp.confirm(db, key, running.account_id, totp_id, code, "", now):
        raise Refusal("code_wrong")
    if not await _finish(db, vault, running, device, now):
        await db.rollback()


async def add_passkey(
    db: Transaction,
    vault: Vault,
    store: Store,
    running: Running,
    answer: Answer,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """A new passkey. Raises the refusals of `verify_registration`."""
    key = await data_key_of(db, vault, running.account_id)
    await verify_registration(
        db,
        key,
        store,
        policy.passkey,
        account_id=running.account_id,
        bound_to=answer.bound_to,
        ceremony=answer.ceremony,
        response=answer.response,
        name=device_name(device.user_agent),
        now=now,
    )
    if not await _finish(db, vault, running, device, now):
        await db.rollback()


async def _finish(db: Transaction, vault: Vault, running: Running, device: Device, now: datetime) -> bool:
    if not await recovery.complete(db, running, now):
        return False
    account_id = running.account_id
    await pardon(db, vault, account_id, now)
    await _sign_everybody_out(db, vault, account_id, now)
    key, detail = await data_key_of(db, vault, account_id), detail_of(device)
    await record(db, account_id, "recovery_completed", now, key=key, device=detail.device, address=detail.address)
    await tell(db, vault, key, account_id, "recovery_completed", detail, now)
    return True


async def _sign_everybody_out(db: Transaction, vault: Vault, account_id: UUID, now: datetime) -> None:
    await sessions.end_all(db, vault, account_id, "recovered", now)
    await forget_proofs(db, account_id, now)
    await remembered_browser.forget_all(db, account_id)
