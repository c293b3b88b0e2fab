"""What state the database's tables are in, and bringing them up to date."""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

import migrations

VERSIONS = Path(migrations.__file__).with_name("versions")
_LINE = re.compile(r'^(?P<what>revision|down_revision)\b[^=]*= (?:"(?P<name>\w+)"|None)$', re.MULTILINE)


async def tables_of(engine: AsyncEngine) -> list[str]:
    """The names of all tables that are there, sorted."""
    async with engine.connect() as connection:
        return sorted(await connection.run_sync(lambda c: inspect(c).get_table_names()))


async def pending(engine: AsyncEngine) -> list[str]:
    """The migrations that the database lacks, the oldest first. A database that is ahead of this release lacks none:
    the previous release runs, and starts again, while the next one is rolled out."""
    revisions, before = set[str](), set[str]()
    for path in VERSIONS.glob("*.py"):
        for line in _LINE.finditer(path.read_text("utf-8")):
            (revisions if line["what"] == "revision" else before).add(line["name"])
    async with engine.connect() as connection:
        applied = await connection.run_sync(_applied)
        if applied and (applied == revisions - before or not applied <= revisions):
            return []  # nearly always, and without Alembic, which takes its time to import
        from migrations import apply

        return await connection.run_sync(apply.pending)


def _applied(connection: Connection) -> set[str]:
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


async def bring_up_to_date(engine: AsyncEngine) -> None:
    """Run every migration that the database lacks."""
    if not await pending(engine):
        return
    from migrations import apply

    async with engine.connect() as connection:
        await connection.run_sync(apply.upgrade)
