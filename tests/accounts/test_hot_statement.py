"""Statements with parameters: the same answers on the driver as through Core."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from services import Backend
from sqlalchemy import LargeBinary, Uuid, bindparam, insert, select, update

from accounts.account import Account
from accounts.database import AT, Database, new_id
from config.database import open_engine

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)

PUT = insert(Account)
FIND = select(Account.id, Account.state, Account.locale, Account.data_key, Account.created_at).where(
    Account.id == bindparam("key", type_=Uuid()), Account.created_at <= AT, Account.state == "active"
)
CHANGE = (
    update(Account)
    .where(Account.id == bindparam("key", type_=Uuid()))
    .values(data_key=bindparam("bytes", type_=LargeBinary()), changed_at=AT)
    .returning(Account.data_key, Account.changed_at)
)


async def test_values_come_back_as_they_were_given(backend: Backend) -> None:
    """Instants with their zone, bytes, nulls, UUIDs: whatever Core converts is converted alike."""
    engine = open_engine(backend.database_url, durable=False)
    account_id = new_id(NOW)
    values = {"id": account_id, "state": "active", "locale": None, "data_key": b"\x00\xff", "changed_at": NOW}
    async with Database(engine, keep=()).begin() as db:
        put = await db.execute(PUT, {**values, "created_at": NOW.astimezone(timezone(timedelta(hours=9)))})
        row = await db.first(FIND, {"key": account_id, "at": NOW})
        through_core = await db.first(FIND.params(key=account_id, at=NOW))
        missing = await db.first(FIND, {"key": account_id, "at": NOW - timedelta(microseconds=1)})

    assert put.rowcount == 1
    assert tuple(row) == tuple(through_core) == (account_id, "active", None, b"\x00\xff", NOW)
    assert row.created_at.tzinfo is not None
    assert missing is None
    await engine.dispose()


async def test_what_writes_belongs_to_the_transaction(backend: Backend) -> None:
    """A hot UPDATE begins the transaction like any other, and is forgotten with it."""
    engine = open_engine(backend.database_url, durable=False)
    database, account_id = Database(engine, keep=()), new_id(NOW)
    values = {"id": account_id, "state": "active", "locale": "en", "data_key": b"first", "changed_at": NOW}
    async with database.begin() as db:
        await db.execute(PUT, {**values, "created_at": NOW})

    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the change and the crash are one request
        async with database.begin() as db:
            changed = await db.execute(CHANGE, {"key": account_id, "bytes": b"second", "at": NOW})
            assert [tuple(row) for row in changed.rows] == [(b"second", NOW)]
            raise ZeroDivisionError

    async with database.begin() as db:
        assert (await db.first(FIND, {"key": account_id, "at": NOW})).data_key == b"first"
        assert await db.scalar(FIND, {"key": account_id, "at": NOW}) == account_id
    await engine.dispose()


async def test_a_naive_instant_is_refused(backend: Backend) -> None:
    """An instant without a zone would be read as the database server's time."""
    engine = open_engine(backend.database_url, durable=False)
    async with Database(engine, keep=()).begin() as db:
        with pytest.raises(Exception, match="without a time zone"):
            await db.first(FIND, {"key": new_id(NOW), "at": NOW.replace(tzinfo=None)})
    await engine.dispose()
