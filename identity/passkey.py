"""Passkeys: the WebAuthn credentials of an account, and the handle by which authenticators know it (R29)."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Uuid,
    select,
    true,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column
from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

from accounts.database import Base, Instant, Json, Transaction, insert_ignoring
from accounts.vault import DataKey
from identity.assurance import Method
from identity.attestation import AttestationPolicy
from identity.session import Device

MAX_PASSKEYS = 20
MAX_NAME = 60


class PasskeyPolicy(msgspec.Struct, frozen=True):
    """Where passkeys live: the domain they belong to, its name, and the origins they may be used from: our own first,
    then those related to it (WebAuthn Level 3 section 5.11). `attestation` says whose word makes a key AAL3."""

    rp_id: str
    rp_name: str
    origins: tuple[str, ...]
    attestation: AttestationPolicy | None = None


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
    is_discoverable: Mapped[bool | None] = mapped_column(Boolean)
    """It can say itself whose it is. A security key may not: it then needs a password before it. Null: not asked."""
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
    last_used_from: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: the device and the address of the last use."""
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


class UserHandle(Base):
    """What authenticators know an account by: random, so that it tells nothing and links to nothing."""

    __tablename__ = "user_handle"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"), primary_key=True)
    handle: Mapped[bytes] = mapped_column(LargeBinary, unique=True)


class PasskeyView(msgspec.Struct, frozen=True):
    """A passkey as its owner sees it in a list."""

    id: UUID
    name: str
    is_synced: bool
    """Its maker copies it to other devices."""
    is_backed_up: bool
    """It has been copied, as it said when it was last used."""
    stands_alone: bool
    """It is enough by itself; else it comes after a password."""
    is_attested: bool
    created_at: datetime
    last_used_at: datetime | None
    last_used_from: Device | None


def stands_alone() -> ColumnElement[bool]:
    """The condition under which a passkey is enough by itself: it knows its user and says whose it is."""
    return Passkey.is_user_verifying.is_(True) & Passkey.is_discoverable.is_not(False)


def method_of(verifies: bool, is_backup_eligible: bool, is_attested: bool) -> Method:
    """What a use of such a key proves; a copied one is never hardware, whatever was attested of it (R20)."""
    if not verifies:
        return "passkey"
    return "passkey_hardware" if is_attested and not is_backup_eligible else "passkey_uv"


async def passkeys_of(db: Transaction, key: DataKey, account_id: UUID) -> Sequence[PasskeyView]:
    """The account's passkeys, the oldest first."""
    rows = await db.all(
        select(
            Passkey.id,
            Passkey.name,
            Passkey.is_backup_eligible,
            Passkey.is_backed_up,
            stands_alone().label("stands_alone"),
            Passkey.is_attested,
            Passkey.created_at,
            Passkey.last_used_at,
            Passkey.last_used_from,
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
            row.is_backed_up,
            row.stands_alone,
            row.is_attested,
            row.created_at,
            row.last_used_at,
            _device(key, row.id, row.last_used_from),
        )
        for row in rows
    ]


async def note_place(db: Transaction, key: DataKey, passkey_id: UUID, device: Device) -> None:
    """Where it was used just now: what its owner recognises a stranger's use by."""
    sealed = key.seal("passkey.last_used_from", passkey_id, msgspec.json.encode(device))
    await db.execute(update(Passkey).where(Passkey.id == passkey_id).values(last_used_from=sealed))


def _device(key: DataKey, passkey_id: UUID, sealed: bytes | None) -> Device | None:
    if sealed is None:
        return None
    return msgspec.json.decode(key.open("passkey.last_used_from", passkey_id, sealed), type=Device)


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


async def remove_all(db: Transaction, account_id: UUID, now: datetime, *, but: UUID | None = None) -> None:
    """Take every passkey away but one: an unfinished account is set up anew."""
    await db.execute(
        update(Passkey)
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None), Passkey.id != (but or UUID(int=0)))
        .values(removed_at=now)
    )


async def descriptors(
    db: Transaction, account_id: UUID, *, attested: bool = False
) -> list[PublicKeyCredentialDescriptor]:
    """The account's credentials as options name them; or only those whose make is attested."""
    which = Passkey.is_attested.is_(True) if attested else true()
    rows = await db.all(
        select(Passkey.credential_id, Passkey.transports)
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None), which)
        .limit(MAX_PASSKEYS)
    )
    return [
        PublicKeyCredentialDescriptor(row.credential_id, transports=[AuthenticatorTransport(t) for t in row.transports])
        for row in rows
    ]


async def handle_of(db: Transaction, account_id: UUID) -> bytes:
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
