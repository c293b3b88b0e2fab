"""One contract for both stores: what is kept, what is counted, what passes once (accounts/store.py, R75)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from accounts.errors import StoreUnavailable
from accounts.store import Store
from config import store as stores
from config.store import MemoryStore, RedisStore, forget, open_store

pytestmark = pytest.mark.anyio
BIRTH = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
NOW = BIRTH + timedelta(seconds=30)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    opened = await open_store(url, BIRTH)
    yield opened
    await opened.close()


async def test_a_value_is_there_until_its_time_is_over(store: Store) -> None:
    await store.put("key", b"value", 10, NOW)

    assert await store.get("key", NOW + timedelta(seconds=9)) == b"value"
    assert await store.get("key", NOW + timedelta(seconds=10)) is None


async def test_expiry_follows_the_clock_that_is_handed_in(store: Store) -> None:
    """The simulator moves time; a store that looked at the machine's would not follow."""
    await store.put("key", b"value", 3600, NOW)
    await store.first_use("proof", NOW, 3600, NOW)

    later = NOW + timedelta(hours=2)

    assert await store.get("key", later) is None
    assert await store.first_use("proof", later, 3600, later)


async def test_a_later_value_takes_the_place_of_an_earlier_one(store: Store) -> None:
    await store.put("key", b"first", 10, NOW)
    await store.put("key", b"\0\xff binary", 10, NOW)

    assert await store.get("key", NOW) == b"\0\xff binary"
    assert await store.get("another", NOW) is None


async def test_what_is_taken_is_gone(store: Store) -> None:
    await store.put("key", b"value", 10, NOW)

    assert await store.take("key", NOW) == b"value"
    assert await store.take("key", NOW) is None


async def test_what_has_expired_cannot_be_taken(store: Store) -> None:
    await store.put("key", b"value", 10, NOW)

    assert await store.take("key", NOW + timedelta(seconds=11)) is None


async def test_of_many_takers_one_gets_it(store: Store) -> None:
    """R78."""
    await store.put("key", b"value", 10, NOW)

    taken = await asyncio.gather(*(store.take("key", NOW) for _ in range(50)))

    assert sorted(value for value in taken if value) == [b"value"]


async def test_a_first_use_passes_once(store: Store) -> None:
    """R6, R7: a `jti` works once."""
    assert await store.first_use("jti", NOW, 60, NOW)
    assert not await store.first_use("jti", NOW, 60, NOW)
    assert await store.first_use("another", NOW, 60, NOW)


async def test_of_many_uses_at_once_one_passes(store: Store) -> None:
    passed = await asyncio.gather(*(store.first_use("jti", NOW, 60, NOW) for _ in range(50)))

    assert passed.count(True) == 1


async def test_what_is_older_than_the_store_never_passes(store: Store) -> None:
    """R75: it may have been used before the store lost its memory."""
    assert not await store.first_use("jti", BIRTH - timedelta(seconds=1), 60, NOW)
    assert await store.first_use("jti", BIRTH, 60, NOW)


async def test_a_value_and_a_use_of_the_same_name_do_not_meet(store: Store) -> None:
    await store.put("name", b"value", 60, NOW)

    assert await store.first_use("name", NOW, 60, NOW)
    assert await store.get("name", NOW) == b"value"


async def test_hits_add_up_within_a_window_and_begin_anew_in_the_next(store: Store) -> None:
    start = BIRTH

    totals = [await store.hit("address", 60, start + timedelta(seconds=s)) for s in (0, 1, 59)]

    assert totals == [1, 2, 3]
    assert await store.hit("address", 60, start + timedelta(seconds=60)) == 1
    assert await store.hit("other", 60, start) == 1


async def test_a_hit_can_cost_more_than_one(store: Store) -> None:
    assert await store.hit("address", 60, NOW, cost=5) == 5
    assert await store.hit("address", 60, NOW) == 6


async def test_no_hit_is_lost_and_none_is_turned_away_when_many_come_at_once(store: Store) -> None:
    totals = await asyncio.gather(*(store.hit("address", 60, NOW) for _ in range(300)))

    assert sorted(totals) == list(range(1, 301))


@asynccontextmanager
async def beside(url: str, seconds: float | None) -> AsyncIterator[str]:
    """The address of a Redis whose answers take so long; None: they never come."""
    host, port, serving = urlsplit(url).hostname, urlsplit(url).port, list[asyncio.Task[None]]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float | None) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(wait or 0)
                if wait is not None:
                    writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection(host, port)
        await asyncio.gather(pump(reader, to_there, 0), pump(there, writer, seconds))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    yield urlsplit(url)._replace(netloc=f"127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
    server.close()
    await asyncio.gather(*serving)


@pytest.mark.services
async def test_to_wait_for_a_turn_is_not_to_wait_for_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of these waits twice the bound, for others and not for Redis, which answers well within it."""
    monkeypatch.setattr(stores, "AT_ONCE", 2)
    async with beside(redis_url, seconds=0.05) as slow:
        store = RedisStore(slow, BIRTH)

        totals = await asyncio.gather(*(store.hit("address", 60, NOW) for _ in range(20)))

        assert sorted(totals) == list(range(1, 21))
        await store.close()


@pytest.mark.services
async def test_a_redis_that_is_silent_keeps_nobody_longer_than_one_call(redis_url: str) -> None:
    """R75: however many ask, and wait for one another."""
    async with beside(redis_url, seconds=None) as silent:
        store = RedisStore(silent, BIRTH)

        began = time.monotonic()
        asked = await asyncio.gather(*(store.hit("k", 60, NOW) for _ in range(200)), return_exceptions=True)

        assert {type(answer) for answer in asked} == {StoreUnavailable}
        assert time.monotonic() - began < 6 * stores.BOUND
        await store.close()


async def test_the_log_says_once_which_store_is_away() -> None:
    """R81: for all requests of a second, by its host and without its password."""
    store = RedisStore("redis://:a-password@127.0.0.1:1/3", BIRTH)

    with capture_logs() as lines:
        began = time.monotonic()
        asked = await asyncio.gather(*(store.hit("k", 60, NOW) for _ in range(20)), return_exceptions=True)

    assert {type(answer) for answer in asked} == {StoreUnavailable}
    assert 1 <= len(lines) <= 1 + time.monotonic() - began
    assert {(line["event"], line["what"], line["name"]) for line in lines} == {("away", "store", "127.0.0.1/3")}
    await store.close()


async def test_a_full_memory_refuses_instead_of_forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """R75: a spent proof that is dropped would pass again."""
    monkeypatch.setattr(stores, "MAX_ENTRIES", 3)
    store = MemoryStore(BIRTH)
    for number in range(3):
        assert await store.first_use(f"jti {number}", NOW, 60, NOW)

    with pytest.raises(StoreUnavailable):
        await store.first_use("one more", NOW, 60, NOW)

    assert not await store.first_use("jti 0", NOW, 60, NOW)
    assert await store.first_use("one more", NOW, 60, NOW + timedelta(seconds=61))


@pytest.mark.services
async def test_a_redis_that_was_flushed_lets_nothing_old_pass(redis_url: str) -> None:
    """R75: what was issued before the loss may have been used before it."""
    from redis.asyncio import Redis

    store = await open_store(redis_url, BIRTH)
    await store.first_use("spent", NOW, 60, NOW)
    connection = Redis.from_url(redis_url)
    await connection.flushdb()

    later = NOW + timedelta(seconds=5)

    assert not await store.first_use("spent", NOW, 60, later)
    assert await store.first_use("new", later, 60, later)
    await connection.aclose()
    await store.close()


@pytest.mark.services
async def test_deployments_with_prefixes_of_their_own_share_a_redis_and_can_be_forgotten(redis_url: str) -> None:
    one, other = await open_store(redis_url, BIRTH, "one:"), await open_store(redis_url, BIRTH, "other:")
    await one.put("key", b"one", 60, NOW)
    await other.put("key", b"other", 60, NOW)

    await forget(redis_url, "one:")

    assert await one.get("key", NOW) is None
    assert await other.get("key", NOW) == b"other"
    await one.close()
    await other.close()


async def test_a_redis_that_is_not_there_is_an_answer_and_quick() -> None:
    """R75: 250 ms bound; nothing passes by default."""
    store = RedisStore("redis://127.0.0.1:1/0", BIRTH)

    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.first_use("jti", NOW, 60, NOW)

    assert time.monotonic() - began < 1
    for call in (store.get("k", NOW), store.put("k", b"", 1, NOW), store.take("k", NOW), store.hit("k", 1, NOW)):
        with pytest.raises(StoreUnavailable):
            await call
    await store.close()


async def test_a_redis_that_is_down_does_not_keep_the_service_from_starting() -> None:
    store = await open_store("redis://127.0.0.1:1/0", BIRTH)

    with pytest.raises(StoreUnavailable):
        await store.get("key", NOW)
    await store.close()
