"""Requests that wait for a citizen on another device: device authorization (RFC 8628) and CIBA, answered once.

The client polls with a secret; the citizen answers on a page of ours. The grant that an approval makes belongs to no
browser session: it stands for as long as the agreement does.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Uuid,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, digest, insert_ignoring, new_id, new_secret
from accounts.vault import Vault

Kind = Literal["device", "ciba"]
Answer = Literal["granted", "refused"]


class WaitingRequest(Base):
    __tablename__ = "waiting_request"
    __table_args__ = (
        Index("ix_waiting_request_expires", "expires_at"),
        Index(
            "ix_waiting_request_account",
            "account_id",
            sqlite_where=text("account_id IS NOT NULL AND answer IS NULL"),
            postgresql_where=text("account_id IS NOT NULL AND answer IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """Of what the client polls with: `device_code` or `auth_req_id`."""
    user_code: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    """Keyed digest of what the citizen types: so short a code could be guessed from a plain one. Null once answered."""
    client_id: Mapped[str] = mapped_column(String(255), ForeignKey("client.client_id"))
    account_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    """Whom it is about; null while nobody knows, and for good where a hint names nobody."""
    browser: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Digest of the cookie of the browser in which the code was typed: no other sees the question."""
    request: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: what was asked, and from where."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    interval: Mapped[int] = mapped_column(Integer)
    """Seconds that the client must leave between two polls."""
    polled_at: Mapped[datetime | None] = mapped_column(Instant)
    answer: Mapped[str | None] = mapped_column(String(8))
    answered_at: Mapped[datetime | None] = mapped_column(Instant)
    grant_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("oidc_grant.id"))
    redeemed_at: Mapped[datetime | None] = mapped_column(Instant)


class AskedFor(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the client asked: scopes and details (RFC 9396), the levels that would do, and what the citizen compares
    with the other device.
    `address` is where the request came from; `token` is CIBA's
    `client_notification_token`, and `secret` the `auth_req_id`, kept where the client is told by it."""

    scope: tuple[str, ...]
    acr_values: tuple[str, ...] = ()
    message: str | None = None
    token: str | None = None
    secret: str | None = None
    address: str = ""
    details: tuple[dict[str, Any], ...] = ()


class Waiting(msgspec.Struct, frozen=True):
    """One request, opened."""

    id: UUID
    kind: Kind
    client_id: str
    account_id: UUID | None
    browser: bytes | None
    asked: AskedFor
    created_at: datetime
    expires_at: datetime
    answer: Answer | None


class Opened(msgspec.Struct, frozen=True):
    """A new request: its id, and the secret that only the client gets."""

    id: UUID
    secret: str


_COLUMNS = (
    WaitingRequest.id,
    WaitingRequest.kind,
    WaitingRequest.client_id,
    WaitingRequest.account_id,
    WaitingRequest.browser,
    WaitingRequest.request,
    WaitingRequest.created_at,
    WaitingRequest.expires_at,
    WaitingRequest.answer,
)
PLACE = "waiting_request.request"


async def open_request(
    db: Transaction,
    vault: Vault,
    kind: Kind,
    client_id: str,
    asked: AskedFor,
    *,
    lifetime: timedelta,
    interval: timedelta,
    now: datetime,
    user_code: str | None = None,
    account_id: UUID | None = None,
) -> Opened | None:
    """Keep a request; None where another one waits under the same user code."""
    request_id, secret = new_id(now), new_secret()
    if asked.token is not None:
        asked = msgspec.structs.replace(asked, secret=secret)
    kept = await db.scalar(
        insert_ignoring(db, WaitingRequest)
        .values(
            id=request_id,
            kind=kind,
            digest=digest(secret),
            user_code=user_code and _hidden(vault, user_code),
            client_id=client_id,
            account_id=account_id,
            request=vault.seal(PLACE, request_id, msgspec.json.encode(asked)),
            created_at=now,
            expires_at=now + lifetime,
            interval=int(interval.total_seconds()),
        )
        .returning(WaitingRequest.id)
    )
    return Opened(request_id, secret) if kept is not None else None


async def find_request(db: Transaction, vault: Vault, request_id: UUID) -> Waiting | None:
    """The request, whatever has become of it."""
    return _opened(vault, await db.first(select(*_COLUMNS).where(WaitingRequest.id == request_id)))


async def take_by_code(db: Transaction, vault: Vault, user_code: str, browser: bytes, now: datetime) -> UUID | None:
    """The request whose code was typed, from now on this browser's; None where no such code waits. Typed again
    elsewhere it moves there: whoever has the screen before them has the code."""
    taken: UUID | None = await db.scalar(
        update(WaitingRequest)
        .where(WaitingRequest.user_code == _hidden(vault, user_code), _is_open(now))
        .values(browser=browser)
        .returning(WaitingRequest.id)
    )
    return taken


async def waiting_for(db: Transaction, vault: Vault, account_id: UUID, now: datetime, limit: int = 20) -> list[Waiting]:
    """What services ask of this citizen now (CIBA), the newest first."""
    rows = await db.all(
        select(*_COLUMNS)
        .where(WaitingRequest.account_id == account_id, WaitingRequest.kind == "ciba", _is_open(now))
        .order_by(WaitingRequest.id.desc())
        .limit(limit)
    )
    return [found for row in rows if (found := _opened(vault, row)) is not None]


async def settle(
    db: Transaction, request_id: UUID, account_id: UUID, answer: Answer, now: datetime, grant_id: UUID | None = None
) -> bool:
    """The citizen's answer. Of many that race, one counts; False for all others, and after its time (R78)."""
    whose = WaitingRequest.account_id.is_(None) | (WaitingRequest.account_id == account_id)
    settled = await db.execute(
        update(WaitingRequest)
        .where(WaitingRequest.id == request_id, _is_open(now), whose)
        .values(answer=answer, answered_at=now, account_id=account_id, grant_id=grant_id, user_code=None)
    )
    return settled.rowcount == 1


def _is_open(now: datetime) -> ColumnElement[bool]:
    return WaitingRequest.answer.is_(None) & (WaitingRequest.expires_at > now)


def _opened(vault: Vault, row: Any) -> Waiting | None:
    if row is None:
        return None
    asked = msgspec.json.decode(vault.open(PLACE, row.id, row.request), type=AskedFor)
    return Waiting(
        row.id,
        cast(Kind, row.kind),
        row.client_id,
        row.account_id,
        row.browser,
        asked,
        row.created_at,
        row.expires_at,
        row.answer,
    )


def _hidden(vault: Vault, user_code: str) -> bytes:
    return vault.mac("user_code", user_code.encode())


IS_NAMED = (WaitingRequest.digest == bindparam("presented", type_=LargeBinary())) & (
    WaitingRequest.kind == bindparam("of_kind", type_=String())
)
"""The request that a secret names, whoever has it."""
IS_PRESENTED = IS_NAMED & (WaitingRequest.client_id == bindparam("by", type_=String()))
"""The request that a client polls for."""
