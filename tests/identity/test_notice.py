"""Notices: every contact hears, one link asks for no password, and its button stops everything (R51, R67)."""

import re
from typing import Any

import pytest
from residents import code_of, give_password, resident, session_of, sign_in
from stage import race
from town import ISSUER, Shown, Town

from accounts.account import data_key_of
from accounts.contact import add_contact
from config.house import TEMPLATE_FOLDERS
from config.site.languages import catalog_of
from identity import notice
from identity.credential_change import NOTICES
from identity.notice import Detail, find_notice
from identity.pages.not_me import EVENTS

pytestmark = pytest.mark.anyio


def link_in(message: Any) -> str:
    """The path of the one link that a notice has."""
    [link] = re.findall(r"https?://\S+", message.text)
    assert link.startswith(f"{ISSUER}/not-me/")
    return link.removeprefix(ISSUER)


async def warned(town: Town) -> tuple[Any, str]:
    """Somebody who signs in with two browsers; the mail about the second, and its link."""
    ada, first, second = await resident(town), town.browser(), town.browser()
    await sign_in(town, first, ada)
    await sign_in(town, second, ada)
    await town.work()
    [mail] = town.post.sent
    assert mail.subject == "A new browser signed in to your account"
    return (ada, first, second), link_in(mail)


async def test_a_new_browser_is_announced_once_and_the_first_one_of_a_new_account_not(town):
    """R67: device and address are said, and a link to a sign-in is not."""
    (ada, _, second), _ = await warned(town)
    assert "192.0.2" in town.post.sent[0].text or "IP address" in town.post.sent[0].text

    town.later(minutes=6)
    await sign_in(town, second, ada, "/sign-in?fresh=1")
    await town.work()

    assert len(town.post.sent) == 1


def test_every_notice_ends_with_its_one_link_and_the_page_behind_it_knows_what_happened():
    """R67: whoever adds an event of which citizens are told adds its words in both places."""
    notices = {
        path.stem: text
        for folder in TEMPLATE_FOLDERS
        for path in (folder / "messages").glob("*.txt")
        if "messages/notice_end.txt" in (text := path.read_text("utf-8"))
    }

    assert set(notices) == set(EVENTS)
    assert set(NOTICES.values()) <= set(EVENTS)
    for name, text in notices.items():
        assert "site" not in re.findall(r"{{ *(\w+)", text), f"{name} has a link of its own"
        assert "://" not in text, name


async def test_every_contact_hears_in_the_citizens_own_language(town):
    """R67: whatever language the browser has that set it off."""
    ada, first, second = await resident(town, locale="cy"), town.browser(), town.browser()
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, ada.account_id)
        for kind, value in (("email", "ada@work.example"), ("phone", "+442079460123")):
            await add_contact(db, town.vault, key, ada.account_id, kind, value, town.clock.now(), verified=True)
    second.http.headers["accept-language"] = "fr"
    await sign_in(town, first, ada)
    await sign_in(town, second, ada)

    await town.work()

    assert {message.to for message in town.post.sent} == {ada.email, "ada@work.example", "+442079460123"}
    assert {message.language for message in town.post.sent} == {"cy"}
    said = catalog_of("cy").gettext("A new browser signed in to your account")
    assert said != "A new browser signed in to your account"
    assert {message.subject for message in town.post.sent} == {said}
    assert len({link_in(message) for message in town.post.sent}) == 1


async def test_opening_the_link_changes_nothing_and_its_button_ends_everything(town):
    """R67: scanners follow links; the button needs no session, no password and works once."""
    (ada, first, second), link = await warned(town)
    stranger = town.browser()

    page = await stranger.see(link)
    assert (page.name, page.heading) == ("not-me", "Was this not you?")
    assert "had not seen before" in page.text
    assert 'type="password"' not in page.html
    assert await session_of(town, first) is not None

    page = Shown(await stranger.follow(await stranger.press(page, "continue")))

    assert page.heading == "We have stopped everything"
    assert await session_of(town, first) is None
    assert await session_of(town, second) is None
    assert (await town.history(ada.account_id))[-1] == "not_me"
    await town.work()
    assert town.post.sent[-1].subject == "We have stopped everything in your account"


async def test_an_old_or_unknown_link_does_nothing(town):
    """It says so, and leads to people."""
    (_, first, _), link = await warned(town)
    stranger = town.browser()
    assert (await stranger.see("/not-me/AAAAAAAAAAAAAAAAAAAAAA")).status == 404
    page = await stranger.see(link)
    town.later(days=14)

    answer = await stranger.press(page, "continue")

    assert Shown(answer).heading == "This link no longer works"
    town.clock.moment = town.clock.moment.replace(day=22, month=11)
    assert await session_of(town, first) is not None


async def test_a_text_message_is_one_line_with_the_one_link(town):
    """R67: a verified phone hears too, in a line."""
    ada, first, second = await resident(town), town.browser(), town.browser()
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, ada.account_id)
        await add_contact(
            db, town.vault, key, ada.account_id, "phone", "+442079460958", town.clock.now(), verified=True
        )
    await sign_in(town, first, ada)
    await sign_in(town, second, ada)
    await town.work()

    [text] = [message.text for message in town.post.sent if message.channel == "sms"]

    assert text.count("\n") == 1
    assert len(text) < 161
    assert "/not-me/" in text


@pytest.mark.parametrize("address", ["ada@example.org", "nobody@example.org"])
async def test_a_burst_of_failures_is_told_to_the_owner_and_to_nobody_else(town, address):
    """R67, R27: the fifth failure in a row; the answers are alike for an address that nobody has."""
    await resident(town)
    browser = town.browser()
    for _ in range(5):
        page = await browser.see("/sign-in")
        answer = await browser.press(page, "continue", identifier=address, password="wrong")
        assert answer.status_code == 400
    await town.work()

    subjects = [message.subject for message in town.post.sent]
    assert subjects == (["Failed attempts to sign in to your account"] if address == "ada@example.org" else [])


async def test_strangers_do_not_use_up_the_attempts_of_a_known_browser(town):
    """R26: their lane is closed, the citizen's own is open."""
    ada, own, stranger = await resident(town), town.browser(), town.browser()
    await sign_in(town, own, ada)
    town.later(minutes=6)
    page = await stranger.see("/sign-in")
    for _ in range(6):
        answer = await stranger.press(page, "continue", identifier=ada.email, password="wrong")
    assert answer.status_code == 429

    page = await give_password(own, await own.see("/sign-in?fresh=1"), ada)

    assert page.name == "second-factor"
    answer = await own.press(page, "continue", code=code_of(town, ada))
    assert answer.status_code == 303


async def test_of_many_who_press_the_button_one_stops_everything(database, vault, ada, now, monkeypatch):
    """R24: one acceptance, whoever races."""
    async with database.begin() as db:
        await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True)
    secret = "a-secret-for-a-test"
    monkeypatch.setattr("identity.notice.new_secret", lambda _: secret)
    async with database.begin() as db:
        await notice.tell(db, vault, ada.key, ada.account_id, "new_device", Detail("Firefox"), now)

    async def press(db: Any) -> bool:
        found = await find_notice(db, vault, secret)
        assert found is not None
        assert found.detail == Detail("Firefox")
        return await notice.spend(db, found, now)

    assert (await race(database, press)).count(True) == 1
