"""The sweeper: what has run out goes, what may still be needed stays, on both databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from residents import resident
from services import Backend
from sqlalchemy import func, insert, select, table
from town import Service, Shown, Town, new_town

from accounts.database import Transaction, new_id
from accounts.outbox import Outbox
from config.sweeper import BATCH, EVERY, Sweeper, every_sweep
from config.tables import metadata
from identity.contact_change import UNDO, ContactChange
from identity.recovery import Recovery
from identity.throttle import ADDRESS_ENDS
from identity.throttle_row import Throttle

pytestmark = pytest.mark.anyio

STAYS = {
    "account", "activity", "consent", "contact", "profile", "passkey", "password", "recovery_code", "totp",
    "user_handle", "subject", "client", "signing_key", "oidc_revision", "oidc_grant", "session",
    "sms_phone",
}  # fmt: skip
"""The record of a citizen, and what is configured: nothing that a sweeper may touch. Grants and sessions too: the
citizen's history and services' reports refer to them."""
ELSEWHERE = {
    "client_registration",
    "client_invitation",
    "known_browser",
}
"""Has an end, and no sweep yet."""


@pytest.fixture
async def town(backend: Backend) -> AsyncIterator[Town]:
    async with new_town(backend.database_url) as opened:
        yield opened


def sweeper_of(town: Town, **sweeps: Any) -> Sweeper:
    """One with every sweep, or with these alone."""
    return Sweeper(town.house.database, town.clock, sweeps or every_sweep())  # type: ignore[arg-type]


async def rows(town: Town, name: str) -> int:
    """How many there are."""
    async with town.transaction() as db:
        return int(await db.scalar(select(func.count()).select_from(table(name))))


async def offline(town: Town, service: Service) -> tuple[str, dict[str, Any]]:
    """A code that was redeemed for what outlives the session; the code, and the tokens."""
    browser, _ = await town.citizen()
    asked = service.address(scope="openid offline_access", prompt="consent")
    answer = await browser.follow(await browser.get(asked))
    answer = await browser.follow(await browser.press(Shown(answer), "allow"))
    code = service.answer(answer)["code"]
    tokens = (await service.redeem(code)).json()
    return code, tokens


def test_every_table_is_swept_or_stays_for_a_reason() -> None:
    """A new table belongs on one list."""
    swept = set(every_sweep())
    assert not (set(metadata.tables) - swept - STAYS - ELSEWHERE)
    assert not (swept & STAYS)


async def test_nothing_that_lives_is_swept(town: Town) -> None:
    browser, _ = await town.citizen()
    await (await town.service()).enter(browser)
    await browser.press(await browser.see("/register"), "continue", identifier="nea@example.org")

    gone = await sweeper_of(town).round()

    assert set(gone.values()) == {0}


async def test_what_has_run_out_goes(town: Town) -> None:
    """Codes, tokens, interactions, sign-ins with the registrations that lean on them, and their mail."""
    parks = await town.service()
    browser, _ = await town.citizen()
    await parks.enter(browser)
    stranger = town.browser()
    await stranger.press(await stranger.see("/register"), "continue", identifier="nea@example.org")
    await stranger.see(parks.address())
    await stranger.press(await stranger.see("/recovery/contacts"), "continue", identifier="nea@example.org")
    await town.work()
    tokens, journeys = ("authorization_code", "access_token"), ("interaction", "sign_in", "registration")
    names = (*tokens, *journeys, "confirmation_code", "recovery_visit", "notice", "outbox")
    assert all([await rows(town, name) for name in names])

    town.later(days=16)  # a notice's link works for two weeks
    await sweeper_of(town).round()

    assert [name for name in names if await rows(town, name)] == []
    assert await rows(town, "refresh_token") == 1, "it has not run out"
    town.later(days=30)
    await sweeper_of(town).round()
    assert await rows(town, "refresh_token") == 0
    assert await rows(town, "oidc_grant") == 1


async def test_a_replayed_code_is_recognised_for_as_long_as_its_grant_lives(town: Town) -> None:
    """R4: three weeks later, with the access tokens swept long ago."""
    parks = await town.service(scope="openid offline_access")
    code, tokens = await offline(town, parks)
    town.later(days=20)
    await sweeper_of(town).round()
    latest = (await parks.refresh(tokens["refresh_token"])).json()

    assert (await parks.redeem(code)).status_code == 400

    assert (await parks.refresh(latest["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await parks.userinfo(latest["access_token"])).status_code == 401


async def test_a_redeemed_code_outlasts_the_longest_token_that_it_gave(town: Town) -> None:
    """A client may have access tokens that live for a day, and refresh tokens that do not."""
    parks = await town.service(access_token_lifetime=86400, refresh_token_lifetime=60)
    await offline(town, parks)

    left = []
    for _ in range(2):
        town.later(hours=25)
        await sweeper_of(town).round()
        left.append((await rows(town, "authorization_code"), await rows(town, "access_token")))

    assert left == [(1, 1), (0, 0)]


async def test_a_rotated_refresh_token_is_recognised_beyond_its_own_end(town: Town) -> None:
    """R8: a thief who rotates is found out by the first use of the copy that was left behind."""
    parks = await town.service(scope="openid offline_access")
    _, stolen = await offline(town, parks)
    latest = stolen
    for _ in range(3):
        town.later(days=20)
        await sweeper_of(town).round()
        latest = (await parks.refresh(latest["refresh_token"])).json()

    assert (await parks.refresh(stolen["refresh_token"])).json()["error"] == "invalid_grant"

    assert (await parks.refresh(latest["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("end", ["revoked", "unused"])
async def test_when_a_grant_is_over_its_codes_and_tokens_go(town: Town, end: str) -> None:
    parks = await town.service(scope="openid offline_access")
    _, tokens = await offline(town, parks)
    latest = (await parks.refresh(tokens["refresh_token"])).json()
    if end == "revoked":
        await parks.post("/revoke", token=latest["refresh_token"])
        town.later(days=2, minutes=2)  # a day, and the longest life of an access token
        await sweeper_of(town).round()
        assert await rows(town, "authorization_code") == 0, "there is nothing left to revoke"

    town.later(days=32)
    await sweeper_of(town).round()

    assert await rows(town, "authorization_code") == 0
    assert await rows(town, "refresh_token") == 0


async def test_work_that_waits_is_never_swept_and_what_was_given_up_is_shown_for_a_month(town: Town) -> None:
    now = town.clock.now()

    async def write(db: Transaction, outcome: str | None) -> None:
        finished = now if outcome else None
        await db.execute(
            insert(Outbox).values(id=new_id(now), kind="test", payload=b"", due_at=now + timedelta(days=999),
                                  attempts=1, created_at=now, finished_at=finished, outcome=outcome)
        )  # fmt: skip

    async with town.transaction() as db:
        for outcome in ("done", "gave_up", None):
            await write(db, outcome)

    left = []
    for days in (2, 29, 365):
        town.later(days=days)
        await sweeper_of(town).round()
        left.append(await rows(town, "outbox"))
    assert left == [2, 1, 1]


async def test_a_long_table_is_swept_in_small_batches(town: Town) -> None:
    now, batches = town.clock.now(), []
    async with town.transaction() as db:
        values = [
            {"id": new_id(now), "kind": "test", "payload": b"", "due_at": now, "attempts": 1, "created_at": now,
             "finished_at": now, "outcome": "done"}
            for _ in range(2 * BATCH + 1)
        ]  # fmt: skip
        await db.execute(insert(Outbox).values(values))
    town.later(days=2)
    sweep = every_sweep()["outbox"]

    async def counted(db: Transaction, at: Any) -> int:
        batches.append(await sweep(db, at))
        return batches[-1]

    assert (await sweeper_of(town, outbox=counted).round())["outbox"] == 2 * BATCH + 1
    assert batches == [BATCH, BATCH, 1]


async def test_a_sweep_that_fails_stops_no_other(town: Town) -> None:
    async def fails(db: Transaction, at: Any) -> int:
        raise RuntimeError("the table is locked by an operator")

    async def works(db: Transaction, at: Any) -> int:
        return 7

    assert await sweeper_of(town, first=fails, second=works).round() == {"first": 0, "second": 7}


async def test_a_round_is_due_every_few_minutes_and_not_at_the_start(town: Town) -> None:
    sweeper = sweeper_of(town)
    assert not sweeper.is_due()
    town.later(seconds=EVERY.total_seconds() - 1)
    assert not sweeper.is_due()
    town.later(seconds=1)
    assert sweeper.is_due()
    assert not sweeper.is_due(), "once a round"


@pytest.mark.parametrize(
    ("made", "after", "stays"),
    [
        (False, timedelta(minutes=9), 1),
        (False, timedelta(minutes=10), 0),
        (True, UNDO - timedelta(seconds=1), 1),
        (True, UNDO, 0),
    ],
)
async def test_a_change_of_contacts_goes_when_nobody_can_make_or_undo_it(
    town: Town, made: bool, after: timedelta, stays: int
) -> None:
    account_id, now = await town.person(), town.clock.now()
    browser = town.browser()
    session_id = await browser.sign_in(account_id)
    async with town.transaction() as db:
        await db.execute(
            insert(ContactChange).values(
                id=new_id(now), account_id=account_id, session_id=session_id, kind="email", created_at=now,
                expires_at=now + timedelta(minutes=10), made_at=now if made else None,
            )
        )  # fmt: skip
    town.later(seconds=after.total_seconds())

    await sweeper_of(town, contact_change=every_sweep()["contact_change"]).round()

    assert await rows(town, "contact_change") == stays


@pytest.mark.parametrize("over", ["completed_at", "stopped_at", "expires_at"])
async def test_a_recovery_goes_a_month_after_its_end(town: Town, over: str) -> None:
    account_id, now = await town.person(), town.clock.now()
    times = {"started_at": now, "ready_at": now, "expires_at": now + timedelta(days=7), over: now}
    async with town.transaction() as db:
        await db.execute(insert(Recovery).values(id=new_id(now), account_id=account_id, proof="contacts", **times))
    sweeper = sweeper_of(town, recovery=every_sweep()["recovery"])
    town.later(days=30, seconds=-1)
    await sweeper.round()
    assert await rows(town, "recovery") == 1
    town.later(seconds=1)
    await sweeper.round()
    assert await rows(town, "recovery") == 0


async def test_failures_at_an_address_are_forgotten_and_those_of_an_account_are_not(town: Town) -> None:
    """R26: a hundred in a row at an account are a hundred for good. R27: what is counted at an address goes at the same
    time whether anybody has it or not."""
    somebody = await resident(town)
    for email in ("nobody@example.org", somebody.email):
        browser = town.browser()
        page = await browser.see("/sign-in")
        assert (await browser.press(page, "continue", identifier=email, password="wrong")).status_code == 400
    async with town.transaction() as db:
        ends = [row.forgotten_at for row in await db.all(select(Throttle.forgotten_at).where(Throttle.failures == 1))]
    sweeper = sweeper_of(town, throttle=every_sweep()["throttle"])
    town.later(seconds=(ADDRESS_ENDS - timedelta(seconds=2)).total_seconds())
    await sweeper.round()
    assert await rows(town, "throttle") == 4, "of each address its own row and the one behind it"
    town.later(seconds=2)

    await sweeper.round()

    async with town.transaction() as db:
        left = await db.all(select(Throttle.failures, Throttle.forgotten_at))
    assert ends.count(None) == 1
    assert [tuple(row) for row in left] == [(1, None)], "the account's own"
