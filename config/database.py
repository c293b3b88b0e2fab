"""The engine: SQLite by default, PostgreSQL by one setting; autocommit, because `Transaction` alone says BEGIN."""

import asyncio
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry


def open_engine(url: str, pool_size: int = 10, *, durable: bool = True) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///FILE` or `postgresql+psycopg://...`. `durable=False` (demo, simulator) lets
    SQLite lose its last transactions when the machine, not the process, dies."""
    # An error's text would carry a statement's parameters into the log (R66).
    common = {"isolation_level": "AUTOCOMMIT", "pool_size": pool_size, "max_overflow": 0, "hide_parameters": True}
    if url.startswith("sqlite"):
        engine = create_async_engine(url, **common)
        event.listen(engine.sync_engine, "connect", _prepare_durable if durable else _prepare_quick)
        event.listen(engine.sync_engine, "invalidate", _roll_back_before_closing)
        return engine
    return create_async_engine(url, **common, pool_timeout=5)


def _prepare_durable(connection: Any, _: ConnectionPoolEntry) -> None:
    _prepare(connection, "FULL")


def _prepare_quick(connection: Any, _: ConnectionPoolEntry) -> None:
    _prepare(connection, "NORMAL")


def _prepare(connection: Any, synchronous: str) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _roll_back_before_closing(connection: Any, _: ConnectionPoolEntry, __: BaseException | None) -> None:
    """A request that is broken off in a statement costs its connection. SQLite closes one that still has an open
    cursor only when that is collected, and until then it holds the write lock: so it rolls back first, after what its
    thread has queued (a direct call would come before that, and let a statement run by itself)."""
    aiosqlite = connection._connection
    if aiosqlite._connection is not None:
        done = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda future: future.exception())  # nobody waits for it
        aiosqlite._tx.put_nowait((done, aiosqlite._connection.rollback))
