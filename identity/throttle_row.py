"""What the throttle remembers in SQL, so that no lost store forgives it: failures in a row, and floors of windows."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Executable, Integer, LargeBinary, bindparam, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction


class Throttle(Base):
    __tablename__ = "throttle"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Keyed hash of what is counted: budget, subject and lane, or a window and its place."""
    failures: Mapped[int] = mapped_column(Integer)
    """In a row; of a window: attempts, in steps."""
    blocked_until: Mapped[datetime] = mapped_column(Instant)
    window_started_at: Mapped[datetime] = mapped_column(Instant)
    """When the first of these was counted."""
    forgotten_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the row may go; null for an authenticator's failures, which time does not forgive."""


async def counts_of(db: Transaction, keys: Sequence[bytes]) -> dict[bytes, int]:
    """What is counted under these keys, as far as anything is."""
    found = await db.execute(_counts(len(keys)), {f"key_{n}": key for n, key in enumerate(keys)})
    return {row.key: row.failures for row in found.rows}


@lru_cache(maxsize=32)
def _counts(count: int) -> Executable:
    """Built once for each number of keys: the same few places of the code ask again and again."""
    keys = [bindparam(f"key_{n}", type_=LargeBinary()) for n in range(count)]
    return select(Throttle.key, Throttle.failures).where(Throttle.key.in_(keys))


async def forget(db: Transaction, now: datetime) -> int:
    """Sweep up rows of days and windows gone by; how many went. For the worker, once in a while."""
    return (await db.execute(delete(Throttle).where(Throttle.forgotten_at <= now))).rowcount
