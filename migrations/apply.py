"""Migrations by code, without an ini file: callers bring the connection."""

import io
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

# Files sort as they were written; the revision is the slug, which is how "Next:" in a docstring names it.
FILE_TEMPLATE = "v%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s"


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the database up to date. `connection` has begun nothing; from async code: `await c.run_sync(upgrade)`."""
    command.upgrade(_config(connection=connection), to)


def pending(connection: Connection) -> list[str]:
    """The revisions that this code has and the database lacks, oldest first."""
    scripts, context = ScriptDirectory.from_config(_config()), MigrationContext.configure(connection)
    applied = {
        script.revision for head in context.get_current_heads() for script in scripts.walk_revisions("base", head)
    }
    return [script.revision for script in reversed(list(scripts.walk_revisions())) if script.revision not in applied]


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """What separates the database from the tables that the code declares; empty when the migrations are complete."""
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


def history() -> ScriptDirectory:
    """Every revision, for checks over them."""
    return ScriptDirectory.from_config(_config())


def new_revision(slug: str, connection: Connection) -> None:
    """Write the next migration's file from script.py.mako, filled with what an up-to-date database lacks.

    `slug` is its name for good: lower case words, underscores.
    """
    command.revision(_config(connection=connection), message=slug, rev_id=slug, autogenerate=True)


def sql(revisions: str) -> str:
    """The PostgreSQL statements of `from:to`, without a database: what squawk reads and a careful operator too."""
    written = io.StringIO()
    command.upgrade(_config(output=written, dialect="postgresql"), revisions, sql=True)
    return written.getvalue()


def _config(output: io.StringIO | None = None, **attributes: Any) -> Config:
    config = Config(output_buffer=output or io.StringIO(), attributes=attributes)
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", FILE_TEMPLATE)
    return config
