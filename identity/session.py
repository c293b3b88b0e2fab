"""Sessions: one browser's sign-in, alive until it is ended, idle too long, or at its absolute limit (R40-R42)."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, Uuid, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import Account
from accounts.database import Base, Instant, Json, Transaction, digest, new_id, new_secret
from accounts.outbox import enqueue, enqueue_all
from accounts.vault import DataKey, SealBroken, Vault

EndReason = Literal[
    "signed_out", "ended_by_citizen", "replaced", "credentials_changed", "suspended", "recovered", "not_me"
]


SESSION_ENDED = "session_ended"
"""The outbox event of a session that was ended (one that runs out makes none): `{"session_id": ...}`."""


class SessionPolicy(msgspec.Struct, frozen=True):
    """How long a sign-in lasts (stricter than NIST SP 800-63B-4 at AAL2)."""

    absolute: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(minutes=30)
    fresh: timedelta = timedelta(minutes=5)
    """How recent a sign-in must be for what changes the account (R30)."""


class Session(Base):
    __tablename__ = "session"
    __table_args__ = (Index("ix_session_account", "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    secret_digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """Of the cookie's secret, which is new at sign-in and at step-up while the row and its `sid` stay."""
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    browser: Mapped[bytes] = mapped_column(LargeBinary)
    """Digest of the browser's own cookie."""
    acr: Mapped[str] = mapped_column(String(64))
    amr: Mapped[list[str]] = mapped_column(Json)
    auth_time: Mapped[datetime] = mapped_column(Instant)
    device: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of `Device`."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    seen_at: Mapped[datetime] = mapped_column(Instant)
    alive_until: Mapped[datetime] = mapped_column(Instant)
    """The nearer of the idle and the absolute limit; moved when the session is used."""
    ends_at: Mapped[datetime] = mapped_column(Instant)
    """The absolute limit."""
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    end_reason: Mapped[str | None] = mapped_column(String(24))


class Device(msgspec.Struct, frozen=True):
    """What the citizen recognises a session by."""

    user_agent: str
    address: str


class SessionView(msgspec.Struct, frozen=True):
    """A live session and the state of the account it belongs to."""

    id: UUID
    account_id: UUID
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    seen_at: datetime
    alive_until: datetime
    ends_at: datetime
    account_state: str
    locale: str | None


class ListedSession(msgspec.Struct, frozen=True):
    """A live session as its owner sees it in a list; `device` is None when it cannot be opened."""

    id: UUID
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    seen_at: datetime
    device: Device | None


def is_alive(now: datetime) -> ColumnElement[bool]:
    """The one condition under which a session counts; every query that leans on a session uses it."""
    return Session.ended_at.is_(None) & (Session.alive_until > now)


SESSION_COLUMNS = (
    Session.id,
    Session.account_id,
    Session.acr,
    Session.amr,
    Session.auth_time,
    Session.seen_at,
    Session.alive_until,
    Session.ends_at,
    Account.state.label("account_state"),
    Account.locale,
)


async def find_session(db: Transaction, secret: str | None, now: datetime) -> SessionView | None:
    """The live session behind a cookie. The account may be suspended: whoever lets a citizen act looks at its state."""
    if not secret or len(secret) > 128:
        return None
    row = await db.first(
        select(*SESSION_COLUMNS)
        .join(Account, Account.id == Session.account_id)
        .where(Session.secret_digest == digest(secret), is_alive(now))
    )
    return None if row is None else _view(row)


def _view(row: Any) -> SessionView:
    return SessionView(
        id=row.id,
        account_id=row.account_id,
        acr=row.acr,
        amr=tuple(row.amr),
        auth_time=row.auth_time,
        seen_at=row.seen_at,
        alive_until=row.alive_until,
        ends_at=row.ends_at,
        account_state=row.account_state,
        locale=row.locale,
    )


def is_due_for_touch(session: SessionView, policy: SessionPolicy, now: datetime) -> bool:
    """Whether using the session should move its idle limit: at most once in a thirtieth of that limit,
    so that a busy session costs few writes."""
    return now - session.seen_at > policy.idle / 30


async def touch(db: Transaction, session: SessionView, policy: SessionPolicy, now: datetime) -> None:
    """Move the idle limit of a live session."""
    await db.execute(
        update(Session)
        .where(Session.id == session.id, is_alive(now))
        .values(seen_at=now, alive_until=min(now + policy.idle, session.ends_at))
    )


async def start(
    db: Transaction,
    key: DataKey,
    account_id: UUID,
    *,
    browser: bytes,
    acr: str,
    amr: Collection[str],
    device: Device,
    policy: SessionPolicy,
    now: datetime,
    auth_time: datetime | None = None,
    secret: str | None = None,
) -> tuple[UUID, str]:
    """A new session: its id and the secret for the cookie, which is kept nowhere. `auth_time` is given where the last
    proof is older than now, `secret` by whoever can make it again."""
    session_id, secret = new_id(now), secret or new_secret()
    await db.execute(
        insert(Session).values(
            id=session_id,
            secret_digest=digest(secret),
            account_id=account_id,
            browser=browser,
            acr=acr,
            amr=list(amr),
            auth_time=auth_time or now,
            device=key.seal("session.device", session_id, msgspec.json.encode(device)),
            created_at=now,
            seen_at=now,
            alive_until=min(now + policy.idle, now + policy.absolute),
            ends_at=now + policy.absolute,
        )
    )
    return session_id, secret


async def raise_to(
    db: Transaction,
    session: SessionView,
    *,
    acr: str,
    amr: Collection[str],
    policy: SessionPolicy,
    now: datetime,
    auth_time: datetime | None = None,
    secret: str | None = None,
) -> str | None:
    """The same citizen proved more, or proved it again: the row, its `sid` and its grants stay, the secret is new.
    `auth_time` is given where the last proof is older than now. Returns the new secret, or None when the session
    ended meanwhile."""
    secret = secret or new_secret()
    raised = await db.execute(
        update(Session)
        .where(Session.id == session.id, Session.account_id == session.account_id, is_alive(now))
        .values(
            secret_digest=digest(secret),
            acr=acr,
            amr=list(amr),
            auth_time=auth_time or now,
            seen_at=now,
            alive_until=min(now + policy.idle, session.ends_at),
        )
    )
    return secret if raised.rowcount == 1 else None


async def end(
    db: Transaction,
    vault: Vault,
    session_id: UUID,
    reason: EndReason,
    now: datetime,
    *,
    account_id: UUID | None = None,
) -> bool:
    """End one session (with `account_id`: one of that account); every grant that leans on it is dead at once.
    False when it was not alive any more."""
    ending = update(Session).where(Session.id == session_id, is_alive(now))
    if account_id is not None:
        ending = ending.where(Session.account_id == account_id)
    ended = await db.execute(ending.values(ended_at=now, end_reason=reason))
    if ended.rowcount == 1:
        await enqueue(db, vault, SESSION_ENDED, {"session_id": str(session_id)}, now)
    return ended.rowcount == 1


async def end_all(
    db: Transaction, vault: Vault, account_id: UUID, reason: EndReason, now: datetime, *, but: UUID | None = None
) -> Sequence[UUID]:
    """End every live session of an account, but for one; the ids of those that ended."""
    ending = update(Session).where(Session.account_id == account_id, is_alive(now))
    if but is not None:
        ending = ending.where(Session.id != but)
    ended = await db.execute(ending.values(ended_at=now, end_reason=reason).returning(Session.id))
    ids = [row.id for row in ended]
    await enqueue_all(db, vault, SESSION_ENDED, [{"session_id": str(session_id)} for session_id in ids], now)
    return ids


async def sessions_of(
    db: Transaction, key: DataKey, account_id: UUID, now: datetime, *, before: UUID | None = None, limit: int = 50
) -> list[ListedSession]:
    """The account's live sessions, the newest first, paged by key (R44)."""
    query = select(
        Session.id, Session.acr, Session.amr, Session.auth_time, Session.created_at, Session.seen_at, Session.device
    ).where(Session.account_id == account_id, is_alive(now))
    if before is not None:
        query = query.where(Session.id < before)
    return [
        ListedSession(
            row.id,
            row.acr,
            tuple(row.amr),
            row.auth_time,
            row.created_at,
            row.seen_at,
            _device(key, row.id, row.device),
        )
        for row in await db.all(query.order_by(Session.id.desc()).limit(limit))
    ]


def _device(key: DataKey, row: UUID, sealed: bytes) -> Device | None:
    try:
        return msgspec.json.decode(key.open("session.device", row, sealed), type=Device)
    except SealBroken:
        return None
