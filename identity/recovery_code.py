"""Recovery codes: ten, printed once, each spent once (NIST SP 800-63B-4 section 3.1.2, look-up secrets)."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Uuid, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, new_id
from accounts.vault import Vault
from identity.spelling import plain_code

COUNT = 10
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_LENGTH = 16  # of 5 bits: 80
_LOOKALIKES = str.maketrans("OIL", "011")


class RecoveryCode(Base):
    __tablename__ = "recovery_code"
    __table_args__ = (Index("uq_recovery_code_digest", "account_id", "digest", unique=True),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(Instant)
    spent_at: Mapped[datetime | None] = mapped_column(Instant)


def _digest(vault: Vault, account_id: UUID, code: str) -> bytes:
    return vault.mac("recovery_code", account_id.bytes + plain_code(code).translate(_LOOKALIKES).encode())


async def make_codes(db: Transaction, vault: Vault, account_id: UUID, now: datetime) -> list[str]:
    """Ten new codes in place of all earlier ones. They are shown once: only their keyed hashes are kept."""
    plain = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(COUNT)]
    await keep_codes(db, vault, account_id, plain, now)
    return ["-".join(code[i : i + 4] for i in range(0, _LENGTH, 4)) for code in plain]


async def keep_codes(db: Transaction, vault: Vault, account_id: UUID, codes: Sequence[str], now: datetime) -> None:
    """Have exactly these codes, whatever they look like (demo and simulator bring their own)."""
    await db.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    digests = {_digest(vault, account_id, code) for code in codes if plain_code(code)}
    for kept in digests:
        await db.execute(insert(RecoveryCode).values(id=new_id(now), account_id=account_id, digest=kept, made_at=now))


async def spend(db: Transaction, vault: Vault, account_id: UUID, code: str, now: datetime) -> bool:
    """Spend a code, in any spelling. Of many that race, the database lets one through."""
    spent = await db.execute(
        update(RecoveryCode)
        .where(RecoveryCode.account_id == account_id, RecoveryCode.digest == _digest(vault, account_id, code))
        .where(RecoveryCode.spent_at.is_(None))
        .values(spent_at=now)
        .returning(RecoveryCode.id)
    )
    return spent.first() is not None


async def remaining(db: Transaction, account_id: UUID) -> int:
    """How many codes are left to spend."""
    left: int = await db.scalar(
        select(func.count()).where(RecoveryCode.account_id == account_id, RecoveryCode.spent_at.is_(None))
    )
    return left
