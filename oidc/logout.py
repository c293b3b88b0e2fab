"""Back-channel logout: which services are told that a session is over, and whether they were (R14).

One row a service and occasion. It is written in the transaction that ends the session, delivered by the worker with a
fresh logout token at each try, and shown to the citizen. A dead service delays no other: each has work of its own.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Index, Integer, String, Uuid, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.consent import Consent
from accounts.database import Base, Database, Instant, Transaction, insert_ignoring, new_id, new_secret
from accounts.outbox import MAX_ATTEMPTS, Leased, enqueue
from accounts.vault import Vault
from identity.session import Session, is_alive
from oidc.client import find_client
from oidc.fetcher import FetchFailed
from oidc.grant import Grant
from oidc.protocol.logout_token import TYP, logout_token_claims
from oidc.provider import Provider

LOGOUT_TOKEN = "logout_token"
"""The outbox work of telling one service: `{"delivery_id": ...}`."""

State = Literal["waiting", "reached", "given_up", "not_tellable"]
"""`not_tellable`: the service registered no address for it."""


class LogoutDelivery(Base):
    __tablename__ = "logout_delivery"
    __table_args__ = (Index("uq_logout_delivery_occasion", "occasion", "client_id", unique=True),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    occasion: Mapped[str] = mapped_column(String(96))
    """Why the service is told: a session that ended, or an agreement withdrawn while a session lives on."""
    client_id: Mapped[str] = mapped_column(String(255))
    sub: Mapped[str] = mapped_column(String(255))
    sid: Mapped[str | None] = mapped_column(String(64))
    """Null where no session stands behind what the service holds: then every session of the `sub` is meant."""
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Instant)
    settled_at: Mapped[datetime | None] = mapped_column(Instant)


class Delivery(msgspec.Struct, frozen=True):
    """How far telling one service has come; `attempts` are those that failed or succeeded so far."""

    client_id: str
    state: State
    attempts: int
    sid: str | None = None


class NotDelivered(Exception):
    """The service did not take the logout token; the worker tries again."""


class _Told(msgspec.Struct, frozen=True):
    occasion: str
    client_id: str
    sub: str
    sid: str | None


def _session_ended(session_id: UUID) -> str:
    return f"session:{session_id}"


async def announce(db: Transaction, vault: Vault, session_id: UUID, now: datetime) -> None:
    """Have every service of an ended session told. Idempotent: the second call finds the rows there.

    Who withdrew their agreement was told to that service then; the session's end is no news to it.
    """
    rows = await db.all(
        select(Grant.client_id, func.min(Grant.sub).label("sub"), func.min(Grant.sid).label("sid"))
        .join(Consent, Consent.id == Grant.consent_id)
        .where(Grant.session_id == session_id, Consent.ended_at.is_(None))
        .group_by(Grant.client_id)
    )
    occasion = _session_ended(session_id)
    await _announce(db, vault, (_Told(occasion, row.client_id, row.sub, row.sid) for row in rows), now)


async def announce_withdrawal(
    db: Transaction, vault: Vault, account_id: UUID, client_id: str, consent_id: UUID, now: datetime
) -> None:
    """Have one service told that the citizen is signed out of it, in each session it holds and in what outlives them.

    To be called before the agreement is ended: afterwards nothing leans on it any more.
    """
    rows = await db.all(
        select(Grant.session_id, func.min(Grant.sub).label("sub"), func.min(Grant.sid).label("sid"))
        .join(Consent, Consent.id == Grant.consent_id)
        .outerjoin(Session, Session.id == Grant.session_id)
        .where(Grant.account_id == account_id, Grant.client_id == client_id, Consent.ended_at.is_(None))
        .where(Grant.session_id.is_(None) | is_alive(now))
        .group_by(Grant.session_id)
    )
    told = (_Told(f"withdrawn:{consent_id}:{row.session_id}", client_id, row.sub, row.sid) for row in rows)
    await _announce(db, vault, told, now)


async def _announce(db: Transaction, vault: Vault, told: Iterable[_Told], now: datetime) -> None:
    for one in told:
        delivery_id = new_id(now)
        added = await db.execute(
            insert_ignoring(db, LogoutDelivery)
            .values(
                id=delivery_id,
                occasion=one.occasion,
                client_id=one.client_id,
                sub=one.sub,
                sid=one.sid,
                state="waiting",
                attempts=0,
                created_at=now,
            )
            .returning(LogoutDelivery.id)
        )
        if added.first() is not None:
            await enqueue(db, vault, LOGOUT_TOKEN, {"delivery_id": str(delivery_id)}, now)


async def deliveries_of(db: Transaction, session_id: UUID) -> list[Delivery]:
    """Every service that is told of the session's end, in a steady order."""
    rows = await db.all(
        select(LogoutDelivery.client_id, LogoutDelivery.state, LogoutDelivery.attempts, LogoutDelivery.sid)
        .where(LogoutDelivery.occasion == _session_ended(session_id))
        .order_by(LogoutDelivery.client_id)
    )
    return [Delivery(row.client_id, row.state, row.attempts, row.sid) for row in rows]


async def spread_logout(provider: Provider, database: Database, vault: Vault, work: Leased, now: datetime) -> None:
    """Outbox `session_ended`: however a session was ended, its services are told."""
    async with database.begin() as db:
        await announce(db, vault, UUID(work.payload["session_id"]), now)


async def deliver_logout(provider: Provider, database: Database, vault: Vault, work: Leased, now: datetime) -> None:
    """Outbox `logout_token`: tell one service (OpenID Connect Back-Channel Logout 1.0 section 2.5).

    Raises `NotDelivered` to be tried again; what has become of it is written down first.
    """
    delivery_id = UUID(work.payload["delivery_id"])
    async with database.begin() as db:
        row = await db.first(
            select(LogoutDelivery.client_id, LogoutDelivery.sub, LogoutDelivery.sid, LogoutDelivery.state).where(
                LogoutDelivery.id == delivery_id
            )
        )
        if row is None or row.state != "waiting":
            return
        client = await find_client(db, row.client_id)
        keys = await provider.keys.current(db, now)
    address = client.metadata.backchannel_logout_uri if client else None
    if client is None or address is None:
        await _settle(database, delivery_id, "not_tellable", None, now)
        return
    claims = logout_token_claims(
        issuer=provider.issuer, client_id=client.client_id, sub=row.sub, sid=row.sid, jti=new_secret(16), now=now
    )
    # Section 2.4: signed with the algorithm that the client takes for its ID tokens.
    token = await keys.sign(claims, algorithm=client.metadata.id_token_signed_response_alg, typ=TYP)
    problem = await _tell(provider, address, token)
    if problem is None:
        await _settle(database, delivery_id, "reached", None, now)
        return
    await _settle(database, delivery_id, "given_up" if work.attempt >= MAX_ATTEMPTS else "waiting", problem, now)
    raise NotDelivered(problem)


async def _tell(provider: Provider, address: str, token: str) -> str | None:
    """Post the token; what went wrong, or None. 200 is the answer (section 2.8), and many frameworks send 204."""
    try:
        answered = await provider.fetcher.post_form(address, {"logout_token": token})
    except FetchFailed as failure:
        return failure.detail or failure.reason
    return None if answered.status in (200, 204) else f"status {answered.status}"


async def _settle(database: Database, delivery_id: UUID, state: State, problem: str | None, now: datetime) -> None:
    async with database.begin() as db:
        await db.execute(
            update(LogoutDelivery)
            .where(LogoutDelivery.id == delivery_id)
            .values(
                state=state,
                attempts=LogoutDelivery.attempts + (0 if state == "not_tellable" else 1),
                last_error=problem,
                settled_at=None if state == "waiting" else now,
            )
        )
