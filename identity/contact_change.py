"""Changing contacts: confirmed by a code on the new one, announced on the old ones, undone by them for a week (R30)."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import data_key_of, lock_account
from accounts.activity import Kind as Event
from accounts.activity import record
from accounts.contact import (
    Kind,
    add_contact,
    canonical_email,
    canonical_phone,
    contacts_of,
    find_account_by_email,
    masked,
    retire_contact,
)
from accounts.database import Base, Instant, Transaction, new_id
from accounts.errors import Refusal
from accounts.notification import Message, send
from accounts.store import Store
from accounts.sweeping import delete_some
from accounts.vault import DataKey, Vault
from identity import confirmation_code, throttle
from identity.contact_spare import verify_spare
from identity.notice import detail_of, tell
from identity.own_authenticators import Owner
from identity.policy import IdentityPolicy
from identity.text_guard import take_message

LIFETIME = timedelta(hours=1)
"""How long a new contact waits for its code."""
UNDO = timedelta(days=7)
"""How long the old contacts can undo a change, and a changed one proves nothing (R51)."""
MOST = 5
"""Contacts of one kind."""


class ContactChange(Base):
    __tablename__ = "contact_change"
    __table_args__ = (Index("ix_contact_change_account", "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    session_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("session.id"))
    """The session that asked for it and alone can confirm it."""
    kind: Mapped[str] = mapped_column(String(8))
    value: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: the new one; null where one is only taken away."""
    added: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("contact.id"))
    removed: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("contact.id"))
    """The one that it replaces, or takes away."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    made_at: Mapped[datetime | None] = mapped_column(Instant)
    undone_at: Mapped[datetime | None] = mapped_column(Instant)


class Change(msgspec.Struct, frozen=True):
    """A change that waits for its code, opened."""

    id: UUID
    kind: Kind
    value: str
    removed: UUID | None


async def start(
    db: Transaction,
    vault: Vault,
    store: Store,
    owner: Owner,
    kind: Kind,
    value: str,
    replaces: UUID | None,
    policy: IdentityPolicy,
    now: datetime,
) -> UUID:
    """Begin with a new contact, which gets a code; the address of somebody else's account gets the news instead.

    Raises Refusal "email_invalid", "phone_invalid", "phone_country", "contact_own", "contact_too_many" or
    "too_many_attempts".
    """
    account_id = owner.citizen.account_id
    canonical = canonical_of(kind, value)
    key = await data_key_of(db, vault, account_id)
    own = [contact for contact in await contacts_of(db, key, account_id) if contact.kind == kind]
    if any(canonical_of(kind, contact.value) == canonical for contact in own):
        raise Refusal("contact_own")
    is_own = any(contact.id == replaces for contact in own)
    if len(own) - is_own >= MOST:
        raise Refusal("contact_too_many")
    await _take_message(db, vault, store, kind, canonical, owner, policy, now)
    change_id = new_id(now)
    kept = canonical if kind == "phone" else value.strip()
    await db.execute(
        insert(ContactChange).values(
            id=change_id,
            account_id=account_id,
            session_id=owner.citizen.session_id,
            kind=kind,
            value=key.seal("contact_change.value", change_id, kept.encode()),
            removed=replaces if is_own else None,
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    await _send_code(db, vault, owner, Change(change_id, kind, kept, None), now)
    return change_id


async def send_again(
    db: Transaction, vault: Vault, store: Store, owner: Owner, change: Change, policy: IdentityPolicy, now: datetime
) -> None:
    """Another code; the earlier one ends. Raises Refusal("too_many_attempts")."""
    await _take_message(db, vault, store, change.kind, canonical_of(change.kind, change.value), owner, policy, now)
    await _send_code(db, vault, owner, change, now)


async def find(db: Transaction, vault: Vault, owner: Owner, change_id: UUID, now: datetime) -> Change | None:
    """The change, if it still waits, and this session began it."""
    row = await db.first(
        select(ContactChange.kind, ContactChange.value, ContactChange.removed)
        .where(ContactChange.id == change_id, ContactChange.session_id == owner.citizen.session_id)
        .where(ContactChange.made_at.is_(None), ContactChange.undone_at.is_(None), ContactChange.expires_at > now)
    )
    if row is None or row.value is None:
        return None
    key = await data_key_of(db, vault, owner.citizen.account_id)
    return Change(change_id, row.kind, key.open("contact_change.value", change_id, row.value).decode(), row.removed)


async def confirm(
    db: Transaction,
    vault: Vault,
    store: Store,
    owner: Owner,
    change: Change,
    code: str,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Make the change by the code that the new contact got. Every contact from before hears of it.

    Raises Refusal "too_many_attempts", "code_wrong", "contact_taken", "contact_too_many" or "last_way_back"."""
    account_id, subject = owner.citizen.account_id, vault.blind(change.kind, canonical_of(change.kind, change.value))
    await db.commit()
    address = owner.device.address
    taken = throttle.permitted(
        await throttle.take(db, store, vault, "confirmation", subject, address, policy.throttle, now)
    )
    await lock_account(db, account_id)
    if (
        await confirmation_code.spend(db, vault, purpose="contact", bound_to=change.id.bytes, code=code, now=now)
        is None
    ):
        raise Refusal("code_wrong")
    await throttle.give_back(db, taken)
    key = await data_key_of(db, vault, account_id)
    before = await contacts_of(db, key, account_id)
    old = next((contact for contact in before if contact.id == change.removed), None)
    # Asked again: many changes may have begun while there was room for one.
    if sum(contact.kind == change.kind for contact in before) - (old is not None) >= MOST:
        raise Refusal("contact_too_many")
    if old is not None:
        await verify_spare(db, account_id, old.id, policy)
    made = await db.execute(
        update(ContactChange)
        .where(ContactChange.id == change.id, ContactChange.made_at.is_(None), ContactChange.undone_at.is_(None))
        .where(ContactChange.expires_at > now)
        .values(made_at=now)
    )
    if made.rowcount != 1:
        return
    event: Event = "contact_added"
    await announce_change(db, vault, key, owner, event, "contact_replaced" if change.removed else event, change, now)
    if old is not None:
        await retire_contact(db, account_id, old.id, now)
    is_first = not any(contact.kind == change.kind for contact in before if contact is not old)
    primary = is_first or (old is not None and old.is_primary)
    added = await add_contact(
        db, vault, key, account_id, change.kind, change.value, now, verified=True, primary=primary
    )
    if added is None:
        await db.rollback()
        raise Refusal("contact_taken")
    await db.execute(update(ContactChange).where(ContactChange.id == change.id).values(added=added))


def canonical_of(kind: Kind, value: str) -> str:
    """The one form by which a contact is known. Raises Refusal "email_invalid" or "phone_invalid"."""
    return canonical_email(value) if kind == "email" else canonical_phone(value)


async def announce_change(
    db: Transaction, vault: Vault, key: DataKey, owner: Owner, event: Event, notice: str, change: Change, now: datetime
) -> None:
    detail = detail_of(owner.device, masked(change.kind, change.value))
    account_id = owner.citizen.account_id
    await record(db, account_id, event, now, key=key, device=detail.device, address=detail.address)
    await tell(db, vault, key, account_id, notice, detail, now)


async def _take_message(
    db: Transaction,
    vault: Vault,
    store: Store,
    kind: Kind,
    canonical: str,
    owner: Owner,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    await db.commit()  # the session's idle limit may have moved; an attempt is counted by itself
    address = owner.device.address
    if kind == "phone":
        await take_message(db, store, vault, canonical, address, policy.text, policy.throttle, now)
        return
    subject = vault.blind("email", canonical)
    throttle.permitted(await throttle.take(db, store, vault, "message", subject, address, policy.throttle, now))


async def _send_code(db: Transaction, vault: Vault, owner: Owner, change: Change, now: datetime) -> None:
    account_id, canonical = owner.citizen.account_id, canonical_of(change.kind, change.value)
    code = await confirmation_code.issue(
        db,
        vault,
        purpose="contact",
        bound_to=change.id.bytes,
        contact=vault.blind(change.kind, canonical),
        account_id=account_id,
        now=now,
    )
    language = owner.citizen.locale or "en"
    if change.kind == "phone":
        await send(db, vault, Message("sms", canonical, "confirm_contact", language, {"code": code}), now)
    elif await find_account_by_email(db, vault, canonical) is None:
        await send(db, vault, Message("email", change.value, "confirm_contact", language, {"code": code}), now)
    else:
        await send(db, vault, Message("email", change.value, "contact_in_use", language, {}), now)


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete changes whose code was never typed in time, and those that cannot be undone any more."""
    made = ContactChange.made_at
    over = (made.is_(None) & (ContactChange.expires_at <= now)) | (made <= now - UNDO)
    return await delete_some(db, ContactChange, ContactChange.id, over, ContactChange.id)
