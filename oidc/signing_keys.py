"""Signing keys: sealed at rest, announced before use, current, retired with overlap (R61, OpenID Connect Core 10.1)."""

from asyncio import gather
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Index, LargeBinary, String, insert, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Json, Transaction
from oidc.key_holder import KeyHolder, MadeKey
from oidc.protocol.lifetimes import PUBLISHED_AFTER_RETIREMENT
from oidc.revision import bump
from oidc.signer import ALGORITHMS

State = Literal["next", "current", "retired", "revoked"]


class SigningKey(Base):
    __tablename__ = "signing_key"
    __table_args__ = (Index("ix_signing_key_algorithm", "algorithm", "created_at"),)

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(16))
    public_jwk: Mapped[dict[str, Any]] = mapped_column(Json)
    private: Mapped[bytes | None] = mapped_column(LargeBinary)
    """PKCS #8, sealed. Null once the key is retired, and where hardware holds it."""
    held_at: Mapped[str | None] = mapped_column(String(255))
    """Where hardware holds it, as a PKCS #11 URI (RFC 7512). Null again once it is destroyed there."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    announced_at: Mapped[datetime] = mapped_column(Instant)
    """Since when the key set shows it."""
    active_at: Mapped[datetime | None] = mapped_column(Instant)
    retired_at: Mapped[datetime | None] = mapped_column(Instant)
    published_until: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    """It may be in wrong hands: shown no more, and nothing it signed is believed."""


class KeyView(msgspec.Struct, frozen=True):
    """A key as an operator sees it."""

    kid: str
    algorithm: str
    state: State
    announced_at: datetime
    active_at: datetime | None
    retired_at: datetime | None
    published_until: datetime | None
    held_at: str | None


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation did for one algorithm. All None where the next key was announced too recently; only `announced`
    where none was announced before."""

    algorithm: str
    retired: str | None
    current: str | None
    announced: str | None


def state_of(row: Any) -> State:
    """Where a key stands, from its instants."""
    if row.revoked_at is not None:
        return "revoked"
    if row.retired_at is not None:
        return "retired"
    return "next" if row.active_at is None else "current"


async def keys_of(db: Transaction, limit: int = 100) -> list[KeyView]:
    """Every key, the newest first."""
    rows = await db.all(
        select(
            SigningKey.kid,
            SigningKey.algorithm,
            SigningKey.announced_at,
            SigningKey.active_at,
            SigningKey.retired_at,
            SigningKey.published_until,
            SigningKey.revoked_at,
            SigningKey.held_at,
        )
        .order_by(SigningKey.created_at.desc())
        .limit(limit)
    )
    return [
        KeyView(
            row.kid,
            row.algorithm,
            state_of(row),
            row.announced_at,
            row.active_at,
            row.retired_at,
            row.published_until,
            row.held_at,
        )
        for row in rows
    ]


async def ensure_keys(
    db: Transaction, holder: KeyHolder, now: datetime, algorithms: Sequence[str] = ALGORITHMS
) -> bool:
    """Make the first current and next key of each algorithm that lacks one; False when all were there."""
    lacking = [algorithm for algorithm in algorithms if {"current", "next"} - (await _live_keys(db, algorithm)).keys()]
    if not lacking:
        return False
    await db.pause()
    # All at once: finding RSA keys is most of what a first start takes.
    made = await gather(*(holder.make(algorithm) for algorithm in lacking * 2))
    await bump(db, "signing_key")  # its lock lets one process at a time look again
    unused = []
    for algorithm, first, second in zip(lacking, made, made[len(lacking) :], strict=False):
        live = await _live_keys(db, algorithm)
        if "current" in live:
            unused.append(first)
        else:
            await _keep(db, algorithm, first, now, active_at=now)
        if "next" in live:
            unused.append(second)
        else:
            await _keep(db, algorithm, second, now, active_at=None)
    await _discard(db, holder, unused)
    return True


async def rotate(
    db: Transaction,
    holder: KeyHolder,
    now: datetime,
    *,
    algorithms: Sequence[str] = ALGORITHMS,
    announced_for: timedelta = timedelta(0),
) -> list[Rotated]:
    """The next key signs from now on, the current one is retired and stays in the key set for a day, a new next one is
    announced. A next key that was announced for less than `announced_for` is left, and nothing else happens to its
    algorithm: services may not have seen it yet. Where none is announced, that is all that is done."""
    await db.pause()
    fresh = {algorithm: await holder.make(algorithm) for algorithm in algorithms}
    await bump(db, "signing_key")  # its lock lets one rotation through at a time
    done = [await _rotate(db, now, algorithm, fresh[algorithm], announced_for) for algorithm in algorithms]
    await _discard(db, holder, [fresh[one.algorithm] for one in done if one.announced is None])
    return done


async def _rotate(db: Transaction, now: datetime, algorithm: str, fresh: MadeKey, announced_for: timedelta) -> Rotated:
    live = await _live_keys(db, algorithm)
    current, following = live.get("current"), live.get("next")
    if following is None:
        # What nobody has seen yet must not sign, unless nothing else can.
        kid = await _keep(db, algorithm, fresh, now, active_at=None if current else now)
        return Rotated(algorithm, None, None, kid) if current else Rotated(algorithm, None, kid, kid)
    if now - following.announced_at < announced_for:
        return Rotated(algorithm, None, None, None)
    await db.execute(update(SigningKey).where(SigningKey.kid == following.kid).values(active_at=now))
    if current is not None:
        await db.execute(
            update(SigningKey)
            .where(SigningKey.kid == current.kid)
            .values(retired_at=now, published_until=now + PUBLISHED_AFTER_RETIREMENT, private=None)
        )
    announced = await _keep(db, algorithm, fresh, now, active_at=None)
    return Rotated(algorithm, None if current is None else current.kid, following.kid, announced)


async def _live_keys(db: Transaction, algorithm: str) -> dict[State, Any]:
    rows = await db.all(
        select(
            SigningKey.kid,
            SigningKey.announced_at,
            SigningKey.active_at,
            SigningKey.retired_at,
            SigningKey.revoked_at,
        )
        .where(SigningKey.algorithm == algorithm, SigningKey.retired_at.is_(None), SigningKey.revoked_at.is_(None))
        .order_by(SigningKey.created_at)
    )
    return {state_of(row): row for row in rows}


async def _keep(db: Transaction, algorithm: str, made: MadeKey, now: datetime, *, active_at: datetime | None) -> str:
    kid: str = made.public_jwk["kid"]
    await db.execute(
        insert(SigningKey).values(
            kid=kid,
            algorithm=algorithm,
            public_jwk=made.public_jwk,
            private=made.private,
            held_at=made.held_at,
            created_at=now,
            announced_at=now,
            active_at=active_at,
        )
    )
    return kid


async def _discard(db: Transaction, holder: KeyHolder, unused: Sequence[MadeKey]) -> None:
    """Others were quicker: what was made in vain does not stay in the hardware."""
    held = [key.held_at for key in unused if key.held_at is not None]
    if held:
        await db.pause()
    for address in held:
        await holder.destroy(address)


async def destroy_ended(db: Transaction, holder: KeyHolder) -> int:
    """Destroy in the hardware what signs no more. In a transaction after the one that ended the keys: there is no way
    back from it."""
    ended = await db.all(
        select(SigningKey.kid, SigningKey.held_at).where(
            SigningKey.held_at.is_not(None), or_(SigningKey.retired_at.is_not(None), SigningKey.revoked_at.is_not(None))
        )
    )
    if not ended:
        return 0
    await db.pause()
    gone = [row.kid for row in ended if await holder.destroy(row.held_at)]
    await db.execute(update(SigningKey).where(SigningKey.kid.in_(gone)).values(held_at=None))
    return len(gone)
