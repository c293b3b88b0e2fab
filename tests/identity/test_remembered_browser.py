"""Remembered browsers: fewer prompts where a password alone is enough, nowhere else, and never as a proof."""

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from residents import (
    allow_password_alone,
    begin_for,
    code_of,
    codes_on,
    give_password,
    resident,
    session_of,
    sign_in,
)
from town import Citizen, Shown, Town

from identity import remembered_browser

pytestmark = pytest.mark.anyio
SESSIONS = "/account/sessions"


async def remembering(town: Town, browser: Citizen, somebody: Any) -> None:
    """Sign in with both, tick the box, sign out."""
    page = await give_password(browser, await browser.see(await begin_for(town, browser, acr="aal1")), somebody)
    assert page.name == "second-factor"
    answer = await browser.press(page, "continue", code=code_of(town, somebody), remember="yes")
    assert (answer.status_code, answer.headers["location"]) == (303, "/privacy")
    town.later(seconds=31)


async def sign_out(browser: Citizen) -> None:
    browser.http.cookies.delete("__Host-session")


async def next_page(town: Town, browser: Citizen, somebody: Any, **asked: Any) -> str:
    """After the password alone."""
    page = await give_password(browser, await browser.see(await begin_for(town, browser, **asked)), somebody)
    return page.name


async def test_a_remembered_browser_asks_for_the_password_alone_and_says_so(town):
    """AAL1 only; amr and acr tell what was done, never that the browser was known."""
    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await remembering(town, browser, ada)
    await sign_out(browser)

    answer = await browser.press(
        await browser.see(await begin_for(town, browser, acr="aal1")),
        "continue",
        identifier=ada.email,
        password=ada.password,
    )

    assert answer.headers["location"] == "/privacy"
    session = await session_of(town, browser)
    assert session is not None
    assert (session.acr, session.amr) == ("aal1", ("pwd",))


async def test_whoever_asks_for_two_factors_gets_two(town):
    """At aal2 both are asked for; the session that a remembered browser began is raised by the code alone."""
    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await remembering(town, browser, ada)
    await sign_out(browser)
    assert await next_page(town, browser, ada, acr="aal1") == "privacy"

    page = await browser.see(await begin_for(town, browser, acr="aal2"))

    assert page.name == "second-factor"
    await browser.press(page, "continue", code=code_of(town, ada))
    session = await session_of(town, browser)
    assert session is not None
    assert (session.acr, set(session.amr)) == ("aal2", {"pwd", "otp", "mfa"})


async def test_proving_it_anew_means_all_of_it(town):
    """`prompt=login`, `max_age`, and what changes the account (R30): the account's own level, remembered or not."""
    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await remembering(town, browser, ada)
    await sign_out(browser)
    fresh = town.clock.now() - timedelta(minutes=5)
    assert await next_page(town, browser, ada, acr="aal1", fresh_after=fresh) == "second-factor"
    await sign_out(browser)
    assert await next_page(town, browser, ada, acr="aal1") == "privacy"

    page = await browser.see("/account/security/password")

    assert page.name == "second-factor"


async def test_other_people_and_other_browsers_are_not_spared(town):
    """It is about one account in one browser."""
    allow_password_alone(town)
    ada, bob = await resident(town), await resident(town, email="bob@example.org")
    browser, other = town.browser(), town.browser()
    await remembering(town, browser, ada)
    await sign_out(browser)

    assert await next_page(town, browser, bob, acr="aal1") == "second-factor"
    assert await next_page(town, other, ada, acr="aal1") == "second-factor"


async def test_it_is_offered_only_where_it_spares_anything(town):
    """Where everybody needs two factors there is no box, and a ticked one is not looked at."""
    ada, browser = await resident(town), town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    assert 'name="remember"' not in page.html
    await browser.press(page, "continue", code=code_of(town, ada), remember="yes")
    town.later(seconds=31)
    allow_password_alone(town)
    page = await browser.see(SESSIONS)
    assert "Browsers that are remembered" not in page.text

    town.house.identity_policy = msgspec.structs.replace(town.house.identity_policy, remember=timedelta(0))
    other = town.browser()
    page = await give_password(other, await other.see("/sign-in"), ada)
    assert page.name == "second-factor"
    assert 'name="remember"' not in page.html


async def test_the_box_stays_ticked_beside_a_wrong_code(town):
    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    assert re.search(r'name="remember"[^>]* value="yes"[^>]*>', page.html)
    assert "checked" not in page.html

    again = Shown(await browser.press(page, "continue", code="000000", remember="yes"))

    assert again.status == 400
    assert re.search(r'name="remember"[^>]* checked', again.html)
    async with town.transaction() as db:
        assert await remembered_browser.forget_all(db, ada.account_id) == 0, "nothing was proved"


async def test_it_is_listed_and_can_be_forgotten(town):
    """On the sessions page, in words; and in the history."""
    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await remembering(town, browser, ada)

    page = await browser.see(SESSIONS)

    assert "Browsers that are remembered" in page.text
    assert "Remembered since 22 November 2026 , until 22 December 2026 ." in page.text
    answer = await browser.press(page, "forget", remembered=page.hidden["remembered"])
    page = Shown(await browser.follow(answer))
    assert "That browser is forgotten." in page.text
    assert "Browsers that are remembered" not in page.text
    *signed_in, forgotten = await town.history(ada.account_id)
    assert sorted(signed_in) == ["browser_remembered", "signed_in"], "one instant: their order says nothing"
    assert forgotten == "browser_forgotten"
    await sign_out(browser)
    assert await next_page(town, browser, ada, acr="aal1") == "second-factor"


async def test_nobody_forgets_another_ones(town):
    allow_password_alone(town)
    ada, eve = await resident(town), await resident(town, email="eve@example.org")
    browser, other = town.browser(), town.browser()
    await remembering(town, browser, ada)
    hers = (await browser.see(SESSIONS)).hidden["remembered"]
    await sign_in(town, other, eve)

    await other.press(await other.see(SESSIONS), "forget", remembered=hers)

    assert "Browsers that are remembered" in (await browser.see(SESSIONS)).text


async def test_it_ends_after_a_month_however_often_it_is_used(town):
    """AAL1 reauthentication (NIST SP 800-63B-4 section 2.1.3): 30 days; the sweeper takes the row."""
    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await remembering(town, browser, ada)
    for _ in range(2):
        town.later(days=14)
        await sign_out(browser)
        assert await next_page(town, browser, ada, acr="aal1") == "privacy"
    town.later(days=2)
    await sign_out(browser)

    assert await next_page(town, browser, ada, acr="aal1") == "second-factor"
    async with town.transaction() as db:
        assert await remembered_browser.sweep(db, town.clock.now()) == 1


@pytest.mark.parametrize("change", ["password", "recovery-codes"])
async def test_a_change_of_credentials_ends_it_everywhere(town, change):
    """R30: with whoever else is signed in."""
    allow_password_alone(town)
    ada, browser, other = await resident(town), town.browser(), town.browser()
    await remembering(town, other, ada)
    await remembering(town, browser, ada)
    page = await browser.see(f"/account/security/{change}")

    answer = await browser.press(page, page.buttons[0], password="another long password")

    assert answer.status_code == 303
    if change == "recovery-codes":
        assert codes_on(Shown(await browser.follow(answer)))
    async with town.transaction() as db:
        assert not await remembered_browser.forget_all(db, ada.account_id)


async def test_a_password_set_by_the_previous_release_ends_it(town):
    """Safe while that release runs, which does not know of this table."""
    from identity import password

    allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await remembering(town, browser, ada)
    await sign_out(browser)
    hashed = await town.house.hasher.hash(ada.password)
    async with town.transaction() as db:
        await password.set_password(db, ada.account_id, hashed, town.clock.now())

    assert await next_page(town, browser, ada, acr="aal1") == "second-factor"


@pytest.mark.parametrize("action", ["end", "others"])
async def test_where_a_session_is_ended_from_afar_nothing_is_remembered(town, action):
    """R42: the browser that was left behind, and its next sign-in."""
    allow_password_alone(town)
    ada, browser, lost = await resident(town), town.browser(), town.browser()
    await remembering(town, lost, ada)
    left = await session_of(town, lost)
    await remembering(town, browser, ada)
    assert left is not None

    await browser.press(await browser.see(SESSIONS), action, session=str(left.id))

    await sign_out(browser)
    assert await session_of(town, lost) is None
    assert await next_page(town, lost, ada, acr="aal1") == "second-factor"
    assert await next_page(town, browser, ada, acr="aal1") == "privacy"
