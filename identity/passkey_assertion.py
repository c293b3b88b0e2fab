"""Using a passkey: whose it is, and what that proves (WebAuthn Level 3 section 7.2)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import webauthn
from sqlalchemy import select, update
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.structs import CredentialDeviceType

from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from identity.assurance import Method
from identity.ceremony import CEREMONY_SECONDS, Ceremony, Waiting, answer_of, begin, end, refused, verification
from identity.passkey import Passkey, PasskeyPolicy, UserHandle, descriptors, method_of


class Asserted(msgspec.Struct, frozen=True):
    """A passkey was used: whose, which, and what that proves."""

    account_id: UUID
    passkey_id: UUID
    method: Method


async def authentication_options(
    db: Transaction,
    store: Store,
    policy: PasskeyPolicy,
    *,
    bound_to: bytes,
    account_id: UUID | None = None,
    needs_verification: bool = True,
    now: datetime,
) -> Ceremony:
    """Begin a use. Without an account any discoverable passkey may answer (button and autofill), and nothing about any
    account is told; with one, its own passkeys are named (after its password, or in its session)."""
    ceremony, challenge = await begin(store, Waiting("get", bound_to, account_id, needs_verification), now)
    options = webauthn.generate_authentication_options(
        rp_id=policy.rp_id,
        challenge=challenge,
        timeout=CEREMONY_SECONDS * 1000,
        allow_credentials=[] if account_id is None else await descriptors(db, account_id),
        user_verification=verification(needs_verification),
    )
    return Ceremony(ceremony, webauthn.options_to_json(options))


async def verify_authentication(
    db: Transaction,
    store: Store,
    policy: PasskeyPolicy,
    *,
    bound_to: bytes,
    account_id: UUID | None = None,
    ceremony: str,
    response: str,
    now: datetime,
) -> Asserted:
    """Judge what the browser answered (WebAuthn Level 3 section 7.2): whose passkey it is and what it proves.

    Raises Refusal "passkey_expired", "passkey_unknown" (no such credential here, so it may be signalled for removal)
    or "passkey_refused"."""
    waiting, challenge = await end(store, ceremony, "get", bound_to, now)
    if waiting.account_id != account_id:
        raise refused("another account's ceremony")
    answer = answer_of(response)
    try:
        credential = parse_authentication_credential_json(answer)
    except Exception as error:  # the library lets KeyError, TypeError and CBOR errors of a malformed answer through
        raise refused(f"authentication: {type(error).__name__}") from error
    row = await db.first(
        select(
            Passkey.id,
            Passkey.account_id,
            Passkey.public_key,
            Passkey.sign_count,
            Passkey.is_user_verifying,
            Passkey.is_backup_eligible,
            Passkey.is_attested,
            UserHandle.handle,
        )
        .join(UserHandle, UserHandle.account_id == Passkey.account_id)
        .where(Passkey.credential_id == credential.raw_id, Passkey.removed_at.is_(None))
    )
    if row is None:
        raise Refusal("passkey_unknown")
    _verify_owner(row, account_id, credential.response.user_handle)
    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=policy.rp_id,
            expected_origin=list(policy.origins),
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=waiting.needs_verification,
        )
    except Exception as error:  # as before
        raise refused(f"authentication: {type(error).__name__}") from error
    if (verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE) != row.is_backup_eligible:
        raise refused("backup eligibility changed")
    verifies = verified.user_verified and row.is_user_verifying
    if waiting.needs_verification and not verifies:
        raise refused("registered without user verification")
    counter_moves = Passkey.sign_count < verified.new_sign_count
    used = await db.execute(
        update(Passkey)
        .where(Passkey.id == row.id, Passkey.removed_at.is_(None))
        # Synced passkeys keep no counter and always say 0; any other must have moved on, also when two race.
        .where(counter_moves if verified.new_sign_count else Passkey.sign_count == 0)
        .values(sign_count=verified.new_sign_count, is_backed_up=verified.credential_backed_up, last_used_at=now)
        .returning(Passkey.id)
    )
    if used.first() is None:
        raise refused("counter or removal")
    return Asserted(row.account_id, row.id, method_of(verifies, row.is_backup_eligible, row.is_attested))


def _verify_owner(row: Any, account_id: UUID | None, handle: bytes | None) -> None:
    """Section 7.2 step 6: the account that is signing in owns the credential, and the authenticator says so too."""
    if account_id is None and handle is None:
        raise refused("no user handle")
    if (account_id is not None and row.account_id != account_id) or (handle is not None and handle != row.handle):
        raise refused("another account's passkey")
