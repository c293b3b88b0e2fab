"""An interaction: an authorization request waiting for its citizen, completed once.

Opened only when a page is needed. The row says what has happened so far; the next step is always computed from it.
"""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, Uuid, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, new_id
from accounts.vault import Vault

LIFETIME = timedelta(hours=1)
"""Long enough to make an account on the way: e-mail, password, second authenticator, recovery codes."""

Outcome = Literal["issued", "refused", "cancelled", "failed"]


class InteractionRow(Base):
    __tablename__ = "interaction"
    __table_args__ = (Index("ix_interaction_expires_at", "expires_at"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    browser: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Digest of the browser's cookie. Null between a request that brought no cookie, as a cross-site POST and a first
    visit do, and the GET after it."""
    client_id: Mapped[str] = mapped_column(String(255))
    request: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: hints and claims name people."""
    account_chosen: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    """The account the citizen chose to continue as (`prompt=select_account`)."""
    consented: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    """The account whose citizen agreed within this interaction (`prompt=consent`)."""
    opened_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    outcome: Mapped[str | None] = mapped_column(String(16))
    pushed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The pushed request it was opened for. Several interactions may be, and one of them answers it."""


class Interaction(msgspec.Struct, frozen=True):
    """One interaction, opened. `request` is what `open_interaction` was given."""

    id: UUID
    browser: bytes | None
    client_id: str
    request: bytes
    account_chosen: UUID | None
    consented: UUID | None
    opened_at: datetime
    expires_at: datetime
    completed_at: datetime | None
    outcome: Outcome | None
    pushed: bytes | None = None

    @property
    def address(self) -> str:
        """Where every step of it comes back to."""
        return f"/authorize?interaction={self.id}"

    @property
    def way_back(self) -> str:
        """The link that ends it: the service is told so."""
        return f"/authorize/cancel?interaction={self.id}"


_COLUMNS = tuple(getattr(InteractionRow, name) for name in Interaction.__struct_fields__)


async def open_interaction(
    db: Transaction,
    vault: Vault,
    client_id: str,
    request: bytes,
    browser: bytes | None,
    now: datetime,
    pushed: bytes | None = None,
) -> Interaction:
    """Keep a request until its citizen has done what is asked; `browser` is None while no cookie can be judged."""
    interaction_id, expires_at = new_id(now), now + LIFETIME
    await db.execute(
        insert(InteractionRow).values(
            id=interaction_id,
            browser=browser,
            client_id=client_id,
            request=vault.seal("interaction.request", interaction_id, request),
            opened_at=now,
            expires_at=expires_at,
            pushed=pushed,
        )
    )
    return Interaction(interaction_id, browser, client_id, request, None, None, now, expires_at, None, None, pushed)


async def find_interaction(db: Transaction, vault: Vault, interaction_id: UUID) -> Interaction | None:
    """The interaction, whatever has become of it: whoever shows it says expired, completed and foreign apart."""
    row = await db.first(select(*_COLUMNS).where(InteractionRow.id == interaction_id))
    if row is None:
        return None
    values = row._asdict()
    values["request"] = vault.open("interaction.request", interaction_id, row.request)
    return Interaction(**values)


async def bind(db: Transaction, interaction_id: UUID, browser: bytes, now: datetime) -> bool:
    """Give the interaction to the first browser that comes with it; False when another was first."""
    return await _change(db, _is_open(interaction_id, now) & InteractionRow.browser.is_(None), browser=browser)


async def choose_account(db: Transaction, interaction: Interaction, account_id: UUID, now: datetime) -> bool:
    """The citizen continues as this account; False when the interaction is over."""
    return await _change(db, _is_held(interaction, now), account_chosen=account_id)


async def consent(db: Transaction, interaction: Interaction, account_id: UUID, now: datetime) -> bool:
    """The citizen of this account agrees; False when they have already, or the interaction is over.
    Of a form posted twice, one makes a consent (R78)."""
    not_yet = InteractionRow.consented.is_distinct_from(account_id)
    return await _change(db, _is_held(interaction, now) & not_yet, consented=account_id)


async def complete(db: Transaction, interaction: Interaction, outcome: Outcome, now: datetime) -> bool:
    """Answer the request. Of many that race, one may send the answer; False for all others (R45)."""
    return await _change(db, _is_held(interaction, now), completed_at=now, outcome=outcome)


def _is_open(interaction_id: UUID, now: datetime) -> ColumnElement[bool]:
    open_ = InteractionRow.completed_at.is_(None) & (InteractionRow.expires_at > now)
    return (InteractionRow.id == interaction_id) & open_


def _is_held(interaction: Interaction, now: datetime) -> ColumnElement[bool]:
    return _is_open(interaction.id, now) & (InteractionRow.browser == interaction.browser)


async def _change(db: Transaction, where: ColumnElement[bool], **values: Any) -> bool:
    return (await db.execute(update(InteractionRow).where(where).values(**values))).rowcount == 1
