"""Passkeys: the WebAuthn credentials of an account, and the handle by which authenticators know it (R29)."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, LargeBinary, String, Uuid, select, update
from sqlalchemy.orm import Mapped, mapped_column
from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

from accounts.database import Base, Instant, Json, Transaction, insert_ignoring
from accounts.vault import DataKey

MAX_PASSKEYS = 20
MAX_NAME = 60


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


class PasskeyView(msgspec.Struct, frozen=True):
    """A passkey as its owner sees it in a list."""

    id: UUID
    name: str
    is_synced: bool
    is_user_verifying: bool
    created_at: datetime
    last_used_at: datetime | None


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


async def remove_all(db: Transaction, account_id: UUID, now: datetime, *, but: UUID | None = None) -> None:
    """Take every passkey away but one: an unfinished account is set up anew."""
    await db.execute(
        update(Passkey)
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None), Passkey.id != (but or UUID(int=0)))
        .values(removed_at=now)
    )


async def descriptors(db: Transaction, account_id: UUID) -> list[PublicKeyCredentialDescriptor]:
    """The account's credentials as options name them."""
    rows = await db.all(
        select(Passkey.credential_id, Passkey.transports)
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None))
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
