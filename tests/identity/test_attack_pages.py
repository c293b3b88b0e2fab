"""Signing in while many guess: work for browsers with scripts, a turn for those without, nothing for who is known."""

import re
from itertools import count
from typing import Any

import pytest
from residents import PASSWORD, code_of, give_password, resident, sign_in
from town import Citizen, Shown, new_town

from identity.proof_of_work import Ticket, is_solved

pytestmark = pytest.mark.anyio
SLOWED = "Many people are trying to sign in just now"


@pytest.fixture
async def town(tmp_path):
    """A town in which every password costs work."""
    hot = {"throttle": {"proof_from": 0, "proof_bits": 4, "per_address": 1000}}
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/identity.sqlite", hot) as made:
        yield made


def proof_for(page: Shown) -> str:
    """What the script finds."""
    bits = re.search(r'data-bits="(\d+)"', page.html)
    assert bits, "no ticket on the page"
    ticket = Ticket(page.hidden["ticket"], int(bits[1]), 0, 0)
    return next(str(number) for number in count() if is_solved(ticket, str(number)))


async def type_in(browser: Citizen, page: Shown, email: str, password: str = PASSWORD, **more: str) -> Any:
    return await browser.press(page, "continue", identifier=email, password=password, **more)


async def test_a_browser_with_scripts_notices_nothing(town):
    """R28: the work is done in the background, its answer goes with the form."""
    ada, browser = await resident(town), town.browser()
    page = await browser.see("/sign-in")

    answer = await type_in(browser, page, ada.email, proof=proof_for(page))

    assert Shown(await browser.follow(answer)).name == "second-factor"


async def test_without_scripts_waiting_is_enough(town):
    """R28, WCAG 2.2 section 3.3.8: 429 with Retry-After and the same page; what was typed is kept; then it is let in,
    and who is too early keeps the turn."""
    ada, browser = await resident(town), town.browser()
    refused = await type_in(browser, await browser.see("/sign-in"), ada.email)
    page = Shown(refused)

    assert (refused.status_code, page.name) == (429, "sign-in")
    wait = int(refused.headers["retry-after"])
    assert 20 <= wait <= 21
    assert f"{SLOWED}. Wait 25 seconds, then press the button again." in page.text
    assert "A passkey never has to wait" in page.text
    assert f'value="{ada.email}"' in page.html
    assert PASSWORD not in page.html

    early = await type_in(browser, page, ada.email)
    assert early.status_code == 429
    assert int(early.headers["retry-after"]) < wait
    assert Shown(early).hidden["ticket"] == page.hidden["ticket"]
    nothing = Shown(await type_in(browser, page, ada.email, password=""))
    assert nothing.hidden["ticket"] == page.hidden["ticket"]
    town.later(seconds=wait)
    assert Shown(await browser.follow(await type_in(browser, page, ada.email))).name == "second-factor"


async def test_a_wrong_password_costs_the_ticket_and_the_next_one_has_its_turn(town):
    """R28: who mistypes without scripts is in the queue already, and is not told to wait before there is a reason."""
    ada, browser = await resident(town), town.browser()
    page = Shown(await type_in(browser, await browser.see("/sign-in"), ada.email))
    town.later(seconds=21)
    wrong = Shown(await type_in(browser, page, ada.email, password="wrong"))
    assert wrong.status == 400
    assert SLOWED not in wrong.text
    assert wrong.hidden["ticket"] != page.hidden["ticket"]
    assert (await type_in(browser, page, ada.email)).status_code == 429, "spent"

    town.later(seconds=31)
    assert (await type_in(browser, wrong, ada.email)).status_code == 303


async def test_a_wrong_password_of_a_browser_with_scripts_gets_new_work(town):
    """The page that comes back can be sent at once."""
    ada, browser = await resident(town), town.browser()
    page = await browser.see("/sign-in")
    wrong = Shown(await type_in(browser, page, ada.email, password="wrong", proof=proof_for(page)))

    assert wrong.status == 400
    assert (await type_in(browser, wrong, ada.email, proof=proof_for(wrong))).status_code == 303


async def test_an_old_page_is_answered_with_a_new_ticket(town):
    """A tab from before, or one without a ticket: the page that answers has what it takes."""
    ada, browser = await resident(town), town.browser()
    page = await browser.see("/sign-in")
    old = proof_for(page)
    town.later(minutes=11)
    again = Shown(await type_in(browser, page, ada.email, proof=old))
    assert again.status == 429

    assert (await type_in(browser, again, ada.email, proof=proof_for(again))).status_code == 303


async def test_known_and_unknown_addresses_are_slowed_alike(town):
    """R27: before anybody is looked up."""
    await resident(town)

    async def slowed(address: str) -> tuple[int, str, str]:
        browser = town.browser()
        answer = await type_in(browser, await browser.see("/sign-in"), address)
        body = re.sub(r'value="[\w=.-]{40,}"|"challenge": "[^"]+"|/sign-in/[0-9a-f-]{36}|sign_in=[0-9a-f-]{36}', "",
                      answer.text)  # fmt: skip
        return answer.status_code, str(21 - int(answer.headers["retry-after"]) <= 2), body.replace(address, "ADDRESS")

    known = await slowed("ada@example.org")
    unknown = await slowed("eve@example.org")
    assert (known[0], known[1]) == (unknown[0], unknown[1]) == (429, "True")
    assert re.sub(r"Wait \d+", "", known[2]) == re.sub(r"Wait \d+", "", unknown[2])


async def test_a_known_browser_never_pays(town):
    """R26, R28: where Ada has signed in before she sends what she always sent; Eve, in the same browser, pays."""
    ada, eve, home = await resident(town), await resident(town, "eve@example.org"), town.browser()
    page = await home.see("/sign-in")
    page = Shown(await home.follow(await type_in(home, page, ada.email, proof=proof_for(page))))
    assert (await home.press(page, "continue", code=code_of(town, ada))).status_code == 303
    town.later(seconds=31)
    home.http.cookies.delete("__Host-session")

    assert (await sign_in(town, home, ada)).name == "account"
    home.http.cookies.delete("__Host-session")
    assert (await give_password(home, await home.see("/sign-in"), eve)).status == 429


async def test_in_quiet_times_there_is_no_ticket(tmp_path):
    """The page contract: outside programs fill in what they see, and every browser is spared the script."""
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/quiet.sqlite") as quiet:
        page = await quiet.browser().see("/sign-in")
    assert {"ticket", "proof"}.isdisjoint(page.hidden)
    assert "/static/work." not in page.html


async def test_work_can_be_switched_off(tmp_path):
    """`throttle.proof_bits=0`: limits alone."""
    off = {"throttle": {"proof_from": 0, "proof_bits": 0}}
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/off.sqlite", off) as mild:
        ada, browser = await resident(mild), mild.browser()
        page = await browser.see("/sign-in")
        assert "ticket" not in page.hidden
        assert (await give_password(browser, page, ada)).name == "second-factor"
