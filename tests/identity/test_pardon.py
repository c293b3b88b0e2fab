"""Pardon: what strangers did to an account ends when its owner has come in (R26)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from residents import Resident, allow_password_alone, code_of, give_password, resident, sign_in
from sqlalchemy import select
from town import Shown, Town

from accounts.account import data_key_of
from accounts.contact import add_contact
from identity.pardon import EVERY, pardon
from identity.throttle import Permitted, take
from identity.throttle_policy import SHARES
from identity.throttle_row import Throttle

pytestmark = pytest.mark.anyio
OTHER = "ada@work.example"


async def beleaguered(town: Town, **has: Any) -> Resident:
    """Somebody with two addresses, at whom strangers have guessed in every way."""
    ada = await resident(town, **has)
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, ada.account_id)
        await add_contact(db, town.vault, key, ada.account_id, "email", OTHER, town.clock.now(), verified=True)
    subjects = {
        "password": (town.vault.blind("email", ada.email), town.vault.blind("email", OTHER)),
        "second_factor": (ada.account_id.bytes,),
        "recovery": (ada.account_id.bytes,),
    }
    async with town.transaction() as db:
        for budget in EVERY:
            for subject in subjects[budget]:
                taken = await take(
                    db,
                    town.house.store,
                    town.vault,
                    budget,
                    subject,
                    "192.0.2.66",
                    town.house.identity_policy.throttle,
                    town.clock.now(),
                    behind=ada.account_id.bytes if budget == "password" else None,
                )
                assert isinstance(taken, Permitted)
    assert await rows(town) == 5
    return ada


def in_a_row(now: datetime) -> Any:
    """Failures in a row, of accounts and of typed addresses: those of windows go within two days."""
    return Throttle.forgotten_at.is_(None) | (Throttle.forgotten_at > now + timedelta(days=2))


async def rows(town: Town) -> int:
    """How many rows of failures in a row there are."""
    async with town.transaction() as db:
        return len(await db.all(select(Throttle.key).where(in_a_row(town.clock.now()))))


async def test_a_complete_sign_in_ends_every_failure_of_the_account(town):
    """NIST SP 800-63B-4 section 3.2.2; also what was guessed at its other address, and at its way back."""
    ada = await beleaguered(town)
    assert (await sign_in(town, town.browser(), ada)).name == "account"
    assert await rows(town) == 0


async def test_half_a_sign_in_ends_what_was_guessed_at_that_address_alone(town):
    """R26: whoever has the password but no code gets no more tries at the code for it."""
    ada = await beleaguered(town)
    browser = town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    assert page.name == "second-factor"
    assert await rows(town) == 3

    await browser.press(page, "continue", code="000000")
    await browser.follow(await browser.press(page, "continue", code=code_of(town, ada)))
    assert await rows(town) == 0


async def test_a_password_alone_does_not_pardon_guesses_at_the_second_factor(town):
    """Where a password is enough it ends the guesses at passwords."""
    allow_password_alone(town)
    ada = await beleaguered(town, has_app=False, has_codes=False)
    browser = town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)

    assert page.name == "account"
    assert await rows(town) == 2


async def test_somebody_elses_failures_are_not_ended(town):
    """Whoever guesses at Ada from an account of their own does not begin anew by signing in to it."""
    await beleaguered(town)
    eve = await resident(town, "eve@example.org")
    await sign_in(town, town.browser(), eve)
    assert await rows(town) == 5


async def test_what_strangers_have_closed_is_open_after_a_sign_in_at_home(town):
    """R26: a stranger cannot keep a citizen from new browsers for good."""
    ada, home, office = await resident(town), town.browser(), town.browser()
    await sign_in(town, home, ada)
    stranger = town.browser()
    page = await stranger.see("/sign-in")
    while (answer := await stranger.press(page, "continue", identifier=ada.email, password="x")).status_code != 429:
        pass
    while "this way is closed" not in Shown(answer).text:
        town.later(minutes=15)
        page = await stranger.see("/sign-in")
        answer = await stranger.press(page, "continue", identifier=ada.email, password="x")
    assert "this way is closed" in (await give_password(office, await office.see("/sign-in"), ada)).text

    home.http.cookies.delete("__Host-session")
    assert (await sign_in(town, home, ada)).name == "account"

    assert (await sign_in(town, office, ada)).name == "account"


async def test_every_budget_of_an_account_is_pardoned(database, vault, store, ada, identity_policy, now):
    """None of the shares is forgotten, for strangers or for known browsers."""
    assert {budget for budget, _ in SHARES} == set(EVERY)
    async with database.begin() as db:
        for budget, is_known in SHARES:
            await take(
                db,
                store,
                vault,
                budget,
                ada.account_id.bytes,
                "192.0.2.66",
                identity_policy.throttle,
                now,
                is_known=is_known,
            )
        await pardon(db, vault, ada.account_id, now + timedelta(hours=1))
        assert await db.first(select(Throttle.key).where(in_a_row(now))) is None
