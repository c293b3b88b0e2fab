"""Getting back in with two contacts: proved, announced, waited for, stopped by anybody, only ever added to (R51)."""

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from reached import code_to, last_to, offer_texts
from residents import code_of, give_password, resident, seed_on, session_of, sign_in
from stage import race
from town import ISSUER, Shown, Town

from accounts.account import data_key_of
from accounts.contact import add_contact, contacts_of, retire_contact
from identity import recovery, totp
from identity.recovery import Running
from identity.session import Device

pytestmark = pytest.mark.anyio
NUMBER = "+442079460958"
NEW = "three quiet green bicycles"


async def reachable(town: Town, *, days: int = 8, **has: Any) -> Any:
    """Somebody whose address and phone have been theirs for so many days."""
    offer_texts(town)
    somebody = await resident(town, **has)
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, somebody.account_id)
        await add_contact(db, town.vault, key, somebody.account_id, "phone", NUMBER, town.clock.now(), verified=True)
    town.later(days=days)
    return somebody


async def ask(browser: Any, email: str) -> Shown:
    """The first page, filled in."""
    page = await browser.see("/recovery/contacts")
    return Shown(await browser.follow(await browser.press(page, "continue", identifier=email)))


async def prove_both(town: Town, browser: Any, somebody: Any) -> Shown:
    """Both codes; where that leads."""
    page = await ask(browser, somebody.email)
    assert page.heading == "Check your email"
    code = await code_to(town, somebody.email)
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code)))
    assert page.heading == "Check your phone"
    assert NUMBER not in page.html
    code = await code_to(town, NUMBER)
    return Shown(await browser.follow(await browser.press(page, "continue", code=code)))


async def test_a_forgotten_password_is_replaced_after_a_day_and_the_second_factor_is_still_asked_for(town):
    """R50, R51: everybody hears of it, nobody is signed in by it, every session ends."""
    ada, browser, phone_at_home = await reachable(town), town.browser(), town.browser()
    await sign_in(town, phone_at_home, ada)
    page = await prove_both(town, browser, ada)
    assert page.heading == "The waiting time has begun"
    told = await last_to(town, ada.email)
    assert told.subject == "Somebody is getting back into your account"
    assert "/not-me/" in (await last_to(town, NUMBER)).text

    town.later(hours=23)
    page = await prove_both(town, town.browser(), ada)
    assert page.heading == "The waiting time has begun", "it does not begin anew"
    town.later(hours=1)
    await town.work()
    assert (await last_to(town, ada.email)).subject == "The waiting time of your account is over"
    later = town.browser()
    page = await prove_both(town, later, ada)
    assert page.heading == "Choose a new password"
    short = Shown(await later.press(page, "continue", password="short", lost="no"))
    assert short.status == 400
    page = Shown(await later.follow(await later.press(page, "continue", password=NEW)))

    assert page.heading == "You can sign in again"
    assert await session_of(town, later) is None
    assert (await last_to(town, ada.email)).subject == "Your account was recovered"
    assert (await town.history(ada.account_id))[-1] == "recovery_completed"
    changed = msgspec.structs.replace(ada, password=NEW)
    page = await give_password(later, await later.see("/sign-in"), changed)
    assert page.name == "second-factor"
    assert (await later.press(page, "continue", code=code_of(town, ada))).status_code == 303


async def test_whoever_has_lost_both_sets_up_a_password_and_an_app(town):
    """R50: with the new password alone nobody gets in."""
    ada, browser = await reachable(town), town.browser()
    await prove_both(town, browser, ada)
    town.later(hours=24)
    page = await prove_both(town, browser, ada)
    page = Shown(await browser.follow(await browser.press(page, "continue", password=NEW, lost="yes")))
    assert page.heading == "Set up an authenticator app"

    code = totp.current_code(seed_on(page), town.clock.now() + timedelta(seconds=1))
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code)))

    assert page.heading == "You can sign in again"


async def test_the_link_in_any_notice_stops_it(town):
    """R51: one tap, no sign-in; afterwards nothing can be completed."""
    ada, thief, own = await reachable(town), town.browser(), town.browser()
    await prove_both(town, thief, ada)
    [link] = re.findall(r"https?://\S+", (await last_to(town, NUMBER)).text)

    await own.press(await own.see(link.removeprefix(ISSUER)), "continue")

    town.later(hours=24)
    await town.work()
    assert (await last_to(town, ada.email)).subject == "We have stopped everything in your account"
    assert "recovery_stopped" in await town.history(ada.account_id)
    page = await prove_both(town, thief, ada)
    assert page.heading == "The waiting time has begun", "and it begins from the start"


async def test_unknown_addresses_and_accounts_without_a_phone_see_the_same_pages(town):
    """R27: the mail tells the truth to the address's owner, and the answers are alike."""
    await reachable(town)
    await resident(town, "bob@example.org", has_codes=False)
    answers = []
    for email in ("ada@example.org", "bob@example.org", "nobody@example.org"):
        browser = town.browser()
        page = await ask(browser, email)
        wrong = Shown(await browser.press(page, "continue", code="000000"))
        answers.append((page.text.replace(email, "*"), wrong.status, wrong.text.replace(email, "*")))
    assert answers[0] == answers[1] == answers[2]
    await town.work()
    assert [(message.to, message.subject.removeprefix(message.code or "")) for message in town.post.sent] == [
        ("ada@example.org", " is your code for Citizen Account. Never tell it to anybody."),
        ("bob@example.org", "Getting back into your account"),
        ("nobody@example.org", "There is no account with this email address"),
    ]


async def test_a_contact_that_changed_this_week_proves_nothing(town):
    """R51: seven days."""
    ada = await reachable(town, days=6, has_codes=False)
    await ask(town.browser(), ada.email)
    assert (await last_to(town, ada.email)).subject == "Getting back into your account"


async def test_nothing_is_set_up_out_of_order(town):
    """R45: not before both codes, not before the time, not in another browser."""
    ada, browser, other = await reachable(town), town.browser(), town.browser()
    page = await ask(browser, ada.email)
    path = page.action
    for door in ("/new", "/passkey"):
        early = await browser.http.post(
            path + door,
            content=f"csrf_token={page.hidden['csrf_token']}&password=three+quiet+green+bicycles",
            headers={"content-type": "application/x-www-form-urlencoded", "origin": ISSUER},
        )
        assert early.headers["location"] == path
    assert (await other.get(path)).status_code == 404
    await prove_both(town, browser, ada)
    assert (await browser.see("/account")).name == "sign-in"
    page = await give_password(other, await other.see("/sign-in"), ada)
    assert page.name == "second-factor", "the old password still works"


async def test_of_many_who_begin_and_complete_one_does(database, vault, ada, now, identity_policy):
    """R24: one running recovery an account, completed once, and never against a stop."""

    async def begin(db: Any) -> None:
        await recovery.start(db, vault, ada.account_id, Device("", ""), identity_policy.recovery, now)

    await race(database, begin, 20)
    async with database.begin() as db:
        running = await recovery.running_of(db, ada.account_id, now)
    assert running is not None
    later = running.ready_at

    async def complete(db: Any) -> bool:
        assert isinstance(running, Running)
        return await recovery.complete(db, running, later)

    async with database.begin() as db:
        assert not await recovery.complete(db, running, now), "not before its time"
    assert (await race(database, complete, 20)).count(True) == 1
    async with database.begin() as db:
        assert not await recovery.stop(db, ada.account_id, later)


async def test_a_recovery_code_stands_for_a_phone_so_that_nobody_without_a_password_is_lost(town):
    """R31, R50: who has a passkey and recovery codes alone, and loses the passkey; the code is spent by it."""
    ada, browser = await resident(town, has_password=False, has_app=False), town.browser()
    town.later(days=8)
    page = await ask(browser, ada.email)
    page = Shown(await browser.follow(await browser.press(page, "continue", code=await code_to(town, ada.email))))
    assert page.heading == "Enter a recovery code"
    assert (await browser.press(page, "continue", code="AAAA-AAAA-AAAA-AAAA")).status_code == 400
    page = Shown(await browser.follow(await browser.press(page, "continue", code=ada.codes[0])))
    assert page.heading == "The waiting time has begun"
    town.later(hours=24)

    page = await browser.see("/recovery/contacts")
    page = Shown(await browser.follow(await browser.press(page, "continue", identifier=ada.email)))
    page = Shown(await browser.follow(await browser.press(page, "continue", code=await code_to(town, ada.email))))
    assert (await browser.press(page, "continue", code=ada.codes[0])).status_code == 400, "it is spent"
    page = Shown(await browser.follow(await browser.press(page, "continue", code=ada.codes[2])))
    assert page.heading == "Choose a new password"


@pytest.mark.parametrize("kind", ["email", "phone"])
async def test_a_contact_that_is_taken_away_meanwhile_proves_nothing_whatever_else_there_is(town, kind):
    """R51: each proof is of one contact, not of having some."""
    ada, browser = await reachable(town), town.browser()
    async with town.transaction() as db:
        key, now = await data_key_of(db, town.vault, ada.account_id), town.clock.now() - timedelta(days=7.5)
        for other, value in (("email", "other@example.org"), ("phone", "+442079460959")):
            await add_contact(db, town.vault, key, ada.account_id, other, value, now, verified=True)
    page = await ask(browser, ada.email)
    answer = await browser.press(page, "continue", code=await code_to(town, ada.email))
    page = Shown(await browser.follow(answer))
    code = await code_to(town, NUMBER)
    async with town.transaction() as db:
        found = await contacts_of(db, key, ada.account_id)
        [gone] = [one.id for one in found if one.kind == kind and one.value in (ada.email, NUMBER)]
        await retire_contact(db, ada.account_id, gone, town.clock.now())

    refused = Shown(await browser.press(page, "continue", code=code))

    assert refused.status == 400
    assert "recovery_started" not in await town.history(ada.account_id)
