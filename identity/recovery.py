"""Recovery: an account waits to get a new way to sign in; everybody hears of it, anybody stops it (R50, R51)."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, ForeignKey, Index, String, Uuid, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import data_key_of
from accounts.activity import record
from accounts.database import Base, Instant, Transaction, insert_ignoring, new_id
from accounts.outbox import Leased, enqueue
from accounts.sweeping import delete_some
from accounts.vault import Vault
from identity.notice import Detail, detail_of, tell
from identity.session import Device

STANDS = timedelta(days=7)
"""How long a recovery that is ready waits for its citizen."""
RECOVERY_READY = "recovery_ready"
"""The outbox event of a waiting time that is over."""


class RecoveryPolicy(msgspec.Struct, frozen=True):
    """R51: a day or more, so that whoever owns the contacts hears of it in time."""

    wait: timedelta = timedelta(hours=24)


class Recovery(Base):
    __tablename__ = "recovery"
    __table_args__ = (
        Index(
            "uq_recovery_running",
            "account_id",
            unique=True,
            sqlite_where=text("completed_at IS NULL AND stopped_at IS NULL"),
            postgresql_where=text("completed_at IS NULL AND stopped_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    proof: Mapped[str] = mapped_column(String(16))
    """What it stands on: `contacts`, or a `case` of the support desk."""
    started_at: Mapped[datetime] = mapped_column(Instant)
    ready_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    password_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the new password was set; an app or a passkey may have to follow."""
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    stopped_at: Mapped[datetime | None] = mapped_column(Instant)


class Running(msgspec.Struct, frozen=True):
    """A recovery that was neither completed nor stopped."""

    id: UUID
    account_id: UUID
    started_at: datetime
    ready_at: datetime
    expires_at: datetime
    password_at: datetime | None


def is_running() -> ColumnElement[bool]:
    """Neither completed nor stopped; whoever leans on it asks for its time as well."""
    return Recovery.completed_at.is_(None) & Recovery.stopped_at.is_(None)


async def running_of(db: Transaction, account_id: UUID, now: datetime) -> Running | None:
    """The account's recovery, if one runs."""
    row = await db.first(
        select(*(getattr(Recovery, name) for name in Running.__struct_fields__)).where(
            Recovery.account_id == account_id, is_running(), Recovery.expires_at > now
        )
    )
    return None if row is None else Running(**row._mapping)


async def start(
    db: Transaction, vault: Vault, account_id: UUID, device: Device, policy: RecoveryPolicy, now: datetime
) -> None:
    """Begin the waiting time and tell every contact. Does nothing where one runs already: it does not begin anew."""
    await db.execute(
        update(Recovery)
        .where(Recovery.account_id == account_id, is_running(), Recovery.expires_at <= now)
        .values(stopped_at=now)
    )
    started = await db.execute(
        insert_ignoring(db, Recovery)
        .values(
            id=new_id(now),
            account_id=account_id,
            proof="contacts",
            started_at=now,
            ready_at=now + policy.wait,
            expires_at=now + policy.wait + STANDS,
        )
        .returning(Recovery.id)
    )
    row = started.first()
    if row is None:
        return
    key = await data_key_of(db, vault, account_id)
    detail, ready = detail_of(device), f"{now + policy.wait:%Y-%m-%d %H:%M} UTC"
    await record(
        db,
        account_id,
        "recovery_started",
        now,
        actor="stranger",
        key=key,
        device=detail.device,
        address=detail.address,
    )
    await tell(db, vault, key, account_id, "recovery_started", detail, now, ready=ready)
    work = {"recovery": str(row.id)}
    await enqueue(db, vault, RECOVERY_READY, work, now, due_at=now + policy.wait)


async def announce_ready(db: Transaction, vault: Vault, work: Leased, now: datetime) -> None:
    """The waiting time is over: tell every contact, unless it was stopped meanwhile."""
    running = await db.first(
        select(Recovery.account_id).where(Recovery.id == UUID(work.payload["recovery"]), is_running())
    )
    if running is not None:
        key = await data_key_of(db, vault, running.account_id)
        await tell(db, vault, key, running.account_id, "recovery_ready", Detail(), now)


async def stop(db: Transaction, account_id: UUID, now: datetime) -> bool:
    """Stop it, whoever says so. False when none ran."""
    stopped = await db.execute(
        update(Recovery).where(Recovery.account_id == account_id, is_running()).values(stopped_at=now)
    )
    if stopped.rowcount:
        await record(db, account_id, "recovery_stopped", now, actor="stranger")
    return stopped.rowcount > 0


async def mark_password(db: Transaction, running: Running, now: datetime) -> bool:
    """The new password is being set, by this request alone."""
    marked = await db.execute(
        update(Recovery)
        .where(Recovery.id == running.id, is_running(), Recovery.password_at.is_(None))
        .where(Recovery.ready_at <= now, Recovery.expires_at > now)
        .values(password_at=now)
    )
    return marked.rowcount == 1


async def complete(db: Transaction, running: Running, now: datetime) -> bool:
    """End it. Of many that race, and against a stop, the database lets one through."""
    completed = await db.execute(
        update(Recovery)
        .where(Recovery.id == running.id, is_running(), Recovery.ready_at <= now, Recovery.expires_at > now)
        .values(completed_at=now)
    )
    return completed.rowcount == 1


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete recoveries that were over thirty days ago; the account's history keeps what happened."""
    end = now - timedelta(days=30)
    over = (Recovery.completed_at <= end) | (Recovery.stopped_at <= end) | (Recovery.expires_at <= end)
    return await delete_some(db, Recovery, Recovery.id, over, Recovery.id)
