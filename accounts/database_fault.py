"""Which of a driver's exceptions mean that the database is away or overloaded, not that we made a mistake (R81)."""

import sqlite3
from typing import Literal

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

Fault = Literal["away", "overloaded"]

OVERLOADED = ("53", "57014", "55P03")
"""SQLSTATEs of PostgreSQL (appendix A of its manual), by how they begin: no room (memory, disk, connections), a
statement or its wait for a lock took too long."""
AWAY = ("08", "57", "58", "25006")
"""The connection, an operator or a crash, the system below; and a server that has become read-only, a standby."""
SQLITE_OVERLOADED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
SQLITE_AWAY = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL}
)


def fault_of(error: BaseException) -> Fault | None:
    """None for all that must be seen and mended: a violated constraint, wrong SQL, an exception of our own."""
    if isinstance(error, PoolTimeout | TimeoutError):
        return "overloaded"
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return "away"
        return fault_of(error.orig) if error.orig is not None else None
    if isinstance(error, psycopg.Error):
        return _of_postgresql(error)
    if isinstance(error, sqlite3.OperationalError):
        return _of_sqlite(error)
    return None


def _of_postgresql(error: psycopg.Error) -> Fault | None:
    state = error.sqlstate
    if state is None:
        # What libpq says itself: it cannot connect, or the connection broke.
        return "away" if isinstance(error, psycopg.OperationalError) or _is_closed(error) else None
    if state.startswith(OVERLOADED):
        return "overloaded"
    return "away" if state.startswith(AWAY) else None


def _is_closed(error: psycopg.Error) -> bool:
    return isinstance(error, psycopg.InterfaceError) and "closed" in str(error)


def _of_sqlite(error: sqlite3.OperationalError) -> Fault | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest is finer
    if code in SQLITE_OVERLOADED:
        return "overloaded"
    return "away" if code in SQLITE_AWAY else None


def said_by(error: BaseException) -> str:
    """The driver's own words for the log, in one line. Never a statement's parameters: they may be personal (R66)."""
    words = str(getattr(error, "orig", None) or error).strip().splitlines()
    return (words or [type(error).__name__])[0][:200]
