"""Contacts: e-mail addresses and phone numbers, sealed, found by blind index, with their verification (R60, R79)."""

import unicodedata
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String, Uuid, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, insert_ignoring, new_id
from accounts.errors import Refusal
from accounts.vault import DataKey, Vault

Kind = Literal["email", "phone"]


class Contact(Base):
    __tablename__ = "contact"
    # One address signs in to one account; a phone number may be shared by a household.
    __table_args__ = (
        Index(
            "uq_contact_email",
            "blind_index",
            unique=True,
            sqlite_where=text("kind = 'email' AND removed_at IS NULL"),
            postgresql_where=text("kind = 'email' AND removed_at IS NULL"),
        ),
        Index("ix_contact_blind_index_next", "blind_index_next"),
        Index("ix_contact_account", "account_id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(String(8))
    value: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed, as the citizen wrote it."""
    blind_index: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the canonical form."""
    blind_index_next: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The same under the next key, while the blind-index key is being rotated."""
    verified_at: Mapped[datetime | None] = mapped_column(Instant)
    is_primary: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(Instant)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


class ContactView(msgspec.Struct, frozen=True):
    """A contact, opened."""

    id: UUID
    kind: Kind
    value: str
    is_verified: bool
    is_primary: bool
    verified_at: datetime | None = None


def canonical_email(written: str) -> str:
    """The one form by which an address is known: NFKC, case folded, IDNA domain (R79).

    Raises Refusal("email_invalid").
    """
    try:
        # Names under .test are for testing (RFC 2606) and lead nowhere: the simulator's people live there.
        parts = validate_email(
            unicodedata.normalize("NFKC", written.strip()), check_deliverability=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise Refusal("email_invalid") from error
    # Folding can take a letter apart: normalised again, the form is its own canonical form.
    local = unicodedata.normalize("NFKC", parts.local_part.casefold())
    return f"{local}@{parts.ascii_domain.casefold()}"


def canonical_phone(written: str) -> str:
    """E.164, from a number written with its country code. Raises Refusal("phone_invalid")."""
    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", written.strip()), None)
    except phonenumbers.NumberParseException as error:
        raise Refusal("phone_invalid") from error
    if not phonenumbers.is_possible_number(number):
        raise Refusal("phone_invalid")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked(kind: Kind, value: str) -> str:
    """Enough to recognise one's own contact, too little to learn another's: a***@e***.org, ***42."""
    if kind == "phone":
        return "•••" + value[-2:]
    local, _, domain = value.partition("@")
    return f"{local[:1]}•••@{domain[:1]}•••{domain[domain.rfind('.') :]}"


async def add_contact(
    db: Transaction,
    vault: Vault,
    key: DataKey,
    account_id: UUID,
    kind: Kind,
    value: str,
    now: datetime,
    *,
    verified: bool,
    primary: bool = False,
) -> UUID | None:
    """Add a contact; None when the address already belongs to an account: the index decides, once."""
    canonical = canonical_email(value) if kind == "email" else canonical_phone(value)
    contact_id = new_id(now)
    added = await db.execute(
        insert_ignoring(db, Contact)
        .values(
            id=contact_id,
            account_id=account_id,
            kind=kind,
            value=key.seal("contact.value", contact_id, (value.strip() if kind == "email" else canonical).encode()),
            blind_index=vault.blind(kind, canonical),
            verified_at=now if verified else None,
            is_primary=primary,
            created_at=now,
        )
        .returning(Contact.id)
    )
    return contact_id if added.first() is not None else None


async def find_account_by_email(db: Transaction, vault: Vault, canonical: str) -> UUID | None:
    """The account that signs in with this (canonical, verified) address."""
    found: UUID | None = await db.scalar(
        select(Contact.account_id).where(
            Contact.blind_index == vault.blind("email", canonical),
            Contact.kind == "email",
            Contact.removed_at.is_(None),
            Contact.verified_at.is_not(None),
        )
    )
    return found


async def contacts_of(db: Transaction, key: DataKey, account_id: UUID) -> list[ContactView]:
    """The account's contacts, the primary ones first."""
    rows = await db.all(
        select(Contact.id, Contact.kind, Contact.value, Contact.verified_at, Contact.is_primary)
        .where(Contact.account_id == account_id, Contact.removed_at.is_(None))
        .order_by(Contact.is_primary.desc(), Contact.id)
        .limit(50)
    )
    return [
        ContactView(
            id=row.id,
            kind=row.kind,
            value=key.open("contact.value", row.id, row.value).decode(),
            is_verified=row.verified_at is not None,
            is_primary=row.is_primary,
            verified_at=row.verified_at,
        )
        for row in rows
    ]


async def retire_contact(db: Transaction, account_id: UUID, contact_id: UUID, now: datetime) -> bool:
    """Take a contact away; False when the account has no such one. The row stays, so that it can be brought back."""
    retired = await db.execute(
        update(Contact)
        .where(Contact.id == contact_id, Contact.account_id == account_id, Contact.removed_at.is_(None))
        .values(removed_at=now)
    )
    return retired.rowcount == 1


async def restore_contact(
    db: Transaction, vault: Vault, key: DataKey, account_id: UUID, contact_id: UUID, now: datetime
) -> bool:
    """Bring a retired contact back, as old as it was. False where it is not one of this account, or the address has
    become somebody else's meanwhile."""
    old = await db.first(
        select(Contact.kind, Contact.value, Contact.verified_at, Contact.is_primary).where(
            Contact.id == contact_id, Contact.account_id == account_id, Contact.removed_at.is_not(None)
        )
    )
    if old is None:
        return False
    value = key.open("contact.value", contact_id, old.value).decode()
    is_verified = old.verified_at is not None
    restored = await add_contact(
        db, vault, key, account_id, old.kind, value, now, verified=is_verified, primary=old.is_primary
    )
    if restored is not None:
        await db.execute(update(Contact).where(Contact.id == restored).values(verified_at=old.verified_at))
    return restored is not None


async def make_primary(db: Transaction, account_id: UUID, contact_id: UUID) -> bool:
    """Make a verified contact the first of its kind: the one that services see."""
    chosen = await db.scalar(
        select(Contact.kind).where(
            Contact.id == contact_id,
            Contact.account_id == account_id,
            Contact.removed_at.is_(None),
            Contact.verified_at.is_not(None),
        )
    )
    if chosen is None:
        return False
    await db.execute(
        update(Contact)
        .where(Contact.account_id == account_id, Contact.kind == chosen, Contact.removed_at.is_(None))
        .values(is_primary=Contact.id == contact_id)
    )
    return True
