"""Back-channel logout: every service of a session is told, durably, each for itself (R14)."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from town import ISSUER, Town, claims_of

from accounts.outbox import MAX_ATTEMPTS, Outbox
from identity.session import end, end_all
from oidc.logout import announce, deliveries_of
from oidc.protocol.jwt import JwtKind, verify_jwt

pytestmark = pytest.mark.anyio

AT_PARKS, AT_TAXES = "https://parks.example/logout", "https://taxes.example/logout"
KIND = JwtKind(name="logout token", error="invalid_request", typ=frozenset({"logout+jwt"}), algorithms=("ES256",))


def received(town: Town, address: str) -> list[str]:
    return [fields["logout_token"] for to, fields in town.outside.received if to == address]


async def states(town: Town, session_id: UUID) -> dict[str, tuple[str, int]]:
    async with town.transaction() as db:
        return {told.client_id: (told.state, told.attempts) for told in await deliveries_of(db, session_id)}


async def end_session(town: Town, session_id: UUID) -> None:
    async with town.transaction() as db:
        assert await end(db, town.vault, session_id, "ended_by_citizen", town.clock.now())


async def test_every_service_of_a_session_is_told_once(town: Town) -> None:
    """Back-Channel Logout 1.0 sections 2.4 and 2.5, R14: signed, with `sid` and `sub` as that service knows them."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    session_id = await ada.sign_in(account_id)
    first = await parks.enter(ada)
    await parks.enter(ada, scope="openid")
    await taxes.enter(ada)

    await end_session(town, session_id)
    await town.work()

    (token,) = received(town, AT_PARKS)
    assert len(received(town, AT_TAXES)) == 1
    async with town.transaction() as db:
        keys = await town.provider.keys.current(db, town.clock.now())
    claims = verify_jwt(token, keys.verifying, KIND).claims
    known = claims_of(first["id_token"])
    assert claims["iss"] == ISSUER
    assert claims["aud"] == "parks"
    assert (claims["sub"], claims["sid"]) == (known["sub"], known["sid"])
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert claims["exp"] - claims["iat"] <= 120
    assert claims["jti"]
    assert "nonce" not in claims
    assert await states(town, session_id) == {"parks": ("reached", 1), "taxes": ("reached", 1)}


async def test_announcing_is_idempotent(town: Town) -> None:
    """R14: the page announces, the worker announces again; each service is told once."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    session_id = await ada.sign_in(account_id)
    await parks.enter(ada)
    await end_session(town, session_id)

    for _ in range(3):
        async with town.transaction() as db:
            await announce(db, town.vault, session_id, town.clock.now())
    async with town.transaction() as db:
        assert await db.scalar(select(func.count()).where(Outbox.kind == "logout_token")) == 1
    await town.work()

    assert len(received(town, AT_PARKS)) == 1


async def test_a_dead_service_is_tried_again_and_delays_no_other(town: Town) -> None:
    """R14: backoff, a fresh token at each try, and in the end it is reached."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    session_id = await ada.sign_in(account_id)
    await parks.enter(ada)
    await taxes.enter(ada)
    town.outside.answers[AT_PARKS] = None

    await end_session(town, session_id)
    await town.work()
    assert await states(town, session_id) == {"parks": ("waiting", 1), "taxes": ("reached", 1)}
    town.outside.answers[AT_PARKS] = 400
    town.later(minutes=1)
    await town.work()
    town.outside.answers[AT_PARKS] = 204
    town.later(minutes=5)
    await town.work()

    assert await states(town, session_id) == {"parks": ("reached", 3), "taxes": ("reached", 1)}
    tokens = [claims_of(token) for token in received(town, AT_PARKS)]
    assert len({claims["jti"] for claims in tokens}) == 3
    assert len({claims["iat"] for claims in tokens}) == 3
    town.later(hours=5)
    await town.work()
    assert len(received(town, AT_PARKS)) == 3


async def test_what_is_never_reached_is_given_up_loudly(town: Town) -> None:
    """R14: after about a day; the state says so."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    session_id = await ada.sign_in(account_id)
    await parks.enter(ada)
    town.outside.answers[AT_PARKS] = 500

    await end_session(town, session_id)
    for _ in range(MAX_ATTEMPTS + 2):
        await town.work()
        town.later(hours=5)

    assert await states(town, session_id) == {"parks": ("given_up", MAX_ATTEMPTS)}


async def test_a_service_without_an_address_is_not_asked(town: Town) -> None:
    """It registered no way to be told; the page says so to the citizen."""
    parks = await town.service(backchannel_logout_uri=None)
    ada, account_id = await town.citizen()
    session_id = await ada.sign_in(account_id)
    await parks.enter(ada)

    await end_session(town, session_id)
    await town.work()

    assert await states(town, session_id) == {"parks": ("not_tellable", 0)}


async def test_a_session_that_runs_out_tells_nobody(town: Town) -> None:
    """Only what is ended is announced; each service has limits of its own."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    await ada.sign_in(account_id)
    await parks.enter(ada)

    town.later(hours=13)
    await town.work()

    assert received(town, AT_PARKS) == []


async def test_other_sessions_go_on(town: Town) -> None:
    """One browser signs out; the `sid` says which."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    here = await ada.sign_in(account_id)
    tokens = await parks.enter(ada)
    elsewhere = town.browser()
    await elsewhere.sign_in(account_id)
    others = await parks.enter(elsewhere)

    await end_session(town, here)
    await town.work()

    (token,) = received(town, AT_PARKS)
    assert claims_of(token)["sid"] == claims_of(tokens["id_token"])["sid"] != claims_of(others["id_token"])["sid"]
    assert (await parks.userinfo(others["access_token"])).status_code == 200
    assert (await parks.userinfo(tokens["access_token"])).status_code == 401


async def test_ending_all_sessions_tells_of_each(town: Town) -> None:
    """R42: a change of credentials ends the others; every service of every one of them hears of it."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    browsers = [ada, town.browser(), town.browser()]
    for browser in browsers:
        await browser.sign_in(account_id)
        await parks.enter(browser)

    async with town.transaction() as db:
        ended = await end_all(
            db, town.vault, account_id, "credentials_changed", town.clock.now(), but=browsers[0].session_id
        )
    await town.work()

    assert len(ended) >= 2
    assert len({claims_of(token)["sid"] for token in received(town, AT_PARKS)}) == 2


async def test_a_disabled_service_is_told_as_well(town: Town) -> None:
    """It may still hold a session of its own."""
    from oidc.client import set_disabled

    parks = await town.service()
    ada, account_id = await town.citizen()
    session_id = await ada.sign_in(account_id)
    await parks.enter(ada)
    async with town.transaction() as db:
        await set_disabled(db, "parks", True, town.clock.now())
    town.clock.moment += timedelta(seconds=2)

    await end_session(town, session_id)
    await town.work()

    assert len(received(town, AT_PARKS)) == 1
