"""Clients that registered themselves: who may change each, and the one-time invitations that let one in (RFC 7591)."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, digest, new_id, new_secret
from oidc.client import ClientRecord

Mode = Literal["off", "open", "initial_token", "software_statement"]


class RegistrationPolicy(msgspec.Struct, frozen=True):
    """Whether programs may register clients, and how far that goes."""

    mode: Mode = "off"
    """`open`: anybody; `initial_token`: who was invited; `software_statement`: who brings one of a trusted issuer."""
    require_pkce: bool = True
    """Off, a confidential client that does not say otherwise is registered without (R3): certification plans send
    none."""
    per_address: int = 20
    """Registrations from one address in an hour."""
    max_clients: int = 1000
    """All that registered themselves."""
    statement_issuer: str = ""
    statement_keys: dict[str, Any] = {}
    """The key set of that issuer (RFC 7517)."""


class Registration(Base):
    __tablename__ = "client_registration"

    client_id: Mapped[str] = mapped_column(String(255), ForeignKey("client.client_id"), primary_key=True)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the registration access token: with it the client sees and changes itself and nothing else (RFC 7592)."""
    invitation_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("client_invitation.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)


class Invitation(Base):
    __tablename__ = "client_invitation"
    __table_args__ = (Index("ix_client_invitation_expires", "expires_at"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """Of the initial access token (RFC 7591 section 3)."""
    note: Mapped[str] = mapped_column(String(200))
    """Whom the operator meant it for."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    spent_at: Mapped[datetime | None] = mapped_column(Instant)


class Invited(msgspec.Struct, frozen=True):
    """A new invitation; the token is kept nowhere."""

    token: str
    expires_at: datetime


async def invite(db: Transaction, note: str, lifetime: timedelta, now: datetime) -> Invited:
    """Let one client register itself, once."""
    token = new_secret()
    await db.execute(
        insert(Invitation).values(
            id=new_id(now), digest=digest(token), note=note[:200], created_at=now, expires_at=now + lifetime
        )
    )
    return Invited(token, now + lifetime)


async def find_invitation(db: Transaction, token: str, now: datetime) -> UUID | None:
    """The invitation, if it may still be used."""
    found: UUID | None = await db.scalar(
        select(Invitation.id).where(
            Invitation.digest == digest(token), Invitation.spent_at.is_(None), Invitation.expires_at > now
        )
    )
    return found


async def spend_invitation(db: Transaction, invitation_id: UUID, now: datetime) -> bool:
    """Use it. Of many that race, one may (R78)."""
    spent = await db.execute(
        update(Invitation)
        .where(Invitation.id == invitation_id, Invitation.spent_at.is_(None), Invitation.expires_at > now)
        .values(spent_at=now)
    )
    return spent.rowcount == 1


async def keep_registration(
    db: Transaction, client_id: str, token: str, invitation_id: UUID | None, now: datetime
) -> None:
    """Give a new client the token by which it is changed later."""
    await db.execute(
        insert(Registration).values(
            client_id=client_id, token_digest=digest(token), invitation_id=invitation_id, created_at=now
        )
    )


async def registered_at(db: Transaction, client_id: str, token: str) -> datetime | None:
    """When the client registered itself; None where this is not its token, whoever else's it is, and
    where it was disabled."""
    found: datetime | None = await db.scalar(
        select(Registration.created_at)
        .join(ClientRecord, ClientRecord.client_id == Registration.client_id)
        .where(Registration.client_id == client_id, Registration.token_digest == digest(token))
        .where(ClientRecord.disabled_at.is_(None))
    )
    return found


async def forget_registration(db: Transaction, client_id: str) -> None:
    """Its token is worth nothing any more."""
    await db.execute(delete(Registration).where(Registration.client_id == client_id))


async def count_registrations(db: Transaction) -> int:
    """How many clients that registered themselves there are."""
    found: int = await db.scalar(select(func.count()).select_from(Registration))
    return found
