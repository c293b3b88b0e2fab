"""An account: the record of one citizen, its state and its data key."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import LargeBinary, String, Uuid, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, new_id
from accounts.vault import DataKey, Vault

State = Literal["enrolling", "active", "suspended", "closed"]
"""`enrolling`: no usable second authenticator yet, so nothing but enrolment is open to it (R22, R31)."""


class Account(Base):
    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    locale: Mapped[str | None] = mapped_column(String(35))
    data_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Wrapped. Null once the account is closed: destroying it erases every sealed field (R64)."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    changed_at: Mapped[datetime] = mapped_column(Instant)


async def open_account(
    db: Transaction, vault: Vault, now: datetime, *, state: State = "enrolling", locale: str | None = None
) -> tuple[UUID, DataKey]:
    """A new account with a data key of its own."""
    account_id = new_id(now)
    key, wrapped = vault.new_data_key(account_id)
    await db.execute(
        insert(Account).values(
            id=account_id, state=state, locale=locale, data_key=wrapped, created_at=now, changed_at=now
        )
    )
    return account_id, key


async def data_key_of(db: Transaction, vault: Vault, account_id: UUID) -> DataKey:
    """The account's data key; raises LookupError when the account is gone or erased."""
    wrapped = await db.scalar(select(Account.data_key).where(Account.id == account_id))
    if wrapped is None:
        raise LookupError("the account has no data key: it does not exist or was erased")
    return vault.data_key(account_id, wrapped)


async def lock_account(db: Transaction, account_id: UUID) -> None:
    """Hold the account until the transaction ends: of two that each would leave a last thing, one goes first, and the
    other sees what it left (R78). Rows that only name the account are written meanwhile as ever."""
    await db.begin()
    await db.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))


async def set_state(db: Transaction, account_id: UUID, state: State, now: datetime, *, only_from: State) -> bool:
    """Move an account from one state to another; False when it was not in that state."""
    moved = await db.execute(
        update(Account).where(Account.id == account_id, Account.state == only_from).values(state=state, changed_at=now)
    )
    return moved.rowcount == 1


async def set_locale(db: Transaction, account_id: UUID, locale: str, now: datetime) -> None:
    """The language in which this citizen is written to."""
    await db.execute(update(Account).where(Account.id == account_id).values(locale=locale, changed_at=now))
