"""Confirmation codes: six digits sent to a contact, good for ten minutes, five guesses and one acceptance (R24)."""

import secrets
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, String, Uuid, case, insert, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, new_id
from accounts.sweeping import delete_some
from accounts.vault import Vault
from identity.spelling import plain_code

DIGITS = 6
LIFETIME = timedelta(minutes=10)
GUESSES = 5

Purpose = Literal["registration", "contact", "sign_in", "recovery"]


class ConfirmationCode(Base):
    __tablename__ = "confirmation_code"
    __table_args__ = (Index("ix_confirmation_code_bound_to", "bound_to", "purpose"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    bound_to: Mapped[bytes] = mapped_column(LargeBinary)
    """What asked for it (a registration, a sign-in): nothing else can use it."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    contact: Mapped[bytes] = mapped_column(LargeBinary)
    """Blind index of the address it was sent to."""
    account_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class Confirmed(msgspec.Struct, frozen=True):
    """A code was accepted: it had been sent to this contact (blind index), for this account if there was one."""

    contact: bytes
    account_id: UUID | None


def _digest(vault: Vault, purpose: Purpose, bound_to: bytes, code: str) -> bytes:
    return vault.mac("confirmation_code", b"\0".join((purpose.encode(), bound_to, plain_code(code).encode())))


async def issue(
    db: Transaction,
    vault: Vault,
    *,
    purpose: Purpose,
    bound_to: bytes,
    contact: bytes,
    account_id: UUID | None,
    now: datetime,
) -> str:
    """A new code, to be sent by the caller. Earlier ones for the same purpose and asker end."""
    await db.execute(
        update(ConfirmationCode)
        .where(ConfirmationCode.bound_to == bound_to, ConfirmationCode.purpose == purpose)
        .where(ConfirmationCode.used_at.is_(None), ConfirmationCode.expires_at > now)
        .values(expires_at=now)
    )
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    await db.execute(
        insert(ConfirmationCode).values(
            id=new_id(now),
            purpose=purpose,
            bound_to=bound_to,
            digest=_digest(vault, purpose, bound_to, code),
            contact=contact,
            account_id=account_id,
            attempts=0,
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    return code


async def spend(
    db: Transaction, vault: Vault, *, purpose: Purpose, bound_to: bytes, code: str, now: datetime
) -> Confirmed | None:
    """Spend a code in any spelling; None when it is wrong, used, late or guessed at too often.

    One statement counts the guess and judges it: of many that race, the database lets one through."""
    right = ConfirmationCode.digest == _digest(vault, purpose, bound_to, code)
    judged = await db.execute(
        update(ConfirmationCode)
        .where(ConfirmationCode.bound_to == bound_to, ConfirmationCode.purpose == purpose)
        .where(ConfirmationCode.used_at.is_(None), ConfirmationCode.expires_at > now)
        .where(ConfirmationCode.attempts < GUESSES)
        .values(attempts=ConfirmationCode.attempts + 1, used_at=case((right, now), else_=None))
        .returning(ConfirmationCode.used_at, ConfirmationCode.contact, ConfirmationCode.account_id)
    )
    accepted = [row for row in judged.all() if row.used_at is not None]
    return Confirmed(accepted[0].contact, accepted[0].account_id) if accepted else None


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete codes that ran out a day ago. Guesses are counted by the throttle as well, which forgets by the day."""
    over = ConfirmationCode.expires_at <= now - timedelta(days=1)
    return await delete_some(db, ConfirmationCode, ConfirmationCode.id, over, ConfirmationCode.id)
