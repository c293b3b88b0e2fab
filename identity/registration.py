"""Registration: from an e-mail address to an account that can be set up; one address, one account."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import Account, open_account
from accounts.contact import add_contact, canonical_email, find_account_by_email
from accounts.database import Base, Instant, Transaction, new_id
from accounts.errors import Refusal
from accounts.notification import Message, send
from accounts.store import Store
from accounts.sweeping import delete_some
from accounts.vault import Vault
from identity import confirmation_code, throttle
from identity.policy import IdentityPolicy
from identity.throttle_policy import Budget

LIFETIME = timedelta(hours=1)


class Registration(Base):
    __tablename__ = "registration"
    __table_args__ = (Index("ix_registration_expires_at", "expires_at"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    sign_in_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("sign_in.id"))
    """The sign-in it is a part of, which knows the browser and where to go on."""
    email: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed, as it was typed."""
    language: Mapped[str] = mapped_column(String(35))
    account_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    """The account to set up; null until the address is confirmed, and where it belongs to an open account already."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the first authenticator was set up; from then on the sign-in leads."""


class RegistrationView(msgspec.Struct, frozen=True):
    """One registration, opened."""

    id: UUID
    sign_in_id: UUID
    email: str
    language: str
    account_id: UUID | None
    expires_at: datetime
    confirmed_at: datetime | None
    completed_at: datetime | None


async def start(
    db: Transaction,
    vault: Vault,
    store: Store,
    sign_in_id: UUID,
    email: str,
    language: str,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> UUID:
    """Begin with an address. Its owner gets one mail, whether it is known or not: a code, or the news that there is an
    account already. Everything else is the same for both (R27).

    Raises Refusal "email_invalid" or "too_many_attempts".
    """
    canonical = canonical_email(email)
    await _take(db, vault, store, "message", canonical, address, policy, now)
    registration_id = new_id(now)
    await db.execute(
        insert(Registration).values(
            id=registration_id,
            sign_in_id=sign_in_id,
            email=vault.seal("registration.email", registration_id, email.strip().encode()),
            language=language,
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    await _send_code(db, vault, registration_id, email.strip(), canonical, language, now)
    return registration_id


async def send_again(
    db: Transaction,
    vault: Vault,
    store: Store,
    registration: RegistrationView,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Another mail with a new code; the earlier code ends. Raises Refusal("too_many_attempts")."""
    canonical = canonical_email(registration.email)
    await _take(db, vault, store, "message", canonical, address, policy, now)
    await _send_code(db, vault, registration.id, registration.email, canonical, registration.language, now)


async def find(db: Transaction, vault: Vault, registration_id: UUID) -> RegistrationView | None:
    """The registration, whatever has become of it. The caller looks whose its sign-in is."""
    row = await db.first(select(*_COLUMNS).where(Registration.id == registration_id))
    if row is None:
        return None
    values = row._asdict()
    values["email"] = vault.open("registration.email", row.id, row.email).decode()
    return RegistrationView(**values)


_COLUMNS = tuple(getattr(Registration, name) for name in RegistrationView.__struct_fields__)


async def confirm(
    db: Transaction,
    vault: Vault,
    store: Store,
    registration: RegistrationView,
    code: str,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Confirm the address by its code. An account to set up comes of it, one for an address however many race; one
    that was never finished is gone on with. Raises Refusal "too_many_attempts" or "code_wrong"."""
    canonical = canonical_email(registration.email)
    taken = await _take(db, vault, store, "confirmation", canonical, address, policy, now)
    spent = await confirmation_code.spend(
        db, vault, purpose="registration", bound_to=registration.id.bytes, code=code, now=now
    )
    if spent is None:
        raise Refusal("code_wrong")
    await throttle.give_back(db, taken)
    account_id = await _account_to_set_up(db, vault, registration, canonical, now)
    await db.execute(
        update(Registration).where(Registration.id == registration.id).values(confirmed_at=now, account_id=account_id)
    )


async def finish(db: Transaction, registration: RegistrationView, now: datetime) -> bool:
    """The first authenticator is there. False when it was already, or the account is open meanwhile: the row of an
    account that is being set up is locked, so that of two who finish, the second one sees it."""
    held = await db.execute(
        update(Account)
        .where(Account.id == registration.account_id, Account.state == "enrolling")
        .values(changed_at=now)
        .returning(Account.id)
    )
    if held.first() is None:
        return False
    finished = await db.execute(
        update(Registration)
        .where(Registration.id == registration.id, Registration.completed_at.is_(None), Registration.expires_at > now)
        .where(Registration.confirmed_at.is_not(None))
        .values(completed_at=now)
    )
    return finished.rowcount == 1


async def _account_to_set_up(
    db: Transaction, vault: Vault, registration: RegistrationView, canonical: str, now: datetime
) -> UUID | None:
    """A new account, or the unfinished one of this address; None where the address signs in already."""
    account_id, key = await open_account(db, vault, now, locale=registration.language)
    if await add_contact(db, vault, key, account_id, "email", registration.email, now, verified=True, primary=True):
        return account_id
    await db.execute(delete(Account).where(Account.id == account_id))
    unfinished: UUID | None = await db.scalar(
        select(Account.id).where(
            Account.id == await find_account_by_email(db, vault, canonical), Account.state == "enrolling"
        )
    )
    return unfinished


async def _send_code(
    db: Transaction, vault: Vault, registration_id: UUID, email: str, canonical: str, language: str, now: datetime
) -> None:
    known = await find_account_by_email(db, vault, canonical)
    # The state is asked for in either case: the same statements for known and unknown.
    state = await db.scalar(select(Account.state).where(Account.id == (known or UUID(int=0))))
    # A code is made in either case, so that guessing at it is the same; an account's owner is not sent it.
    code = await confirmation_code.issue(
        db,
        vault,
        purpose="registration",
        bound_to=registration_id.bytes,
        contact=vault.blind("email", canonical),
        account_id=None,
        now=now,
    )
    if state is None or state == "enrolling":
        await send(db, vault, Message("email", email, "confirm_email", language, {"code": code}), now)
    else:
        await send(db, vault, Message("email", email, "already_registered", language, {}), now)


async def _take(
    db: Transaction,
    vault: Vault,
    store: Store,
    budget: Budget,
    canonical: str,
    address: str,
    policy: IdentityPolicy,
    now: datetime,
) -> throttle.Permitted:
    subject = vault.blind("email", canonical)
    return throttle.permitted(await throttle.take(db, store, vault, budget, subject, address, policy.throttle, now))


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete registrations that ran out a day ago. An account that was begun stays: whoever proves the address again
    goes on with it."""
    over = Registration.expires_at <= now - timedelta(days=1)
    return await delete_some(db, Registration, Registration.id, over, Registration.expires_at)
