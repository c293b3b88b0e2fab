"""Changing contacts: confirmed on the new one, announced on the old ones, undone from there for a week (R51)."""

import asyncio
import re
from typing import Any

import msgspec
import pytest
from reached import change, code_to, last_to, offer_texts
from residents import give_password, resident, session_of, sign_in
from town import ISSUER, Shown, Town, new_town

from accounts.account import data_key_of
from accounts.contact import add_contact, contacts_of

pytestmark = pytest.mark.anyio
CONTACTS = "/account/contacts"


async def contacts(town: Town, somebody: Any) -> list[tuple[str, bool]]:
    """Address or number, and whether it comes first."""
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, somebody.account_id)
        return [(one.value, one.is_primary) for one in await contacts_of(db, key, somebody.account_id)]


async def replace_address(town: Town, browser: Any, somebody: Any, new: str) -> Shown:
    page = await browser.see(CONTACTS)
    [link] = [link for link in page.links if "/new/email?replaces=" in link]
    return await change(town, browser, link, identifier=new)


async def test_a_replaced_address_signs_in_no_more_and_is_told(town):
    """R30, R67: the new one takes its place, and comes first as it did."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)

    page = await replace_address(town, browser, ada, "new@example.org")

    assert "It is confirmed." in page.text
    assert await contacts(town, ada) == [("new@example.org", True)]
    told = await last_to(town, ada.email)
    assert told.subject == "A contact of your account was replaced"
    assert "n•••@e•••.org" in told.text
    assert "new@example.org" not in told.text
    page = await town.browser().see("/sign-in")
    other = town.browser()
    answer = await other.press(await other.see("/sign-in"), "continue", identifier=ada.email, password=ada.password)
    assert answer.status_code == 400
    moved = msgspec.structs.replace(ada, email="new@example.org")
    assert (await give_password(other, await other.see("/sign-in"), moved)).name == "second-factor"


async def test_the_old_address_undoes_a_theft_however_often_it_changed_the_address_since(town):
    """R51: one button, no sign-in; what came and went meanwhile does not come back."""
    ada, thief, own = await resident(town), town.browser(), town.browser()
    await sign_in(town, thief, ada)
    await replace_address(town, thief, ada, "thief@example.org")
    await replace_address(town, thief, ada, "thief2@example.org")
    told = await last_to(town, ada.email)
    [link] = re.findall(r"https?://\S+", told.text)
    town.later(days=6)

    page = await own.see(link.removeprefix(ISSUER))
    await own.press(page, "continue")

    assert await contacts(town, ada) == [(ada.email, True)]
    assert await session_of(town, thief) is None
    assert "contact_restored" in await town.history(ada.account_id)


async def test_after_a_week_a_change_stands(town):
    """R51: seven days."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    await replace_address(town, browser, ada, "new@example.org")
    [link] = re.findall(r"https?://\S+", (await last_to(town, ada.email)).text)
    town.later(days=7, seconds=1)

    await browser.press(await browser.see(link.removeprefix(ISSUER)), "continue")

    assert await contacts(town, ada) == [("new@example.org", True)]


async def test_an_address_of_another_account_looks_like_any_other_and_its_owner_is_told(town):
    """R27: the page asks for a code; there is none."""
    ada, bob, browser = await resident(town), await resident(town, "bob@example.org"), town.browser()
    await sign_in(town, browser, ada)
    page = await browser.see(CONTACTS + "/new/email")

    page = Shown(await browser.follow(await browser.press(page, "continue", identifier=bob.email)))

    assert page.heading == "Check your email"
    told = await last_to(town, bob.email)
    assert told.subject == "Your email address has an account with Citizen Account already"
    assert told.code is None


async def test_the_last_address_stays_and_another_one_can_go(town):
    """Without one, nobody could sign in or be told."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    page = await browser.see(CONTACTS)
    [link] = [link for link in page.links if "/remove/" in link]
    assert (await browser.press(await browser.see(link), "continue")).status_code == 400

    page = await change(town, browser, CONTACTS + "/new/email", identifier="second@example.org")
    await browser.press(await browser.see(link), "continue")

    assert await contacts(town, ada) == [("second@example.org", False)]
    assert (await last_to(town, ada.email)).subject == "A contact was removed from your account"


async def test_a_phone_is_confirmed_by_text_message_where_there_is_a_gateway(town):
    """One line with the code; any spelling of the number is one number."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    assert (await browser.get(CONTACTS + "/new/phone")).status_code == 404
    offer_texts(town)
    browser = town.browser()
    await sign_in(town, browser, ada)

    page = await browser.see(CONTACTS + "/new/phone")
    page = Shown(await browser.press(page, "continue", phone="020 7946 0958"))
    assert (page.status, "020 7946 0958" in page.html) == (400, True), "what was typed is kept"
    page = Shown(await browser.follow(await browser.press(page, "continue", phone="+44 (20) 7946-0958")))
    text = await last_to(town, "+442079460958")
    assert text.channel == "sms"
    assert text.text == f"{text.code} is your code for Citizen Account\n"
    page = Shown(await browser.follow(await browser.press(page, "continue", code=text.code)))

    assert "It is confirmed." in page.text
    assert ("+442079460958", True) in await contacts(town, ada)
    page = Shown(await browser.press(await browser.see(CONTACTS + "/new/phone"), "continue", phone="+442079460958"))
    assert "You have given us this one already" in page.text


async def test_another_citizens_change_cannot_be_confirmed(town):
    """R45: bound to the session that asked."""
    ada, bob = await resident(town), await resident(town, "bob@example.org")
    hers, his = town.browser(), town.browser()
    await sign_in(town, hers, ada)
    await sign_in(town, his, bob)
    page = await hers.see(CONTACTS + "/new/email")
    page = Shown(await hers.follow(await hers.press(page, "continue", identifier="new@example.org")))
    code = (await last_to(town, "new@example.org")).code

    answer = await his.press(
        page, "continue", code=code, **{"csrf_token": (await his.see("/register")).hidden["csrf_token"]}
    )

    assert answer.headers["location"] == CONTACTS
    assert await contacts(town, bob) == [("bob@example.org", True)]


async def test_pumping_text_messages_stops_early(town):
    """Numbers that differ in their last digits are one range."""
    ada, browser = await resident(town), town.browser()
    offer_texts(town, per_range=2)
    browser = town.browser()
    await sign_in(town, browser, ada)
    statuses = []
    for number in ("+442079460901", "+442079460902", "+442079460903"):
        answer = await browser.press(await browser.see(CONTACTS + "/new/phone"), "continue", phone=number)
        statuses.append(answer.status_code)
    assert statuses == [303, 303, 429]
    assert int(answer.headers["retry-after"]) <= 3600


async def test_there_are_no_more_contacts_than_we_keep_however_many_were_begun(town):
    """R78: room is asked for again when one is confirmed."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    begun = []
    for number in range(5):
        page = await browser.see(CONTACTS + "/new/email")
        answer = await browser.press(page, "continue", identifier=f"a{number}@example.org")
        begun.append(answer.headers["location"])

    for number, path in enumerate(begun):
        code = await code_to(town, f"a{number}@example.org")
        page = Shown(await browser.follow(await browser.press(await browser.see(path), "continue", code=code)))

    assert "You have as many as we can keep" in page.text
    assert len(await contacts(town, ada)) == 5


async def test_of_two_addresses_that_are_removed_at_once_one_stays(backend):
    """R31, R78: nobody could sign in, be told of anything or get back without one."""
    async with new_town(backend.database_url) as town:
        ada, browser = await resident(town), town.browser()
        async with town.transaction() as db:
            key, now = await data_key_of(db, town.vault, ada.account_id), town.clock.now()
            await add_contact(db, town.vault, key, ada.account_id, "email", "b@example.org", now, verified=True)
            both = await contacts_of(db, key, ada.account_id)
        await sign_in(town, browser, ada)
        pages = [await browser.see(f"{CONTACTS}/remove/{one.id}") for one in both]

        answers = await asyncio.gather(*(browser.press(page, "remove") for page in pages))

        assert sorted(answer.status_code for answer in answers) == [303, 400]
        assert len(await contacts(town, ada)) == 1
