"""History: what happened to an account, append-only (R62).

The key begins with the time, so that the table can be partitioned by it; rows are linked and sealed later by one
worker, never inline, which would be one lock for a nation.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, new_id
from accounts.vault import DataKey, SealBroken

Kind = Literal[
    "account_created",
    "signed_in",
    "sign_in_failed",
    "signed_out",
    "session_ended",
    "authenticator_added",
    "authenticator_removed",
    "recovery_codes_made",
    "recovery_code_spent",
    "password_changed",
    "password_removed",
    "profile_changed",
    "contact_added",
    "contact_removed",
    "consent_given",
    "consent_refused",
    "consent_withdrawn",
    "service_entered",
    "account_suspended",
    "account_reopened",
    "account_closed",
    "recovery_started",
    "recovery_stopped",
    "recovery_completed",
    "contact_restored",
    "contact_made_primary",
    "not_me",
    "browser_remembered",
    "browser_forgotten",
]
Actor = Literal["citizen", "service", "operator", "system", "stranger"]


class Activity(Base):
    __tablename__ = "activity"
    __table_args__ = (Index("ix_activity_account", "account_id", "id"),)

    at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(16))
    detail: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON: device, roughly where, which service. Unreadable once the data key is destroyed."""


class ActivityView(msgspec.Struct, frozen=True):
    """One event, opened; `detail` is empty once the account was erased."""

    at: datetime
    id: UUID
    kind: Kind
    actor: Actor
    detail: dict[str, Any]


async def record(
    db: Transaction,
    account_id: UUID,
    kind: Kind,
    now: datetime,
    *,
    actor: Actor = "citizen",
    key: DataKey | None = None,
    **detail: str | list[str],
) -> None:
    """Append one event. Whatever says where or who goes into `detail`, which needs the account's data key."""
    activity_id = new_id(now)
    sealed = None
    if detail:
        if key is None:
            raise ValueError("detail is sealed: hand in the account's data key")
        sealed = key.seal("activity.detail", activity_id, msgspec.json.encode(detail))
    await db.execute(
        insert(Activity).values(at=now, id=activity_id, account_id=account_id, kind=kind, actor=actor, detail=sealed)
    )


async def activity_of(
    db: Transaction, key: DataKey, account_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> Sequence[ActivityView]:
    """The account's history, the newest first, paged by key (R44)."""
    query = select(Activity.at, Activity.id, Activity.kind, Activity.actor, Activity.detail).where(
        Activity.account_id == account_id
    )
    if before is not None:
        query = query.where(Activity.id < before)
    return [
        ActivityView(row.at, row.id, row.kind, row.actor, _opened(key, row.id, row.detail))
        for row in await db.all(query.order_by(Activity.id.desc()).limit(limit))
    ]


def _opened(key: DataKey, row: UUID, sealed: bytes | None) -> dict[str, Any]:
    if sealed is None:
        return {}
    try:
        opened: dict[str, Any] = msgspec.json.decode(key.open("activity.detail", row, sealed))
    except SealBroken:
        return {}
    return opened
