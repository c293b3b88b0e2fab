"""Registering a passkey (WebAuthn Level 3 section 7.1)."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialHint,
    ResidentKeyRequirement,
)

from accounts.account import lock_account
from accounts.database import Transaction, insert_ignoring, new_id
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import DataKey
from identity.assurance import Method
from identity.attestation import is_trusted, without
from identity.ceremony import CEREMONY_SECONDS, Ceremony, Waiting, answer_of, begin, end, refused, verification
from identity.passkey import MAX_NAME, MAX_PASSKEYS, Passkey, PasskeyPolicy, descriptors, handle_of, method_of

SECURITY_KEY = PublicKeyCredentialHint.SECURITY_KEY
ANY_DEVICE = [PublicKeyCredentialHint.CLIENT_DEVICE, PublicKeyCredentialHint.HYBRID, SECURITY_KEY]
"""This device before others: the browser then offers the phone by a QR code (hybrid), and a key, below it."""


class Registered(msgspec.Struct, frozen=True):
    """A new passkey, and what it has proved by being registered."""

    id: UUID
    method: Method


async def registration_options(
    db: Transaction,
    store: Store,
    policy: PasskeyPolicy,
    *,
    account_id: UUID,
    bound_to: bytes,
    user_name: str,
    alone: bool,
    attested: bool = False,
    is_key: bool = False,
    now: datetime,
) -> Ceremony:
    """Begin a registration. `bound_to`: what the ceremony belongs to (the browser's digest and the sign-in or session
    it happens in). `alone`: it shall be enough by itself, so it must verify its user and be discoverable; else it may
    be a plain security key beside a password, and `is_key`: it shall be one, that keeps nothing of us.
    `attested`: nothing will do but a key whose make this deployment trusts.

    Only of keys do we ask the make: browsers warn before they tell it, and it would say what phone somebody has."""
    handle = await handle_of(db, account_id)
    ceremony, challenge = await begin(store, Waiting("create", bound_to, account_id, alone, attested), now)
    wants_key = attested or is_key
    asks_make = wants_key and policy.attestation is not None
    resident = ResidentKeyRequirement.DISCOURAGED if is_key else ResidentKeyRequirement.PREFERRED
    options = webauthn.generate_registration_options(
        rp_id=policy.rp_id,
        rp_name=policy.rp_name,
        user_id=handle,
        user_name=user_name,
        challenge=challenge,
        timeout=CEREMONY_SECONDS * 1000,
        attestation=AttestationConveyancePreference.DIRECT if asks_make else AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED if alone else resident,
            user_verification=verification(alone),
        ),
        # A key that is here already, and was not asked for its make, may come again: else it could never be checked.
        exclude_credentials=await descriptors(db, account_id, attested=attested),
        hints=[SECURITY_KEY] if wants_key else ANY_DEVICE,
    )
    # Whether it became discoverable is told by an extension alone (section 10.1.3), which the library does not know.
    asked = json.loads(webauthn.options_to_json(options)) | {"extensions": {"credProps": True}}
    return Ceremony(ceremony, json.dumps(asked))


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
) -> Registered:
    """Register what the browser answered (WebAuthn Level 3 section 7.1).

    Raises Refusal "passkey_expired" (no such ceremony, or over), "passkey_refused", "passkey_make" (its make is not
    one that will do), "passkey_known" (the credential is registered already) or "passkey_too_many"."""
    waiting, challenge = await end(store, ceremony, "create", bound_to, now)
    if waiting.account_id != account_id:
        raise refused("another account's ceremony")
    answer = answer_of(response)
    try:
        client_data = base64url_to_bytes(answer["response"]["clientDataJSON"])
        attestation = base64url_to_bytes(answer["response"]["attestationObject"])
        answer["response"]["attestationObject"] = bytes_to_base64url(without(attestation))
        verified = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=policy.rp_id,
            expected_origin=list(policy.origins),
            require_user_verification=waiting.needs_verification,
        )
    except Exception as error:  # the library lets KeyError, TypeError and CBOR errors of a malformed answer through
        raise refused(f"registration: {type(error).__name__}") from error
    is_synced = verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE
    is_attested = is_trusted(attestation, client_data, policy.attestation, now)
    if waiting.needs_attestation and (is_synced or not is_attested):
        raise Refusal("passkey_make")
    await lock_account(db, account_id)  # what is counted stays so until it is written (R78)
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
            is_discoverable=waiting.needs_verification or _is_discoverable(answer),
            is_backup_eligible=is_synced,
            is_backed_up=verified.credential_backed_up,
            is_attested=is_attested,
            aaguid=verified.aaguid,
            transports=_transports(answer),
            name=key.seal("passkey.name", passkey_id, name.strip()[:MAX_NAME].encode()),
            created_at=now,
        )
        .returning(Passkey.id)
    )
    if added.first() is None:
        raise Refusal("passkey_known")
    return Registered(passkey_id, method_of(verified.user_verified, is_synced, is_attested))


def _is_discoverable(answer: dict[str, Any]) -> bool:
    """Only its browser knows. A lie harms its owner alone, who could then not sign in by it."""
    told = answer.get("clientExtensionResults")
    properties = told.get("credProps") if isinstance(told, dict) else None
    return isinstance(properties, dict) and properties.get("rk") is True


def _transports(answer: dict[str, Any]) -> list[str]:
    told = answer["response"].get("transports")
    known = sorted(transport.value for transport in AuthenticatorTransport)
    return [value for value in known if value in told] if isinstance(told, list) else []
