"""The ground that the other tests stand on."""

import pytest
from services import Backend
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine


async def tables_of(connection: AsyncConnection) -> list[str]:
    return await connection.run_sync(lambda sync: inspect(sync).get_table_names())


@pytest.mark.parametrize("turn", [1, 2])
async def test_every_test_begins_with_empty_tables_of_its_own(backend: Backend, turn: int) -> None:
    """What one test writes, the next does not see."""
    engine = create_async_engine(backend.database_url)
    async with engine.begin() as connection:
        assert "account" in await tables_of(connection)
        assert (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar() == 0
        await connection.execute(
            text(
                "INSERT INTO outbox (id, kind, payload, due_at, attempts, created_at)"
                " VALUES ('01930000-0000-7000-8000-000000000000', 'kind', '', '2026-01-01', 0, '2026-01-01')"
            )
        )
    await engine.dispose()


async def test_an_empty_backend_has_no_table(empty_backend: Backend) -> None:
    """Migrations and the simulator begin with nothing."""
    engine = create_async_engine(empty_backend.database_url)
    async with engine.connect() as connection:
        assert await tables_of(connection) == []
    await engine.dispose()
