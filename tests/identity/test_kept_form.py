"""A form that comes too late: what was typed is there again after signing in, for its own citizen alone."""

import re
from html import unescape
from urllib.parse import urlencode

import pytest
from residents import PASSWORD, Resident, resident, sign_in
from town import FORM, ISSUER, Citizen, Shown, Town

from accounts.pages.page import KEEPS
from config.app import DOORS

pytestmark = pytest.mark.anyio
NAME, EMAIL = "/account/profile/name", "/account/contacts/new/email"
SECRETS = {"password", "code", "csrf_token", "app", "user_code"}
TYPED = "Augusta Ada King"
HERE_AGAIN = "What you had typed is still here"
IDLE = 31 * 60


def value_of(page: Shown, field: str) -> str:
    """What stands in a field."""
    found = re.search(rf'<input[^>]* name="{field}"[^>]*? value="([^"]*)"', page.html)
    assert found, page.html
    return unescape(found[1])


async def send_late(town: Town, browser: Citizen, path: str, seconds: int, **typed: str) -> str:
    """Fill in a form and send it when its citizen has to sign in first; where that leads."""
    page = await browser.see(path)
    town.later(seconds=seconds)
    answer = await browser.press(page, "continue", **typed)
    assert answer.status_code == 303
    assert TYPED.split()[0] not in answer.headers["location"], "an address stands in logs and histories"
    led_to: str = answer.headers["location"]
    assert led_to.startswith("/sign-in?return_to=")
    return led_to


async def at_home(town: Town, **person: str) -> tuple[Resident, Citizen]:
    """Somebody who has just signed in."""
    somebody, browser = await resident(town, **person), town.browser()
    await sign_in(town, browser, somebody)
    return somebody, browser


@pytest.mark.parametrize(
    ("path", "field", "seconds"),
    [
        pytest.param(NAME, "name", IDLE, id="idle too long"),
        pytest.param(NAME, "name", 13 * 3600, id="at the absolute limit"),
        pytest.param(EMAIL, "identifier", 360, id="not fresh any more"),
    ],
)
async def test_what_was_typed_is_in_the_form_again_and_is_sent_by_its_citizen_alone(town, path, field, seconds):
    """WCAG 2.2, 2.2.5: nothing typed is lost; R45: signing in again sends nothing in anybody's name."""
    ada, browser = await at_home(town)
    led_to = await send_late(town, browser, path, seconds, **{field: TYPED})
    before = await town.history(ada.account_id)

    page = await sign_in(town, browser, ada, led_to)

    assert (page.action, value_of(page, field)) == (path, TYPED)
    assert HERE_AGAIN in page.text
    assert set(await town.history(ada.account_id)) <= {*before, "signed_in"}
    again = await browser.see(f"{path}?kept=yes")
    assert value_of(again, field) == TYPED, "a reload shows it as well"
    assert value_of(await browser.see(path), field) != TYPED, "whoever comes back otherwise sees what is stored"


async def test_it_can_be_saved_then(town):
    ada, browser = await at_home(town)
    page = await sign_in(town, browser, ada, await send_late(town, browser, NAME, IDLE, name=TYPED))

    page = Shown(await browser.follow(await browser.press(page, "continue", name=value_of(page, "name"))))

    assert TYPED in page.text


async def test_it_is_shown_to_nobody_else_and_nowhere_else(town):
    """R45: bound to the account, to the browser, and to the page."""
    ada, browser = await at_home(town)
    bob = await resident(town, email="bob@example.org")
    led_to = await send_late(town, browser, NAME, IDLE, name=TYPED)

    for somebody, at in ((bob, browser), (ada, town.browser())):
        page = await sign_in(town, at, somebody, led_to)
        assert page.action == NAME
        assert TYPED not in page.html
        assert HERE_AGAIN not in page.text

    town.later(seconds=IDLE)
    assert value_of(await sign_in(town, browser, ada, led_to), "name") == TYPED
    assert HERE_AGAIN not in (await browser.see("/account/profile/address?kept=yes")).text


async def test_a_page_that_had_a_choice_in_its_address_has_it_again(town):
    """Which kind of key was to be added stands there."""
    ada, browser = await at_home(town)
    path = "/account/security/passkey?kind=key"

    page = await sign_in(town, browser, ada, await send_late(town, browser, path, 360, name=TYPED))

    assert (page.heading, page.action, value_of(page, "name")) == ("Add a security key", path, TYPED)


async def test_addresses_that_somebody_makes_up_keep_nothing_besides(town):
    """As many as there are forms: the store is everybody's."""
    _, browser = await at_home(town)
    page = await browser.see(EMAIL)
    town.later(seconds=IDLE)

    for number in range(5):
        made_up = f"/account/contacts/new/kind{number}"
        data = urlencode({**page.hidden, "identifier": TYPED})
        answer = await browser.http.post(made_up, content=data, headers={**FORM, "origin": ISSUER})
        assert answer.headers["location"].endswith("kept%3Dyes")

    kept = [key for key in town.house.store._values if key.startswith("kept_form:")]
    assert len(kept) == 1


async def test_it_is_forgotten_after_an_hour(town):
    ada, browser = await at_home(town)
    led_to = await send_late(town, browser, NAME, IDLE, name=TYPED)
    town.later(seconds=3601)

    assert TYPED not in (await sign_in(town, browser, ada, led_to)).html


async def test_after_a_sign_out_nobody_knows_whose_words_they_are_and_nothing_is_kept(town):
    _, browser = await at_home(town)
    page = await browser.see(NAME)
    await browser.http.post("/sign-out", content=urlencode(page.hidden), headers={**FORM, "origin": ISSUER})

    answer = await browser.press(page, "continue", name=TYPED)

    assert "kept" not in answer.headers["location"]


async def test_no_form_keeps_a_password_a_code_or_a_secret(town):
    """R66: by the list of what each form keeps, and by trying it at one that takes a password."""
    kept = {field for door in DOORS for handler in door.handlers for field in handler.opt.get(KEEPS, ())}
    assert {"name", "identifier", "phone", "birthdate-year", "language", "country"} <= kept
    assert not kept & SECRETS
    _, browser = await at_home(town)

    led_to = await send_late(town, browser, "/account/security/password", 360, password=PASSWORD)

    assert "kept" not in led_to
