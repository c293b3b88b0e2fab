"""Registering a passkey (WebAuthn Level 3 section 7.1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import webauthn
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    ResidentKeyRequirement,
)

from accounts.database import Transaction, insert_ignoring, new_id
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import DataKey
from identity.ceremony import CEREMONY_SECONDS, Ceremony, Waiting, answer_of, begin, end, refused, verification
from identity.passkey import MAX_NAME, MAX_PASSKEYS, Passkey, PasskeyPolicy, descriptors, handle_of


async def registration_options(
    db: Transaction,
    store: Store,
    policy: PasskeyPolicy,
    *,
    account_id: UUID,
    bound_to: bytes,
    user_name: str,
    alone: bool,
    now: datetime,
) -> Ceremony:
    """Begin a registration. `bound_to`: what the ceremony belongs to (the browser's digest and the sign-in or session
    it happens in). `alone`: it shall be enough by itself, so it must verify its user and be discoverable; else it may
    be a plain security key beside a password."""
    handle = await handle_of(db, account_id)
    ceremony, challenge = await begin(store, Waiting("create", bound_to, account_id, alone), now)
    options = webauthn.generate_registration_options(
        rp_id=policy.rp_id,
        rp_name=policy.rp_name,
        user_id=handle,
        user_name=user_name,
        challenge=challenge,
        timeout=CEREMONY_SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED if alone else ResidentKeyRequirement.PREFERRED,
            user_verification=verification(alone),
        ),
        exclude_credentials=await descriptors(db, account_id),
    )
    return Ceremony(ceremony, webauthn.options_to_json(options))


async def verify_registration(
    db: Transaction,
    key: DataKey,
    store: Store,
    policy: PasskeyPolicy,
    *,
    account_id: UUID,
    bound_to: bytes,
    ceremony: str,
    response: str,
    name: str,
    now: datetime,
) -> UUID:
    """Register what the browser answered (WebAuthn Level 3 section 7.1); the new passkey's id.

    Raises Refusal "passkey_expired" (no such ceremony, or over), "passkey_refused", "passkey_known" (the credential is
    registered already) or "passkey_too_many"."""
    waiting, challenge = await end(store, ceremony, "create", bound_to, now)
    if waiting.account_id != account_id:
        raise refused("another account's ceremony")
    answer = answer_of(response)
    try:
        verified = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=policy.rp_id,
            expected_origin=list(policy.origins),
            require_user_verification=waiting.needs_verification,
        )
    except Exception as error:  # the library lets KeyError, TypeError and CBOR errors of a malformed answer through
        raise refused(f"registration: {type(error).__name__}") from error
    if len(await descriptors(db, account_id)) >= MAX_PASSKEYS:
        raise Refusal("passkey_too_many")
    passkey_id = new_id(now)
    added = await db.execute(
        insert_ignoring(db, Passkey)
        .values(
            id=passkey_id,
            account_id=account_id,
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            is_user_verifying=verified.user_verified,
            is_backup_eligible=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
            is_backed_up=verified.credential_backed_up,
            is_attested=False,
            aaguid=verified.aaguid,
            transports=_transports(answer),
            name=key.seal("passkey.name", passkey_id, name.strip()[:MAX_NAME].encode()),
            created_at=now,
        )
        .returning(Passkey.id)
    )
    if added.first() is None:
        raise Refusal("passkey_known")
    return passkey_id


def _transports(answer: dict[str, Any]) -> list[str]:
    told = answer["response"].get("transports")
    known = sorted(transport.value for transport in AuthenticatorTransport)
    return [value for value in known if value in told] if isinstance(told, list) else []
