"""What the in-process caches ask: has anything of this kind changed? One small row a kind, one statement for all."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import BigInteger, String, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Transaction, upsert

Kind = Literal["client", "signing_key"]

MAX_AGE = timedelta(milliseconds=500)
"""How old an answer may be. A change reaches every worker within a second, the request in flight included."""


class Revision(Base):
    __tablename__ = "oidc_revision"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


async def bump(db: Transaction, kind: Kind) -> int:
    """The next number, in the transaction of the change. The row's lock puts changes in order: who sees a number
    sees every change up to it."""
    number: int = await db.scalar(
        upsert(db, Revision)
        .values(kind=kind, number=1)
        .on_conflict_do_update(index_elements=["kind"], set_={"number": Revision.number + 1})
        .returning(Revision.number)
    )
    return number


class Revisions:
    """The numbers as this process knows them, asked again when the answer is older than `MAX_AGE`."""

    _STATEMENT = select(Revision.kind, Revision.number)

    def __init__(self) -> None:
        self._numbers: Mapping[str, int] = {}
        self._asked_at = datetime.min.replace(tzinfo=UTC)

    async def number(self, db: Transaction, kind: Kind, now: datetime) -> int:
        """The current number of a kind; 0 before its first change."""
        if not timedelta(0) <= now - self._asked_at < MAX_AGE:
            self._numbers = {row.kind: row.number for row in await db.all(self._STATEMENT)}
            self._asked_at = now
        return self._numbers.get(kind, 0)
