"""Refresh tokens: rotation, the grace, reuse, and what ends them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from oidc_kit import Box, decoded, new_box
from services import Backend

from accounts.consent import withdraw_consent
from identity.session import SessionView, end
from oidc.protocol.id_token import half_hash
from oidc.provider import ProviderPolicy

pytestmark = pytest.mark.anyio

OFFLINE = ("openid", "email", "offline_access")


async def signed_in(box: Box, scopes: tuple[str, ...] = ("openid", "profile")) -> tuple[dict[str, Any], SessionView]:
    """Tokens of a new citizen at `parks`."""
    session = await box.session(await box.person())
    code = await box.code(await box.register(), session=session, scopes=scopes)
    tokens: dict[str, Any] = (await box.redeem(code)).json()
    return tokens, session


async def test_a_refresh_gives_new_tokens_for_the_same_sign_in(box: Box) -> None:
    """OpenID Connect Core section 12.2: the same sub, aud, auth_time; no nonce; a new at_hash."""
    first, _ = await signed_in(box)
    box.later(minutes=5)

    answer = await box.refresh(first["refresh_token"])

    assert answer.status_code == 200, answer.text
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    _, before = decoded(first["id_token"])
    _, after = decoded(second["id_token"])
    same = ("iss", "sub", "aud", "auth_time", "acr", "amr", "sid")
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    assert "nonce" not in after
    assert after["iat"] == before["iat"] + 300
    assert after["at_hash"] == half_hash(second["access_token"], "ES256")
    assert await box.is_alive(first["access_token"])
    assert await box.is_alive(second["access_token"])


async def test_an_answer_that_was_lost_can_be_asked_for_again(box: Box) -> None:
    """R8: for at most ten seconds the rotated token answers with the same successor."""
    tokens, _ = await signed_in(box)
    lost = (await box.refresh(tokens["refresh_token"])).json()
    box.later(seconds=10)

    again = (await box.refresh(tokens["refresh_token"])).json()

    assert again["refresh_token"] == lost["refresh_token"]
    assert (await box.refresh(again["refresh_token"])).status_code == 200


async def test_a_token_used_again_later_takes_the_family_along(box: Box) -> None:
    """R8, RFC 9700 section 4.14.2: nobody can tell thief from owner, so both lose."""
    tokens, _ = await signed_in(box)
    successor = (await box.refresh(tokens["refresh_token"])).json()
    box.later(seconds=11)

    refused = await box.refresh(tokens["refresh_token"])

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await box.refresh(successor["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await box.is_alive(successor["access_token"])
    assert not await box.is_alive(tokens["access_token"])


async def test_the_successor_survives_a_restart(backend: Backend) -> None:
    """R8: it is derived from its predecessor by our key, so no process and no store needs to remember it."""
    async with new_box(backend.database_url) as box:
        tokens, _ = await signed_in(box)
        lost = (await box.refresh(tokens["refresh_token"])).json()
    async with new_box(backend.database_url) as restarted:
        again = (await restarted.refresh(tokens["refresh_token"])).json()

    assert again["refresh_token"] == lost["refresh_token"]


async def test_scope_can_only_shrink(box: Box) -> None:
    """RFC 6749 section 6: less for this access token; all of it again with the next; never more."""
    tokens, _ = await signed_in(box, ("openid", "profile", "email"))

    less = (await box.refresh(tokens["refresh_token"], scope="openid")).json()
    again = (await box.refresh(less["refresh_token"])).json()

    assert (less["scope"], again["scope"]) == ("openid", "openid profile email")
    assert (await box.userinfo(less["access_token"])).json().keys() == {"sub"}
    assert "email" in (await box.userinfo(again["access_token"])).json()


async def test_asking_for_more_scope_rotates_nothing(box: Box) -> None:
    """Refuse before you change: the client made a mistake and still has its token."""
    tokens, _ = await signed_in(box)

    refused = await box.refresh(tokens["refresh_token"], scope="openid address")
    box.later(seconds=60)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert (await box.refresh(tokens["refresh_token"])).status_code == 200


async def test_the_token_of_another_client_is_unknown(box: Box) -> None:
    """RFC 6749 section 6: bound to the client; the attempt harms nobody."""
    tokens, _ = await signed_in(box)
    await box.register("taxes")

    refused = await box.refresh(tokens["refresh_token"], "taxes")

    assert refused.json()["error"] == "invalid_grant"
    assert (await box.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_refresh_token_ends_with_the_session(box: Box) -> None:
    """It goes with the session unless offline access was agreed to; also where the session only ran out."""
    tokens, _ = await signed_in(box)
    box.later(minutes=31)

    assert (await box.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_the_grace_is_no_way_round_the_end_of_the_session(box: Box) -> None:
    """R42, on every path: a lost answer cannot be asked for again once the grant does not stand."""
    tokens, session = await signed_in(box)
    await box.refresh(tokens["refresh_token"])
    async with box.transaction() as db:
        await end(db, box.vault, session.id, "signed_out", box.now)

    assert (await box.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_offline_access_outlives_the_session(box: Box) -> None:
    """OpenID Connect Core section 11; what ends it is the end of the consent (R13)."""
    tokens, session = await signed_in(box, OFFLINE)
    async with box.transaction() as db:
        await end(db, box.vault, session.id, "signed_out", box.now)
    box.later(days=20)

    refreshed = (await box.refresh(tokens["refresh_token"])).json()
    assert await box.is_alive(refreshed["access_token"])

    async with box.transaction() as db:
        await withdraw_consent(db, session.account_id, "parks", box.now)
    assert not await box.is_alive(refreshed["access_token"])
    assert (await box.refresh(refreshed["refresh_token"])).json()["error"] == "invalid_grant"


async def test_agreeing_again_revives_no_old_grant(box: Box) -> None:
    """A consent is one row an agreement: a new one gives life to new grants alone."""
    tokens, session = await signed_in(box, OFFLINE)
    async with box.transaction() as db:
        await withdraw_consent(db, session.account_id, "parks", box.now)
    await box.consent(session.account_id, "parks", OFFLINE)

    assert not await box.is_alive(tokens["access_token"])


async def test_an_unused_token_expires(box: Box) -> None:
    """RFC 9700 section 4.14.2: refresh tokens expire when the client is not using them; using one begins anew."""
    tokens, _ = await signed_in(box, OFFLINE)
    box.later(days=29)
    second = (await box.refresh(tokens["refresh_token"])).json()
    box.later(days=29)
    third = (await box.refresh(second["refresh_token"])).json()
    box.later(days=30)

    assert (await box.refresh(third["refresh_token"])).json()["error"] == "invalid_grant"


async def test_no_grant_lives_for_ever(backend: Backend) -> None:
    """However busy the service is, the citizen is asked again after the grant's longest life."""
    async with new_box(backend.database_url, policy=ProviderPolicy(grant=timedelta(days=40))) as box:
        tokens, _ = await signed_in(box, OFFLINE)
        box.later(days=29)
        second = (await box.refresh(tokens["refresh_token"])).json()
        box.later(days=12)

        assert (await box.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_what_was_never_issued_is_refused(box: Box) -> None:
    """RFC 6749 section 5.2; an access token is no refresh token (R11)."""
    tokens, _ = await signed_in(box)

    for offered in ("x", tokens["access_token"], tokens["id_token"]):
        refused = await box.refresh(offered)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


@pytest.fixture
async def busy_box(postgres_redis: Backend) -> AsyncIterator[Box]:
    """On PostgreSQL, with enough connections to really race."""
    async with new_box(postgres_redis.database_url, pool_size=20) as made:
        yield made


@pytest.mark.services
async def test_of_a_hundred_refreshes_all_get_the_same_successor(busy_box: Box) -> None:
    """R8: one family comes of it, whoever rotates first."""
    tokens, _ = await signed_in(busy_box)

    answers = await asyncio.gather(*(busy_box.refresh(tokens["refresh_token"]) for _ in range(100)))

    assert {answer.status_code for answer in answers} == {200}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert (await busy_box.refresh(successors.pop())).status_code == 200
