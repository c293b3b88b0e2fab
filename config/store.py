"""The store's two implementations: in this process, and in Redis (protocol and promises: accounts/store.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from accounts.errors import StoreUnavailable
from accounts.outage import Outage
from accounts.store import Store

BOUND = 0.25
"""Seconds a call may take before it counts as no answer."""
AT_ONCE = 8
"""Calls of one process that Redis has before it together. More would only wait there, where the bound counts."""
MAX_ENTRIES = 200_000


class MemoryStore:
    """In this process alone: the default of one process. Between two awaits nothing else runs, so it is atomic."""

    def __init__(self, born_at: datetime) -> None:
        self._born_at = born_at
        self._values: dict[str, tuple[bytes, datetime]] = {}

    def _live(self, key: str, now: datetime) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        if found[1] <= now:
            del self._values[key]
            return None
        return found[0]

    def _keep(self, key: str, value: bytes, expires_at: datetime, now: datetime) -> None:
        if len(self._values) >= MAX_ENTRIES:
            self._values = {k: v for k, v in self._values.items() if v[1] > now}
            if len(self._values) >= MAX_ENTRIES:
                # Dropping live entries would let a spent proof pass again: refuse instead (R75).
                raise StoreUnavailable("the in-process store is full")
        self._values[key] = (value, expires_at)

    async def get(self, key: str, now: datetime) -> bytes | None:
        return self._live(key, now)

    async def put(self, key: str, value: bytes, ttl_seconds: int, now: datetime) -> None:
        self._keep(key, value, now + timedelta(seconds=ttl_seconds), now)

    async def take(self, key: str, now: datetime) -> bytes | None:
        value = self._live(key, now)
        self._values.pop(key, None)
        return value

    async def first_use(self, key: str, issued_at: datetime, ttl_seconds: int, now: datetime) -> bool:
        if issued_at < self._born_at or self._live("used:" + key, now) is not None:
            return False
        self._keep("used:" + key, b"", now + timedelta(seconds=ttl_seconds), now)
        return True

    async def hit(self, key: str, window_seconds: int, now: datetime, cost: int = 1) -> int:
        window, end = _window(key, window_seconds, now)
        total = int(self._live(window, now) or b"0") + cost
        self._keep(window, b"%d" % total, end, now)
        return total

    async def close(self) -> None:
        self._values.clear()


def _window(key: str, window_seconds: int, now: datetime) -> tuple[str, datetime]:
    number = int(now.timestamp()) // window_seconds
    return f"hit:{key}:{number}", datetime.fromtimestamp((number + 1) * window_seconds, now.tzinfo)


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


# Values carry their own expiry, so that they follow our clock; Redis' expiry only sweeps up.
_FIRST_USE = """
local born = redis.call('GET', KEYS[1])
if not born then born = ARGV[1]; redis.call('SET', KEYS[1], born) end
if tonumber(ARGV[2]) < tonumber(born) then return 0 end
local seen = redis.call('GET', KEYS[2])
if seen and tonumber(seen) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
"""
_HIT = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if total == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return total
"""


class Turns:
    """Lets a few calls out at a time. To wait for a turn is not to wait for Redis: while it answers, nobody is turned
    away; once it has been silent for as long as somebody waits and for the bound, they need not try themselves."""

    def __init__(self, outage: Outage) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._outage = outage
        self._answered_at = 0.0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn. Raises `StoreUnavailable` where Redis did not answer, or did not while this one waited."""
        clock = asyncio.get_running_loop().time
        came_at = clock()
        async with self._free:
            if clock() - came_at >= BOUND and self._answered_at < came_at:
                raise StoreUnavailable("silent while others asked")
            try:
                yield
            except RedisError as error:
                self._outage.failed(type(error).__name__)
                raise StoreUnavailable(type(error).__name__) from error
            self._answered_at = clock()
            self._outage.answered()


class RedisStore:
    """In Redis, for more than one process. `prefix` keeps deployments apart; the hash tag keeps a script's keys
    on one node of a cluster. The instant of birth is written when the store is first asked, and again after it
    lost its memory, so that nothing older passes."""

    def __init__(self, url: str, born_at: datetime, prefix: str = "identity:") -> None:
        pool: ConnectionPool = ConnectionPool.from_url(
            url,
            socket_timeout=BOUND,
            socket_connect_timeout=BOUND,
            # A connection that was cut is made again; a silence is not waited for twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
            max_connections=AT_ONCE,
        )
        self._redis: Redis = Redis.from_pool(pool)
        parts = urlsplit(url)
        self._turns = Turns(Outage("store", f"{parts.hostname or ''}{parts.path}"))
        self._prefix = prefix
        self._born = prefix + "{once}born"
        self._first_use = self._redis.register_script(_FIRST_USE)
        self._hit = self._redis.register_script(_HIT)
        self._born_at = born_at

    async def begin(self) -> None:
        """Write down the instant of birth where there is none yet."""
        async with self._turns.one():
            await self._redis.set(self._born, _milliseconds(self._born_at), nx=True)

    async def get(self, key: str, now: datetime) -> bytes | None:
        async with self._turns.one():
            return _unexpired(await self._redis.get(self._prefix + key), now)

    async def put(self, key: str, value: bytes, ttl_seconds: int, now: datetime) -> None:
        expires = _milliseconds(now) + ttl_seconds * 1000
        async with self._turns.one():
            await self._redis.set(self._prefix + key, expires.to_bytes(8, "big") + value, px=ttl_seconds * 1000)

    async def take(self, key: str, now: datetime) -> bytes | None:
        async with self._turns.one():
            return _unexpired(await self._redis.getdel(self._prefix + key), now)

    async def first_use(self, key: str, issued_at: datetime, ttl_seconds: int, now: datetime) -> bool:
        milliseconds = _milliseconds(now)
        async with self._turns.one():
            passed = await self._first_use(
                keys=[self._born, self._prefix + "{once}" + key],
                args=[milliseconds, _milliseconds(issued_at), milliseconds + ttl_seconds * 1000, ttl_seconds * 1000],
            )
        return bool(passed)

    async def hit(self, key: str, window_seconds: int, now: datetime, cost: int = 1) -> int:
        window, _ = _window(key, window_seconds, now)
        async with self._turns.one():
            return int(await self._hit(keys=[self._prefix + window], args=[cost, window_seconds * 1000]))

    async def close(self) -> None:
        await self._redis.aclose()


def _unexpired(kept: Any, now: datetime) -> bytes | None:
    if not isinstance(kept, bytes) or int.from_bytes(kept[:8], "big") <= _milliseconds(now):
        return None
    return kept[8:]


async def open_store(url: str, born_at: datetime, prefix: str = "identity:") -> Store:
    """`memory://` or `redis://...`. Redis that is down is no reason not to start: calls answer 503 until it is back."""
    if url == "memory://":
        return MemoryStore(born_at)
    store = RedisStore(url, born_at, prefix)
    with suppress(StoreUnavailable):
        await store.begin()
    return store


async def forget(url: str, prefix: str) -> None:
    """Remove everything that was kept in Redis under a prefix: the simulator's traces."""
    connection: Redis = Redis.from_url(url, socket_timeout=BOUND, socket_connect_timeout=BOUND)
    try:
        async for key in connection.scan_iter(match=f"{prefix}*", count=1000):
            await connection.delete(key)
    except RedisError:
        pass  # what stays expires by itself
    finally:
        await connection.aclose()
