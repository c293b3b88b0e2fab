"""How Alembic runs our migrations: on a connection that the caller hands in, or into a file of PostgreSQL's SQL."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeDecorator

from config.tables import metadata

# A migration that waits for a lock makes every later query on that table wait behind it: give up soon, try again.
LIMITS = ("SET lock_timeout = '5s'", "SET statement_timeout = '15min'")


def without_our_types(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """A migration is never edited again, so it names no type of ours, only what stands behind it."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "compare_type": True,
    "render_item": without_our_types,
    "transaction_per_migration": True,  # a migration that fails leaves those before it in place
}


def write_sql(dialect: str) -> None:
    context.configure(dialect_name=dialect, literal_binds=True, **OPTIONS)
    for limit in LIMITS:
        context.execute(limit)
    context.run_migrations()


def run_on_postgresql(connection: Connection) -> None:
    connection.execution_options(isolation_level="READ COMMITTED")  # the application's connections are in autocommit
    context.configure(connection=connection, **OPTIONS)
    for limit in LIMITS:
        connection.exec_driver_sql(limit)
    connection.commit()
    context.run_migrations()
    connection.commit()  # it has read the version even when there was nothing to run


def run_on_sqlite(connection: Connection) -> None:
    """SQLite changes a table by copying it; with foreign keys on, dropping the old one would empty its children."""
    enforced = pragma(connection, "foreign_keys")[0][0]
    pragma(connection, "foreign_keys=OFF")
    event.listen(connection, "begin", begin_for_writing)
    try:
        context.configure(connection=connection, render_as_batch=True, transactional_ddl=True, **OPTIONS)
        context.run_migrations()
        connection.commit()  # it has read the version even when there was nothing to run
        if broken := pragma(connection, "foreign_key_check"):
            raise RuntimeError(f"the migrations left rows without their parent: {broken[:5]}")
    finally:
        connection.rollback()
        event.remove(connection, "begin", begin_for_writing)
        pragma(connection, f"foreign_keys={enforced}")


def begin_for_writing(connection: Connection) -> None:
    """Python's driver does not begin a transaction before a CREATE or ALTER, which can be rolled back in SQLite."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def pragma(connection: Connection, what: str) -> list[Any]:
    """Run on the driver's connection: in a transaction a pragma would change nothing."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {what}")
        return list(cursor.fetchall())
    finally:
        cursor.close()


def run(handed_in: Connection | AsyncConnection | None) -> None:
    connection = handed_in.sync_connection if isinstance(handed_in, AsyncConnection) else handed_in
    if connection is None or connection.in_transaction():
        raise RuntimeError("hand in a connection that has begun nothing: migrations.apply.upgrade(connection)")
    if connection.dialect.name == "sqlite":
        run_on_sqlite(connection)
    else:
        run_on_postgresql(connection)


if context.is_offline_mode():
    write_sql(context.config.attributes.get("dialect", "postgresql"))
else:
    run(context.config.attributes.get("connection"))
