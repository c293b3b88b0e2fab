"""Tables, instants, identifiers, and the one transaction of a request."""

import asyncio
import hashlib
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast, overload
from uuid import UUID

from sqlalchemy import BindParameter, CursorResult, DateTime, Dialect, Executable, MetaData, Row, Text, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from accounts.database_fault import fault_of, said_by
from accounts.errors import DatabaseUnavailable
from accounts.hot_statement import HotStatements, Ran
from accounts.outage import Outage

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Base(DeclarativeBase):
    """Every table of ours. Rows are read as columns, never as loaded objects."""

    metadata = metadata


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant on every database; SQLite keeps it as naive UTC, which sorts as text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


AT: BindParameter[datetime] = bindparam("at", type_=Instant)
"""`now` in a hot statement, which is built once and run with parameters: building one costs more than running it."""


class Json(TypeDecorator[Any]):
    """A small JSON value kept as text: portable, and the same bytes on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


def new_id(now: datetime) -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7) made from `now`: keys sort by the time of their making."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62))


def new_secret(nbytes: int = 32) -> str:
    """A secret for a cookie, a code or a token; 32 bytes are 256 bits, 43 characters."""
    return secrets.token_urlsafe(nbytes)


def digest(secret: str | bytes) -> bytes:
    """What is kept of a high-entropy secret: its SHA-256 (32 bytes)."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).digest()


SILENCE = "silence"
"""Execution option of an engine: after how many seconds without an answer PostgreSQL is hung up on. None: never."""


@cache
def _hot_statements(engine: AsyncEngine) -> HotStatements:
    return HotStatements(engine.dialect)


def _driver_of(connection: AsyncConnection) -> Any:
    """psycopg's own connection, which SQLAlchemy's pool holds for us."""
    return cast(Any, connection.sync_connection).connection.driver_connection


@cache
def _outage(engine: AsyncEngine) -> Outage:
    url = engine.url
    return Outage("database", "/".join(part for part in (url.host, url.database) if part))


class Asking:
    """Around everything that is asked of the database: a fault of it becomes `DatabaseUnavailable`, and a PostgreSQL
    that says nothing for longer than `bound` seconds is hung up on. (To cancel instead would wait for its answer.)"""

    __slots__ = ("_bound", "_timer", "_transaction")

    def __init__(self, transaction: "Transaction", bound: float | None = None) -> None:
        self._transaction = transaction
        self._bound = bound
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        transaction = self._transaction
        if transaction.failure is not None:
            raise transaction.failure
        if self._bound is not None and transaction.connection is not None:
            self._timer = asyncio.get_running_loop().call_later(self._bound, _hang_up, transaction.connection)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        outage = self._transaction.outage
        if error is None:
            outage.answered()
        elif (fault := fault_of(error)) is not None:
            why = said_by(error)
            outage.failed(why, away=fault == "away")
            reason = "busy" if isinstance(error, PoolTimeout) else "database_unavailable"
            self._transaction.failure = DatabaseUnavailable(why, reason=reason)
            raise self._transaction.failure from error


def _hang_up(connection: AsyncConnection) -> None:
    """Close the conversation, not the descriptor, which the driver watches: it finds its end there."""
    driver = _driver_of(connection)
    if not driver.closed:
        with socket.socket(fileno=os.dup(driver.fileno())) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


class Transaction:
    """The transaction of one request, begun at its first write and finished before the answer leaves.

    Connections are in autocommit and this class alone says BEGIN: reads before the first write are one round trip
    each, a statement run by `alone` is its own transaction, and SQLite always begins with the write lock in hand
    (a deferred transaction that turns to writing fails with "locked").

    Everything it asks may raise `DatabaseUnavailable`. From then on all else raises it too, `commit` before all, so
    that nobody who passed over it is told that something was kept, until `close`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.connection: AsyncConnection | None = None
        self.failure: DatabaseUnavailable | None = None
        self.outage = _outage(engine)
        self._begun = False
        self._hurry: float | None = None
        self.dialect = engine.dialect.name
        self._bound = engine.get_execution_options().get(SILENCE) if self.dialect == "postgresql" else None

    def hurry(self, seconds: float) -> None:
        """From now on wait for a connection, and for each answer, no longer than this."""
        self._hurry = seconds
        self._bound = None if self._bound is None else min(self._bound, seconds)

    def _asking(self) -> Asking:
        return Asking(self, self._bound)

    async def _connect(self) -> AsyncConnection:
        """The connection of this request."""
        if self.connection is None:
            with Asking(self):
                async with asyncio.timeout(self._hurry):
                    self.connection = await self.engine.connect()
        return self.connection

    async def _say(self, what: str) -> None:
        connection = await self._connect()
        with self._asking():
            if self.dialect == "postgresql":
                await _driver_of(connection).execute(what.encode())
            else:
                await connection.exec_driver_sql(what)

    async def begin(self) -> None:
        """Begin now; needed by hand only before a locking read or raw statements."""
        if not self._begun:
            await self._say("BEGIN IMMEDIATE" if self.dialect == "sqlite" else "BEGIN")
            self._begun = True

    @overload
    async def execute(self, statement: Executable) -> CursorResult[Any]: ...

    @overload
    async def execute(self, statement: Executable, parameters: Mapping[str, Any]) -> Ran: ...

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> CursorResult[Any] | Ran:
        """Run a statement; the first one that writes begins the transaction.

        With parameters it is a hot statement, one that a module built once: on PostgreSQL it goes to the driver itself.
        """
        if getattr(statement, "is_dml", False):
            await self.begin()
        connection = await self._connect()
        if parameters is not None and self.dialect == "postgresql":
            hot = _hot_statements(self.engine).of(statement, parameters.keys())
            with self._asking():
                return await hot.run(_driver_of(connection), parameters)
        with self._asking():
            result = await connection.execute(statement, parameters)
        if not isinstance(result, CursorResult):
            raise TypeError("only statements with a cursor are run here")
        if parameters is None:
            return result
        return Ran(result.rowcount, result.all() if result.returns_rows else ())

    async def first(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first row, or None; with parameters a hot statement."""
        if parameters is None:
            return (await self.execute(statement)).first()
        return next(iter((await self.execute(statement, parameters)).rows), None)

    async def all(self, statement: Executable) -> Sequence[Row[Any]]:
        """Every row."""
        return (await self.execute(statement)).all()

    async def scalar(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None; with parameters a hot statement."""
        row = await self.first(statement, parameters)
        return None if row is None else row[0]

    async def alone(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run one writing statement as its own transaction: committed when this returns, whatever follows."""
        if self._begun:
            raise RuntimeError("a transaction is open: commit or pause before a statement that stands alone")
        connection = await self._connect()
        with self._asking():
            result = await connection.execute(statement, parameters)
        if not isinstance(result, CursorResult):
            raise TypeError("only statements with a cursor are run here")
        return result

    async def commit(self) -> None:
        """Keep what was written."""
        if self.failure is not None:
            raise self.failure
        if self._begun and self.connection is not None:
            self._begun = False
            await self._say("COMMIT")

    async def rollback(self) -> None:
        """Keep nothing of what was written since the last commit. A database that is away has rolled back already."""
        if self._begun and self.connection is not None and self.failure is None:
            self._begun = False
            # The connection may have been thrown away, because a statement was broken off.
            with suppress(DatabaseUnavailable, DBAPIError, PendingRollbackError):
                await self._say("ROLLBACK")

    async def pause(self) -> None:
        """Commit and give the connection back, so that slow work (Argon2, a fetch) holds none."""
        await self.commit()
        await self.close()

    async def close(self) -> None:
        """Give the connection back; what is not committed is gone. After this it may be asked anew."""
        connection, failure = self.connection, self.failure
        self.connection, self.failure, self._begun = None, None, False
        if connection is not None:
            try:
                if failure is not None:
                    await connection.invalidate(failure)
            finally:
                await connection.close()


class Database:
    """Hands out transactions. `keep` are the exceptions that are answers: they keep what was written."""

    def __init__(self, engine: AsyncEngine, keep: tuple[type[Exception], ...]) -> None:
        self.engine = engine
        self._keep = keep

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction that commits at the end and at a refusal, and keeps nothing after a crash."""
        db = Transaction(self.engine)
        try:
            yield db
        except self._keep:
            await db.commit()
            raise
        except BaseException:
            await db.rollback()
            raise
        else:
            await db.commit()
        finally:
            await db.close()


def insert_ignoring(db: Transaction, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """INSERT ... ON CONFLICT DO NOTHING. An expected conflict is an empty answer, never a caught violation,
    which would abort PostgreSQL's transaction and with it what the refusal meant to keep."""
    if db.dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def upsert(db: Transaction, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT on which `on_conflict_do_update` can be called, on both databases."""
    return sqlite.insert(table) if db.dialect == "sqlite" else postgresql.insert(table)
