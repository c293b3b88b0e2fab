"""Codes by text message: a second factor with honest words, bound to the sign-in that asked, once (R24, R25)."""

from typing import Any

import pytest
from reached import change, last_to, offer_texts
from residents import code_of, give_password, resident, session_of, sign_in
from stage import race
from town import Shown, Town

from accounts.account import data_key_of
from accounts.contact import add_contact
from identity import confirmation_code, sms
from identity.authenticator import authenticators_of

pytestmark = pytest.mark.anyio
NUMBER = "+442079460958"


async def texter(town: Town, **has: Any) -> Any:
    """Somebody whose verified phone gets codes."""
    somebody = await resident(town, **has)
    async with town.transaction() as db:
        key, now = await data_key_of(db, town.vault, somebody.account_id), town.clock.now()
        number = await add_contact(db, town.vault, key, somebody.account_id, "phone", NUMBER, now, verified=True)
        assert number is not None
        assert await sms.use_phone(db, somebody.account_id, number, now)
    return somebody


async def asked(town: Town, browser: Any, somebody: Any) -> tuple[Shown, str]:
    """Password, then a text message; the page for the code, and the code."""
    page = await give_password(browser, await browser.see("/sign-in"), somebody)
    assert page.heading == "Get a code by text message"
    page = Shown(await browser.follow(await browser.press(page, "continue")))
    return page, (await last_to(town, NUMBER)).code


async def test_a_password_and_a_text_message_reach_the_second_level(town):
    """R20, R25: reported as what it was."""
    offer_texts(town)
    ada, browser = await texter(town, has_app=False), town.browser()

    page, code = await asked(town, browser, ada)
    assert page.heading == "Enter your code"
    await browser.follow(await browser.press(page, "continue", code=f"{code[:3]} {code[3:]}"))

    session = await session_of(town, browser)
    assert session is not None
    assert (session.acr, session.amr) == ("aal2", ("mfa", "pwd", "sms"))


async def test_a_code_belongs_to_the_sign_in_that_asked_and_works_once(town):
    """R24: not in another browser, not after ten minutes, not after the next one was sent."""
    offer_texts(town)
    ada, one, two = await texter(town, has_app=False), town.browser(), town.browser()
    page, code = await asked(town, one, ada)
    elsewhere, second = await asked(town, two, ada)

    assert (await two.press(elsewhere, "continue", code=code)).status_code == (303 if code == second else 400)
    newer = Shown(await one.follow(await one.press(page, "text")))
    latest = (await last_to(town, NUMBER)).code
    if latest != code:
        assert (await one.press(newer, "continue", code=code)).status_code == 400
    town.later(minutes=10)
    assert (await one.press(newer, "continue", code=latest)).status_code == 400


async def test_the_app_comes_first_and_text_is_one_of_the_other_ways(town):
    """The stronger one is what the page asks for."""
    offer_texts(town)
    ada, browser = await texter(town), town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    assert any(link.endswith("?use=text") for link in page.links)
    assert any(link.endswith("?use=recovery-code") for link in page.links)

    assert (await browser.press(page, "continue", code=code_of(town, ada))).status_code == 303


async def test_setting_it_up_says_what_it_is_worth(town):
    """R25: a stronger alternative is offered, and every contact gets a notice."""
    offer_texts(town)
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    await change(town, browser, "/account/contacts/new/phone", phone=NUMBER)

    page = await browser.see("/account/security/phone")
    assert "weaker than everything else we offer" in page.text
    assert {"/account/security/passkey", "/account/security/app"} <= set(page.links)
    number = page.html.split('name="phone" type="radio" value="')[1].split('"')[0]
    page = Shown(await browser.follow(await browser.press(page, "continue", phone=number)))

    assert "codes by text message" in page.text
    assert (await last_to(town, ada.email)).subject == "A new way to sign in to your account"
    async with town.transaction() as db:
        assert (await authenticators_of(db, ada.account_id)).phones == 1


async def test_a_number_goes_with_its_codes_and_the_last_way_stays(town):
    """R31: removing the contact removes the second factor, unless nothing else would be left."""
    offer_texts(town)
    ada, browser = await texter(town, has_app=False), town.browser()
    page, code = await asked(town, browser, ada)
    await browser.press(page, "continue", code=code)
    page = await browser.see("/account/contacts")
    remove = [link for link in page.links if "/remove/" in link][-1]

    answer = await browser.press(await browser.see(remove), "continue")

    assert Shown(answer).heading == "You need this to get back in"
    async with town.transaction() as db:
        assert (await authenticators_of(db, ada.account_id)).phones == 1


async def test_of_many_with_the_same_code_one_comes_in(database, vault, ada, now):
    """R24: one acceptance, whoever races."""
    async with database.begin() as db:
        number = await add_contact(db, vault, ada.key, ada.account_id, "phone", NUMBER, now, verified=True)
        assert number is not None
        await sms.use_phone(db, ada.account_id, number, now)
        code = await confirmation_code.issue(
            db,
            vault,
            purpose="sign_in",
            bound_to=ada.account_id.bytes,
            contact=vault.blind("phone", NUMBER),
            account_id=ada.account_id,
            now=now,
        )

    async def spend(db: Any) -> bool:
        return await sms.spend(db, vault, ada.account_id, ada.account_id, code, now)

    assert (await race(database, spend)).count(True) == 1
