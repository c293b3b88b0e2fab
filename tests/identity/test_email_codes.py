"""Codes by e-mail: a second step where policy has it, bound to the sign-in that asked, and never a level (R24, R25)."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from reached import last_to
from residents import allow_password_alone, begin_for, give_password, resident, session_of
from stage import race
from town import Citizen, Shown, Town

from accounts.account import data_key_of
from accounts.contact import add_contact, contacts_of, make_primary, retire_contact
from config.settings import SettingsError, read_settings
from identity import confirmation_code, email_code
from identity.assurance import AssurancePolicy

pytestmark = pytest.mark.anyio
ADDRESS = "ada@example.org"
NEW = "new@example.org"


def ask_for_codes(town: Town) -> None:
    """`assurance.minimum=aal1`, `assurance.email_codes=true`."""
    assurance = AssurancePolicy(minimum="aal1", email_codes=True)
    town.house.identity_policy = msgspec.structs.replace(town.house.identity_policy, assurance=assurance)


async def with_a_password(town: Town, **has: Any) -> Any:
    """Somebody who has nothing else."""
    return await resident(town, ADDRESS, **{"has_app": False, "has_codes": False, **has})


async def after_password(town: Town, browser: Citizen, somebody: Any, **asked: Any) -> Shown:
    """The page that comes of the password, at a house that wants no more than that."""
    path = await begin_for(town, browser, **{"acr": "aal1", **asked})
    return await give_password(browser, await browser.see(path), somebody)


async def sent(town: Town, browser: Citizen, page: Shown) -> tuple[Shown, str]:
    """The page for the code, and the code."""
    assert page.heading == "Get a code by email"
    page = Shown(await browser.follow(await browser.press(page, "continue")))
    return page, (await last_to(town, ADDRESS)).code


async def other_address(town: Town, somebody: Any) -> None:
    """A verified address more, from just now, that is the first one."""
    async with town.transaction() as db:
        key, now = await data_key_of(db, town.vault, somebody.account_id), town.clock.now()
        added = await add_contact(db, town.vault, key, somebody.account_id, "email", NEW, now, verified=True)
        assert added is not None
        assert await make_primary(db, somebody.account_id, added)


async def code_goes_to(town: Town, somebody: Any) -> str | None:
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, somebody.account_id)
        return await email_code.address_of(db, key, somebody.account_id, town.clock.now())


async def test_a_code_by_email_follows_the_password_and_adds_no_level(town):
    """R25: `acr` and `amr` are those of the password; the page says what the code is worth and what is better."""
    ask_for_codes(town)
    ada, browser = await with_a_password(town), town.browser()

    page, code = await sent(town, browser, await after_password(town, browser, ada))
    assert await session_of(town, browser) is None, "the password alone lets nobody in"
    assert "weaker than everything else we offer" in page.text
    assert "passkey" in page.text
    assert ADDRESS not in page.text.replace(f"signing in as {ADDRESS}", ""), "masked, where it was not typed just now"
    answer = await browser.press(page, "continue", code=f"{code[:3]} {code[3:]}")

    assert answer.headers["location"] == "/privacy"
    session = await session_of(town, browser)
    assert session is not None
    assert (session.acr, session.amr) == ("aal1", ("pwd",))


async def test_where_policy_does_not_say_so_nobody_is_asked(town):
    allow_password_alone(town)
    ada, browser = await with_a_password(town), town.browser()

    assert (await after_password(town, browser, ada)).name == "privacy"


async def test_who_has_an_app_is_asked_for_the_app(town):
    """The account's own second authenticator is stronger: no code by e-mail stands in for it (R25)."""
    ask_for_codes(town)
    ada, browser = await resident(town), town.browser()
    page = await after_password(town, browser, ada)

    assert page.heading == "Enter your code"
    assert not any("use=email" in link for link in page.links)
    await browser.press(page, "email")
    await town.work()
    assert not any(message.code for message in town.post.sent)


async def test_where_two_factors_are_asked_a_code_by_email_is_none(town):
    """R25: with recovery codes it is not offered; with nothing it comes before setting up what is missing, so that a
    password alone adds nothing to the account (R30), and what was set up is asked for all the same."""
    ask_for_codes(town)
    eve = await resident(town, "eve@example.org", has_app=False)
    page = await after_password(town, browser := town.browser(), eve, acr="aal2")
    assert page.heading == "Enter a recovery code"
    assert not any("use=email" in link for link in page.links)

    ada, browser = await with_a_password(town), town.browser()
    page, code = await sent(town, browser, await after_password(town, browser, ada, acr="aal2"))
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code)))

    assert page.name == "enrol"
    assert await session_of(town, browser) is None


async def test_nobody_gets_a_code_before_the_password_is_proved(town):
    """R27: no mail, and the same page, for an address that is known and one that is not."""
    ask_for_codes(town)
    ada, pages = await with_a_password(town), []
    for address in (ada.email, "nobody@example.org"):
        browser = town.browser()
        path = await begin_for(town, browser, acr="aal1")
        wrong = await browser.press(await browser.see(path), "continue", identifier=address, password="not this one")
        assert wrong.status_code == 400
        page = Shown(wrong)
        page.action = f"{path}/second-factor?use=email"
        answer = await browser.press(page, "email")
        assert (answer.status_code, answer.headers["location"]) == (303, path)
        pages.append((page.heading, page.buttons, len(page.links)))

    await town.work()
    assert pages[0] == pages[1]
    assert not any(message.code for message in town.post.sent)


async def test_a_code_belongs_to_the_sign_in_that_asked_and_works_once(town):
    """R24: not in another browser, not after the next one was sent, not after ten minutes, not again."""
    ask_for_codes(town)
    ada, one, two = await with_a_password(town), town.browser(), town.browser()
    page, code = await sent(town, one, await after_password(town, one, ada))
    elsewhere, second = await sent(town, two, await after_password(town, two, ada))

    assert (await two.press(elsewhere, "continue", code=code)).status_code == (303 if code == second else 400)
    newer = Shown(await one.follow(await one.press(page, "email")))
    latest = (await last_to(town, ADDRESS)).code
    if latest != code:
        assert (await one.press(newer, "continue", code=code)).status_code == 400
    town.later(minutes=10)
    assert (await one.press(newer, "continue", code=latest)).status_code == 400
    assert await session_of(town, one) is None

    page, code = await sent(town, one, await after_password(town, one, ada))
    assert (await one.press(page, "continue", code=code)).headers["location"] == "/privacy"
    again = await after_password(town, two, ada)
    again = Shown(await two.follow(await two.press(again, "continue")))
    replayed = await two.press(again, "continue", code=code)
    assert replayed.status_code == 400 or (await last_to(town, ADDRESS)).code == code


async def test_a_session_spares_its_account_the_code_until_all_is_to_be_proved_anew(town):
    """R30: `prompt=login` and what changes the account ask for both."""
    ask_for_codes(town)
    ada, browser = await with_a_password(town), town.browser()
    page, code = await sent(town, browser, await after_password(town, browser, ada))
    await browser.press(page, "continue", code=code)
    town.later(minutes=10)

    assert (await browser.see(await begin_for(town, browser, acr="aal1"))).name == "privacy"
    page = await after_password(town, browser, ada, fresh_after=town.clock.now() - timedelta(minutes=5))
    assert page.heading == "Get a code by email"


async def test_mails_are_limited(town):
    """R26: nobody who knows the password floods the mailbox."""
    ask_for_codes(town)
    ada, browser = await with_a_password(town), town.browser()
    page, _ = await sent(town, browser, await after_password(town, browser, ada))

    answers = [(await browser.press(page, "email")).status_code for _ in range(12)]

    assert answers[-1] == 429
    await town.work()
    assert len([message for message in town.post.sent if message.code]) == 1 + answers.count(303)


async def test_a_new_address_gets_no_codes_for_a_week_while_there_is_an_older_one(town):
    """R51: whoever added it may not be the citizen."""
    ask_for_codes(town)
    ada = await with_a_password(town)
    town.later(days=30)
    await other_address(town, ada)

    assert await code_goes_to(town, ada) == ADDRESS
    town.later(days=7)
    assert await code_goes_to(town, ada) == NEW


async def test_a_code_ends_with_its_address(town):
    """What was sent to an address that is no longer the account's proves nothing."""
    ask_for_codes(town)
    ada, browser = await with_a_password(town), town.browser()
    page, code = await sent(town, browser, await after_password(town, browser, ada))
    await other_address(town, ada)
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, ada.account_id)
        old = next(one.id for one in await contacts_of(db, key, ada.account_id) if one.value == ADDRESS)
        assert await retire_contact(db, ada.account_id, old, town.clock.now())

    assert (await browser.press(page, "continue", code=code)).status_code == 400


async def test_of_many_with_the_same_code_one_comes_in(database, vault, ada, now):
    """R24: one acceptance, whoever races."""
    async with database.begin() as db:
        await add_contact(db, vault, ada.key, ada.account_id, "email", ADDRESS, now, verified=True)
        code = await confirmation_code.issue(
            db,
            vault,
            purpose="sign_in",
            bound_to=ada.account_id.bytes,
            contact=vault.blind("email", ADDRESS),
            account_id=ada.account_id,
            now=now,
        )

    async def spend(db: Any) -> bool:
        return await email_code.spend(db, vault, ada.account_id, ada.account_id, code, now)

    assert (await race(database, spend)).count(True) == 1


def test_where_more_is_the_least_the_setting_is_refused_by_name():
    """R25: at AAL2 e-mail counts for nothing, so asking for it there is a mistake to be told at start."""
    simulator = [("issuer", "http://localhost:8000"), ("mode", "simulator"), ("assurance.email_codes", "true")]

    with pytest.raises(SettingsError, match=r"^assurance\.email_codes: "):
        read_settings(None, {}, simulator)

    assert read_settings(None, {}, [*simulator, ("assurance.minimum", "aal1")]).assurance.email_codes
    assert not read_settings(None, {}, simulator[:2]).assurance.email_codes
