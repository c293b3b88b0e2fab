"""Guessing, slowed and ended: an attempt is counted before it is judged, and the answer is a sealed type (R26)."""

import math
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

import msgspec
from sqlalchemy import BindParameter, Executable, Integer, LargeBinary, bindparam, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from accounts.database import AT, Instant, Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from identity import proof_of_work
from identity.proof_of_work import Shown
from identity.throttle_policy import Budget, ThrottlePolicy, is_of_authenticator
from identity.throttle_row import Throttle
from identity.window import Window, count, fullest

WINDOW_SECONDS = 600
WINDOW = timedelta(seconds=WINDOW_SECONDS)
BEHIND = b"behind"
ADDRESS_ENDS = timedelta(days=30)
"""How long failures at a typed address are counted there, from the first: there is no end of addresses that nobody has.
The account behind one has a row of its own, which no time ends."""


class Permitted(msgspec.Struct, frozen=True):
    """One attempt may be made, and is counted as failed until `give_back`."""

    keys: tuple[bytes, ...]
    failures: int = 0
    """In a row, this attempt included."""
    is_void: bool = False
    """The account has had its failures at its other addresses. The attempt is then wrong whatever was typed, and
    answered like any wrong one: a refusal would tell that two addresses are one person's (R27)."""


class LockedOut(msgspec.Struct, frozen=True):
    """No attempt may be made now. `for_good`: waiting does not help, another way in does."""

    retry_after: int
    for_good: bool = False

    def refusal(self) -> Refusal:
        """The refusal to raise: 429 with Retry-After, the same for accounts that exist and that do not."""
        reason = "attempts_used_up" if self.for_good else "too_many_attempts"
        return Refusal(reason, status=429, retry_after=self.retry_after)


class Slowed(msgspec.Struct, frozen=True):
    """Many guess just now: this attempt was not judged, because it came without the work or the waiting it costs."""

    retry_after: int

    def refusal(self) -> Refusal:
        """The refusal to raise: 429; who shows the page again gives it another ticket."""
        return Refusal("slowed", status=429, retry_after=self.retry_after)


def permitted(taken: Permitted | LockedOut | Slowed) -> Permitted:
    """The attempt that may be made. Raises Refusal "too_many_attempts", "attempts_used_up" or "slowed"."""
    if isinstance(taken, Permitted):
        return taken
    raise taken.refusal()


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
    is_known: bool = False,
    behind: bytes | None = None,
    shown: Shown | None = None,
) -> Permitted | LockedOut | Slowed:
    """Take one attempt, before the secret is looked at. Call it before the request's first write: the count is
    committed by itself, so that no crash, rollback or parallel request gets a try for nothing.

    `subject`: the account id's bytes, or where an address was typed and nothing is proved its blind index, known and
    unknown alike; then `behind` is the account's id (for an unknown address the index again), whose failures are
    counted over all its addresses, unseen. `is_known`: the account has signed in in this browser before: no stranger
    uses up its attempts, and no window is closed to it. `shown`: the ticket of a page that asks for work under attack.
    """
    if not is_known and (hindered := await _hindered(db, store, vault, address, policy, now, shown)) is not None:
        return hindered
    key, most = key_of(vault, budget, subject, is_known, now), policy.most(budget, is_known=is_known)
    ends_at, unseen_ends_at = _end(budget, now), _end(budget, now)
    if ends_at is None and behind is not None:
        # Of known and unknown addresses alike, or the time would tell them apart (R27): the account's own row stays.
        ends_at = now + ADDRESS_ENDS
        unseen_ends_at = ends_at if behind == subject else None
    failures = await _counted(db, key, most, policy, now, ends_at)
    if failures is None:
        return await _locked_out(db, key, most, budget, policy, now)
    if behind is None:
        await db.commit()
        return Permitted((key,), failures)
    # In this order everywhere: whoever holds the account's row waits for no address's.
    unseen = key_of(vault, budget, BEHIND + behind, is_known, now)
    together = (
        await db.execute(_count_alone(db.dialect), {"of": unseen, "most": most, "at": now, "ends_at": unseen_ends_at})
    ).rows
    await db.commit()
    return Permitted((key, unseen), failures, is_void=not together)


async def _hindered(
    db: Transaction,
    store: Store,
    vault: Vault,
    address: str,
    policy: ThrottlePolicy,
    now: datetime,
    shown: Shown | None,
) -> LockedOut | Slowed | None:
    """What keeps a stranger's attempt from being judged. One that was not paid for keeps the heat up, but uses up the
    window of its own address alone: else a crowd that never pays would close the wider ones to everybody who does."""
    waiting = None
    if shown is not None and await heat_of(db, vault, address, policy, now) >= policy.proof_from:
        waiting = await proof_of_work.spend(store, vault, shown, now)
    own, *wider = windows(address, policy)
    full = await count(db, store, vault, [own] if waiting is not None else [own, *wider], now)
    if full is not None:
        return LockedOut(full)
    if waiting is None:
        return None
    await count(db, store, vault, [_unpaid(window) for window in wider], now)
    return Slowed(waiting)


async def heat_of(db: Transaction, vault: Vault, address: str, policy: ThrottlePolicy, now: datetime) -> float:
    """How hot it is around an address: how full its wider windows are, by attempts that were judged or by such as were
    not paid for. One busy address is no attack. Below 0 where nothing ever costs work."""
    if not policy.proof_bits:
        return -1.0
    _, *wider = windows(address, policy)
    return await fullest(db, vault, [*wider, *map(_unpaid, wider)], now)


def _unpaid(window: Window) -> Window:
    return Window("unpaid " + window.place, window.limit, window.seconds)


async def _counted(
    db: Transaction, key: bytes, most: int, policy: ThrottlePolicy, now: datetime, ends_at: datetime | None
) -> int | None:
    """Count one failure; how many in a row that makes. None, and nothing changes, while the key waits or is used up."""
    waits = {f"after_{n}": _block(policy, n, now) for n in range(1, most) if policy.is_growing(n)}
    times = {"first": _block(policy, 1, now), "longest": now + policy.longest_wait, "ends_at": ends_at}
    taken = await db.execute(_count(db.dialect, policy, most), {"of": key, "at": now} | times | waits)
    return taken.rows[0].failures if taken.rows else None


async def _locked_out(
    db: Transaction, key: bytes, most: int, budget: Budget, policy: ThrottlePolicy, now: datetime
) -> LockedOut:
    await db.commit()
    row = await db.first(select(Throttle.failures, Throttle.blocked_until).where(Throttle.key == key))
    if row is None:  # given back meanwhile: the next attempt will do
        return LockedOut(1)
    if row.failures < most:
        return LockedOut(_seconds(row.blocked_until - now))
    if (ends_at := _end(budget, now)) is not None:
        return LockedOut(_seconds(ends_at - now))
    return LockedOut(_seconds(policy.longest_wait), for_good=True)


@lru_cache(maxsize=32)
def _count(dialect: str, policy: ThrottlePolicy, most: int) -> Executable:
    """The one statement that counts and decides: while the key waits or is used up, no row comes back.
    Built once, because building it costs more than running it."""
    statement = sqlite.insert(Throttle) if dialect == "sqlite" else postgresql.insert(Throttle)
    counted = Throttle.failures + 1
    waits = [(counted == n, _instant(f"after_{n}")) for n in range(1, most) if policy.is_growing(n)]
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
            where=(Throttle.blocked_until <= AT) & (Throttle.failures < most),
        )
        .returning(Throttle.failures)
    )


@lru_cache(maxsize=2)
def _count_alone(dialect: str) -> Executable:
    """Counts up to a number, without waits: nobody sees this row, so nobody could be told how long."""
    statement = sqlite.insert(Throttle) if dialect == "sqlite" else postgresql.insert(Throttle)
    return (
        statement.values(
            key=bindparam("of", type_=LargeBinary()),
            failures=1,
            blocked_until=AT,
            window_started_at=AT,
            forgotten_at=_instant("ends_at"),
        )
        .on_conflict_do_update(
            index_elements=["key"],
            set_={"failures": Throttle.failures + 1},
            where=Throttle.failures < bindparam("most", type_=Integer()),
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
    """The secret was right: this row of failures ends."""
    for key in permitted.keys:
        await db.execute(_END, {"of": key})


_END = delete(Throttle).where(Throttle.key == bindparam("of", type_=LargeBinary()))


def key_of(vault: Vault, budget: Budget, subject: bytes, is_known: bool, now: datetime) -> bytes:
    """The row of one budget of somebody."""
    day = b"" if is_of_authenticator(budget) else now.date().isoformat().encode()
    return vault.mac("throttle", msgspec.msgpack.encode((budget, subject, is_known, day)))


def _end(budget: Budget, now: datetime) -> datetime | None:
    """When this budget is counted anew: never for an authenticator, else with the day (UTC)."""
    if is_of_authenticator(budget):
        return None
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _seconds(wait: timedelta) -> int:
    return max(1, math.ceil(wait.total_seconds()))


def windows(address: str, policy: ThrottlePolicy) -> list[Window]:
    """An address, its prefix, and everyone. A wider one is never narrower than what it holds."""
    limit = policy.per_address
    prefix_limit = max(policy.per_prefix, limit)
    try:
        ip = ip_address(address)
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        host, prefix = (64, 48) if ip.version == 6 else (32, 24)
        places = [str(ip_network(f"{ip}/{size}", strict=False)) for size in (host, prefix)]
    except ValueError:  # a unix socket or a test client: one bucket for all of those
        places = ["unknown", "unknown/"]
    limits = (limit, prefix_limit, max(policy.everyone, prefix_limit))
    return [Window(place, most, WINDOW_SECONDS) for place, most in zip((*places, "everyone"), limits, strict=True)]
