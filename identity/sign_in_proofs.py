"""Proving it: password, code, passkey. Each attempt is counted before it is judged, each proof is written down once."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, exists, select

from accounts.account import Account, data_key_of
from accounts.contact import Contact, canonical_email
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from identity import email_code, password, recovery_code, sms, throttle, totp
from identity.assurance import Method
from identity.ceremony import Answer
from identity.credential_change import Change, announce
from identity.failure_burst import failed
from identity.known_browser import is_known
from identity.passkey import note_place
from identity.passkey_assertion import verify_authentication
from identity.password import Hasher, Password
from identity.policy import IdentityPolicy
from identity.proof_of_work import Shown
from identity.session import Device
from identity.sign_in import SignInView, add_proofs, keep_identifier, sealed_identifier
from identity.sign_in_rules import Proven, Standing, useful
from identity.spelling import plain_code


class Typed(msgspec.Struct, frozen=True):
    """What somebody typed into the sign-in page."""

    identifier: str
    password: str
    ticket: str = ""
    proof: str = ""
    """Of the work that the page asked for under attack (identity/proof_of_work.py)."""


async def prove_password(
    db: Transaction,
    vault: Vault,
    store: Store,
    hasher: Hasher,
    sign_in: SignInView,
    typed: Typed,
    browser: bytes,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """The first step. Addresses that exist and that do not take the same way through here, the same statements and the
    same hashing, and are refused in the same words (R27). Strangers do not use up the attempts of a browser in which
    this account has signed in before (R26).

    Raises Refusal "email_invalid", "too_many_attempts", "attempts_used_up", "slowed", "credentials_wrong" or "busy".
    """
    canonical = canonical_email(typed.identifier)
    subject = vault.blind("email", canonical)
    found = await _account_of(db, vault, canonical)
    account_id = None if found is None else found.account_id
    own = subject if account_id is None else account_id.bytes
    is_at_home = await is_known(db, account_id, browser)
    attempt = throttle.permitted(
        await throttle.take(
            db,
            store,
            vault,
            "password",
            own if is_at_home else subject,
            device.address,
            policy.throttle,
            now,
            is_known=is_at_home,
            behind=None if is_at_home else own,
            shown=Shown(browser + sign_in.id.bytes, typed.ticket, typed.proof),
        )
    )
    # The hashing pauses the transaction; a password that is changed meanwhile is not the one that was typed.
    is_right = await password.verify(db, hasher, account_id, typed.password) and not attempt.is_void
    if not is_right or account_id is None or found is None:
        await keep_identifier(db, vault, sign_in, typed.identifier, now)
        await failed(db, vault, attempt, now, device, email=subject)
        raise Refusal("credentials_wrong")
    unchanged = exists().where(Password.account_id == account_id, Password.set_at == found.set_at)
    await throttle.give_back(db, attempt)
    identifier = sealed_identifier(vault, sign_in, typed.identifier)
    await add_proofs(db, sign_in, account_id, {"pwd"}, now, provided=unchanged, identifier=identifier)


async def prove_code(
    db: Transaction,
    vault: Vault,
    store: Store,
    sign_in: SignInView,
    standing: Standing,
    proved: Proven,
    code: str,
    browser: bytes,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """The second step by a code: six digits are an app's or came by text message or e-mail, anything else is tried as a
    recovery code.

    Raises Refusal "too_many_attempts", "attempts_used_up" or "code_wrong".
    """
    account_id, wanted = standing.account_id, useful(sign_in, standing, proved, policy)
    is_at_home = await is_known(db, account_id, browser)
    taken = await throttle.take(
        db,
        store,
        vault,
        "second_factor",
        account_id.bytes,
        device.address,
        policy.throttle,
        now,
        is_known=is_at_home,
    )
    attempt = throttle.permitted(taken)
    key = await data_key_of(db, vault, account_id)
    plain = plain_code(code)
    method: Method | None = None
    is_short = len(plain) == 6 and plain.isdecimal()
    if "otp" in wanted and is_short and await totp.spend(db, key, account_id, plain, now, again=policy.repeat_codes):
        method = "otp"
    elif "sms" in wanted and is_short and await sms.spend(db, vault, account_id, sign_in.id, plain, now):
        method = "sms"
    elif "email" in wanted and is_short and await email_code.spend(db, vault, account_id, sign_in.id, plain, now):
        method = "email"
    elif "recovery" in wanted and await recovery_code.spend(db, vault, account_id, plain, now):
        method = "recovery"
    if method is None:
        await failed(db, vault, attempt, now, device, account_id=account_id)
        raise Refusal("code_wrong")
    await throttle.give_back(db, attempt)
    await add_proofs(db, sign_in, account_id, {method}, now)
    if method == "recovery":
        await announce(db, vault, key, account_id, Change("recovery_code_spent", "recovery_codes", device), now)


async def prove_passkey(
    db: Transaction,
    vault: Vault,
    store: Store,
    sign_in: SignInView,
    account_id: UUID | None,
    answer: Answer,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Either step by a passkey: as the first one it says itself whose it is (`account_id` is None then).

    There is nothing to guess, so no attempts are counted: what strangers' guesses have closed is open to it (R26).
    Raises Refusal "passkey_expired", "passkey_refused" or "passkey_unknown".
    """
    asserted = await verify_authentication(
        db,
        store,
        policy.passkey,
        bound_to=answer.bound_to,
        account_id=account_id,
        ceremony=answer.ceremony,
        response=answer.response,
        now=now,
    )
    key = await data_key_of(db, vault, asserted.account_id)
    await note_place(db, key, asserted.passkey_id, device)
    await add_proofs(db, sign_in, asserted.account_id, {asserted.method}, now)


async def _account_of(db: Transaction, vault: Vault, canonical: str) -> Any:
    """`account_id` and when its password was set (null without one); None for an address that nobody signs in with."""
    signs_in: ColumnElement[bool] = (
        (Contact.blind_index == vault.blind("email", canonical))
        & (Contact.kind == "email")
        & Contact.removed_at.is_(None)
        & Contact.verified_at.is_not(None)
    )
    return await db.first(
        select(Contact.account_id, Password.set_at)
        .join(Account, Account.id == Contact.account_id)
        .outerjoin(Password, Password.account_id == Contact.account_id)
        .where(signs_in, Account.state != "closed")
    )
