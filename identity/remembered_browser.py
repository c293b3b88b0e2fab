"""Remembered browsers: where a citizen asked to be let in with the password alone, wherever that is enough (AAL1).

No authenticator: nothing is proved by one, so `acr` and `amr` never tell of it (deploy/decisions/0018).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, Uuid, delete, exists, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, insert_ignoring, new_id
from accounts.sweeping import delete_some
from accounts.vault import DataKey, SealBroken
from identity.password import Password
from identity.session import Device, Session

LISTED = 50


class RememberedBrowser(Base):
    __tablename__ = "remembered_browser"
    __table_args__ = (
        Index("uq_remembered_browser", "account_id", "browser", unique=True),
        Index("ix_remembered_browser_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    browser: Mapped[bytes] = mapped_column(LargeBinary)
    """Digest of the browser's cookie."""
    device: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of `Device`."""
    remembered_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    """Counted from the day it was asked for: using it does not prolong it."""


class RememberedView(msgspec.Struct, frozen=True):
    """One of them, as its owner sees it in a list; `device` is None when it cannot be opened."""

    id: UUID
    browser: bytes
    device: Device | None
    remembered_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


def stands(now: datetime) -> ColumnElement[bool]:
    """Neither run out, nor older than the password: a change of it ends them all, whoever made it."""
    set_later = exists().where(
        Password.account_id == RememberedBrowser.account_id, Password.set_at > RememberedBrowser.remembered_at
    )
    return (RememberedBrowser.expires_at > now) & ~set_later


async def remember(
    db: Transaction, key: DataKey, account_id: UUID, browser: bytes, device: Device, lasting: timedelta, now: datetime
) -> None:
    """Remember this browser, anew where it is remembered already. The citizen has just proved all that the account
    asks for."""
    await db.execute(delete(RememberedBrowser).where(_is_that(account_id, browser)))
    row = new_id(now)
    await db.execute(
        insert_ignoring(db, RememberedBrowser).values(
            id=row,
            account_id=account_id,
            browser=browser,
            device=key.seal("remembered_browser.device", row, msgspec.json.encode(device)),
            remembered_at=now,
            expires_at=now + lasting,
        )
    )


async def is_remembered(db: Transaction, account_id: UUID, browser: bytes, now: datetime) -> bool:
    """Whether this account is remembered here."""
    found = select(RememberedBrowser.id).where(_is_that(account_id, browser), stands(now))
    return await db.scalar(found) is not None


async def mark_used(db: Transaction, account_id: UUID, browser: bytes, now: datetime) -> None:
    """This account signs in here just now."""
    await db.execute(update(RememberedBrowser).where(_is_that(account_id, browser)).values(last_used_at=now))


async def remembered_of(db: Transaction, key: DataKey, account_id: UUID, now: datetime) -> Sequence[RememberedView]:
    """Those of an account, the newest first."""
    rows = await db.all(
        select(*(getattr(RememberedBrowser, name) for name in RememberedView.__struct_fields__))
        .where(RememberedBrowser.account_id == account_id, stands(now))
        .order_by(RememberedBrowser.id.desc())
        .limit(LISTED)
    )
    return [RememberedView(**{**row._mapping, "device": _opened(key, row.id, row.device)}) for row in rows]


async def forget(db: Transaction, account_id: UUID, one: UUID) -> bool:
    """Forget one of them. False when the account has no such one."""
    gone = delete(RememberedBrowser).where(RememberedBrowser.id == one, RememberedBrowser.account_id == account_id)
    return (await db.execute(gone)).rowcount == 1


async def forget_of_session(db: Transaction, account_id: UUID, session_id: UUID) -> None:
    """A session that its owner ends from afar is not one to be let in again more easily."""
    of_session = select(Session.browser).where(Session.id == session_id, Session.account_id == account_id)
    await db.execute(
        delete(RememberedBrowser).where(
            RememberedBrowser.account_id == account_id, RememberedBrowser.browser == of_session.scalar_subquery()
        )
    )


async def forget_all(db: Transaction, account_id: UUID, *, but: bytes | None = None) -> int:
    """Forget every one of an account, but for that of one browser; how many went."""
    gone = delete(RememberedBrowser).where(RememberedBrowser.account_id == account_id)
    if but is not None:
        gone = gone.where(RememberedBrowser.browser != but)
    return (await db.execute(gone)).rowcount


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete those that ran out: they have nothing more to say."""
    table = RememberedBrowser
    return await delete_some(db, table, table.id, table.expires_at <= now, table.expires_at)


def _is_that(account_id: UUID, browser: bytes) -> ColumnElement[bool]:
    return (RememberedBrowser.account_id == account_id) & (RememberedBrowser.browser == browser)


def _opened(key: DataKey, row: UUID, sealed: bytes) -> Device | None:
    try:
        return msgspec.json.decode(key.open("remembered_browser.device", row, sealed), type=Device)
    except SealBroken:
        return None
