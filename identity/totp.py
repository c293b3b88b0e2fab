"""Codes from an authenticator app: each time step works once (RFC 6238, R24)."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pyotp
import segno
from sqlalchemy import ColumnElement, ForeignKey, Index, Integer, LargeBinary, Uuid, insert, select, true, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, digest, new_id
from accounts.vault import DataKey
from identity.spelling import plain_code

STEP_SECONDS = 30
WINDOW = 1
"""Steps before and after the present one that are accepted: a clock may be half a minute off (section 5.2)."""
OFFER_LIFETIME = timedelta(hours=1)
MAX_NAME = 60


class Totp(Base):
    __tablename__ = "totp"
    __table_args__ = (Index("ix_totp_account", "account_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    name: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: people name these after themselves. While it is only offered: to whom."""
    seed: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed base 32 text (R61)."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    """Null while it is only offered: it counts from the first right code on."""
    last_step: Mapped[int] = mapped_column(Integer)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


class Offer(msgspec.Struct, frozen=True):
    """A seed that waits for its first code."""

    id: UUID
    seed: str


class TotpView(msgspec.Struct, frozen=True):
    """A confirmed authenticator app, as its owner sees it in a list."""

    id: UUID
    name: str
    confirmed_at: datetime
    last_used_at: datetime | None


class _App(pyotp.TOTP):
    """What an app with this seed shows. Seeds of ours have 160 bits; pyotp refuses those below 112, but the people
    whom demo and simulator bring may have the 80 of every tutorial."""

    def byte_secret(self) -> bytes:
        return _bytes_of(self.secret)


def _bytes_of(seed: str) -> bytes:
    """The seed's bytes, or a ValueError: for a text that is not base 32, and for less than 80 bits."""
    text = plain_code(seed)
    try:
        decoded = base64.b32decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 8))
    except binascii.Error as error:
        raise ValueError("a TOTP seed is base 32") from error
    if len(decoded) < 10:
        raise ValueError("a TOTP seed has at least 80 bits")
    return decoded


def stands() -> ColumnElement[bool]:
    """The condition under which an authenticator app counts."""
    return Totp.confirmed_at.is_not(None) & Totp.removed_at.is_(None)


def new_seed() -> str:
    """160 random bits in base 32 (RFC 4226 section 4)."""
    return pyotp.random_base32()


def provisioning_uri(seed: str, account_label: str, issuer: str) -> str:
    """What the QR code says to the app; `account_label` is how the citizen knows the account."""
    return _App(seed).provisioning_uri(name=account_label, issuer_name=issuer)


def qr_svg(uri: str) -> str:
    """The QR code as inline SVG: dark on its own white ground with a quiet zone, so that it scans in dark mode too.
    No style attributes, which the content security policy would drop."""
    code = segno.make(uri, error="m", micro=False)
    svg: str = code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None)
    return svg


def current_code(seed: str, now: datetime) -> str:
    """The code an app with this seed shows at `now`: for tests, the demo and its command."""
    return _App(seed).at(_step(now) * STEP_SECONDS)


async def offer(db: Transaction, key: DataKey, account_id: UUID, now: datetime, *, to: bytes) -> Offer:
    """A seed to set up; the same one when the page is loaded again, by the browser and in the journey that `to` names.
    Nobody else is shown it: a thief who only looked at the page would have every code of the app its owner sets up."""
    shown_to = digest(to).hex()[:MAX_NAME]
    waiting = await db.all(
        select(Totp.id, Totp.seed, Totp.name)
        .where(Totp.account_id == account_id, Totp.confirmed_at.is_(None), Totp.removed_at.is_(None))
        .where(Totp.created_at > now - OFFER_LIFETIME)
        .order_by(Totp.id.desc())
        .limit(20)
    )
    for row in waiting:
        if key.open("totp.name", row.id, row.name).decode() == shown_to:
            return Offer(row.id, key.open("totp.seed", row.id, row.seed).decode())
    seed = new_seed()
    return Offer(await _insert(db, key, account_id, seed, shown_to, None, now), seed)


async def confirm(
    db: Transaction, key: DataKey, account_id: UUID, totp_id: UUID, code: str, name: str, now: datetime
) -> bool:
    """Turn an offered seed into an authenticator by its first code; that step is spent with it."""
    row = await db.first(
        select(Totp.seed)
        .where(Totp.id == totp_id, Totp.account_id == account_id)
        .where(Totp.confirmed_at.is_(None), Totp.removed_at.is_(None), Totp.created_at > now - OFFER_LIFETIME)
    )
    if row is None:
        return False
    steps = _matching_steps(key.open("totp.seed", totp_id, row.seed).decode(), code, now)
    if not steps:
        return False
    confirmed = await db.execute(
        update(Totp)
        .where(Totp.id == totp_id, Totp.account_id == account_id)
        .where(Totp.confirmed_at.is_(None), Totp.removed_at.is_(None))
        .values(confirmed_at=now, last_step=steps[0], name=_sealed_name(key, totp_id, name))
        .returning(Totp.id)
    )
    return confirmed.first() is not None


async def add(db: Transaction, key: DataKey, account_id: UUID, seed: str, name: str, now: datetime) -> UUID:
    """A confirmed authenticator with a given seed: for people whom demo and simulator bring.
    Raises ValueError for what is no seed."""
    _bytes_of(seed)
    return await _insert(db, key, account_id, seed, name, now, now)


async def spend(
    db: Transaction, key: DataKey, account_id: UUID, code: str, now: datetime, *, again: bool = False
) -> bool:
    """Accept a code of any of the account's apps, once. Of many that race, the database lets one through.
    `again`: in the simulator, as often as it comes within its window."""
    rows = await db.all(select(Totp.id, Totp.seed).where(Totp.account_id == account_id, stands()).limit(20))
    for row in rows:
        for step in _matching_steps(key.open("totp.seed", row.id, row.seed).decode(), code, now):
            # A code stays valid for its whole window; accepting a step twice would let a shoulder-surfer follow.
            unspent = true() if again else Totp.last_step < step
            spent = await db.execute(
                update(Totp)
                .where(Totp.id == row.id, stands(), unspent)
                .values(last_step=step, last_used_at=now)
                .returning(Totp.id)
            )
            if spent.first() is not None:
                return True
    return False


async def totps_of(db: Transaction, key: DataKey, account_id: UUID) -> Sequence[TotpView]:
    """The account's authenticator apps, the oldest first."""
    rows = await db.all(
        select(Totp.id, Totp.name, Totp.confirmed_at, Totp.last_used_at)
        .where(Totp.account_id == account_id, stands())
        .order_by(Totp.id)
        .limit(20)
    )
    return [
        TotpView(row.id, key.open("totp.name", row.id, row.name).decode(), row.confirmed_at, row.last_used_at)
        for row in rows
    ]


async def seeds_of(db: Transaction, key: DataKey, account_id: UUID) -> list[str]:
    """The account's seeds, the oldest first: for the demo's "what is the code now" and for nothing else."""
    rows = await db.all(
        select(Totp.id, Totp.seed).where(Totp.account_id == account_id, stands()).order_by(Totp.id).limit(20)
    )
    return [key.open("totp.seed", row.id, row.seed).decode() for row in rows]


async def remove(db: Transaction, account_id: UUID, totp_id: UUID, now: datetime) -> bool:
    """Take an app away; False when the account has no such one. The caller asks for fresh authentication (R30) and
    for a way back (R31) first."""
    removed = await db.execute(
        update(Totp)
        .where(Totp.id == totp_id, Totp.account_id == account_id, stands())
        .values(removed_at=now, seed=b"")
        .returning(Totp.id)
    )
    return removed.first() is not None


async def remove_all(db: Transaction, account_id: UUID, now: datetime) -> None:
    """Take every app away, offered seeds included: an unfinished account is set up anew."""
    await db.execute(
        update(Totp).where(Totp.account_id == account_id, Totp.removed_at.is_(None)).values(removed_at=now, seed=b"")
    )


async def _insert(
    db: Transaction, key: DataKey, account_id: UUID, seed: str, name: str, confirmed_at: datetime | None, now: datetime
) -> UUID:
    totp_id = new_id(now)
    await db.execute(
        insert(Totp).values(
            id=totp_id,
            account_id=account_id,
            name=_sealed_name(key, totp_id, name),
            seed=key.seal("totp.seed", totp_id, seed.encode()),
            created_at=now,
            confirmed_at=confirmed_at,
            last_step=0,
        )
    )
    return totp_id


def _sealed_name(key: DataKey, totp_id: UUID, name: str) -> bytes:
    return key.seal("totp.name", totp_id, name.strip()[:MAX_NAME].encode())


def _step(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def _matching_steps(seed: str, code: str, now: datetime) -> list[int]:
    """The steps of the window whose code this is, the oldest first (hardly ever more than one)."""
    typed, totp, present = plain_code(code).encode(), _App(seed), _step(now)
    return [
        step
        for step in range(present - WINDOW, present + WINDOW + 1)
        if hmac.compare_digest(totp.at(step * STEP_SECONDS).encode(), typed)
    ]
