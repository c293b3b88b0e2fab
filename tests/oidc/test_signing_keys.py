"""Signing keys: made once, announced, rotated with overlap, sealed."""

import asyncio
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from oidc_kit import ISSUER, Box, decoded, new_box, new_vault
from services import Backend
from sqlalchemy import select, update

from accounts.database import new_id
from oidc.key_holder import SealedKeys
from oidc.key_ring import KeyRing
from oidc.protocol.errors import ProtocolError
from oidc.protocol.id_token_hint import verify_id_token_hint
from oidc.revision import Revisions
from oidc.signing_keys import SigningKey, ensure_keys, keys_of, rotate

pytestmark = pytest.mark.anyio


async def test_the_first_keys_are_made_once(box: Box) -> None:
    """A current and a next one of each algorithm; asking again makes none."""
    async with box.transaction() as db:
        assert not await ensure_keys(db, box.holder, box.now, ("ES256",))
        assert await ensure_keys(db, box.holder, box.now)
        assert not await ensure_keys(db, box.holder, box.now)
        keys = await keys_of(db)

    assert sorted((key.algorithm, key.state) for key in keys) == [
        ("ES256", "current"),
        ("ES256", "next"),
        ("RS256", "current"),
        ("RS256", "next"),
    ]


async def test_a_key_is_announced_before_it_signs(box: Box) -> None:
    """OpenID Connect Core section 10.1.1: what signs after a rotation was in the key set before it."""
    before = {key["kid"] for key in (await box.http.get("/jwks")).json()["keys"]}
    async with box.transaction() as db:
        (rotated,) = await rotate(db, box.holder, box.now, algorithms=("ES256",))
    box.later(seconds=1)

    tokens = (await box.redeem(await box.code(await box.register()))).json()

    kid = decoded(tokens["id_token"])[0]["kid"]
    assert kid == rotated.current
    assert kid in before
    assert rotated.announced not in before


async def test_a_retired_key_stays_published_for_a_day(box: Box) -> None:
    """R61: rotation with overlap; what was signed before it can still be verified."""
    tokens = (await box.redeem(await box.code(await box.register()))).json()
    async with box.transaction() as db:
        await rotate(db, box.holder, box.now, algorithms=("ES256",))
    box.later(hours=23)

    published = KeySet.import_key_set((await box.http.get("/jwks")).json())
    assert jwt.decode(tokens["id_token"], published, algorithms=["ES256"]).claims["iss"] == ISSUER

    box.later(hours=1)
    kids = {key["kid"] for key in (await box.http.get("/jwks")).json()["keys"]}
    assert decoded(tokens["id_token"])[0]["kid"] not in kids


async def test_a_hint_signed_by_a_retired_key_is_still_ours(box: Box) -> None:
    """RP-Initiated Logout section 4: a hint may be old; after the key was revoked it proves nothing."""
    token = (await box.redeem(await box.code(await box.register()))).json()["id_token"]
    async with box.transaction() as db:
        await rotate(db, box.holder, box.now, algorithms=("ES256",))
    box.later(days=30)
    async with box.transaction() as db:
        keys = await box.provider.keys.current(db, box.now)
        assert verify_id_token_hint(token, keys.verifying, ISSUER, ("ES256",)).client_id == "parks"

        await db.execute(update(SigningKey).where(SigningKey.retired_at.is_not(None)).values(revoked_at=box.now))
        keys = await KeyRing(box.holder, Revisions()).current(db, box.now)
    with pytest.raises(ProtocolError):
        verify_id_token_hint(token, keys.verifying, ISSUER, ("ES256",))


async def test_rotation_reaches_every_process_within_a_second(box: Box) -> None:
    """Caches ask for the version at most a second late."""
    elsewhere = KeyRing(box.holder, Revisions())
    async with box.transaction() as db:
        first = (await elsewhere.current(db, box.now)).signer("ES256").kid
        (rotated,) = await rotate(db, box.holder, box.now, algorithms=("ES256",))
        second = (await elsewhere.current(db, box.now + timedelta(seconds=1))).signer("ES256").kid

    assert (first, second) == (rotated.retired, rotated.current)


async def test_a_next_key_nobody_has_seen_yet_can_be_waited_for(box: Box) -> None:
    """A schedule rotates only what was announced for longer than key sets are cached."""
    async with box.transaction() as db:
        (too_early,) = await rotate(
            db, box.holder, box.now + timedelta(minutes=59), algorithms=("ES256",), announced_for=timedelta(hours=1)
        )
        (rotated,) = await rotate(
            db, box.holder, box.now + timedelta(minutes=60), algorithms=("ES256",), announced_for=timedelta(hours=1)
        )

    assert too_early.current is None
    assert rotated.current is not None


async def test_a_private_key_lies_sealed_and_goes_when_it_is_retired(box: Box) -> None:
    """R61: encrypted at rest, bound to its row; a retired key can sign nothing any more."""
    async with box.transaction() as db:
        await rotate(db, box.holder, box.now, algorithms=("ES256",))
        rows = await db.all(select(SigningKey.private, SigningKey.retired_at))

    assert {row.private is None for row in rows if row.retired_at} == {True}
    for row in rows:
        if row.private is not None:
            assert b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" not in row.private  # id-ecPublicKey in DER


async def test_a_missing_key_is_no_unsigned_token(box: Box) -> None:
    """R75: without a current key of its algorithm a client gets an error, and its code is not spent."""
    parks = await box.register(id_token_signed_response_alg="RS256")
    code = await box.code(parks)

    refused = await box.redeem(code)
    async with box.transaction() as db:
        await ensure_keys(db, box.holder, box.now, ("RS256",))
    box.later(seconds=1)

    assert (refused.status_code, refused.json()["error"]) == (500, "server_error")
    assert (await box.redeem(code)).status_code == 200


@pytest.mark.services
async def test_processes_that_start_together_make_one_set_of_keys(postgres_redis: Backend) -> None:
    """R78: of many one makes them; of many rotations each finds the one before it done."""
    async with new_box(postgres_redis.database_url, algorithms=(), pool_size=20) as box:

        async def start() -> None:
            async with box.transaction() as db:
                await ensure_keys(db, SealedKeys(new_vault()), box.now, ("ES256",))

        async def turn() -> str | None:
            async with box.transaction() as db:
                (rotated,) = await rotate(db, box.holder, box.now, algorithms=("ES256",))
            return rotated.current

        await asyncio.gather(*(start() for _ in range(8)))
        async with box.transaction() as db:
            assert sorted(key.state for key in await keys_of(db)) == ["current", "next"]

        assert len(set(await asyncio.gather(*(turn() for _ in range(8))))) == 8
        async with box.transaction() as db:
            states = [key.state for key in await keys_of(db)]
    assert (states.count("current"), states.count("next"), states.count("retired")) == (1, 1, 8)


async def test_each_jwt_has_its_own_type(box: Box) -> None:
    """R11: the caller names it; kid and algorithm are the current key's."""
    async with box.transaction() as db:
        keys = await box.provider.keys.current(db, box.now)
    header, claims = decoded(await keys.sign({"jti": str(new_id(box.now))}, algorithm="ES256", typ="logout+jwt"))

    assert header == {"alg": "ES256", "kid": keys.signer("ES256").kid, "typ": "logout+jwt"}
    assert claims.keys() == {"jti"}


async def test_many_rotations_of_one_algorithm_leave_the_other_signing(box: Box) -> None:
    """The ring keeps a bounded number of old keys, and every key in use."""
    async with box.transaction() as db:
        await ensure_keys(db, box.holder, box.now, ("RS256",))
        for _ in range(40):
            await rotate(db, box.holder, box.now, algorithms=("ES256",))
    async with box.transaction() as db:
        keys = await KeyRing(box.holder, Revisions()).current(db, box.now)

    assert keys.signer("RS256").kid != keys.signer("ES256").kid
    assert len(keys.verifying) == 32
