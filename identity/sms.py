"""Codes by text message: a verified phone as a second factor beside a password, the weakest that we offer (R25)."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, insert, select, update

from accounts.contact import Contact
from accounts.database import Transaction, new_id
from accounts.store import Store
from accounts.vault import DataKey, Vault
from identity import sign_in_code
from identity.policy import IdentityPolicy
from identity.session import Device
from identity.sms_phone import SmsPhone, stands
from identity.text_guard import take_message


class Phone(msgspec.Struct, frozen=True):
    """A phone that gets codes, as its owner sees it."""

    id: UUID
    contact_id: UUID
    number: str
    created_at: datetime
    last_used_at: datetime | None


async def phone_of(db: Transaction, key: DataKey, account_id: UUID) -> Phone | None:
    """The account's phone for codes: one, so that no page has to ask which."""
    row = await db.first(
        select(SmsPhone.id, SmsPhone.contact_id, SmsPhone.created_at, SmsPhone.last_used_at, Contact.value)
        .join(Contact, Contact.id == SmsPhone.contact_id)
        .where(SmsPhone.account_id == account_id, stands())
        .order_by(SmsPhone.id.desc())
        .limit(1)
    )
    if row is None:
        return None
    number = key.open("contact.value", row.contact_id, row.value).decode()
    return Phone(row.id, row.contact_id, number, row.created_at, row.last_used_at)


async def use_phone(db: Transaction, account_id: UUID, contact_id: UUID, now: datetime) -> bool:
    """Have codes sent to this verified number, and to no other. False where it is not one of the account."""
    is_own = await db.scalar(
        select(Contact.id).where(
            Contact.id == contact_id,
            Contact.account_id == account_id,
            Contact.kind == "phone",
            Contact.removed_at.is_(None),
            Contact.verified_at.is_not(None),
        )
    )
    if is_own is None:
        return False
    await remove(db, account_id, now)
    await db.execute(
        insert(SmsPhone).values(id=new_id(now), account_id=account_id, contact_id=contact_id, created_at=now)
    )
    return True


async def remove(db: Transaction, account_id: UUID, now: datetime) -> bool:
    """Send no codes any more; False when none were sent before."""
    removed = await db.execute(
        update(SmsPhone).where(SmsPhone.account_id == account_id, SmsPhone.removed_at.is_(None)).values(removed_at=now)
    )
    return removed.rowcount > 0


async def send_code(
    db: Transaction,
    vault: Vault,
    store: Store,
    key: DataKey,
    account_id: UUID,
    asker: UUID,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Send a code that only this sign-in can use, for ten minutes; an earlier one of its ends.

    Raises Refusal "too_many_attempts" or "phone_country"."""
    phone = await phone_of(db, key, account_id)
    if phone is None:
        return
    await db.commit()
    await take_message(db, store, vault, phone.number, device.address, policy.text, policy.throttle, now)
    contact = vault.blind("phone", phone.number)
    await sign_in_code.issue(
        db, vault, account_id, asker, channel="sms", to=phone.number, contact=contact, template="sign_in_code", now=now
    )


async def spend(db: Transaction, vault: Vault, account_id: UUID, asker: UUID, code: str, now: datetime) -> bool:
    """Accept the code that was sent for this sign-in, once, while its phone still is the account's."""
    sent_to = await sign_in_code.spend(db, vault, account_id, asker, code, now)
    if sent_to is None:
        return False
    is_still: ColumnElement[bool] = (
        select(Contact.id)
        .where(Contact.id == SmsPhone.contact_id, Contact.blind_index == sent_to, Contact.removed_at.is_(None))
        .exists()
    )
    used = await db.execute(
        update(SmsPhone)
        .where(SmsPhone.account_id == account_id, SmsPhone.removed_at.is_(None), is_still)
        .values(last_used_at=now)
    )
    return used.rowcount > 0
