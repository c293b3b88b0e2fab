"""The store: what may be lost without harm (rate windows, caches, ceremonies in flight, replay caches)."""

from datetime import datetime
from typing import Protocol, runtime_checkable


@runtime_checkable  # Litestar asks isinstance of what it hands to a page
class Store(Protocol):
    """One small protocol, two implementations (in process, Redis), one suite of contract tests.

    Expiry follows the `now` that is passed in, not the clock of the machine that keeps the value.
    A store that cannot answer raises `StoreUnavailable` within 250 ms: nothing passes by default (R75).
    """

    async def get(self, key: str, now: datetime) -> bytes | None:
        """The value, or None when there is none or it has expired."""

    async def put(self, key: str, value: bytes, ttl_seconds: int, now: datetime) -> None:
        """Keep a value for so many seconds."""

    async def take(self, key: str, now: datetime) -> bytes | None:
        """The value, removed in the same step: of many that race, one gets it."""

    async def first_use(self, key: str, issued_at: datetime, ttl_seconds: int, now: datetime) -> bool:
        """True once for a key. False when seen before, or when it was issued before this store was born:
        a store that lost its memory must not let old assertions or proofs pass a second time."""

    async def hit(self, key: str, window_seconds: int, now: datetime, cost: int = 1) -> int:
        """Count in the fixed window that holds `now`; the total so far, this hit included."""

    async def close(self) -> None:
        """Give back connections."""
