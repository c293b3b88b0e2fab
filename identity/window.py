"""Windows: how often something came from one place within some minutes, and how full that place is (R26).

The store counts. Every tenth part of a limit is written down in SQL too: a store that lost its memory takes away less
than that tenth, and the limit never falls back to zero.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Executable, Integer, LargeBinary, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from accounts.database import AT, Instant, Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from identity.throttle_row import Throttle, counts_of

PARTS = 10


class Window(msgspec.Struct, frozen=True):
    """What is counted together: a place (an address, a network, a range of numbers), and how often it may."""

    place: str
    limit: int
    seconds: int

    @property
    def step(self) -> int:
        """After so many attempts the count is written down."""
        return max(1, self.limit // PARTS)

    def number(self, now: datetime) -> int:
        """Which window of this length holds `now`."""
        return int(now.timestamp()) // self.seconds

    def left(self, now: datetime) -> int:
        """Seconds to the next one."""
        return self.seconds - int(now.timestamp()) % self.seconds


async def count(db: Transaction, store: Store, vault: Vault, windows: Sequence[Window], now: datetime) -> int | None:
    """Count one attempt in each window, the narrowest first, up to the first that is full: the seconds until that one
    is over, None where none is full. Call it before the request's first write."""
    written = await counts_of(db, [_key(vault, window, 0, now) for window in windows])
    for window in windows:
        key = _key(vault, window, 0, now)
        # Keyed: the store keeps no address that could be read.
        total = await store.hit("throttle:" + key[:16].hex(), window.seconds, now)
        floor = written.get(key, 0)
        if total % window.step == 0 and floor <= window.limit:
            floor = await _write(db, key, window, now)
        if max(total, floor + total % window.step) > window.limit:
            return window.left(now)
    return None


async def fullest(db: Transaction, vault: Vault, windows: Sequence[Window], now: datetime) -> float:
    """How full the fullest of these places is, or was in the window before, 1 at its limit; counts nothing. It moves
    with what is written down, in tenths, so that a page and the form it becomes see the same."""
    keys = {_key(vault, window, age, now): max(window.limit, 1) for window in windows for age in (0, 1)}
    written = await counts_of(db, list(keys))
    return max((attempts / keys[key] for key, attempts in written.items()), default=0.0)


def _key(vault: Vault, window: Window, age: int, now: datetime) -> bytes:
    """Of this window (age 0) or the one before (1)."""
    number = window.number(now) - age
    return vault.mac("throttle.window", f"{window.place} {window.seconds} {number}".encode())


async def _write(db: Transaction, key: bytes, window: Window, now: datetime) -> int:
    """One more step; how many attempts are written down now."""
    ends_at = datetime.fromtimestamp((window.number(now) + 2) * window.seconds, UTC)
    values: dict[str, Any] = {"of": key, "step": window.step, "at": now, "ends_at": ends_at}
    written = (await db.execute(_step(db.dialect), values)).rows[0].failures
    await db.commit()
    return int(written)


@lru_cache(maxsize=2)
def _step(dialect: str) -> Executable:
    statement = sqlite.insert(Throttle) if dialect == "sqlite" else postgresql.insert(Throttle)
    step = bindparam("step", type_=Integer())
    return (
        statement.values(
            key=bindparam("of", type_=LargeBinary()),
            failures=step,
            blocked_until=AT,
            window_started_at=AT,
            forgotten_at=bindparam("ends_at", type_=Instant),
        )
        .on_conflict_do_update(index_elements=["key"], set_={"failures": Throttle.failures + step})
        .returning(Throttle.failures)
    )


async def require_room(
    db: Transaction, store: Store, vault: Vault, windows: Sequence[Window], now: datetime, reason: str
) -> None:
    """`count`, for whoever only wants to go on. Raises Refusal(`reason`), 429 with the seconds to wait."""
    waiting = await count(db, store, vault, windows, now)
    if waiting is not None:
        raise Refusal(reason, status=429, retry_after=waiting)


async def give_back(db: Transaction, store: Store, vault: Vault, windows: Sequence[Window], now: datetime) -> None:
    """What was counted just now was no guess: take it out again, and a step that it filled with it."""
    for window in windows:
        key = _key(vault, window, 0, now)
        left = await store.hit("throttle:" + key[:16].hex(), window.seconds, now, cost=-1)
        if left >= 0 and (left + 1) % window.step == 0:
            await db.execute(_EMPTIED, {"of": key, "step": window.step})


_EMPTIED = (
    update(Throttle)
    .where(Throttle.key == bindparam("of", type_=LargeBinary()))
    .where(Throttle.failures >= bindparam("step", type_=Integer()))
    .values(failures=Throttle.failures - bindparam("step", type_=Integer()))
)
