"""Grants: a client's live access born from one authorization, and the one condition under which it stands."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    String,
    Uuid,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, aliased, mapped_column

from accounts.account import Account
from accounts.consent import Consent
from accounts.database import AT, Base, Instant, Json, Transaction, new_id
from accounts.vault import DataKey
from identity.session import Session, is_alive
from oidc.client import ClientRecord

RevokeReason = Literal["code_replayed", "code_misused", "refresh_reused", "revoked_by_client", "revoked_by_operator"]


class Grant(Base):
    # "grant" is a reserved word of SQL.
    __tablename__ = "oidc_grant"
    __table_args__ = (
        Index("ix_oidc_grant_session", "session_id"),
        Index("ix_oidc_grant_account", "account_id", "client_id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    client_id: Mapped[str] = mapped_column(String(255), ForeignKey("client.client_id"))
    session_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("session.id"))
    """The session it was born in; null where there was no browser."""
    is_offline: Mapped[bool] = mapped_column(Boolean)
    """`offline_access` was agreed to: it outlives its session."""
    consent_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("consent.id"))
    sub: Mapped[str] = mapped_column(String(64))
    sid: Mapped[str | None] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(Json)
    claims: Mapped[dict[str, Any]] = mapped_column(Json)
    """The `claims` parameter, as `oidc.protocol.claims.ClaimsAsked`."""
    resources: Mapped[list[str] | None] = mapped_column(Json)
    """The APIs that tokens may be asked for (RFC 8707)."""
    authorization_details: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    """As releases before `details_sealed` wrote them: read, never written."""
    details_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What exactly was agreed to (RFC 9396), as JSON under the account's data key (R60)."""
    acr: Mapped[str] = mapped_column(String(64))
    amr: Mapped[list[str]] = mapped_column(Json)
    auth_time: Mapped[datetime] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    revoke_reason: Mapped[str | None] = mapped_column(String(24))


class GrantView(msgspec.Struct, frozen=True):
    """What tokens are made from."""

    id: UUID
    account_id: UUID
    client_id: str
    session_id: UUID | None
    is_offline: bool
    consent_id: UUID
    sub: str
    sid: str | None
    scopes: tuple[str, ...]
    claims: dict[str, Any]
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    resources: tuple[str, ...] = ()
    has_details: bool = False
    details: tuple[dict[str, Any], ...] = ()
    """Where there are any, `oidc.grant_details.with_details` opens them."""


DETAILS_PLACE = "oidc_grant.details_sealed"


class SessionService(msgspec.Struct, frozen=True):
    """A service that a session has signed in to, and how that service knows the citizen and the session."""

    session_id: UUID
    client_id: str
    sub: str
    sid: str


GRANT_COLUMNS = (
    Grant.id,
    Grant.account_id,
    Grant.client_id,
    Grant.session_id,
    Grant.is_offline,
    Grant.consent_id,
    Grant.sub,
    Grant.sid,
    Grant.scopes,
    Grant.claims,
    Grant.acr,
    Grant.amr,
    Grant.auth_time,
    Grant.created_at,
    Grant.resources,
    (Grant.details_sealed.is_not(None) | Grant.authorization_details.is_not(None)).label("has_details"),
)


_Holder = aliased(ClientRecord)
"""Whose grant it is; a statement may be about another client besides, to which access was passed on."""


def stands(now: datetime | BindParameter[datetime] = AT) -> ColumnElement[bool]:
    """The one condition under which a grant counts, for every statement that joins what `leaning` joins: it is not
    revoked, its consent has not ended, its account is active, its client not suspended, and its session is alive unless
    it outlives it."""
    return (
        Grant.revoked_at.is_(None)
        & Consent.ended_at.is_(None)
        & (Account.state == "active")
        & _Holder.disabled_at.is_(None)
        & (Grant.is_offline | (Session.id.is_not(None) & is_alive(cast(datetime, now))))
    )


def leaning(query: Select[Any]) -> Select[Any]:
    """Join to a grant what it leans on: consent, account, client, and (where there is one) session."""
    return (
        query.join(Consent, Consent.id == Grant.consent_id)
        .join(Account, Account.id == Grant.account_id)
        .join(_Holder, _Holder.client_id == Grant.client_id)
        .outerjoin(Session, Session.id == Grant.session_id)
    )


def standing_grant(grant_id: Any) -> ColumnElement[bool]:
    """`stands` at `AT` as an EXISTS, for an UPDATE of a row that has the column `grant_id`."""
    return (
        leaning(select(1).select_from(Grant))
        .where(Grant.id == grant_id, stands())
        .correlate_except(Grant, Consent, Account, _Holder, Session)
        .exists()
    )


def grant_view(row: Any) -> GrantView:
    """A row of `GRANT_COLUMNS` as a value."""
    return GrantView(
        row.id,
        row.account_id,
        row.client_id,
        row.session_id,
        row.is_offline,
        row.consent_id,
        row.sub,
        row.sid,
        tuple(row.scopes),
        row.claims,
        row.acr,
        tuple(row.amr),
        row.auth_time,
        row.created_at,
        tuple(row.resources or ()),
        bool(row.has_details),
    )


async def open_grant(
    db: Transaction,
    *,
    account_id: UUID,
    client_id: str,
    session_id: UUID | None,
    consent_id: UUID,
    sub: str,
    sid: str | None,
    scopes: Collection[str],
    claims: dict[str, Any],
    acr: str,
    amr: Collection[str],
    auth_time: datetime,
    now: datetime,
    resources: Collection[str] = (),
    details: Collection[dict[str, Any]] = (),
    key: DataKey | None = None,
    is_offline: bool | None = None,
) -> UUID:
    """A new grant. It outlives its session when `offline_access` is among its scopes, or where the caller says so.
    Details need the account's `key`."""
    if details and key is None:
        raise ValueError("details are kept sealed: they need the account's data key")
    grant_id = new_id(now)
    await db.execute(
        _INSERT,
        {
            "id": grant_id,
            "account_id": account_id,
            "client_id": client_id,
            "session_id": session_id,
            "is_offline": "offline_access" in scopes if is_offline is None else is_offline,
            "consent_id": consent_id,
            "sub": sub,
            "sid": sid,
            "scopes": list(scopes),
            "claims": claims,
            "acr": acr,
            "amr": list(amr),
            "auth_time": auth_time,
            "created_at": now,
            "resources": list(resources) or None,
            "details_sealed": key.seal(DETAILS_PLACE, grant_id, msgspec.json.encode(details))
            if key and details
            else None,
        },
    )
    return grant_id


_INSERT = insert(Grant)


async def find_standing_grant(db: Transaction, grant_id: UUID, now: datetime) -> GrantView | None:
    """The grant, if it stands."""
    row = await db.first(_STANDING, {"grant_id": grant_id, "at": now})
    return None if row is None else grant_view(row)


_STANDING = leaning(select(*GRANT_COLUMNS).select_from(Grant)).where(
    Grant.id == bindparam("grant_id", type_=Uuid()), stands()
)


async def revoke_grant(db: Transaction, grant_id: UUID, reason: RevokeReason, now: datetime) -> bool:
    """Every code and token of it is dead at once. False when it was revoked before."""
    revoked = await db.execute(
        update(Grant)
        .where(Grant.id == grant_id, Grant.revoked_at.is_(None))
        .values(revoked_at=now, revoke_reason=reason)
    )
    return revoked.rowcount == 1


async def services_of_sessions(db: Transaction, session_ids: Sequence[UUID]) -> list[SessionService]:
    """Which services each session has signed in to, each once, revoked grants included: they may still hold a
    session of their own."""
    if not session_ids:
        return []
    rows = await db.all(
        select(Grant.session_id, Grant.client_id, Grant.sub, Grant.sid)
        .where(Grant.session_id.in_(session_ids), Grant.sid.is_not(None))
        .distinct()
    )
    return [SessionService(row.session_id, row.client_id, row.sub, row.sid) for row in rows]


async def sessions_of_service(
    db: Transaction, account_id: UUID, client_id: str, limit: int = 100
) -> list[SessionService]:
    """The sessions, alive or not, in which this citizen signed in to this service, the latest first (for the logout
    tokens that follow a withdrawal)."""
    rows = await db.all(
        select(Grant.session_id, Grant.client_id, Grant.sub, Grant.sid)
        .where(Grant.account_id == account_id, Grant.client_id == client_id)
        .where(Grant.session_id.is_not(None), Grant.sid.is_not(None))
        .group_by(Grant.session_id, Grant.client_id, Grant.sub, Grant.sid)
        .order_by(func.max(Grant.created_at).desc())
        .limit(limit)
    )
    return [SessionService(row.session_id, row.client_id, row.sub, row.sid) for row in rows]
