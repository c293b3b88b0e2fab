"""Deleting what has run out: small batches, oldest first, so that a sweep never holds up a request."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from accounts.database import Base, Transaction

Sweep = Callable[[Transaction, datetime], Awaitable[int]]
"""Deletes at most `BATCH` rows of one table; how many went. Each noun's module has its own, and says there what has to
stay and why."""

BATCH = 500


async def delete_some(
    db: Transaction,
    table: type[Base],
    key: InstrumentedAttribute[Any],
    where: ColumnElement[bool],
    order: InstrumentedAttribute[Any],
    limit: int = BATCH,
) -> int:
    """Delete the first rows in this order that fulfil the condition, as one statement of its own. Rows that another
    sweeper holds are left to it."""
    some = select(key).where(where).order_by(order).limit(limit)
    if db.dialect == "postgresql":
        some = some.with_for_update(skip_locked=True, of=table)
    return (await db.alone(delete(table).where(key.in_(some.scalar_subquery())))).rowcount
