"""Creating an account, as a person without JavaScript meets it."""

import re
from typing import Any

import pytest
from residents import PASSWORD, begin_for, codes_on, resident, seed_on, session_of
from town import Citizen, Shown, Town

from identity import totp
from identity.sign_in import Onward

pytestmark = pytest.mark.anyio
EMAIL = "nea@example.org"


async def ask(town: Town, browser: Citizen, email: str = EMAIL, path: str = "/register") -> Shown:
    """Type an address into the first page."""
    answer = await browser.press(await browser.see(path), "continue", identifier=email)
    return Shown(await browser.follow(answer))


async def mailed_code(town: Town) -> str:
    """The code in the newest mail."""
    await town.work()
    return town.post.sent[-1].code or ""


async def confirmed(town: Town, browser: Citizen, **asked: Any) -> Shown:
    """As far as the page that asks for a password."""
    page = await ask(town, browser, **asked)
    answer = await browser.press(page, "continue", code=await mailed_code(town))
    return Shown(await browser.follow(answer))


async def as_far_as_codes(town: Town, browser: Citizen, **asked: Any) -> Shown:
    """As far as the page with the recovery codes."""
    page = await confirmed(town, browser, **asked)
    page = Shown(await browser.follow(await browser.press(page, "continue", password=PASSWORD)))
    code = totp.current_code(seed_on(page), town.clock.now())
    return Shown(await browser.follow(await browser.press(page, "continue", code=code)))


async def test_from_an_address_to_the_service_that_sent_the_citizen(town):
    """Journey 1: address, code, password, app, codes, and back; signed in at two factors."""
    browser = town.browser()
    onward = Onward(service_name="Parks", start="create")
    path = await begin_for(town, browser, onward=onward, return_to="/authorize?interaction=1")
    assert path.startswith("/register?sign_in=")

    page = await as_far_as_codes(town, browser, path=path)
    assert len(codes_on(page)) == 10
    answer = await browser.press(page, "continue")

    assert answer.headers["location"] == "/authorize?interaction=1"
    session = await session_of(town, browser)
    assert session is not None
    assert (session.account_state, session.acr, set(session.amr)) == ("active", "aal2", {"pwd", "otp", "mfa"})
    await town.work()
    assert [mail.subject for mail in town.post.sent[1:]] == ["Your account is ready"]
    history = await town.history(session.account_id)
    assert {"account_created", "signed_in", "authenticator_added", "recovery_codes_made"} == set(history)


async def test_every_page_of_it_is_named_and_its_fields_too(town):
    """The page contract."""
    browser = town.browser()
    page = await browser.see("/register")
    assert (page.name, page.buttons[0]) == ("register", "continue")
    page = await ask(town, browser)
    assert (page.name, page.buttons[0]) == ("register", "continue")
    page = Shown(await browser.follow(await browser.press(page, "continue", code=await mailed_code(town))))
    assert (page.name, page.buttons[0]) == ("register", "continue")
    assert 'name="password"' in page.html
    page = Shown(await browser.follow(await browser.press(page, "continue", password=PASSWORD)))
    assert (page.name, page.buttons[0]) == ("enrol", "continue")


async def test_known_and_unknown_addresses_see_the_same_pages(town):
    """R27: at asking, at a wrong code, at asking again: status, headers and bytes are alike."""
    await resident(town)

    async def seen(email: str) -> list[tuple[int, str]]:
        browser = town.browser()
        page = await ask(town, browser, email)
        answers = [
            await browser.get(page.action),
            await browser.press(page, "continue", code="000000"),
            await browser.follow(await browser.press(page, "again")),
        ]
        changing = r'value="[\w=-]{40,}"|[0-9a-f]{8}-[0-9a-f-]{27}'
        return [(answer.status_code, re.sub(changing, "", answer.text).replace(email, "")) for answer in answers]

    assert await seen("ada@example.org") == await seen("eve@example.org")
    await town.work()
    told = [mail for mail in town.post.sent if mail.to == "ada@example.org"]
    assert {mail.subject for mail in told} == {"You already have an account with Citizen Account"}
    assert {mail.code for mail in told} == {None}
    assert len([mail for mail in town.post.sent if mail.to == "eve@example.org"]) == len(told)


async def test_a_form_sent_twice_and_pages_opened_out_of_order_lead_on(town):
    """R45: reload, back button, second tab; always the page that comes next."""
    browser = town.browser()
    page = await ask(town, browser)
    ahead = await browser.see(page.action + "/password")
    assert ahead.heading == "Check your email"
    code = await mailed_code(town)
    first = await browser.press(page, "continue", code=code)

    again = await browser.press(page, "continue", code=code)

    assert again.headers["location"] == first.headers["location"]
    password_page = await browser.see(page.action)
    assert password_page.heading == "Choose a password"
    enrol = Shown(await browser.follow(await browser.press(password_page, "continue", password=PASSWORD)))
    for back in (page.action, password_page.action):
        assert (await browser.see(back)).action == enrol.action
    late = await browser.press(password_page, "continue", password="another long password")
    assert Shown(await browser.follow(late)).action == enrol.action


async def test_another_browser_cannot_go_on_with_it(town):
    """R24: the code belongs to the registration that asked."""
    page = await ask(town, town.browser())
    thief = town.browser()
    own = await ask(town, thief, "thief@example.org")
    own.action = page.action

    answer = await thief.press(own, "continue", code="123456")

    assert answer.status_code == 403
    assert Shown(answer).name == "error"


async def test_an_account_left_half_way_is_gone_on_with_by_signing_in(town):
    """R31: the password opens nothing but the rest of the way."""
    browser = town.browser()
    page = await confirmed(town, browser)
    await browser.press(page, "continue", password=PASSWORD)
    assert await session_of(town, browser) is None

    later = town.browser()
    answer = await later.press(await later.see("/sign-in"), "continue", identifier=EMAIL, password=PASSWORD)
    page = Shown(await later.follow(answer))

    assert page.name == "enrol"
    code = totp.current_code(seed_on(page), town.clock.now())
    page = Shown(await later.follow(await later.press(page, "continue", code=code)))
    assert len(codes_on(page)) == 10
    assert (await later.see("/account")).name == "sign-in", "not before the codes are saved"
    answer = await later.follow(await later.press(page, "continue"))
    assert Shown(answer).name == "account"


async def test_to_write_codes_down_is_no_authentication(town):
    """R10: `auth_time` is the moment of the last proof, and the page with the codes may stand open for long."""
    browser = town.browser()
    page = await as_far_as_codes(town, browser)
    proved_at = town.clock.now()
    town.later(minutes=12)

    await browser.press(page, "continue")
    await browser.see("/account")

    session = await session_of(town, browser)
    assert (session.acr, session.auth_time) == ("aal2", proved_at)


async def test_codes_nobody_saved_are_made_anew(town):
    """R31: left at the last page, the account is finished at the next sign-in with new codes."""
    browser = town.browser()
    page = await as_far_as_codes(town, browser)
    unsaved = codes_on(page)
    town.later(hours=2)

    later = town.browser()
    answer = await later.press(await later.see("/sign-in"), "continue", identifier=EMAIL, password=PASSWORD)
    page = Shown(await later.follow(answer))
    assert page.name == "second-factor", "the app is set up already"
    # Its seed is known to the phone alone: here, one of the unsaved codes serves.
    page = Shown(await later.follow(await later.press(page, "continue", code=unsaved[0])))
    assert (page.heading, page.buttons) == ("Your recovery codes", ["make"])
    page = Shown(await later.follow(await later.press(page, "make")))

    assert len(codes_on(page)) == 10
    assert not set(codes_on(page)) & set(unsaved)
    assert Shown(await later.follow(await later.press(page, "continue"))).name == "account"


async def test_too_many_mails_are_refused_in_the_page(town):
    """R26: what was typed stays, and when to try again is said."""
    browser = town.browser()
    for _ in range(5):
        await ask(town, browser)

    answer = await browser.press(await browser.see("/register"), "continue", identifier=EMAIL)

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert f'value="{EMAIL}"' in answer.text


@pytest.mark.parametrize("typed", ["", "nea", "nea@", "@example.org", "nea@exa mple.org", "a" * 300 + "@example.org"])
async def test_what_is_no_address_is_said(town, typed):
    """Before anything is sent."""
    browser = town.browser()
    answer = await browser.press(await browser.see("/register"), "continue", identifier=typed)

    assert answer.status_code == 400
    assert Shown(answer).name == "register"
    await town.work()
    assert town.post.sent == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Choose a password"),
        ("1234567", "A little longer, please"),
        ("password", "Many people use this password"),
        ("nea nea nea", "too close to your address"),
    ],
)
async def test_why_a_password_is_refused_is_said(town, typed, said):
    """R22: beside the field, and nothing is lost."""
    browser = town.browser()
    page = await confirmed(town, browser)

    answer = await browser.press(page, "continue", password=typed)

    assert answer.status_code == 400
    assert said in Shown(answer).text
    assert f'value="{typed}"' not in answer.text or not typed
    answer = await browser.press(Shown(answer), "continue", password=PASSWORD)
    assert Shown(await browser.follow(answer)).name == "enrol"


async def test_addresses_and_passwords_of_the_world(town):
    """R22, R79: any script; the same person whichever keyboard wrote the address."""
    browser = town.browser()
    email = "زينب@مثال.إختبار"
    page = await confirmed(town, browser, email=email)
    page = Shown(await browser.follow(await browser.press(page, "continue", password="पासवर्ड बहुत लंबा है")))
    code = totp.current_code(seed_on(page), town.clock.now())
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code)))
    assert Shown(await browser.follow(await browser.press(page, "continue"))).name == "account"


async def test_who_is_registered_already_finds_the_way_to_signing_in(town):
    """No dead end."""
    browser = town.browser()
    page = await browser.see("/register")

    sign_in = next(link for link in page.links if link.startswith("/sign-in/"))

    assert (await browser.see(sign_in)).name == "sign-in"
