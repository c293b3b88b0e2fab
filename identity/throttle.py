"""Guessing, slowed and ended: an attempt is counted before it is judged, and the answer is a sealed type (R26)."""

import math
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

import msgspec
from sqlalchemy import BindParameter, Executable, Integer, LargeBinary, bindparam, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import AT, Base, Instant, Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault

Budget = Literal["password", "second_factor", "confirmation", "message"]
"""Each is counted apart. `confirmation`: codes typed for an address; `message`: messages sent to one."""

_AUTHENTICATOR_BUDGETS = ("password", "second_factor")
"""Counted until a success. The others hang on an address, not on an authenticator: they are counted by the day."""

WINDOW_SECONDS = 600
WINDOW = timedelta(seconds=WINDOW_SECONDS)


class ThrottlePolicy(msgspec.Struct, frozen=True):
    """NIST SP 800-63B-4 section 3.2.2: at most 100 failures in a row for an account, slowed early."""

    failures: int = 50
    """In a row for one budget of one account; password and second factor make 100 together. After these only
    another way in (a passkey, recovery) opens it again."""
    free: int = 4
    """So many failures cost no waiting."""
    first_wait: timedelta = timedelta(seconds=10)
    """After the first failure that costs one; each further one doubles it."""
    longest_wait: timedelta = timedelta(minutes=15)
    per_address: int = 100
    """Attempts from one address (IPv6: one /64) within ten minutes."""
    per_prefix_factor: int = 20
    """A /24 (IPv6: a /48) may do so many times more."""
    everyone_factor: int = 5000
    """And all addresses together so many times more."""

    def wait(self, failures: int) -> timedelta:
        """How long after this many failures in a row the next attempt is refused."""
        if failures <= self.free:
            return timedelta(0)
        doubled: int = 2 ** min(failures - self.free - 1, 20)
        return min(self.first_wait * doubled, self.longest_wait)

    def is_growing(self, failures: int) -> bool:
        """Whether this failure costs less than the longest wait."""
        return self.wait(failures) < self.longest_wait


class Throttle(Base):
    __tablename__ = "throttle"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Keyed hash of budget, subject and lane."""
    failures: Mapped[int] = mapped_column(Integer)
    blocked_until: Mapped[datetime] = mapped_column(Instant)
    window_started_at: Mapped[datetime] = mapped_column(Instant)
    """When the first of these failures was counted."""
    forgotten_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the row may go; null for an authenticator's failures, which time does not forgive."""


class Permitted(msgspec.Struct, frozen=True):
    """One attempt may be made, and is counted as failed until `give_back`."""

    key: bytes
    failures: int = 0
    """In a row, this attempt included."""


class LockedOut(msgspec.Struct, frozen=True):
    """No attempt may be made now. `for_good`: waiting does not help, another way in does."""

    retry_after: int
    for_good: bool = False

    def refusal(self) -> Refusal:
        """The refusal to raise: 429 with Retry-After, the same for accounts that exist and that do not."""
        return Refusal("too_many_attempts", status=429, retry_after=self.retry_after)


async def take(
    db: Transaction,
    store: Store,
    vault: Vault,
    budget: Budget,
    subject: bytes,
    address: str,
    policy: ThrottlePolicy,
    now: datetime,
    *,
    known_browser: bytes | None = None,
) -> Permitted | LockedOut:
    """Take one attempt, before the secret is looked at. Call it before the request's first write: the count is
    committed by itself, so that no crash, rollback or parallel request gets a try for nothing.

    `subject`: the blind index of the typed identifier (known and unknown alike), or the account id's bytes for a
    second factor. `known_browser`: digest of a browser this account has used before; strangers do not use up its
    attempts.
    """
    if waiting := await _address_window(store, vault, address, policy, now):
        return LockedOut(waiting)
    key, ends_at = _key(vault, budget, subject, known_browser, now), _end(budget, now)
    waits = {f"after_{n}": _block(policy, n, now) for n in range(1, policy.failures) if policy.is_growing(n)}
    taken = await db.alone(
        _count(db.dialect, policy),
        {"of": key, "at": now, "ends_at": ends_at, "first": _block(policy, 1, now)}
        | {"longest": now + policy.longest_wait}
        | waits,
    )
    if (counted := taken.first()) is not None:
        return Permitted(key, counted.failures)
    row = await db.first(select(Throttle.failures, Throttle.blocked_until).where(Throttle.key == key))
    if row is None:  # given back meanwhile: the next attempt will do
        return LockedOut(1)
    if row.failures < policy.failures:
        return LockedOut(_seconds(row.blocked_until - now))
    if ends_at is not None:
        return LockedOut(_seconds(ends_at - now))
    return LockedOut(_seconds(policy.longest_wait), for_good=True)


@lru_cache(maxsize=8)
def _count(dialect: str, policy: ThrottlePolicy) -> Executable:
    """The one statement that counts and decides: while the key waits or is used up, no row comes back.
    Built once, because building it costs more than running it."""
    statement = sqlite.insert(Throttle) if dialect == "sqlite" else postgresql.insert(Throttle)
    counted = Throttle.failures + 1
    waits = [(counted == n, _instant(f"after_{n}")) for n in range(1, policy.failures) if policy.is_growing(n)]
    longest = _instant("longest")
    return (
        statement.values(
            key=bindparam("of", type_=LargeBinary()),
            failures=1,
            blocked_until=_instant("first"),
            window_started_at=AT,
            forgotten_at=_instant("ends_at"),
        )
        .on_conflict_do_update(
            index_elements=["key"],
            set_={"failures": counted, "blocked_until": case(*waits, else_=longest) if waits else longest},
            where=(Throttle.blocked_until <= AT) & (Throttle.failures < policy.failures),
        )
        .returning(Throttle.failures)
    )


def _block(policy: ThrottlePolicy, failures: int, now: datetime) -> datetime:
    """Until when the next attempt is refused. A failure that costs no waiting refuses nobody, not even a request that
    looked at the clock a moment earlier, in another worker."""
    wait = policy.wait(failures)
    return now + wait if wait else now - WINDOW


def _instant(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=Instant)


async def give_back(db: Transaction, permitted: Permitted) -> None:
    """The secret was right: the row of failures ends."""
    await db.execute(delete(Throttle).where(Throttle.key == permitted.key))


async def forgive(
    db: Transaction, vault: Vault, budget: Budget, subject: bytes, now: datetime, *, known_browser: bytes | None = None
) -> None:
    """The citizen came in another way (a passkey, recovery): what strangers did to this budget is over."""
    await give_back(db, Permitted(_key(vault, budget, subject, known_browser, now)))


async def forget(db: Transaction, now: datetime) -> int:
    """Sweep up rows of days gone by; how many went. For the worker, once in a while."""
    return (await db.execute(delete(Throttle).where(Throttle.forgotten_at <= now))).rowcount


def _key(vault: Vault, budget: Budget, subject: bytes, lane: bytes | None, now: datetime) -> bytes:
    day = b"" if budget in _AUTHENTICATOR_BUDGETS else now.date().isoformat().encode()
    return vault.mac("throttle", msgspec.msgpack.encode((budget, subject, lane, day)))


def _end(budget: Budget, now: datetime) -> datetime | None:
    """When this budget is counted anew: never for an authenticator, else with the day (UTC)."""
    if budget in _AUTHENTICATOR_BUDGETS:
        return None
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _seconds(wait: timedelta) -> int:
    return max(1, math.ceil(wait.total_seconds()))


async def _address_window(
    store: Store, vault: Vault, address: str, policy: ThrottlePolicy, now: datetime
) -> int | None:
    """Seconds to wait when an address, its prefix or everyone together has tried too often; else None."""
    for network, limit in _windows(address, policy):
        # Keyed: the store keeps no address that could be read.
        key = "throttle:" + vault.mac("throttle.address", network.encode())[:16].hex()
        if await store.hit(key, WINDOW_SECONDS, now) > limit:
            return WINDOW_SECONDS - int(now.timestamp()) % WINDOW_SECONDS
    return None


def _windows(address: str, policy: ThrottlePolicy) -> list[tuple[str, int]]:
    limit = policy.per_address
    try:
        ip = ip_address(address)
    except ValueError:  # a unix socket or a test client: one bucket for all of those
        return [("unknown", limit)]
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    host, prefix = (64, 48) if ip.version == 6 else (32, 24)
    return [
        (str(ip_network(f"{ip}/{host}", strict=False)), limit),
        (str(ip_network(f"{ip}/{prefix}", strict=False)), limit * policy.per_prefix_factor),
        ("everyone", limit * policy.everyone_factor),
    ]
