"""What state the database's tables are in, and bringing them up to date."""

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine


async def tables_of(engine: AsyncEngine) -> list[str]:
    """The names of all tables that are there, sorted."""
    async with engine.connect() as connection:
        return sorted(await connection.run_sync(lambda c: inspect(c).get_table_names()))


async def pending(engine: AsyncEngine) -> list[str]:
    """The migrations that the database lacks, the oldest first."""
    from migrations import apply

    async with engine.connect() as connection:
        return await connection.run_sync(apply.pending)


async def bring_up_to_date(engine: AsyncEngine) -> None:
    """Run every migration that the database lacks."""
    from migrations import apply

    async with engine.connect() as connection:
        await connection.run_sync(apply.upgrade)
