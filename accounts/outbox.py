"""The outbox: work due after commit, written in the transaction that causes it, retried, given up loudly."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Index, Integer, LargeBinary, String, Uuid, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, new_id
from accounts.sweeping import delete_some
from accounts.vault import SealBroken, Vault

MAX_ATTEMPTS = 12
"""With the backoff below the last try is about a day after the first."""
LEASE = timedelta(seconds=60)
KEPT = {"done": timedelta(days=1), "gave_up": timedelta(days=30)}
"""How long finished work stays on record: what was given up is for an operator to see."""
UNREADABLE = "unreadable"

AT_ONCE = 1000
"""Rows of one statement: databases have a limit for its values."""


class Outbox(Base):
    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_due",
            "due_at",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed by the vault: it carries codes and addresses (R66), also where no account exists."""
    due_at: Mapped[datetime] = mapped_column(Instant)
    """When it may next be leased; a lease moves it forward, so that a dead worker's row comes back by itself."""
    attempts: Mapped[int] = mapped_column(Integer)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    outcome: Mapped[str | None] = mapped_column(String(16))
    """`done` or `gave_up`."""
    last_error: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Instant)


class Leased(msgspec.Struct, frozen=True):
    """One piece of work, held for `LEASE`. `attempt` counts from 1."""

    id: UUID
    kind: str
    payload: dict[str, Any]
    attempt: int
    created_at: datetime


async def enqueue(
    db: Transaction, vault: Vault, kind: str, payload: dict[str, Any], now: datetime, *, due_at: datetime | None = None
) -> UUID:
    """Write work down in the caller's transaction: it happens if and only if that commits."""
    row = _row(vault, kind, payload, now, due_at or now)
    await db.execute(insert(Outbox).values(row))
    work_id: UUID = row["id"]
    return work_id


async def enqueue_all(
    db: Transaction, vault: Vault, kind: str, payloads: Sequence[dict[str, Any]], now: datetime
) -> None:
    """The same for many of a kind, a thousand in one statement."""
    for start in range(0, len(payloads), AT_ONCE):
        some = payloads[start : start + AT_ONCE]
        await db.execute(insert(Outbox).values([_row(vault, kind, payload, now, now) for payload in some]))


def _row(vault: Vault, kind: str, payload: dict[str, Any], now: datetime, due_at: datetime) -> dict[str, Any]:
    work_id = new_id(now)
    sealed = vault.seal("outbox.payload", work_id, msgspec.json.encode(payload))
    return {
        "id": work_id, "kind": kind, "payload": sealed, "due_at": due_at, "attempts": 0, "created_at": now,
    }  # fmt: skip


async def lease(db: Transaction, vault: Vault, now: datetime, limit: int = 10) -> Sequence[Leased]:
    """Take due work, committed before this returns. Of many workers each row goes to one (SKIP LOCKED)."""
    due = select(Outbox.id).where(Outbox.finished_at.is_(None), Outbox.due_at <= now).order_by(Outbox.due_at)
    due = due.limit(limit)
    if db.dialect == "postgresql":
        due = due.with_for_update(skip_locked=True)
    taken = (
        await db.alone(
            update(Outbox)
            .where(Outbox.id.in_(due.scalar_subquery()), Outbox.due_at <= now)
            .values(due_at=now + LEASE, attempts=Outbox.attempts + 1)
            .returning(Outbox.id, Outbox.kind, Outbox.payload, Outbox.attempts, Outbox.created_at)
        )
    ).all()
    return [Leased(row.id, *_opened(vault, row), row.attempts, row.created_at) for row in taken]


def _opened(vault: Vault, row: Any) -> tuple[str, dict[str, Any]]:
    """Kind and payload. One that does not open is a kind nobody handles: tried again, given up loudly, and no reason
    for the rows leased with it to wait."""
    try:
        return row.kind, msgspec.json.decode(vault.open("outbox.payload", row.id, row.payload))
    except SealBroken:
        return UNREADABLE, {}


async def finish(db: Transaction, work: Leased, now: datetime) -> None:
    """Done. The payload is emptied: nothing personal stays behind."""
    await db.execute(
        update(Outbox)
        .where(Outbox.id == work.id, Outbox.finished_at.is_(None))
        .values(finished_at=now, outcome="done", payload=b"")
    )


async def postpone(db: Transaction, work: Leased, error: str, now: datetime) -> bool:
    """Try again later, at most `MAX_ATTEMPTS` times; False when it was given up. `error` holds nothing personal."""
    if work.attempt >= MAX_ATTEMPTS:
        await db.execute(
            update(Outbox)
            .where(Outbox.id == work.id, Outbox.finished_at.is_(None))
            .values(finished_at=now, outcome="gave_up", last_error=error[:200], payload=b"")
        )
        return False
    wait = timedelta(seconds=min(5 * 4 ** (work.attempt - 1), 4 * 3600))
    await db.execute(update(Outbox).where(Outbox.id == work.id).values(due_at=now + wait, last_error=error[:200]))
    return True


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete finished work of days gone by; what waits stays, however old."""
    over = [(Outbox.outcome == outcome) & (Outbox.finished_at <= now - kept) for outcome, kept in KEPT.items()]
    return await delete_some(db, Outbox, Outbox.id, or_(*over), Outbox.id)
