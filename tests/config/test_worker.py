"""The outbox worker: everything written down is done, by one worker, tried again, and given up loudly."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from services import Backend
from sqlalchemy import select, update

from accounts.database import Database
from accounts.errors import Refusal
from accounts.outbox import LEASE, MAX_ATTEMPTS, Leased, Outbox, enqueue
from accounts.vault import Vault, VaultKeys
from config.clock import Clock
from config.database import open_engine
from config.worker import BATCH, Handler, Worker

pytestmark = pytest.mark.anyio


class StillClock(Clock):
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def vault() -> Vault:
    return Vault(VaultKeys(wrapping={1: b"w" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32))


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    engine = open_engine(backend.database_url, 20, durable=False)
    yield Database(engine, keep=(Refusal,))
    await engine.dispose()


class Work:
    """Keeps what it was given, and fails as often as it is told to."""

    def __init__(self, failures: int = 0, enough: int = 0) -> None:
        self.done: list[Leased] = []
        self.failures = failures
        self.enough, self.reached = enough, asyncio.Event()

    async def __call__(self, work: Leased, now: datetime) -> None:
        self.done.append(work)
        if len(self.done) <= self.failures:
            raise ConnectionError("the receiver of a secret address is away")
        if len(self.done) == self.enough:
            self.reached.set()


async def written(database: Database, vault: Vault, clock: Clock, kind: str, count: int = 1) -> list[UUID]:
    async with database.begin() as db:
        return [await enqueue(db, vault, kind, {"number": number}, clock.now()) for number in range(count)]


async def row_of(database: Database, work_id: UUID) -> tuple[str | None, bytes, str | None, int]:
    async with database.begin() as db:
        row = await db.first(
            select(Outbox.outcome, Outbox.payload, Outbox.last_error, Outbox.attempts).where(Outbox.id == work_id)
        )
    assert row is not None
    return (row.outcome, row.payload, row.last_error, row.attempts)


def worker(database: Database, vault: Vault, clock: Clock, **handlers: Handler) -> Worker:
    return Worker(database, vault, clock, handlers, pause=0.01)


async def test_what_was_written_down_is_done_once_and_leaves_nothing_behind(
    database: Database, vault: Vault, clock: StillClock
) -> None:
    """R66: payloads carry codes and addresses."""
    (work_id,) = await written(database, vault, clock, "message")
    mail = Work()

    await worker(database, vault, clock, message=mail).drain()
    await worker(database, vault, clock, message=mail).drain()

    assert [work.payload for work in mail.done] == [{"number": 0}]
    assert await row_of(database, work_id) == ("done", b"", None, 1)


async def test_what_fails_is_tried_again_later_and_later(database: Database, vault: Vault, clock: StillClock) -> None:
    (work_id,) = await written(database, vault, clock, "message")
    mail, at = Work(failures=2), worker

    await at(database, vault, clock, message=mail).drain()
    await at(database, vault, clock, message=mail).drain()
    assert len(mail.done) == 1
    outcome, _, error, _ = await row_of(database, work_id)
    assert (outcome, error) == (None, "ConnectionError"), "the text of an error may hold an address"

    clock.moment += timedelta(seconds=5)
    await at(database, vault, clock, message=mail).drain()
    assert len(mail.done) == 2
    clock.moment += timedelta(seconds=20)
    await at(database, vault, clock, message=mail).drain()

    assert [work.attempt for work in mail.done] == [1, 2, 3]
    assert (await row_of(database, work_id))[0] == "done"


async def test_what_never_works_is_given_up_and_emptied(database: Database, vault: Vault, clock: StillClock) -> None:
    (work_id,) = await written(database, vault, clock, "message")
    mail = Work(failures=100)

    for _ in range(MAX_ATTEMPTS + 3):
        await worker(database, vault, clock, message=mail).drain()
        clock.moment += timedelta(hours=5)

    assert len(mail.done) == MAX_ATTEMPTS
    assert await row_of(database, work_id) == ("gave_up", b"", "ConnectionError", MAX_ATTEMPTS)


async def test_a_kind_that_nobody_knows_waits_for_a_release_that_does(
    database: Database, vault: Vault, clock: StillClock
) -> None:
    """A newer release's work may be leased by an older one during a rolling restart."""
    await written(database, vault, clock, "receipt")
    await worker(database, vault, clock).drain()
    clock.moment += timedelta(minutes=1)
    receipts = Work()

    await worker(database, vault, clock, receipt=receipts).drain()

    assert len(receipts.done) == 1


async def test_of_many_workers_each_piece_goes_to_one(database: Database, vault: Vault, clock: StillClock) -> None:
    await written(database, vault, clock, "message", 3 * BATCH)
    mail = Work()

    await asyncio.gather(*(worker(database, vault, clock, message=mail).drain() for _ in range(8)))

    assert len(mail.done) == 3 * BATCH
    assert len({work.id for work in mail.done}) == 3 * BATCH


async def test_what_a_dead_worker_held_comes_back(database: Database, vault: Vault, clock: StillClock) -> None:
    await written(database, vault, clock, "message")

    async def dies(work: Leased, now: datetime) -> None:
        await asyncio.sleep(60)

    dead = worker(database, vault, clock, message=dies)
    assert await dead.step() == 1
    mail = Work()
    await worker(database, vault, clock, message=mail).drain()
    assert mail.done == []

    clock.moment += LEASE + timedelta(seconds=1)
    await worker(database, vault, clock, message=mail).drain()

    assert [work.attempt for work in mail.done] == [2]
    for task in dead._tasks:
        task.cancel()


async def test_a_slow_receiver_delays_no_other(database: Database, vault: Vault, clock: StillClock) -> None:
    """R14: a dead one delays no other."""
    await written(database, vault, clock, "slow", 3)
    await written(database, vault, clock, "message", 3)
    mail, release = Work(enough=3), asyncio.Event()

    async def slow(work: Leased, now: datetime) -> None:
        await release.wait()

    running = worker(database, vault, clock, slow=slow, message=mail)
    task = asyncio.create_task(running.run())
    await asyncio.wait_for(mail.reached.wait(), 10)
    release.set()
    running.stop()
    await task

    async with database.begin() as db:
        assert await db.all(select(Outbox.id).where(Outbox.outcome.is_(None))) == []


async def test_a_payload_that_does_not_open_delays_no_other(
    database: Database, vault: Vault, clock: StillClock
) -> None:
    """R60: sealed with a key that this deployment does not have (any more); one bad row must not stop the rest."""
    ids = await written(database, vault, clock, "message", 5)
    async with database.begin() as db:
        await db.execute(update(Outbox).where(Outbox.id == ids[2]).values(payload=b"\x07 not ours"))
    mail = Work()

    await worker(database, vault, clock, message=mail).drain()

    assert sorted(work.payload["number"] for work in mail.done) == [0, 1, 3, 4]
    outcome, payload, error, attempts = await row_of(database, ids[2])
    assert (outcome, payload, attempts) == (None, b"\x07 not ours", 1)
    assert error


async def test_stopping_finishes_what_is_held(database: Database, vault: Vault, clock: StillClock) -> None:
    """SIGTERM: nothing that was begun is left half done."""
    (work_id,) = await written(database, vault, clock, "message")
    begun = asyncio.Event()

    async def takes_a_while(work: Leased, now: datetime) -> None:
        begun.set()
        await asyncio.sleep(0.2)

    running = worker(database, vault, clock, message=takes_a_while)
    task = asyncio.create_task(running.run())
    await asyncio.wait_for(begun.wait(), 10)
    running.stop()
    await task

    assert (await row_of(database, work_id))[0] == "done"


async def test_a_database_that_is_away_ends_no_worker(vault: Vault, clock: StillClock) -> None:
    """Nothing is lost: the rows wait, and so does the worker."""
    engine = open_engine("postgresql+psycopg://identity@127.0.0.1:1/none", 2)
    running = Worker(Database(engine, keep=()), vault, clock, {}, pause=0.01)

    task = asyncio.create_task(running.run())
    await asyncio.sleep(0.3)
    assert not task.done()

    running.stop()
    await asyncio.wait_for(task, 10)
    await engine.dispose()


async def test_an_outcome_that_cannot_be_written_down_ends_no_worker(
    database: Database, vault: Vault, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away between the work and its record: the lease runs out, and it is done again."""
    (work_id,) = await written(database, vault, clock, "message")
    mail = Work()
    with monkeypatch.context() as patch:
        patch.setattr("config.worker.finish", Work(failures=100))
        await worker(database, vault, clock, message=mail).drain()

    clock.moment += LEASE + timedelta(seconds=1)
    await worker(database, vault, clock, message=mail).drain()

    assert len(mail.done) == 2
    assert (await row_of(database, work_id))[0] == "done"
