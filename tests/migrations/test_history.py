"""The migrations, run on real databases."""

from services import Backend
from sqlalchemy.ext.asyncio import create_async_engine

from config.tables import metadata
from migrations import apply


async def test_the_migrations_make_exactly_the_tables_that_the_code_declares(backend: Backend) -> None:
    """A column without a migration works on a developer's machine and nowhere else."""
    engine = create_async_engine(backend.database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(apply.differences, metadata) == []
        await connection.rollback()
        assert await connection.run_sync(apply.pending) == []
    await engine.dispose()


async def test_running_the_migrations_again_changes_nothing(empty_backend: Backend) -> None:
    """Every start of a release may run them."""
    engine = create_async_engine(empty_backend.database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(apply.pending) != []
        await connection.rollback()
        await connection.run_sync(apply.upgrade)
        await connection.run_sync(apply.upgrade)
        assert await connection.run_sync(apply.pending) == []
    await engine.dispose()
