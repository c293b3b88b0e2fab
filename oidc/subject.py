"""Subjects: how a sector knows a citizen; random, stable, never reused (OpenID Connect Core section 8, R10)."""

from base64 import urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, Uuid, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, insert_ignoring, new_secret
from accounts.vault import Vault

PUBLIC = ""
"""The sector of all clients that are registered for public subjects."""


class Subject(Base):
    __tablename__ = "subject"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"), primary_key=True)
    sector: Mapped[str] = mapped_column(String(512), primary_key=True)
    sub: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(Instant)


async def subject_of(db: Transaction, account_id: UUID, sector: str, now: datetime) -> str:
    """How the sector knows this citizen; made at the first meeting. Of two first meetings at once, one decides."""
    whose = {"whose": account_id, "where": sector}
    found: str | None = await db.scalar(_KNOWN, whose)
    if found is not None:
        return found
    made: str | None = await db.scalar(
        insert_ignoring(db, Subject)
        .values(account_id=account_id, sector=sector, sub=new_secret(24), created_at=now)
        .returning(Subject.sub)
    )
    if made is not None:
        return made
    there: str = await db.scalar(_KNOWN, whose)
    return there


_KNOWN = select(Subject.sub).where(
    Subject.account_id == bindparam("whose", type_=Uuid()), Subject.sector == bindparam("where", type_=String())
)


async def find_account_by_subject(db: Transaction, sector: str, sub: str) -> UUID | None:
    """Whose `sub` this is in this sector: for comparing a hint with the citizen at the keyboard, never for access."""
    found: UUID | None = await db.scalar(select(Subject.account_id).where(Subject.sub == sub, Subject.sector == sector))
    return found


def sid_of(vault: Vault, session_id: UUID, sector: str) -> str:
    """How the sector knows a session: derived, so that two sectors cannot link a citizen by it."""
    return urlsafe_b64encode(vault.mac("sid", session_id.bytes + sector.encode())[:18]).decode()
