"""Enrolment within a sign-in: what is missing is set up, proved by its first use, and leaves a way back (R31)."""

from datetime import datetime
from uuid import UUID

import msgspec

from accounts.account import data_key_of, set_state
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import DataKey, Vault
from identity import passkey_registration, recovery_code, totp
from identity.assurance import Method
from identity.authenticator import authenticators_of, has_way_back
from identity.ceremony import Answer
from identity.credential_change import Authenticator, Change, announce, apply_change
from identity.device import device_name
from identity.new_codes import forget_shown, keep_shown
from identity.policy import IdentityPolicy
from identity.session import Device, SessionView
from identity.sign_in import SignInView, add_proofs, step
from identity.sign_in_rules import Standing


class Enrolling(msgspec.Struct, frozen=True):
    """One enrolment: in which sign-in, of which account, at which device; `session` is that of the browser."""

    sign_in: SignInView
    standing: Standing
    session: SessionView | None
    device: Device


async def enrol_totp(
    db: Transaction,
    vault: Vault,
    store: Store,
    enrolling: Enrolling,
    totp_id: UUID,
    code: str,
    now: datetime,
) -> None:
    """Set up the offered app by its first code. Raises Refusal("code_wrong")."""
    account_id = enrolling.standing.account_id
    key = await data_key_of(db, vault, account_id)
    if not await totp.confirm(db, key, account_id, totp_id, code, "", now):
        raise Refusal("code_wrong")
    await _enrolled(db, vault, store, key, enrolling, "totp", "otp", "", now)


async def enrol_passkey(
    db: Transaction,
    vault: Vault,
    store: Store,
    enrolling: Enrolling,
    answer: Answer,
    policy: IdentityPolicy,
    now: datetime,
) -> UUID:
    """Register a passkey; its id. Raises the refusals of `verify_registration`."""
    account_id = enrolling.standing.account_id
    key = await data_key_of(db, vault, account_id)
    registered = await passkey_registration.verify_registration(
        db,
        key,
        store,
        policy.passkey,
        account_id=account_id,
        bound_to=answer.bound_to,
        ceremony=answer.ceremony,
        response=answer.response,
        name=device_name(enrolling.device.user_agent),
        now=now,
    )
    name = device_name(enrolling.device.user_agent)
    await _enrolled(db, vault, store, key, enrolling, "passkey", registered.method, name, now)
    return registered.id


async def make_new_codes(db: Transaction, vault: Vault, store: Store, enrolling: Enrolling, now: datetime) -> None:
    """Ten codes, shown by this sign-in alone until they are written down."""
    account_id = enrolling.standing.account_id
    if await step(db, enrolling.sign_in, now, codes="shown"):
        await _make_codes(db, vault, store, await data_key_of(db, vault, account_id), enrolling, now)


async def codes_saved(
    db: Transaction, vault: Vault, store: Store, enrolling: Enrolling, policy: IdentityPolicy, now: datetime
) -> None:
    """The citizen has the codes; an account that was being set up is open from now on, if it has a way back (R31)."""
    if not await step(db, enrolling.sign_in, now, codes="saved"):
        return
    await forget_shown(store, enrolling.sign_in.id, now)
    account_id = enrolling.standing.account_id
    having = await authenticators_of(db, account_id)
    if (
        having.has_second
        and has_way_back(having, policy.assurance)
        and await set_state(db, account_id, "active", now, only_from="enrolling")
    ):
        key = await data_key_of(db, vault, account_id)
        await announce(db, vault, key, account_id, Change("account_created", "", enrolling.device), now)


async def _enrolled(
    db: Transaction,
    vault: Vault,
    store: Store,
    key: DataKey,
    enrolling: Enrolling,
    authenticator: Authenticator,
    method: Method,
    name: str,
    now: datetime,
) -> None:
    """Its first use is a proof of this sign-in, too. Where no recovery codes are left, ten are made."""
    account_id, having = enrolling.standing.account_id, enrolling.standing.authenticators
    codes = {} if having.recovery_codes_left else {"codes": "shown"}
    if not await add_proofs(db, enrolling.sign_in, account_id, {method}, now, **codes):
        # Another tab has moved this sign-in on: nothing is set up by a step that does not count.
        await db.rollback()
        return
    session = enrolling.session
    await apply_change(
        db,
        vault,
        key,
        account_id,
        Change("authenticator_added", authenticator, enrolling.device, name, _is_told(enrolling)),
        now,
        session_id=session.id if session is not None and session.account_id == account_id else None,
        sign_in_id=enrolling.sign_in.id,
    )
    if codes:
        await _make_codes(db, vault, store, key, enrolling, now)


async def _make_codes(
    db: Transaction, vault: Vault, store: Store, key: DataKey, enrolling: Enrolling, now: datetime
) -> None:
    account_id = enrolling.standing.account_id
    codes = await recovery_code.make_codes(db, vault, account_id, now)
    await keep_shown(store, vault, enrolling.sign_in.id, codes, now)
    change = Change("recovery_codes_made", "recovery_codes", enrolling.device, is_told=_is_told(enrolling))
    await announce(db, vault, key, account_id, change, now)


def _is_told(enrolling: Enrolling) -> bool:
    return enrolling.standing.state != "enrolling"
