"""The consent record: one row an agreement; only its end is ever written to it (R13, R65).

Services live upstairs, so a consent holds the service's identifier and a snapshot of what the citizen was shown:
it stays true when the service is renamed or gone.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Json, Transaction, new_id
from accounts.vault import DataKey

LawfulBasis = Literal["consent", "public_task"]
EndReason = Literal["withdrawn", "account_closed", "service_removed"]


class Consent(Base):
    __tablename__ = "consent"
    __table_args__ = (
        Index("ix_consent_standing", "account_id", "client_id", "ended_at"),
        Index("ix_consent_account", "account_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    client_id: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[list[str]] = mapped_column(Json)
    claims: Mapped[list[str]] = mapped_column(Json)
    """Every claim that may be released under it, those of its scopes included."""
    details: Mapped[list[str] | None] = mapped_column(Json)
    """As releases before `details_sealed` wrote them: read, never written."""
    details_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """`Details`, under the account's data key: what a citizen pays and to whom is theirs (R60). Null where there is
    nothing of that kind."""
    shown: Mapped[dict[str, object]] = mapped_column(Json)
    """The snapshot: the service's name, purposes, notice version and language as the citizen saw them."""
    lawful_basis: Mapped[str] = mapped_column(String(16))
    given_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    end_reason: Mapped[str | None] = mapped_column(String(16))


class Allowed(msgspec.Struct, frozen=True):
    """Something that a service may do, in words: its name, each act, and what it is about, line by line."""

    name: str
    acts: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the citizen saw when agreeing. `allowed` is what the service may do at APIs; what it may do with the
    citizen's own values in it stands in `Details`."""

    service_name: str
    purpose: str
    notice_version: str
    language: str
    allowed: tuple[Allowed, ...] = ()


class Details(msgspec.Struct, frozen=True):
    """What else an agreement is for, exactly (RFC 9396): each as one canonical text, and all of them as the citizen
    read them."""

    texts: tuple[str, ...] = ()
    allowed: tuple[Allowed, ...] = ()


NO_DETAILS = Details()
_PLACE = "consent.details_sealed"


class ConsentView(msgspec.Struct, frozen=True):
    """One agreement."""

    id: UUID
    client_id: str
    scopes: tuple[str, ...]
    claims: tuple[str, ...]
    shown: Shown
    lawful_basis: str
    given_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    details: tuple[str, ...] | None = None
    details_sealed: bytes | None = None


_COLUMNS = (
    Consent.id,
    Consent.client_id,
    Consent.scopes,
    Consent.claims,
    Consent.shown,
    Consent.lawful_basis,
    Consent.given_at,
    Consent.ended_at,
    Consent.end_reason,
    Consent.details,
    Consent.details_sealed,
)


async def give_consent(
    db: Transaction,
    account_id: UUID,
    client_id: str,
    *,
    scopes: Collection[str],
    claims: Collection[str],
    shown: Shown,
    lawful_basis: LawfulBasis,
    now: datetime,
    details: Details = NO_DETAILS,
    key: DataKey | None = None,
) -> UUID:
    """A new agreement. It names everything the service may have from now on, what was agreed before included;
    older agreements stay as they are, so that grants in other browsers live on. Details need the account's `key`."""
    consent_id = new_id(now)
    if details.texts and key is None:
        raise ValueError("details are kept sealed: they need the account's data key")
    await db.execute(
        insert(Consent).values(
            id=consent_id,
            account_id=account_id,
            client_id=client_id,
            scopes=sorted(scopes),
            claims=sorted(claims),
            details_sealed=key.seal(_PLACE, consent_id, msgspec.json.encode(details))
            if key and details.texts
            else None,
            shown=msgspec.to_builtins(shown),
            lawful_basis=lawful_basis,
            given_at=now,
        )
    )
    return consent_id


def details_of(key: DataKey, consent_id: UUID, sealed: bytes | None, plain: Collection[str] | None = ()) -> Details:
    """What `give_consent` sealed; `plain` is what an earlier release wrote instead, which has no words."""
    if sealed is None:
        return Details(tuple(plain or ()))
    return msgspec.json.decode(key.open(_PLACE, consent_id, sealed), type=Details)


async def withdraw_consent(
    db: Transaction, account_id: UUID, client_id: str, now: datetime, reason: EndReason = "withdrawn"
) -> bool:
    """End every agreement that stands between this citizen and this service; False when none stood.
    Each grant on them is dead at once, because each use asks (oidc/grant.py)."""
    ended = await db.execute(
        update(Consent)
        .where(Consent.account_id == account_id, Consent.client_id == client_id, Consent.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
    )
    return ended.rowcount > 0


async def find_consent(db: Transaction, account_id: UUID, client_id: str) -> ConsentView | None:
    """The newest agreement that stands between this citizen and this service; it names all that is agreed."""
    row = await db.first(
        select(*_COLUMNS)
        .where(Consent.account_id == account_id, Consent.client_id == client_id, Consent.ended_at.is_(None))
        .order_by(Consent.id.desc())
        .limit(1)
    )
    return None if row is None else msgspec.convert(row._asdict(), ConsentView)


async def consents_of(
    db: Transaction, account_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> list[ConsentView]:
    """Every agreement of a citizen, the newest first, ended ones included; paged by key (R44)."""
    query = select(*_COLUMNS).where(Consent.account_id == account_id)
    if before is not None:
        query = query.where(Consent.id < before)
    rows = await db.all(query.order_by(Consent.id.desc()).limit(limit))
    return [msgspec.convert(row._asdict(), ConsentView) for row in rows]
