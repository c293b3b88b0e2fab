"""Passkeys: WebAuthn credentials, registered and used by ceremonies whose challenge lives once (R29)."""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import webauthn
from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, LargeBinary, String, Uuid, select, update
from sqlalchemy.orm import Mapped, mapped_column
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, parse_authentication_credential_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.database import Base, Instant, Json, Transaction, insert_ignoring, new_id
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import DataKey
from identity.assurance import Method

CEREMONY_SECONDS = 300
MAX_PASSKEYS = 20
MAX_NAME = 60
MAX_RESPONSE = 16_000


class PasskeyPolicy(msgspec.Struct, frozen=True):
    """Where passkeys live: the domain they belong to, its name, and the origins they may be used from."""

    rp_id: str
    rp_name: str
    origins: tuple[str, ...]


class Passkey(Base):
    """The credential record of WebAuthn Level 3 section 4."""

    __tablename__ = "passkey"
    __table_args__ = (Index("ix_passkey_account", "account_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    is_user_verifying: Mapped[bool] = mapped_column(Boolean)
    """It verified its user when it was registered (`uvInitialized`); a later claim to do so counts only then."""
    is_backup_eligible: Mapped[bool] = mapped_column(Boolean)
    """It can be copied between devices ("synced"): never AAL3."""
    is_backed_up: Mapped[bool] = mapped_column(Boolean)
    is_attested: Mapped[bool] = mapped_column(Boolean)
    """Its make was attested and the deployment's policy trusts it."""
    aaguid: Mapped[str] = mapped_column(String(36))
    transports: Mapped[list[str]] = mapped_column(Json)
    name: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: people name these after themselves."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


class UserHandle(Base):
    """What authenticators know an account by: random, so that it tells nothing and links to nothing."""

    __tablename__ = "user_handle"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"), primary_key=True)
    handle: Mapped[bytes] = mapped_column(LargeBinary, unique=True)


class Ceremony(msgspec.Struct, frozen=True):
    """`id` comes back with the browser's answer; `options` is JSON for `parseCreationOptionsFromJSON` or
    `parseRequestOptionsFromJSON`."""

    id: str
    options: str


class Asserted(msgspec.Struct, frozen=True):
    """A passkey was used: whose, which, and what that proves."""

    account_id: UUID
    passkey_id: UUID
    method: Method


class PasskeyView(msgspec.Struct, frozen=True):
    """A passkey as its owner sees it in a list."""

    id: UUID
    name: str
    is_synced: bool
    is_user_verifying: bool
    created_at: datetime
    last_used_at: datetime | None


class _Waiting(msgspec.Struct, frozen=True):
    """What a ceremony in flight is bound to."""

    kind: Literal["create", "get"]
    bound_to: bytes
    account_id: UUID | None
    needs_verification: bool


def _refused(detail: str) -> Refusal:
    return Refusal("passkey_refused", detail=detail)


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
    handle = await _handle_of(db, account_id)
    ceremony, challenge = await _begin(store, _Waiting("create", bound_to, account_id, alone), now)
    options = webauthn.generate_registration_options(
        rp_id=policy.rp_id,
        rp_name=policy.rp_name,
        user_id=handle,
        user_name=user_name,
        challenge=challenge,
        timeout=CEREMONY_SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED if alone else ResidentKeyRequirement.PREFERRED,
            user_verification=_verification(alone),
        ),
        exclude_credentials=await _descriptors(db, account_id),
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
    waiting, challenge = await _end(store, ceremony, "create", bound_to, now)
    if waiting.account_id != account_id:
        raise _refused("another account's ceremony")
    answer = _answer_of(response)
    try:
        verified = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=policy.rp_id,
            expected_origin=list(policy.origins),
            require_user_verification=waiting.needs_verification,
        )
    except Exception as error:  # the library lets KeyError, TypeError and CBOR errors of a malformed answer through
        raise _refused(f"registration: {type(error).__name__}") from error
    if len(await _descriptors(db, account_id)) >= MAX_PASSKEYS:
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
    ceremony, challenge = await _begin(store, _Waiting("get", bound_to, account_id, needs_verification), now)
    options = webauthn.generate_authentication_options(
        rp_id=policy.rp_id,
        challenge=challenge,
        timeout=CEREMONY_SECONDS * 1000,
        allow_credentials=[] if account_id is None else await _descriptors(db, account_id),
        user_verification=_verification(needs_verification),
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
    waiting, challenge = await _end(store, ceremony, "get", bound_to, now)
    if waiting.account_id != account_id:
        raise _refused("another account's ceremony")
    answer = _answer_of(response)
    try:
        credential = parse_authentication_credential_json(answer)
    except Exception as error:  # as above
        raise _refused(f"authentication: {type(error).__name__}") from error
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
    except Exception as error:  # as above
        raise _refused(f"authentication: {type(error).__name__}") from error
    if (verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE) != row.is_backup_eligible:
        raise _refused("backup eligibility changed")
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
        raise _refused("counter or removal")
    verifies = verified.user_verified and row.is_user_verifying
    if waiting.needs_verification and not verifies:
        raise _refused("registered without user verification")
    return Asserted(row.account_id, row.id, _method(verifies, row.is_backup_eligible, row.is_attested))


async def passkeys_of(db: Transaction, key: DataKey, account_id: UUID) -> Sequence[PasskeyView]:
    """The account's passkeys, the oldest first."""
    rows = await db.all(
        select(
            Passkey.id,
            Passkey.name,
            Passkey.is_backup_eligible,
            Passkey.is_user_verifying,
            Passkey.created_at,
            Passkey.last_used_at,
        )
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None))
        .order_by(Passkey.id)
        .limit(MAX_PASSKEYS)
    )
    return [
        PasskeyView(
            row.id,
            key.open("passkey.name", row.id, row.name).decode(),
            row.is_backup_eligible,
            row.is_user_verifying,
            row.created_at,
            row.last_used_at,
        )
        for row in rows
    ]


async def remove(db: Transaction, account_id: UUID, passkey_id: UUID, now: datetime) -> bool:
    """Take a passkey away; False when the account has no such one. The caller asks for fresh authentication (R30) and
    for a way back (R31) first."""
    removed = await db.execute(
        update(Passkey)
        .where(Passkey.id == passkey_id, Passkey.account_id == account_id, Passkey.removed_at.is_(None))
        .values(removed_at=now)
        .returning(Passkey.id)
    )
    return removed.first() is not None


def _method(verifies: bool, is_backup_eligible: bool, is_attested: bool) -> Method:
    if not verifies:
        return "passkey"
    return "passkey_hardware" if is_attested and not is_backup_eligible else "passkey_uv"


def _verification(needed: bool) -> UserVerificationRequirement:
    return UserVerificationRequirement.REQUIRED if needed else UserVerificationRequirement.PREFERRED


def _verify_owner(row: Any, account_id: UUID | None, handle: bytes | None) -> None:
    """Section 7.2 step 6: the account that is signing in owns the credential, and the authenticator says so too."""
    if account_id is None and handle is None:
        raise _refused("no user handle")
    if (account_id is not None and row.account_id != account_id) or (handle is not None and handle != row.handle):
        raise _refused("another account's passkey")


async def _begin(store: Store, waiting: _Waiting, now: datetime) -> tuple[str, bytes]:
    # In the store, not in SQL: every sign-in page begins one, and a store that loses it refuses the answer (R75).
    challenge = secrets.token_bytes(32)
    ceremony = bytes_to_base64url(challenge)
    await store.put(f"passkey:{ceremony}", msgspec.msgpack.encode(waiting), CEREMONY_SECONDS, now)
    return ceremony, challenge


async def _end(
    store: Store, ceremony: str, kind: Literal["create", "get"], bound_to: bytes, now: datetime
) -> tuple[_Waiting, bytes]:
    """Take the ceremony out of the store: whatever comes of it, its challenge is used up."""
    try:
        challenge = base64url_to_bytes(ceremony)
    except ValueError as error:
        raise Refusal("passkey_expired") from error
    kept = await store.take(f"passkey:{bytes_to_base64url(challenge)}", now) if len(challenge) == 32 else None
    if kept is None:
        raise Refusal("passkey_expired")
    waiting = msgspec.msgpack.decode(kept, type=_Waiting)
    if waiting.kind != kind or waiting.bound_to != bound_to:
        raise _refused("another ceremony")
    return waiting, challenge


def _answer_of(response: str) -> dict[str, Any]:
    """The browser's answer as an object, never from within a page of another origin."""
    try:
        if len(response) > MAX_RESPONSE:
            raise ValueError("too long")
        answer: dict[str, Any] = json.loads(response)
        client_data = json.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
        if client_data.get("crossOrigin", False) is not False or "topOrigin" in client_data:
            raise ValueError("cross-origin")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(f"malformed: {type(error).__name__}") from error
    return answer


def _transports(answer: dict[str, Any]) -> list[str]:
    known = {transport.value for transport in AuthenticatorTransport}
    told = answer["response"].get("transports")
    return sorted({value for value in told if value in known}) if isinstance(told, list) else []


async def _descriptors(db: Transaction, account_id: UUID) -> list[PublicKeyCredentialDescriptor]:
    rows = await db.all(
        select(Passkey.credential_id, Passkey.transports)
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None))
        .limit(MAX_PASSKEYS)
    )
    return [
        PublicKeyCredentialDescriptor(row.credential_id, transports=[AuthenticatorTransport(t) for t in row.transports])
        for row in rows
    ]


async def _handle_of(db: Transaction, account_id: UUID) -> bytes:
    """The account's user handle, made when it is first needed."""
    query = select(UserHandle.handle).where(UserHandle.account_id == account_id)
    handle: bytes | None = await db.scalar(query)
    if handle is None:
        made = insert_ignoring(db, UserHandle).values(account_id=account_id, handle=secrets.token_bytes(64))
        await db.execute(made)
        handle = await db.scalar(query)
    if handle is None:
        raise LookupError("the account has no user handle")
    return handle
