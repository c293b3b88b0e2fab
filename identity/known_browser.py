"""Known browsers: those in which an account has signed in before; no authenticator, whatever they are known for."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, Uuid, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import Account
from accounts.database import Base, Instant, Transaction, insert_ignoring

YOUNG = timedelta(days=1)
"""An account this young, without any known browser, is being used for the first time: nothing to warn of."""


class KnownBrowser(Base):
    __tablename__ = "known_browser"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"), primary_key=True)
    browser: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Digest of the browser's cookie."""
    first_seen_at: Mapped[datetime] = mapped_column(Instant)
    last_seen_at: Mapped[datetime] = mapped_column(Instant)


async def recognise(db: Transaction, account_id: UUID, browser: bytes, now: datetime) -> bool:
    """Write down that this browser signed in. False where the citizen should hear of it: it is new to an account that
    is used already."""
    had_any = await db.scalar(select(KnownBrowser.browser).where(KnownBrowser.account_id == account_id).limit(1))
    is_new = (
        await db.execute(
            insert_ignoring(db, KnownBrowser)
            .values(account_id=account_id, browser=browser, first_seen_at=now, last_seen_at=now)
            .returning(KnownBrowser.browser)
        )
    ).first()
    if is_new is None:
        await db.execute(
            update(KnownBrowser)
            .where(KnownBrowser.account_id == account_id, KnownBrowser.browser == browser)
            .values(last_seen_at=now)
        )
        return True
    if had_any is not None:
        return False
    opened_at = await db.scalar(select(Account.created_at).where(Account.id == account_id))
    return opened_at is not None and now - opened_at < YOUNG


async def is_known(db: Transaction, account_id: UUID | None, browser: bytes) -> bool:
    """Whether this account has signed in here before. Without an account the same statement finds nothing (R27)."""
    known = select(KnownBrowser.browser).where(
        KnownBrowser.account_id == (account_id or UUID(int=0)), KnownBrowser.browser == browser
    )
    return await db.scalar(known) is not None


async def forget_all(db: Transaction, account_id: UUID) -> None:
    """No browser is known any more."""
    await db.execute(delete(KnownBrowser).where(KnownBrowser.account_id == account_id))
