"""What of a driver's exceptions means "come back later", and what is a mistake that must be seen (R81)."""

import sqlite3

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from accounts.database import Database
from accounts.database_fault import fault_of, said_by
from accounts.errors import DatabaseUnavailable, Refusal
from config.database import open_engine


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("a problem")
    error.sqlite_errorcode = code
    return error


AWAY = [
    psycopg.OperationalError("connection refused"),
    psycopg.InterfaceError("the connection is closed"),
    errors.ConnectionFailure(),
    errors.AdminShutdown(),
    errors.CrashShutdown(),
    errors.CannotConnectNow(),
    errors.IoError(),
    errors.ReadOnlySqlTransaction(),
    of_sqlite(sqlite3.SQLITE_READONLY),
    of_sqlite(sqlite3.SQLITE_IOERR_WRITE),
    of_sqlite(sqlite3.SQLITE_CANTOPEN),
    DBAPIError("SELECT 1", {}, errors.ProgramLimitExceeded(), connection_invalidated=True),
]
OVERLOADED = [
    PoolTimeout(),
    TimeoutError(),
    errors.QueryCanceled(),
    errors.LockNotAvailable(),
    errors.TooManyConnections(),
    errors.DiskFull(),
    errors.OutOfMemory(),
    of_sqlite(sqlite3.SQLITE_BUSY),
    of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT),
    of_sqlite(sqlite3.SQLITE_LOCKED),
    of_sqlite(sqlite3.SQLITE_FULL),
]
OURS = [
    errors.UniqueViolation(),
    errors.ForeignKeyViolation(),
    errors.UndefinedTable(),
    errors.SyntaxError(),
    errors.DeadlockDetected(),
    errors.StringDataRightTruncation(),
    psycopg.InterfaceError("the cursor is not bound"),
    psycopg.ProgrammingError("no result available"),
    sqlite3.IntegrityError("UNIQUE constraint failed"),
    of_sqlite(sqlite3.SQLITE_ERROR),
    of_sqlite(sqlite3.SQLITE_CORRUPT),
    InvalidRequestError("wrong use"),
    ValueError("a bug"),
    Refusal("expected"),
]


def wrapped(error: BaseException) -> BaseException:
    """As SQLAlchemy gives on what a driver raised."""
    is_driver = isinstance(error, psycopg.Error | sqlite3.Error)
    return DBAPIError("SELECT 1", {}, error) if is_driver else error


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_away(error: BaseException) -> None:
    assert (fault_of(error), fault_of(wrapped(error))) == ("away", "away")


@pytest.mark.parametrize("error", OVERLOADED, ids=repr)
def test_overloaded(error: BaseException) -> None:
    assert (fault_of(error), fault_of(wrapped(error))) == ("overloaded", "overloaded")


@pytest.mark.parametrize("error", OURS, ids=repr)
def test_a_mistake_stays_a_mistake(error: BaseException) -> None:
    assert (fault_of(error), fault_of(wrapped(error))) == (None, None)


def test_what_is_said_is_one_line_without_parameters() -> None:
    """R66."""
    error = IntegrityError("SELECT :a", {"a": "ada@example.org"}, psycopg.OperationalError("gone\nDETAIL: ada"))
    assert said_by(error) == "gone"


@pytest.mark.anyio
async def test_nobody_who_passed_over_it_keeps_anything(backend) -> None:
    """A handler may catch a refusal and go on: it cannot commit as if nothing had been."""
    database = Database(open_engine(backend.database_url, 1), keep=(Refusal,))
    async with database.begin() as db:
        db.failure = DatabaseUnavailable("gone")
        for ask in (db.begin, db.commit, lambda: db.execute(text("SELECT 1"))):
            with pytest.raises(DatabaseUnavailable):
                await ask()
        await db.close()
        assert await db.scalar(text("SELECT 1")) == 1, "after that it may be asked anew"

    async def refused_after_it_failed() -> None:
        async with database.begin() as db:
            await db.begin()
            db.failure = DatabaseUnavailable("gone")
            raise Refusal("answered, as the handler thought")

    with pytest.raises(DatabaseUnavailable):
        await refused_after_it_failed()
    await database.engine.dispose()


@pytest.mark.anyio
async def test_a_sqlite_file_that_another_holds_is_busy(database, backend, now) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no such lock")
    quick = Database(open_engine(backend.database_url, 1, statement_timeout=0.05), keep=(Refusal,))
    async with database.begin() as held:
        await held.begin()
        with pytest.raises(DatabaseUnavailable) as refused:
            async with quick.begin() as db:
                await db.begin()
    assert (refused.value.status, refused.value.detail) == (503, "database is locked")
    async with quick.begin() as db:
        await db.begin()
    await quick.engine.dispose()


@pytest.mark.anyio
async def test_a_sqlite_disk_that_is_full_and_a_file_that_cannot_be_written(database, now) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("SQLite's own way to make it so")
    full = "CREATE TABLE filling AS SELECT zeroblob(1000000)"

    async def write(pragma: str, statement: str) -> None:
        async with database.begin() as db:
            await db.execute(text(f"PRAGMA {pragma}"))
            await db.begin()
            await db.execute(text(statement))

    for pragma, statement in (("max_page_count = 1", full), ("query_only = ON", "DELETE FROM outbox")):
        with pytest.raises(DatabaseUnavailable):
            await write(pragma, statement)
    async with database.begin() as db:
        await db.begin()
