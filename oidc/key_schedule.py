"""When signing keys change: by a schedule, and at once where one may be in wrong hands (OpenID Connect Core 10.1)."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy import select, update

from accounts.database import Transaction
from oidc.key_holder import KeyHolder
from oidc.revision import bump
from oidc.signing_keys import Rotated, SigningKey, destroy_ended, ensure_keys, rotate

ANNOUNCED = timedelta(hours=1)
"""How long a next key is published before it signs: many times longer than copies of our key set are kept."""


async def rotate_when_due(db: Transaction, holder: KeyHolder, every: timedelta, now: datetime) -> list[Rotated]:
    """Rotate each algorithm whose current key has signed for so long, unless its next one is too new to be known.

    Of many workers that find a key due, one rotates it: to all others the next key is new again.
    """
    due = await db.all(
        select(SigningKey.algorithm).where(
            SigningKey.active_at <= now - every, SigningKey.retired_at.is_(None), SigningKey.revoked_at.is_(None)
        )
    )
    algorithms = tuple(sorted({row.algorithm for row in due}))
    if not algorithms:
        return []
    done = await rotate(db, holder, now, algorithms=algorithms, announced_for=min(ANNOUNCED, every / 2))
    return [one for one in done if one.current is not None]


def schedule(holder: KeyHolder, every: timedelta) -> Callable[[Transaction, datetime], Awaitable[int]]:
    """`rotate_when_due` as work that is done every few minutes; how many keys began to sign. What an
    earlier change ended is destroyed where hardware holds it."""

    async def keep(db: Transaction, now: datetime) -> int:
        await destroy_ended(db, holder)
        return len(await rotate_when_due(db, holder, every, now))

    return keep


async def revoke_key(db: Transaction, holder: KeyHolder, kid: str, now: datetime) -> bool:
    """Never again: the key leaves the key set at once and nothing it signed is believed any more. Where it was the
    current one, the next key signs from now on, announced or not, and another next one is made. False where there is
    no such key, or it was revoked before. What is revoked stays so where no other key can be made."""
    await bump(db, "signing_key")  # its lock lets one change through at a time, and tells every process
    revoked = (
        await db.execute(
            update(SigningKey)
            .where(SigningKey.kid == kid, SigningKey.revoked_at.is_(None))
            .values(revoked_at=now, private=None, published_until=now)
            .returning(SigningKey.algorithm, SigningKey.active_at, SigningKey.retired_at)
        )
    ).first()
    if revoked is None:
        return False
    if revoked.active_at is not None and revoked.retired_at is None:
        following = await db.scalar(
            select(SigningKey.kid)
            .where(SigningKey.algorithm == revoked.algorithm, SigningKey.active_at.is_(None))
            .where(SigningKey.revoked_at.is_(None))
            .order_by(SigningKey.created_at)
        )
        if following is not None:
            await db.execute(update(SigningKey).where(SigningKey.kid == following).values(active_at=now))
    await ensure_keys(db, holder, now, (revoked.algorithm,))
    return True
