"""Clients: the relying parties that are registered here, and the copy of them that each process keeps."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import BigInteger, Index, LargeBinary, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Json, Transaction, upsert
from oidc.protocol.client import Client
from oidc.protocol.client_metadata import ClientMetadata
from oidc.revision import Revisions, bump
from oidc.subject import PUBLIC

Source = Literal["file", "import", "registration"]


class ClientRecord(Base):
    __tablename__ = "client"
    __table_args__ = (Index("ix_client_revision", "revision"),)

    client_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    registered: Mapped[dict[str, Any]] = mapped_column(Json)
    """`ClientMetadata`, judged when it was written, read back as it is."""
    secret_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    source: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int] = mapped_column(BigInteger)
    """The number of its last change (oidc/revision.py)."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)


class RegisteredClient(Client, frozen=True):
    """A client as the endpoints need it: the rules' value, and what the row adds to it."""

    secret_digest: bytes | None = None
    subject_sector: str = PUBLIC
    """Under which `oidc.subject` keeps its subjects: its sector, or `PUBLIC`."""


class ListedClient(msgspec.Struct, frozen=True):
    """A client in a list."""

    client_id: str
    client_name: str | None
    profile: str
    source: str
    updated_at: datetime
    disabled_at: datetime | None


_COLUMNS = (ClientRecord.client_id, ClientRecord.registered, ClientRecord.secret_digest, ClientRecord.source)


def _client(row: Any) -> RegisteredClient:
    metadata = msgspec.convert(row.registered, ClientMetadata)
    has_secret, registered_itself = row.secret_digest is not None, row.source == "registration"
    plain = Client(row.client_id, metadata, has_secret, registered_itself)
    sector = PUBLIC if metadata.subject_type == "public" else plain.sector
    return RegisteredClient(row.client_id, metadata, has_secret, registered_itself, row.secret_digest, sector)


class ClientCache:
    """The clients this process has met, each read again when it has changed; at most a second behind."""

    def __init__(self, revisions: Revisions, size: int = 10_000) -> None:
        self._revisions = revisions
        self._size = size
        self._seen = 0
        self._clients: dict[str, RegisteredClient] = {}

    async def find(self, db: Transaction, client_id: str | None, now: datetime) -> RegisteredClient | None:
        """The client, or None when it is unknown, which a disabled one is."""
        # An assertion or a Basic header may name anything; PostgreSQL takes no text with a NUL.
        if not client_id or len(client_id) > 255 or "\0" in client_id:
            return None
        await self._forget_changed(db, now)
        if found := self._clients.get(client_id):
            return found
        seen = self._seen
        row = await db.first(
            select(*_COLUMNS).where(ClientRecord.client_id == client_id, ClientRecord.disabled_at.is_(None))
        )
        if row is None:
            return None
        client = _client(row)
        if seen == self._seen:  # else it may have changed since it was read: the next request reads it again
            if len(self._clients) >= self._size:
                self._clients.clear()
            self._clients[client_id] = client
        return client

    async def _forget_changed(self, db: Transaction, now: datetime) -> None:
        number = await self._revisions.number(db, "client", now)
        if number == self._seen:
            return
        changed = await db.all(select(ClientRecord.client_id).where(ClientRecord.revision > self._seen))
        for row in changed:
            self._clients.pop(row.client_id, None)
        self._seen = number


async def find_client(db: Transaction, client_id: str) -> RegisteredClient | None:
    """The client as it is in the database now, disabled or not: for the command line and the worker."""
    row = await db.first(select(*_COLUMNS).where(ClientRecord.client_id == client_id))
    return None if row is None else _client(row)


async def clients_of(db: Transaction, *, after: str = "", limit: int = 100) -> list[ListedClient]:
    """Every client by its identifier, paged by key."""
    rows = await db.all(
        select(
            ClientRecord.client_id,
            ClientRecord.registered,
            ClientRecord.source,
            ClientRecord.updated_at,
            ClientRecord.disabled_at,
        )
        .where(ClientRecord.client_id > after)
        .order_by(ClientRecord.client_id)
        .limit(limit)
    )
    return [
        ListedClient(
            row.client_id,
            row.registered.get("client_name"),
            row.registered.get("profile", "standard"),
            row.source,
            row.updated_at,
            row.disabled_at,
        )
        for row in rows
    ]


async def put_client(
    db: Transaction,
    client_id: str,
    metadata: ClientMetadata,
    *,
    secret_digest: bytes | None,
    source: Source,
    now: datetime,
) -> Literal["created", "changed", "unchanged"]:
    """Write a client as it shall be. The metadata has passed `read_client_metadata`; whether it is disabled stays."""
    registered: Mapping[str, Any] = msgspec.to_builtins(metadata)
    there = await db.first(
        select(ClientRecord.registered, ClientRecord.secret_digest).where(ClientRecord.client_id == client_id)
    )
    # Through JSON and back: the database gives lists where the value has tuples.
    same = there is not None and there.registered == msgspec.json.decode(msgspec.json.encode(registered))
    if there is not None and same and there.secret_digest == secret_digest:
        return "unchanged"
    number = await bump(db, "client")
    written = {
        "registered": registered,
        "secret_digest": secret_digest,
        "source": source,
        "revision": number,
        "updated_at": now,
    }
    await db.execute(
        upsert(db, ClientRecord)
        .values(client_id=client_id, created_at=now, **written)
        .on_conflict_do_update(index_elements=["client_id"], set_=written)
    )
    return "created" if there is None else "changed"


async def set_disabled(db: Transaction, client_id: str, disabled: bool, now: datetime) -> bool:
    """Disable a client (it is unknown from now on) or enable it again; False when nothing had to change."""
    was = ClientRecord.disabled_at.is_(None) if disabled else ClientRecord.disabled_at.is_not(None)
    number = await bump(db, "client")
    changed = await db.execute(
        update(ClientRecord)
        .where(ClientRecord.client_id == client_id, was)
        .values(disabled_at=now if disabled else None, revision=number, updated_at=now)
    )
    return changed.rowcount == 1
