"""The first authenticator of a new account: a password or a passkey. After it, the sign-in leads through the rest."""

from datetime import datetime
from uuid import UUID

from accounts.database import Transaction
from accounts.store import Store
from accounts.vault import Vault
from identity import passkey, password, totp
from identity.authenticator import Authenticators
from identity.ceremony import Answer
from identity.enrolment import Enrolling, enrol_passkey
from identity.password import Hasher
from identity.policy import IdentityPolicy
from identity.recovery_code import keep_codes
from identity.registration import RegistrationView, finish
from identity.session import Device
from identity.sign_in import SignInView, add_proofs, forget_proofs, sealed_identifier
from identity.sign_in_rules import Standing


async def set_first_password(
    db: Transaction,
    vault: Vault,
    hasher: Hasher,
    registration: RegistrationView,
    account_id: UUID,
    sign_in: SignInView,
    typed: str,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Set the password of a confirmed registration. Does nothing where another tab was first.

    Raises Refusal "password_too_short", "password_too_long", "password_common", "password_context" or "busy".
    """
    local_part = registration.email.partition("@")[0]
    password.verify_acceptable(typed, [local_part], alone=False, policy=policy.password)
    await db.pause()
    hashed = await hasher.hash(typed)
    if not await finish(db, registration, now):
        return
    await _clear(db, vault, account_id, sign_in, now)
    await password.set_password(db, account_id, hashed, now)
    identifier = sealed_identifier(vault, sign_in, registration.email)
    await add_proofs(db, sign_in, account_id, {"pwd"}, now, identifier=identifier)


async def set_first_passkey(
    db: Transaction,
    vault: Vault,
    store: Store,
    registration: RegistrationView,
    account_id: UUID,
    sign_in: SignInView,
    answer: Answer,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Register the passkey of a confirmed registration. Raises the refusals of `verify_registration`."""
    enrolling = Enrolling(sign_in, Standing(account_id, "enrolling", Authenticators()), None, device)
    passkey_id = await enrol_passkey(db, vault, store, enrolling, answer, policy, now)
    if not await finish(db, registration, now):
        await db.rollback()
        return
    await passkey.remove_all(db, account_id, now, but=passkey_id)
    await password.remove_password(db, account_id)
    await totp.remove_all(db, account_id, now)


async def _clear(db: Transaction, vault: Vault, account_id: UUID, sign_in: SignInView, now: datetime) -> None:
    """An unfinished account belongs to whoever confirms its address: nothing that was begun there before stays."""
    await passkey.remove_all(db, account_id, now)
    await totp.remove_all(db, account_id, now)
    await keep_codes(db, vault, account_id, [], now)
    await forget_proofs(db, account_id, now, but=sign_in.id)
