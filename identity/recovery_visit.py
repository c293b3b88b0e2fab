"""A visit to recovery: one browser proves an account's e-mail address, and its phone or a recovery code (R50, R51)."""

import hmac
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, Uuid, exists, insert, select, update
from sqlalchemy.orm import Mapped, aliased, mapped_column

from accounts.account import Account, data_key_of
from accounts.citizen import Browser
from accounts.contact import Contact, canonical_email, masked
from accounts.database import Base, Instant, Transaction, new_id
from accounts.errors import Refusal
from accounts.notification import Message, send
from accounts.store import Store
from accounts.sweeping import delete_some
from accounts.vault import Vault
from identity import confirmation_code, recovery_code, throttle
from identity.contact_change import UNDO
from identity.credential_change import Change, announce
from identity.policy import IdentityPolicy
from identity.session import Device
from identity.spelling import plain_code
from identity.text_guard import take_message
from identity.throttle_policy import Budget

LIFETIME = timedelta(minutes=30)


class RecoveryVisit(Base):
    __tablename__ = "recovery_visit"
    __table_args__ = (Index("ix_recovery_visit_expires_at", "expires_at"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    browser: Mapped[bytes] = mapped_column(LargeBinary)
    email: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed, as it was typed."""
    language: Mapped[str] = mapped_column(String(35))
    account_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    """Null until the address is proved: before that nobody learns whether there is one."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    phone_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the phone, or a recovery code, was proved, too."""


class Visit(msgspec.Struct, frozen=True):
    """One visit, opened."""

    id: UUID
    email: str
    language: str
    account_id: UUID | None
    phone_at: datetime | None
    is_open: bool


async def begin(
    db: Transaction,
    vault: Vault,
    store: Store,
    browser: Browser,
    email: str,
    language: str,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> UUID:
    """Begin with an address. Its owner gets one mail in any case: a code, or what is possible instead. Nothing else
    differs between addresses that exist and that do not (R27).

    Raises Refusal "email_invalid" or "too_many_attempts"."""
    canonical = canonical_email(email)
    await _take(db, vault, store, "message", vault.blind("email", canonical), address, policy, now)
    visit_id = new_id(now)
    await db.execute(
        insert(RecoveryVisit).values(
            id=visit_id,
            browser=browser.digest,
            email=vault.seal("recovery_visit.email", visit_id, email.strip().encode()),
            language=language,
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    await _send_email_code(db, vault, visit_id, email.strip(), canonical, language, now)
    return visit_id


async def find(db: Transaction, vault: Vault, browser: Browser, visit_id: UUID, now: datetime) -> Visit | None:
    """The visit, in the browser in which it began."""
    row = await db.first(
        select(
            RecoveryVisit.browser,
            RecoveryVisit.email,
            RecoveryVisit.language,
            RecoveryVisit.account_id,
            RecoveryVisit.phone_at,
            RecoveryVisit.expires_at,
        ).where(RecoveryVisit.id == visit_id)
    )
    if row is None or not hmac.compare_digest(row.browser, browser.digest):
        return None
    email = vault.open("recovery_visit.email", visit_id, row.email).decode()
    return Visit(visit_id, email, row.language, row.account_id, row.phone_at, row.expires_at > now)


async def prove_email(
    db: Transaction,
    vault: Vault,
    store: Store,
    visit: Visit,
    code: str,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """The code from the mail. Raises Refusal "too_many_attempts" or "code_wrong"."""
    subject = vault.blind("email", canonical_email(visit.email))
    taken = await _take(db, vault, store, "confirmation", subject, address, policy, now)
    spent = await confirmation_code.spend(db, vault, purpose="recovery", bound_to=visit.id.bytes, code=code, now=now)
    if spent is None or spent.account_id is None:
        raise Refusal("code_wrong")
    await throttle.give_back(db, taken)
    await db.execute(
        update(RecoveryVisit)
        .where(RecoveryVisit.id == visit.id, RecoveryVisit.account_id.is_(None), RecoveryVisit.expires_at > now)
        .values(account_id=spent.account_id)
    )


async def send_text(
    db: Transaction, vault: Vault, store: Store, visit: Visit, address: str, policy: IdentityPolicy, now: datetime
) -> None:
    """The second code, to the phone. Raises Refusal "too_many_attempts" or "phone_country"."""
    number = await number_of(db, vault, visit, now)
    if visit.account_id is None or number is None:
        raise Refusal("recovery_impossible")
    await db.commit()
    await take_message(db, store, vault, number, address, policy.text, policy.throttle, now)
    code = await confirmation_code.issue(
        db,
        vault,
        purpose="recovery",
        bound_to=_second(visit),
        contact=vault.blind("phone", number),
        account_id=visit.account_id,
        now=now,
    )
    await send(db, vault, Message("sms", number, "recovery_code", visit.language, {"code": code}), now)


async def prove_second(
    db: Transaction,
    vault: Vault,
    store: Store,
    visit: Visit,
    code: str,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """The code from the text message, or one of the recovery codes, for who has no phone or lost it with the rest.
    Counted in a row with the account's other authenticators: whoever has the mailbox does not guess for ever (R26).
    Raises Refusal "too_many_attempts", "attempts_used_up" or "code_wrong"."""
    if visit.account_id is None:
        raise Refusal("code_wrong")
    account_id, plain = visit.account_id, plain_code(code)
    taken = await _take(db, vault, store, "recovery", account_id.bytes, device.address, policy, now)
    proving = [vault.blind("email", canonical_email(visit.email))]
    by_phone = len(plain) == 6 and plain.isdecimal()
    if by_phone:
        spent = await confirmation_code.spend(
            db, vault, purpose="recovery", bound_to=_second(visit), code=plain, now=now
        )
        is_right = spent is not None and spent.account_id == account_id
        proving.append(spent.contact if spent is not None else b"")
    else:
        is_right = await recovery_code.spend(db, vault, account_id, plain, now)
    if not is_right:
        raise Refusal("code_wrong")
    await throttle.give_back(db, taken)
    proved = await db.execute(
        update(RecoveryVisit)
        .where(RecoveryVisit.id == visit.id, RecoveryVisit.account_id == account_id)
        .where(RecoveryVisit.phone_at.is_(None), RecoveryVisit.expires_at > now)
        .where(*(_has_settled(contact, account_id, now) for contact in proving))
        .values(phone_at=now)
    )
    if proved.rowcount != 1:
        raise Refusal("code_wrong")
    if not by_phone:
        key = await data_key_of(db, vault, account_id)
        await announce(db, vault, key, account_id, Change("recovery_code_spent", "recovery_codes", device), now)


async def number_of(db: Transaction, vault: Vault, visit: Visit, now: datetime) -> str | None:
    """The phone that is asked: the first one that has not changed for a week."""
    if visit.account_id is None:
        return None
    row = await db.first(
        select(Contact.id, Contact.value)
        .where(Contact.account_id == visit.account_id, Contact.kind == "phone", _stood(Contact, now))
        .order_by(Contact.is_primary.desc(), Contact.id)
        .limit(1)
    )
    if row is None:
        return None
    key = await data_key_of(db, vault, visit.account_id)
    return key.open("contact.value", row.id, row.value).decode()


async def masked_number(db: Transaction, vault: Vault, visit: Visit, now: datetime) -> str:
    """Enough of it to recognise."""
    number = await number_of(db, vault, visit, now)
    return masked("phone", number) if number is not None else ""


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete visits that ran out a day ago: anybody begins one, and it holds an address, known to us or not."""
    over = RecoveryVisit.expires_at <= now - timedelta(days=1)
    return await delete_some(db, RecoveryVisit, RecoveryVisit.id, over, RecoveryVisit.expires_at)


def _second(visit: Visit) -> bytes:
    return visit.id.bytes + b"phone"


def _stood(contact: type[Contact], now: datetime) -> ColumnElement[bool]:
    """R51: a contact that was changed in the last seven days proves nothing."""
    return contact.removed_at.is_(None) & (contact.verified_at <= now - UNDO)


def _has_settled(index: bytes, account_id: UUID, now: datetime) -> ColumnElement[bool]:
    """The very contact that was proved still stands as long as it must: asked again in the statement that leans on
    it. One that was taken away meanwhile proves nothing, whatever else the account has."""
    contact = aliased(Contact)
    return exists().where(contact.account_id == account_id, contact.blind_index == index, _stood(contact, now))


async def _send_email_code(
    db: Transaction, vault: Vault, visit_id: UUID, email: str, canonical: str, language: str, now: datetime
) -> None:
    """One mail for whoever owns the address; the same statements whether there is an account or not (R27)."""
    mail, phone = aliased(Contact), aliased(Contact)
    known = await db.first(
        select(Account.id, Account.state, mail.verified_at)
        .join(mail, mail.account_id == Account.id)
        .where(mail.blind_index == vault.blind("email", canonical), mail.kind == "email")
        .where(mail.removed_at.is_(None), mail.verified_at.is_not(None))
    )
    account_id = known.id if known is not None else UUID(int=0)
    has_phone = await db.scalar(
        select(phone.id).where(phone.account_id == account_id, phone.kind == "phone", _stood(phone, now)).limit(1)
    )
    codes = await recovery_code.remaining(db, account_id)
    has_second = has_phone is not None or codes > 0
    can = known is not None and known.state == "active" and known.verified_at <= now - UNDO and has_second
    # A code is made in any case, so that guessing at it is the same; only who can go on is sent it.
    code = await confirmation_code.issue(
        db,
        vault,
        purpose="recovery",
        bound_to=visit_id.bytes,
        contact=vault.blind("email", canonical),
        account_id=known.id if can and known is not None else None,
        now=now,
    )
    template = "recovery_code" if can else "recovery_unknown" if known is None else "recovery_impossible"
    values = {"code": code} if can else {}
    await send(db, vault, Message("email", email, template, language, values), now)


async def _take(
    db: Transaction,
    vault: Vault,
    store: Store,
    budget: Budget,
    subject: bytes,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> throttle.Permitted:
    await db.commit()
    return throttle.permitted(await throttle.take(db, store, vault, budget, subject, address, policy.throttle, now))
