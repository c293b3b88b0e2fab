"""What a test of verbs stands on: a database with every table, a store, a vault, an instant, an account; and races."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec
import pytest
from services import Backend
from sqlalchemy import select

from accounts.account import open_account
from accounts.database import Database, Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import DataKey, Vault, VaultKeys
from config.database import open_engine
from config.store import open_store

T = TypeVar("T")
POOL = 20


class Person(msgspec.Struct, frozen=True):
    """An account and the key to its sealed fields."""

    account_id: UUID
    key: DataKey


@pytest.fixture
def now() -> datetime:
    """An instant in the middle of a 30-second step."""
    return datetime(2026, 11, 22, 12, 0, 15, tzinfo=UTC)


@pytest.fixture(scope="session")
def vault() -> Vault:
    return Vault(VaultKeys(wrapping={1: b"w" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32))


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    """Empty, with every table; SQLite and PostgreSQL in turn. Enough connections for a real race."""
    engine = open_engine(backend.database_url, POOL, durable=False)
    yield Database(engine, keep=(Refusal,))
    await engine.dispose()


@pytest.fixture
async def store(backend: Backend, now: datetime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """Empty; in process and in Redis in turn. Patient: two cores that run a race are no dead Redis."""
    monkeypatch.setattr("config.store.BOUND", 10)
    opened = await open_store(backend.store_url, now)
    yield opened
    await opened.close()


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Transaction]:
    """The transaction of one request."""
    async with database.begin() as transaction:
        yield transaction


@pytest.fixture
async def ada(database: Database, vault: Vault, now: datetime) -> Person:
    """An active account, committed."""
    async with database.begin() as db:
        return Person(*await open_account(db, vault, now, state="active"))


@pytest.fixture
async def bob(database: Database, vault: Vault, now: datetime) -> Person:
    """Another one."""
    async with database.begin() as db:
        return Person(*await open_account(db, vault, now, state="active"))


async def race(database: Database, attempt: Callable[[Transaction], Awaitable[T]], times: int = 100) -> list[T]:
    """Make the same attempt many times, each as a request of its own: the first twenty start in the same moment with a
    connection in hand (without that, one gets ahead while the others still connect), the rest as connections come."""
    at_once = min(times, POOL)
    lanes, start = asyncio.Semaphore(at_once), asyncio.Barrier(at_once)

    async def one(number: int) -> T:
        async with lanes, database.begin() as db:
            await db.scalar(select(1))
            if number < at_once:
                await start.wait()
            return await attempt(db)

    return await asyncio.gather(*(one(number) for number in range(times)))
