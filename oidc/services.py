"""Services as a citizen sees them: those they share something with, and those a session has entered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select

from accounts.consent import Allowed, Consent, Shown
from accounts.database import Transaction
from oidc.grant import Grant


class Service(msgspec.Struct, frozen=True):
    """One agreement with a service. `name` and `purpose` are what the citizen was shown; `last_used` is when they
    last entered it. `allowed` is what it may do at APIs; what else, exactly, is still sealed."""

    id: UUID
    client_id: str
    name: str
    purpose: str
    claims: tuple[str, ...]
    allowed: tuple[Allowed, ...]
    is_lasting: bool
    lawful_basis: str
    since: datetime
    ended_at: datetime | None
    last_used: datetime | None
    details_sealed: bytes | None = None


async def services_used(db: Transaction, account_id: UUID, *, limit: int = 100) -> list[Service]:
    """Each service with an agreement that stands, by name; the newest agreement names all that is agreed."""
    newest = (
        select(
            Consent.id,
            func.row_number().over(partition_by=Consent.client_id, order_by=Consent.id.desc()).label("place"),
            func.min(Consent.given_at).over(partition_by=Consent.client_id).label("since"),
        )
        .where(Consent.account_id == account_id, Consent.ended_at.is_(None))
        .subquery()
    )
    rows = await db.all(
        _agreements(newest.c.since)
        .join(newest, newest.c.id == Consent.id)
        .where(newest.c.place == 1)
        .order_by(Consent.id.desc())
        .limit(limit)
    )
    return sorted((_service(row) for row in rows), key=lambda service: service.name.casefold())


async def services_ended(
    db: Transaction, account_id: UUID, *, before: UUID | None = None, limit: int = 25
) -> list[Service]:
    """Agreements that have ended, the newest first, paged by key (R44)."""
    query = _agreements(Consent.given_at).where(Consent.account_id == account_id, Consent.ended_at.is_not(None))
    if before is not None:
        query = query.where(Consent.id < before)
    return [_service(row) for row in await db.all(query.order_by(Consent.id.desc()).limit(limit))]


async def find_service(db: Transaction, account_id: UUID, consent_id: UUID, *, ended: bool = False) -> Service | None:
    """One agreement of this citizen that stands, or one that has ended."""
    state = Consent.ended_at.is_not(None) if ended else Consent.ended_at.is_(None)
    row = await db.first(
        _agreements(Consent.given_at).where(Consent.id == consent_id, Consent.account_id == account_id, state)
    )
    return None if row is None else _service(row)


async def services_of(db: Transaction, session_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The names of the services that each session has entered, for the list of sessions, which knows no services."""
    rows = await db.all(
        select(Grant.session_id, Consent.shown)
        .join(Consent, Consent.id == Grant.consent_id)
        .where(Grant.session_id.in_(session_ids))
        .distinct()
    )
    names: dict[UUID, set[str]] = {session_id: set() for session_id in session_ids}
    for row in rows:
        names[row.session_id].add(msgspec.convert(row.shown, Shown).service_name)
    return {session_id: sorted(held, key=str.casefold) for session_id, held in names.items()}


def _agreements(since: Any) -> Select[Any]:
    last_used = (
        select(func.max(Grant.created_at))
        .where(Grant.account_id == Consent.account_id, Grant.client_id == Consent.client_id)
        .correlate(Consent)
        .scalar_subquery()
    )
    return select(
        Consent.id,
        Consent.client_id,
        Consent.shown,
        Consent.scopes,
        Consent.claims,
        Consent.lawful_basis,
        since.label("since"),
        Consent.ended_at,
        Consent.details_sealed,
        last_used.label("last_used"),
    ).select_from(Consent)


def _service(row: Any) -> Service:
    shown = msgspec.convert(row.shown, Shown)
    return Service(
        id=row.id,
        client_id=row.client_id,
        name=shown.service_name,
        purpose=shown.purpose,
        claims=tuple(row.claims),
        allowed=shown.allowed,
        is_lasting="offline_access" in row.scopes,
        lawful_basis=row.lawful_basis,
        since=row.since,
        ended_at=row.ended_at,
        last_used=row.last_used,
        details_sealed=row.details_sealed,
    )
