"""Instants, identifiers, and the one transaction of a request: what it keeps, what it forgets, what it holds."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update
from stage import race

from accounts.activity import Activity
from accounts.database import Database, Json, digest, insert_ignoring, new_id, new_secret
from accounts.errors import Refusal
from accounts.outbox import Outbox
from config.database import open_engine

anyio_test = pytest.mark.anyio


def row(now, **values):
    """A row of a table that stands alone."""
    given = {"id": new_id(now), "kind": "test", "payload": b"", "due_at": now, "attempts": 0, "created_at": now}
    return insert(Outbox).values(given | values)


COUNT = select(func.count()).select_from(Outbox)


async def count(database):
    async with database.begin() as db:
        return await db.scalar(COUNT)


# Identifiers and values


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_an_identifier_is_a_uuid_of_version_7(at):
    """RFC 9562 section 5.7: 48 bits of milliseconds, then randomness."""
    made = new_id(at)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(at.timestamp() * 1000)


@given(st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)), max_size=20))
def test_identifiers_sort_by_the_time_of_their_making(instants):
    """So that a page can be asked for by key; and no two are equal."""
    instants = [at.replace(microsecond=at.microsecond // 1000 * 1000) for at in instants]
    made = sorted((new_id(at), at) for at in instants)
    assert [at for _, at in made] == sorted(instants)
    assert len({new_id(datetime(2026, 1, 1, tzinfo=UTC)) for _ in range(1000)}) == 1000


def test_secrets_are_long_and_kept_as_digests():
    """R40: 128 bits or more; SHA-256 of text or bytes."""
    assert len({new_secret() for _ in range(100)}) == 100
    assert len(new_secret()) == 43
    assert digest("abc") == digest(b"abc")
    assert digest("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@anyio_test
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=12))])
async def test_an_instant_is_the_same_instant_on_every_database(db, zone):
    """To the microsecond, always aware, compared as time and not as text."""
    at = datetime(2026, 11, 22, 23, 59, 59, 123456, tzinfo=zone)
    await db.execute(row(at))

    kept = await db.scalar(select(Outbox.due_at))

    assert kept == at
    assert kept.tzinfo is not None
    assert await db.scalar(COUNT.where(Outbox.due_at <= at.astimezone(UTC))) == 1
    assert await db.scalar(COUNT.where(Outbox.due_at < at)) == 0
    assert await db.scalar(select(Outbox.finished_at)) is None


@anyio_test
async def test_an_instant_without_a_zone_is_a_mistake(db, now):
    """Nobody guesses."""
    with pytest.raises(Exception, match="time zone"):
        await db.execute(row(now, due_at=now.replace(tzinfo=None)))


def test_json_is_the_same_bytes_on_every_database():
    """Sorted, compact, in its own script."""
    kind = Json()
    assert kind.process_bind_param({"b": [1, "é"], "a": None}, None) == '{"a":null,"b":[1,"é"]}'
    assert kind.process_result_value('{"a":null}', None) == {"a": None}
    assert kind.process_bind_param(None, None) is None


# What it keeps


@anyio_test
async def test_what_is_written_is_kept_at_the_end_and_not_before(database, now):
    """One transaction a request."""
    async with database.begin() as db:
        await db.execute(row(now))
        await db.execute(row(now))
        assert await db.scalar(COUNT) == 2
        assert await count(database) == 0
    assert await count(database) == 2


@anyio_test
@pytest.mark.parametrize(
    ("raised", "kept"), [(Refusal("no"), 1), (RuntimeError("crash"), 0), (asyncio.CancelledError(), 0)]
)
async def test_a_refusal_keeps_what_it_wrote_and_a_crash_keeps_nothing(database, now, raised, kept):
    """R78, architecture: the failed attempt stays counted, the half-done work does not stay."""
    with pytest.raises(type(raised)):
        await _write_and_raise(database, now, raised)
    assert await count(database) == kept


async def _write_and_raise(database, now, raised):
    async with database.begin() as db:
        await db.execute(row(now))
        raise raised


@anyio_test
async def test_a_crash_after_a_commit_undoes_only_what_came_after(database, now):
    """`commit` and `pause` are for good."""
    with pytest.raises(RuntimeError):
        await _commit_pause_and_crash(database, now)
    assert await count(database) == 2


async def _commit_pause_and_crash(database, now):
    async with database.begin() as db:
        await db.execute(row(now))
        await db.commit()
        await db.execute(row(now))
        await db.pause()
        await db.execute(row(now))
        raise RuntimeError


@anyio_test
async def test_what_is_rolled_back_is_gone_and_the_request_goes_on(database, now):
    """And what is written afterwards is kept."""
    async with database.begin() as db:
        await db.execute(row(now))
        await db.rollback()
        assert await db.scalar(COUNT) == 0
        await db.execute(row(now, kind="after"))
    async with database.begin() as db:
        assert await db.scalar(select(Outbox.kind)) == "after"


@anyio_test
async def test_a_statement_that_stands_alone_is_committed_whatever_follows(database, now):
    """The counted attempt."""
    with pytest.raises(RuntimeError, match="crash"):
        await _alone_and_crash(database, now)
    assert await count(database) == 1


async def _alone_and_crash(database, now):
    async with database.begin() as db:
        await db.alone(row(now))
        raise RuntimeError("crash")


@anyio_test
async def test_nothing_stands_alone_within_a_transaction(database, now):
    """It would not be alone: said as a mistake, and possible again after a commit."""
    async with database.begin() as db:
        await db.execute(row(now))
        with pytest.raises(RuntimeError, match="stands alone"):
            await db.alone(row(now))
        await db.commit()
        await db.alone(row(now))
        await db.execute(row(now))
        await db.pause()
        await db.alone(row(now))
    assert await count(database) == 4


@anyio_test
async def test_an_expected_conflict_is_an_empty_answer(database, now):
    """Architecture: ON CONFLICT DO NOTHING; a caught violation would end PostgreSQL's transaction."""
    async with database.begin() as db:
        statement = insert_ignoring(db, Outbox).values(
            id=new_id(now), kind="x", payload=b"", due_at=now, attempts=0, created_at=now
        )
        first = await db.execute(statement.returning(Outbox.id))
        again = await db.execute(statement.returning(Outbox.id))
        assert (len(first.all()), len(again.all())) == (1, 0)
        await db.execute(row(now))
    assert await count(database) == 2


@anyio_test
async def test_a_foreign_key_is_kept_on_every_database(database, now):
    """Imports follow foreign keys; SQLite must be told."""
    event = insert(Activity).values(at=now, id=new_id(now), account_id=new_id(now), kind="x", actor="x")
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await _run(database, event)


async def _run(database, statement):
    async with database.begin() as db:
        await db.execute(statement)


# Many at once


@anyio_test
async def test_a_hundred_writers_all_get_their_turn(database, now):
    """SQLite: BEGIN IMMEDIATE waits; a deferred transaction that turns to writing fails with "locked"."""

    async with database.begin() as db:
        await db.execute(row(now))

    async def read_then_write(db):
        before = await db.scalar(COUNT)
        await db.execute(row(now))
        await db.execute(update(Outbox).where(Outbox.id == shared).values(attempts=Outbox.attempts + 1))
        return before

    async with database.begin() as db:
        shared = await db.scalar(select(Outbox.id))
    await race(database, read_then_write)

    assert await count(database) == 101
    async with database.begin() as db:
        assert await db.scalar(select(Outbox.attempts).where(Outbox.id == shared)) == 100


@anyio_test
async def test_reading_holds_no_lock_and_no_snapshot(database, now):
    """Reads before the first write are statements of their own: they see what others have committed meanwhile."""
    async with database.begin() as db:
        assert await db.scalar(COUNT) == 0
        async with database.begin() as other:
            await other.execute(row(now))
        assert await db.scalar(COUNT) == 1
        await db.execute(row(now))
    assert await count(database) == 2


@pytest.fixture
async def single(backend, database):
    """The same database through one connection: whoever holds it holds up everybody."""
    engine = open_engine(backend.database_url, 1, durable=False)
    yield Database(engine, keep=(Refusal,))
    await engine.dispose()


@anyio_test
async def test_a_paused_request_holds_no_connection(single, now):
    """Slow work (Argon2, a fetch) starves nobody."""
    async with single.begin() as db:
        await db.execute(row(now))
        await db.pause()
        async with asyncio.timeout(5):
            assert await count(single) == 1
        await db.execute(row(now))
    assert await count(single) == 2


@anyio_test
async def test_whatever_ends_a_request_its_connection_comes_back_clean(single, database, now):
    """Faults: a browser that goes away at any moment leaves neither a transaction nor a lock behind."""

    async def request():
        async with single.begin() as db:
            await db.scalar(COUNT)
            await db.execute(row(now))
            await db.scalar(COUNT)
            await asyncio.sleep(30)

    for turns in range(40):
        task = asyncio.create_task(request())
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.sleep(turns % 4 / 1000)
        task.cancel()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError), "what ended the request is what is reported"
        async with asyncio.timeout(10):
            assert await count(single) == 0
            async with database.begin() as db:  # no lock stands in the way of another connection
                await db.execute(row(now))
                await db.rollback()


@anyio_test
async def test_a_request_for_which_no_connection_becomes_free_is_told_to_come_back(single):
    """503 with Retry-After and not 500: the service is busy, not broken."""
    single.engine.pool._timeout = 0.05
    async with single.begin() as held:
        await held.scalar(COUNT)
        with pytest.raises(Refusal) as refused:
            async with single.begin() as db:
                await db.scalar(COUNT)
    assert (refused.value.reason, refused.value.status, refused.value.retry_after) == ("busy", 503, 5)


@anyio_test
async def test_a_request_that_did_nothing_took_no_connection(single):
    """A page that asks nothing of the database costs it nothing."""
    async with single.begin(), single.begin(), single.begin():
        assert await count(single) == 0
