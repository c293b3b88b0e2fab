"""The engine: SQLite by default, PostgreSQL by one setting; autocommit, because `Transaction` alone says BEGIN."""

import asyncio
import select
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from accounts.database import SILENCE

CONNECT_SECONDS = 3
POOL_SECONDS = 5
"""How long a request waits for a connection that another gives back."""
GRACE = 2.0
"""Seconds that PostgreSQL has, after it should have broken off a statement, to say so."""


def open_engine(
    url: str, pool_size: int = 10, *, durable: bool = True, statement_timeout: float = 10, silence: float | None = None
) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///FILE` or `postgresql+psycopg://...`. `durable=False` (demo, simulator) lets
    SQLite lose its last transactions when the machine, not the process, dies. Seconds: `statement_timeout` for one
    statement, waiting for locks included; `silence` until a PostgreSQL that says nothing is hung up on."""
    # An error's text would carry a statement's parameters into the log (R66).
    common = {"isolation_level": "AUTOCOMMIT", "pool_size": pool_size, "max_overflow": 0, "hide_parameters": True}
    if url.startswith("sqlite"):
        engine = create_async_engine(url, **common)
        event.listen(engine.sync_engine, "connect", _preparing("FULL" if durable else "NORMAL", statement_timeout))
        event.listen(engine.sync_engine, "invalidate", _roll_back_before_closing)
        return engine
    # After what the address itself sets: here the limit is ours.
    options = f"{make_url(url).query.get('options', '')} -c statement_timeout={int(statement_timeout * 1000)}".strip()
    engine = create_async_engine(
        url,
        **common,
        pool_timeout=POOL_SECONDS,
        connect_args={"connect_timeout": CONNECT_SECONDS, "options": options},
        execution_options={SILENCE: statement_timeout + GRACE if silence is None else silence},
    )
    event.listen(engine.sync_engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(connection: Any, _: ConnectionPoolEntry, __: Any) -> None:
    """Whatever can be read on a connection that nobody asked anything is its end, or a server's last words: the pool
    makes another one. It costs no round trip, so that no request meets a connection from before a restart."""
    driver = connection.driver_connection
    if not driver.closed:
        poll = select.poll()
        poll.register(driver.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
    raise DisconnectionError("the server ended this connection")


def _preparing(synchronous: str, busy_timeout: float) -> Callable[[Any, ConnectionPoolEntry], None]:
    settings = {
        "busy_timeout": int(busy_timeout * 1000),  # first: the others may wait for a lock themselves
        "journal_mode": "WAL",
        "synchronous": synchronous,
        "foreign_keys": "ON",
    }

    def prepare(connection: Any, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name, value in settings.items():
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.close()

    return prepare


def _roll_back_before_closing(connection: Any, _: ConnectionPoolEntry, __: BaseException | None) -> None:
    """A request that is broken off in a statement costs its connection. SQLite closes one that still has an open
    cursor only when that is collected, and until then it holds the write lock: so it rolls back first, after what its
    thread has queued (a direct call would come before that, and let a statement run by itself)."""
    aiosqlite = connection._connection
    if aiosqlite._connection is not None:
        done = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda future: future.exception())  # nobody waits for it
        aiosqlite._tx.put_nowait((done, aiosqlite._connection.rollback))
