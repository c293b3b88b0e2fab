"""Signing out, across the moment when the session is gone: what a service asked, and what the citizen may read after.

Each is kept under a random address, because no cookie can lead to it: a cross-site POST brings none, and once the
session has ended none is left.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Index, LargeBinary, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, digest, new_secret
from accounts.vault import Vault

LIFETIME = timedelta(minutes=30)


class SignOut(Base):
    __tablename__ = "sign_out"
    __table_args__ = (Index("ix_sign_out_expires_at", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Of the random part of the address, which is kept nowhere."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of `Asked` or `Ended`."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A request that came by POST, waiting for the GET that brings the cookies."""

    parameters: dict[str, tuple[str, ...]]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A sign-out that has happened. `return_to` is the registered address of the service that asked, `state` added."""

    session_id: UUID
    client_id: str | None
    return_to: str | None
    leads_on: bool = False
    """Whether the page goes there by itself: the service that asked was the only one and has proved to be it."""
    everywhere: bool = False
    """Whether every other session of the account ended with it."""


async def keep(db: Transaction, vault: Vault, content: Asked | Ended, now: datetime) -> str:
    """Keep it for half an hour; returns the random part of its address."""
    secret = new_secret()
    key = digest(secret)
    sealed = vault.seal("sign_out.content", key, msgspec.json.encode(content))
    await db.execute(insert(SignOut).values(digest=key, content=sealed, created_at=now, expires_at=now + LIFETIME))
    return secret


async def find_kept(db: Transaction, vault: Vault, secret: str, now: datetime) -> Asked | Ended | None:
    """What is kept under this address, or None when it has expired or never was."""
    key = digest(secret)
    sealed = await db.scalar(select(SignOut.content).where(SignOut.digest == key, SignOut.expires_at > now))
    if sealed is None:
        return None
    kept: Asked | Ended = msgspec.json.decode(vault.open("sign_out.content", key, sealed), type=Asked | Ended)
    return kept
