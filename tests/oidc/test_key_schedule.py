"""Signing keys change by a schedule, and at once when one may be in wrong hands (R61, OpenID Connect Core 10.1)."""

from datetime import timedelta
from uuid import UUID

import pytest
from oidc_kit import Box, decoded
from sqlalchemy import delete

from oidc.key_schedule import revoke_key, rotate_when_due, schedule
from oidc.signing_keys import KeyView, SigningKey, keys_of, rotate

pytestmark = pytest.mark.anyio

EVERY = timedelta(days=90)


async def keys(box: Box) -> dict[str, KeyView]:
    """Those in use, by state."""
    async with box.transaction() as db:
        return {key.state: key for key in reversed(await keys_of(db))}


async def signed_by(box: Box) -> str:
    """The key of an ID token that is issued now."""
    tokens = (await box.redeem(await box.code(await box.register(), session=await box.session(await ada(box))))).json()
    return str(decoded(tokens["id_token"])[0]["kid"])


async def ada(box: Box) -> UUID:
    return await box.person(email=f"ada{box.now.timestamp()}@example.org")


async def published(box: Box) -> set[str]:
    return {key["kid"] for key in (await box.http.get("/jwks")).json()["keys"]}


async def tick(box: Box) -> int:
    async with box.transaction() as db:
        return await schedule(box.holder, EVERY)(db, box.now)


async def test_a_key_signs_for_as_long_as_the_schedule_says(box: Box) -> None:
    """OpenID Connect Core section 10.1.1: the key that begins to sign has been published all the time before."""
    before = await keys(box)
    early = await tick(box)
    announced = await published(box)
    box.later(days=90)
    due = await tick(box)
    again = await tick(box)
    after = await keys(box)
    box.later(seconds=2)

    assert (early, due, again) == (0, 1, 0)
    assert after["current"].kid == before["next"].kid
    assert after["current"].kid in announced
    assert before["current"].kid in await published(box)
    assert await signed_by(box) == before["next"].kid


async def test_a_retired_key_stays_a_day(box: Box) -> None:
    """What it signed is still checked."""
    old = (await keys(box))["current"].kid
    box.later(days=90)
    await tick(box)
    box.later(hours=23)
    assert old in await published(box)
    box.later(hours=2)
    assert old not in await published(box)


async def test_a_next_key_that_nobody_can_know_yet_waits(box: Box) -> None:
    """Announced before use, also when the current one is overdue."""
    box.later(days=90)
    late = await keys(box)
    async with box.transaction() as db:
        await revoke_key(db, box.holder, late["next"].kid, box.now)
        assert await rotate_when_due(db, box.holder, EVERY, box.now) == []
    assert (await keys(box))["current"].kid == late["current"].kid


async def test_a_revoked_key_is_gone_at_once_and_the_next_one_signs(box: Box) -> None:
    """R61: in the key set no more, and what it signed is no hint any more; another next key is announced."""
    before = await keys(box)
    id_token = (await box.redeem(await box.code(await box.register()))).json()["id_token"]
    async with box.transaction() as db:
        assert await revoke_key(db, box.holder, before["current"].kid, box.now)
        assert not await revoke_key(db, box.holder, before["current"].kid, box.now)
        assert not await revoke_key(db, box.holder, "unknown", box.now)
    box.later(seconds=2)
    after = await keys(box)

    assert decoded(id_token)[0]["kid"] == before["current"].kid
    assert after["current"].kid == before["next"].kid
    assert await published(box) == {after["current"].kid, after["next"].kid}
    assert await signed_by(box) == after["current"].kid
    async with box.transaction() as db:
        assert before["current"].kid not in str((await box.provider.keys.current(db, box.now)).verifying)


async def test_a_next_key_can_be_revoked_too(box: Box) -> None:
    """R61: another takes its place; the current one goes on."""
    before = await keys(box)
    async with box.transaction() as db:
        await revoke_key(db, box.holder, before["next"].kid, box.now)
    after = await keys(box)
    assert after["current"].kid == before["current"].kid
    assert after["next"].kid not in (before["next"].kid, before["current"].kid)


async def test_a_rotation_without_a_next_key_announces_one_and_leaves_the_current_one(box: Box) -> None:
    """OpenID Connect Core section 10.1.1: what nobody has seen yet does not sign, and something always can."""
    before = await keys(box)
    async with box.transaction() as db:
        await db.execute(delete(SigningKey).where(SigningKey.kid == before["next"].kid))
        (done,) = await rotate(db, box.holder, box.now, algorithms=("ES256",))
        after = await keys_of(db)

    assert (done.current, done.retired) == (None, None)
    assert {key.state: key.kid for key in after} == {"current": before["current"].kid, "next": done.announced}


async def test_a_rotation_makes_a_lost_algorithm_sign_again(box: Box) -> None:
    """R75: where there is no key at all, the first one signs at once."""
    async with box.transaction() as db:
        await db.execute(delete(SigningKey))
        (done,) = await rotate(db, box.holder, box.now, algorithms=("ES256",), announced_for=timedelta(hours=1))
    box.later(seconds=2)
    assert await signed_by(box) == done.current
