"""A signed-in citizen's own authenticators: added, changed and removed, never below a way back (R30, R31)."""

from datetime import datetime
from uuid import UUID

import msgspec

from accounts.account import data_key_of, lock_account
from accounts.activity import Kind
from accounts.citizen import Citizen
from accounts.contact import contacts_of
from accounts.database import Transaction
from accounts.errors import FreshSignInRequired, Refusal
from accounts.profile import profile_of
from accounts.store import Store
from accounts.vault import Vault
from identity import passkey, password, recovery_code, sms, totp
from identity.assurance import meets
from identity.authenticator import Authenticators, authenticators_of, has_way_back
from identity.ceremony import Answer
from identity.credential_change import Authenticator, Change, apply_change
from identity.device import device_name
from identity.new_codes import keep_shown
from identity.passkey_registration import verify_registration
from identity.password import Hasher
from identity.policy import IdentityPolicy
from identity.session import Device
from identity.sign_in_rules import own_level

MAX_APPS = 2
"""Each one more makes a guess at a code more likely to be right; getting back in may still add one."""


class Owner(msgspec.Struct, frozen=True):
    """Whose authenticators, at which device."""

    citizen: Citizen
    device: Device


async def verify_own_level(db: Transaction, citizen: Citizen, policy: IdentityPolicy) -> Authenticators:
    """R30: what changes the account asks for its own level, also where the session began before that was set up.
    Raises FreshSignInRequired; returns what the account has."""
    having = await authenticators_of(db, citizen.account_id)
    if not meets(citizen.acr, own_level(having, policy), policy.assurance):
        raise FreshSignInRequired
    return having


async def add_app(
    db: Transaction, vault: Vault, owner: Owner, totp_id: UUID, code: str, name: str, now: datetime
) -> None:
    """Set up the offered app by its first code, under a name of the citizen's, of which its notice says nothing.
    Raises Refusal "code_wrong" or "app_too_many"."""
    key = await data_key_of(db, vault, owner.citizen.account_id)
    await lock_account(db, owner.citizen.account_id)  # what is counted stays so until it is written (R78)
    if len(await totp.totps_of(db, key, owner.citizen.account_id)) >= MAX_APPS:
        raise Refusal("app_too_many")
    if not await totp.confirm(db, key, owner.citizen.account_id, totp_id, code, name, now):
        raise Refusal("code_wrong")
    await _changed(db, vault, owner, "authenticator_added", "totp", now)


async def add_phone(db: Transaction, vault: Vault, owner: Owner, contact_id: UUID, now: datetime) -> bool:
    """Have codes sent to a verified number. False where it is not one of the citizen's."""
    if not await sms.use_phone(db, owner.citizen.account_id, contact_id, now):
        return False
    await _changed(db, vault, owner, "authenticator_added", "phone", now)
    return True


async def add_passkey(
    db: Transaction,
    vault: Vault,
    store: Store,
    owner: Owner,
    answer: Answer,
    name: str,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Register a passkey, named by its owner or else after the device. Raises the refusals of `verify_registration`."""
    key = await data_key_of(db, vault, owner.citizen.account_id)
    # The notice names the device: what a thief of the session types is not for the owner's letters.
    device = device_name(owner.device.user_agent)
    await verify_registration(
        db,
        key,
        store,
        policy.passkey,
        account_id=owner.citizen.account_id,
        bound_to=answer.bound_to,
        ceremony=answer.ceremony,
        response=answer.response,
        name=name.strip() or device,
        now=now,
    )
    await _changed(db, vault, owner, "authenticator_added", "passkey", now, device)


async def change_password(
    db: Transaction, vault: Vault, hasher: Hasher, owner: Owner, typed: str, policy: IdentityPolicy, now: datetime
) -> None:
    """A new password, or the first one of an account that had none.

    Raises Refusal "password_too_short", "password_too_long", "password_common", "password_context" or "busy".
    """
    account_id = owner.citizen.account_id
    key = await data_key_of(db, vault, account_id)
    having = await authenticators_of(db, account_id)
    claims = (await profile_of(db, key, account_id)).claims
    context = [contact.value.partition("@")[0] for contact in await contacts_of(db, key, account_id)]
    context += [name for name in (claims.name, claims.given_name, claims.family_name, claims.nickname) if name]
    is_alone = not having.has_second
    password.verify_acceptable(typed, context, alone=is_alone, policy=policy.password)
    await db.pause()
    hashed = await hasher.hash(typed)
    await password.set_password(db, account_id, hashed, now)
    await _changed(db, vault, owner, "password_changed", "password", now)


async def give_up_password(db: Transaction, vault: Vault, owner: Owner, policy: IdentityPolicy, now: datetime) -> None:
    """Have no password at all: for who has a passkey that knows its user, and recovery codes.

    Raises Refusal("password_needed") otherwise. The account is locked meanwhile, as for `remove_one`."""
    account_id = owner.citizen.account_id
    await lock_account(db, account_id)
    having = await authenticators_of(db, account_id)
    if not needs_no_password(having, policy):
        raise Refusal("password_needed")
    if await password.remove_password(db, account_id):
        await _changed(db, vault, owner, "password_removed", "password", now)


def needs_no_password(having: Authenticators, policy: IdentityPolicy) -> bool:
    """Whether the account could do without its password and still has a way back (R31)."""
    without = msgspec.structs.replace(having, has_password=False)
    return bool(having.verifying_passkeys and having.recovery_codes_left) and has_way_back(without, policy.assurance)


async def make_codes(db: Transaction, vault: Vault, store: Store, owner: Owner, now: datetime) -> None:
    """Ten new recovery codes in place of the earlier ones, shown in this session until they are written down."""
    codes = await recovery_code.make_codes(db, vault, owner.citizen.account_id, now)
    await keep_shown(store, vault, owner.citizen.session_id, codes, now)
    await _changed(db, vault, owner, "recovery_codes_made", "recovery_codes", now)


async def remove_one(
    db: Transaction, vault: Vault, owner: Owner, kind: Authenticator, which: UUID, policy: IdentityPolicy, now: datetime
) -> None:
    """Remove an app, a passkey or a phone. Raises Refusal("last_way_back") where that would leave no usable way back,
    or a password alone (R22, R31). The account is locked meanwhile: of two that are removed at once, one stays."""
    account_id = owner.citizen.account_id
    await lock_account(db, account_id)
    having = await authenticators_of(db, account_id)
    left = without_one(having, kind)
    if not left.has_second or not has_way_back(left, policy.assurance):
        raise Refusal("last_way_back")
    if kind == "phone":
        is_removed = await sms.remove(db, account_id, now)
    else:
        noun = totp if kind == "totp" else passkey
        is_removed = await noun.remove(db, account_id, which, now)
    if is_removed:
        await _changed(db, vault, owner, "authenticator_removed", kind, now)


def without_one(having: Authenticators, kind: Authenticator) -> Authenticators:
    """What is left without one app or passkey; of passkeys the strongest is taken to be the one."""
    if kind == "totp":
        return msgspec.structs.replace(having, totps=max(0, having.totps - 1))
    if kind == "phone":
        return msgspec.structs.replace(having, phones=max(0, having.phones - 1))
    return msgspec.structs.replace(
        having,
        passkeys=max(0, having.passkeys - 1),
        verifying_passkeys=max(0, having.verifying_passkeys - 1),
        hardware_passkeys=max(0, having.hardware_passkeys - 1),
    )


async def _changed(
    db: Transaction,
    vault: Vault,
    owner: Owner,
    kind: Kind,
    authenticator: Authenticator,
    now: datetime,
    name: str = "",
) -> None:
    account_id = owner.citizen.account_id
    key = await data_key_of(db, vault, account_id)
    change = Change(kind, authenticator, owner.device, name)
    await apply_change(db, vault, key, account_id, change, now, session_id=owner.citizen.session_id)
