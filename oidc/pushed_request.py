"""Pushed authorization requests: handed in behind the browser's back, answered once (RFC 9126, R5)."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Index, LargeBinary, String, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, digest, new_secret
from accounts.vault import Vault

PREFIX = "urn:ietf:params:oauth:request_uri:"


class PushedRequest(Base):
    __tablename__ = "pushed_request"
    __table_args__ = (Index("ix_pushed_request_expires", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255))
    request: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: hints and claims name people."""
    pushed_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    """Until then a browser may begin with it; who has begun may take as long as an interaction lasts."""
    completed_at: Mapped[datetime | None] = mapped_column(Instant)


class Pushed(msgspec.Struct, frozen=True):
    """A request that was pushed. `key` names it; `request` is what `push` was given."""

    key: bytes
    client_id: str
    request: bytes
    expires_at: datetime
    completed_at: datetime | None


async def push(
    db: Transaction, vault: Vault, client_id: str, request: bytes, lifetime: timedelta, now: datetime
) -> str:
    """Keep a judged request; the `request_uri` that stands for it. One statement, committed when this returns."""
    name = new_secret()
    key = digest(name)
    await db.alone(
        _INSERT,
        {
            "digest": key,
            "client_id": client_id,
            "request": vault.seal("pushed_request.request", key, request),
            "pushed_at": now,
            "expires_at": now + lifetime,
        },
    )
    return PREFIX + name


async def find_pushed(db: Transaction, vault: Vault, request_uri: str) -> Pushed | None:
    """The request, whatever has become of it; None where the `request_uri` is not one of ours."""
    key = digest(request_uri.removeprefix(PREFIX))
    row = await db.first(_FIND, {"digest": key})
    if row is None:
        return None
    request = vault.open("pushed_request.request", key, row.request)
    return Pushed(key, row.client_id, request, row.expires_at, row.completed_at)


async def complete_pushed(db: Transaction, key: bytes, now: datetime) -> bool:
    """Answer it. Of many tabs that race, one may send the answer; False for all others (RFC 9126 section 7.3)."""
    return (await db.execute(_COMPLETE, {"key": key, "now": now})).rowcount == 1


_INSERT = insert(PushedRequest)
_FIND = select(
    PushedRequest.client_id, PushedRequest.request, PushedRequest.expires_at, PushedRequest.completed_at
).where(PushedRequest.digest == bindparam("digest", type_=LargeBinary()))
_COMPLETE = (
    update(PushedRequest)
    .where(PushedRequest.digest == bindparam("key", type_=LargeBinary()), PushedRequest.completed_at.is_(None))
    .values(completed_at=bindparam("now", type_=Instant()))
)
