"""Who stands at the door of a service: the session, what is agreed there, and the `sub` it knows, in one read."""

from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import LargeBinary, String, and_, bindparam, select
from sqlalchemy.orm import aliased

from accounts.account import Account, data_key_of
from accounts.consent import Consent, details_of
from accounts.database import AT, Transaction, digest
from accounts.vault import Vault
from identity.session import SESSION_COLUMNS, Session, SessionView, is_alive
from oidc.client import RegisteredClient
from oidc.subject import Subject


class Agreement(msgspec.Struct, frozen=True):
    """The newest agreement that stands between a citizen and a service; it names all that is agreed."""

    id: UUID
    scopes: tuple[str, ...]
    claims: tuple[str, ...]
    details: tuple[str, ...] = ()


class Entrance(msgspec.Struct, frozen=True):
    """What is known at the door. Without a session nothing else is; `sub` is None at a first meeting."""

    session: SessionView | None = None
    agreed: Agreement | None = None
    sub: str | None = None


_CLIENT = bindparam("client", type_=String())
_Newer = aliased(Consent)
_NEWEST = (
    select(_Newer.id)
    .where(_Newer.account_id == Account.id, _Newer.client_id == _CLIENT, _Newer.ended_at.is_(None))
    .order_by(_Newer.id.desc())
    .limit(1)
    .correlate(Account)
    .scalar_subquery()
)
_ENTRANCE = (
    select(
        *SESSION_COLUMNS,
        Consent.id.label("consent_id"),
        Consent.scopes,
        Consent.claims,
        Consent.details,
        Consent.details_sealed,
        Subject.sub,
    )
    .select_from(Session)
    .join(Account, Account.id == Session.account_id)
    .outerjoin(Consent, Consent.id == _NEWEST)
    .outerjoin(Subject, and_(Subject.account_id == Account.id, Subject.sector == bindparam("sector", type_=String())))
    .where(Session.secret_digest == bindparam("secret", type_=LargeBinary()), is_alive(cast(datetime, AT)))
)


async def find_entrance(
    db: Transaction, vault: Vault, session_secret: str | None, client: RegisteredClient, now: datetime
) -> Entrance:
    """The live session behind a cookie, as it stands at this service. The account may be suspended. An agreement with
    authorization details costs a statement more."""
    if not session_secret or len(session_secret) > 128:
        return Entrance()
    row = await db.first(
        _ENTRANCE,
        {"secret": digest(session_secret), "client": client.client_id, "sector": client.subject_sector, "at": now},
    )
    if row is None:
        return Entrance()
    session = SessionView(
        id=row.id,
        account_id=row.account_id,
        acr=row.acr,
        amr=tuple(row.amr),
        auth_time=row.auth_time,
        seen_at=row.seen_at,
        alive_until=row.alive_until,
        ends_at=row.ends_at,
        account_state=row.account_state,
        locale=row.locale,
    )
    if row.consent_id is None:
        return Entrance(session, None, row.sub)
    details = tuple(row.details or ())
    if row.details_sealed is not None and row.account_state != "closed":
        key = await data_key_of(db, vault, row.account_id)
        details = details_of(key, row.consent_id, row.details_sealed).texts
    return Entrance(session, Agreement(row.consent_id, tuple(row.scopes), tuple(row.claims), details), row.sub)
