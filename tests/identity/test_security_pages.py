"""Security settings and sessions: fresh, announced, and never below a way back."""

import asyncio
import re
from typing import Any

import pytest
from residents import (
    PASSWORD,
    allow_password_alone,
    code_of,
    codes_on,
    give_password,
    resident,
    seed_on,
    session_of,
    sign_in,
)
from town import Shown, Town

from identity import totp
from identity.authenticator import authenticators_of
from identity.session import SESSION_ENDED

pytestmark = pytest.mark.anyio
SECURITY = "/account/security"


async def having(town: Town, somebody: Any) -> Any:
    """What the account has."""
    async with town.transaction() as db:
        return await authenticators_of(db, somebody.account_id)


async def test_what_one_signs_in_with_is_listed(town):
    """What is there, what is missing, and where to change it."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)

    page = await browser.see(SECURITY)

    assert page.name == "security"
    assert "You have a password." in page.text
    assert "You have 10 codes left." in page.text
    assert any(link.startswith(f"{SECURITY}/remove/app/") for link in page.links)


@pytest.mark.parametrize("page", ["/app", "/passkey", "/password", "/recovery-codes"])
async def test_every_change_asks_for_a_fresh_sign_in(town, page):
    """R30: five minutes; to look, and to post as well."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    form = await browser.see(SECURITY + page)
    assert form.name == "security"
    town.later(minutes=5)
    before = await having(town, ada)

    answer = await browser.press(form, "continue", code="123456", password="another long password")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?return_to=%2Faccount%2Fsecurity%2F")
    assert Shown(await browser.follow(answer)).heading == "Confirm that it is you"
    assert await having(town, ada) == before


async def test_a_session_from_before_the_second_factor_changes_nothing(town):
    """R30: at the account's own level, which may be higher than the session's by now."""
    allow_password_alone(town)
    bob, browser = await resident(town, has_app=False), town.browser()
    await sign_in(town, browser, bob)
    async with town.transaction() as db:
        from accounts.account import data_key_of

        key = await data_key_of(db, town.vault, bob.account_id)
        await totp.add(db, key, bob.account_id, totp.new_seed(), "Phone", town.clock.now())

    page = await browser.see(SECURITY + "/password")

    assert page.name == "second-factor"


async def test_an_app_is_added_and_everybody_else_signed_out(town):
    """R30, R67: the other browser's session ends, its services are told, every contact gets a notice."""
    ada, browser, other = await resident(town), town.browser(), town.browser()
    await sign_in(town, other, ada)
    await sign_in(town, browser, ada)
    page = await browser.see(SECURITY + "/app")

    code = totp.current_code(seed_on(page), town.clock.now())
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code)))

    assert "Your authenticator app is set up." in page.text
    assert (await having(town, ada)).totps == 2
    assert await session_of(town, browser) is not None
    assert await session_of(town, other) is None
    await town.work()
    assert [mail.subject for mail in town.post.sent][1:] == ["A new way to sign in to your account"]
    [link] = re.findall(r"https?://\S+", town.post.sent[1].text)
    assert "/not-me/" in link, "no link to a sign-in"


async def test_a_password_is_changed_and_a_sign_in_that_was_half_done_starts_over(town):
    """R30: what was proved with the old password counts no more."""
    ada, browser, thief = await resident(town), town.browser(), town.browser()
    await sign_in(town, browser, ada)
    stolen = await give_password(thief, await thief.see("/sign-in"), ada)
    page = await browser.see(SECURITY + "/password")

    await browser.press(page, "continue", password="a new and longer one")

    answer = await thief.press(stolen, "continue", code=code_of(town, ada))
    assert Shown(await thief.follow(answer)).name == "sign-in"
    answer = await thief.press(await thief.see("/sign-in"), "continue", identifier=ada.email, password=PASSWORD)
    assert answer.status_code == 400


async def test_a_password_alone_must_be_longer(town):
    """R22: fifteen characters where nothing stands beside it."""
    allow_password_alone(town)
    bob, browser = await resident(town, has_app=False, has_codes=False), town.browser()
    await sign_in(town, browser, bob)
    page = await browser.see(SECURITY + "/password")
    assert "15 characters or more" in page.text

    assert (await browser.press(page, "continue", password="fourteen chars")).status_code == 400
    assert (await browser.press(page, "continue", password="fifteen chars!!")).status_code == 303


async def test_new_recovery_codes_replace_the_old_ones(town):
    """R24: shown until they are saved, then never again."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    page = await browser.see(SECURITY + "/recovery-codes")

    page = Shown(await browser.follow(await browser.press(page, "make")))

    codes = codes_on(page)
    assert len(set(codes)) == 10
    assert codes_on(await browser.see(page.action)) == codes
    page = Shown(await browser.follow(await browser.press(page, "continue")))
    assert "You have new recovery codes" in page.text
    assert codes_on(await browser.see(SECURITY + "/recovery-codes")) == []
    other = town.browser()
    second = await give_password(other, await other.see("/sign-in"), ada)
    assert (await other.press(second, "continue", code=ada.codes[0])).status_code == 400
    assert (await other.press(second, "continue", code=codes[0])).status_code == 303


@pytest.mark.parametrize("minimum", ["aal2", "aal1"])
async def test_the_last_second_authenticator_stays(town, minimum):
    """R31, R22: a password alone is no way back, also where it lets people in."""
    if minimum == "aal1":
        allow_password_alone(town)
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    remove = next(link for link in (await browser.see(SECURITY)).links if "/remove/app/" in link)

    answer = await browser.press(await browser.see(remove), "continue")

    assert answer.status_code == 400
    assert Shown(answer).heading == "You need this to get back in"
    assert (await having(town, ada)).totps == 1


async def test_of_two_that_are_removed_at_once_one_stays(town):
    """R31, R78: the account is locked while its last but one goes."""
    ada, browser = await resident(town), town.browser()
    async with town.transaction() as db:
        from accounts.account import data_key_of

        key = await data_key_of(db, town.vault, ada.account_id)
        await totp.add(db, key, ada.account_id, totp.new_seed(), "Tablet", town.clock.now())
    await sign_in(town, browser, ada)
    links = [link for link in (await browser.see(SECURITY)).links if "/remove/app/" in link]
    pages = [await browser.see(link) for link in links]

    answers = await asyncio.gather(*(browser.press(page, "continue") for page in pages))

    assert sorted(answer.status_code for answer in answers) == [303, 400]
    assert (await having(town, ada)).totps == 1


async def test_nobody_removes_what_is_anothers(town):
    """The id of another's app leads nowhere."""
    ada, eve = await resident(town), await resident(town, "eve@example.org")
    browser, other = town.browser(), town.browser()
    await sign_in(town, other, eve)
    theirs = next(link for link in (await other.see(SECURITY)).links if "/remove/app/" in link)
    await sign_in(town, browser, ada)
    async with town.transaction() as db:
        from accounts.account import data_key_of

        key = await data_key_of(db, town.vault, ada.account_id)
        await totp.add(db, key, ada.account_id, totp.new_seed(), "Tablet", town.clock.now())
    own = next(link for link in (await browser.see(SECURITY)).links if "/remove/app/" in link)
    page = await browser.see(own)
    page.action = theirs

    await browser.press(page, "continue")

    assert (await having(town, eve)).totps == 1
    assert (await having(town, ada)).totps == 2
    assert (await browser.see(theirs)).heading == "Security"


async def test_sessions_are_listed_and_ended(town):
    """R42: one, or all others; the services of an ended one are told."""
    ada = await resident(town)
    browser, phone, library = town.browser(), town.browser(), town.browser()
    phone.http.headers["user-agent"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Version/17.5 Mobile Safari/604.1"
    for one in (phone, library, browser):
        await sign_in(town, one, ada)
    page = await browser.see("/account/sessions")
    assert page.html.count("<section") == 3
    assert "Safari, iPhone" in page.text

    await browser.press(page, "end", session=str((await session_of(town, phone)).id))
    assert await session_of(town, phone) is None
    assert await session_of(town, library) is not None

    page = await browser.see("/account/sessions")
    page = Shown(await browser.follow(await browser.press(page, "others")))
    assert "You are signed out there" in page.text
    assert await session_of(town, library) is None
    assert await session_of(town, browser) is not None
    async with town.transaction() as db:
        from sqlalchemy import select

        from accounts.outbox import Outbox

        kinds = [row.kind for row in await db.all(select(Outbox.kind))]
    assert kinds.count(SESSION_ENDED) == 2


async def test_nobody_ends_anothers_session(town):
    """R42: an id is no key."""
    ada, eve = await resident(town), await resident(town, "eve@example.org")
    browser, other = town.browser(), town.browser()
    await sign_in(town, browser, ada)
    await sign_in(town, other, eve)
    page = await browser.see("/account/sessions")
    page.action = "/account/sessions"

    answer = await browser.press(page, "end", session=str((await session_of(town, other)).id))

    assert answer.headers["location"] == "/account/sessions?ended=yes"
    assert await session_of(town, other) is not None


async def test_many_sessions_are_paged(town):
    """R44: by key, so that the thousandth page costs as much as the first."""
    ada = await resident(town)
    for _ in range(25):
        await town.browser().sign_in(ada.account_id)
        town.later(seconds=1)
    browser = town.browser()
    await browser.sign_in(ada.account_id)

    page = await browser.see("/account/sessions")
    assert page.html.count("<section") == 20
    older = await browser.see(next(link for link in page.links if "before=" in link))

    assert older.html.count("<section") == 6
    assert "/account/sessions" in older.links


async def test_the_seed_that_one_browser_was_shown_is_shown_to_no_other(town):
    """R61: a thief who looked at the page, and is thrown out, knows nothing of the app that its owner sets up next."""
    ada, thief, browser = await resident(town), town.browser(), town.browser()
    await sign_in(town, thief, ada)
    looked = seed_on(await thief.see(f"{SECURITY}/app"))
    await sign_in(town, browser, ada)

    page = await browser.see(f"{SECURITY}/app")

    assert seed_on(page) != looked
    again = Shown(await browser.press(page, "continue", code="000000"))
    assert seed_on(again) == seed_on(page), "a wrong code changes nothing"
