"""Signing in, as a person without JavaScript meets it: the right page at every turn, and no way round a step."""

import asyncio
import re
from typing import Any

import pytest
from residents import (
    PASSWORD,
    allow_password_alone,
    begin_for,
    code_of,
    codes_on,
    give_password,
    resident,
    seed_on,
    session_of,
    sign_in,
)
from town import Shown

from identity import session as sessions
from identity import totp
from identity.sign_in import Onward

pytestmark = pytest.mark.anyio


async def test_password_and_app_lead_to_where_the_sign_in_was_meant_to(town):
    """R20, R40: a session that says what was done, behind a cookie that scripts and other sites do not get."""
    ada, browser = await resident(town), town.browser()
    page = await give_password(browser, await browser.see(await begin_for(town, browser)), ada)
    assert page.name == "second-factor"

    answer = await browser.press(page, "continue", code=code_of(town, ada))

    assert (answer.status_code, answer.headers["location"]) == (303, "/privacy")
    cookie = answer.headers["set-cookie"]
    assert re.match(r"__Host-session=[\w-]{43}; ", cookie)
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    session = await session_of(town, browser)
    assert session is not None
    assert (session.acr, set(session.amr), session.auth_time) == ("aal2", {"pwd", "otp", "mfa"}, town.clock.now())
    assert await town.history(ada.account_id) == ["signed_in"]


async def test_every_step_is_a_form_an_outside_program_can_fill_in(town):
    """The page contract: names of pages and fields, the main button first, hidden fields sent back as they came."""
    ada, browser = await resident(town), town.browser()

    page = await browser.see("/sign-in")
    assert (page.name, page.buttons[0]) == ("sign-in", "continue")
    assert {'name="identifier"', 'name="password"'} <= set(re.findall(r'name="\w+"', page.html))
    page = await give_password(browser, page, ada)
    assert (page.name, page.buttons[0]) == ("second-factor", "continue")
    assert 'name="code"' in page.html
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code_of(town, ada))))
    assert page.name == "account"


async def test_a_recovery_code_is_a_second_factor_once(town):
    """R24: in any spelling, and the owner is told."""
    ada, browser = await resident(town), town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    page = Shown(await browser.get(page.action + "?use=recovery-code"))
    typed = ada.codes[0].lower().replace("-", " ")

    page = Shown(await browser.follow(await browser.press(page, "continue", code=typed)))

    assert page.name == "account"
    await town.work()
    assert [mail.subject for mail in town.post.sent] == ["A recovery code was used"]
    other = town.browser()
    page = await give_password(other, await other.see("/sign-in"), ada)
    assert (await other.press(page, "continue", code=typed)).status_code == 400


async def test_an_app_code_works_once(town):
    """R24: who looked over the shoulder comes too late."""
    ada, browser, thief = await resident(town), town.browser(), town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    stolen = await give_password(thief, await thief.see("/sign-in"), ada)
    await browser.press(page, "continue", code=code_of(town, ada))

    answer = await thief.press(stolen, "continue", code=code_of(town, ada))

    assert answer.status_code == 400
    assert "That code is not right" in Shown(answer).text
    assert await session_of(town, thief) is None


async def test_a_second_press_leads_where_the_first_did_though_its_answer_was_lost(town):
    """R45, R78: who presses twice, or on a line that breaks, is signed in once and not told of a wrong code."""
    ada, browser = await resident(town), town.browser()
    path = await begin_for(town, browser)
    page = await give_password(browser, await browser.see(path), ada)
    code = code_of(town, ada)

    await browser.press(page, "continue", code=code)
    browser.http.cookies.delete("__Host-session")
    town.later(seconds=9)
    answer = await browser.follow(await browser.press(page, "continue", code=code))

    assert answer.url.path == "/privacy"
    session = await session_of(town, browser)
    assert session is not None
    assert session.amr == ("mfa", "otp", "pwd")
    assert [kind for kind in await town.history(ada.account_id) if kind == "signed_in"] == ["signed_in"]
    browser.http.cookies.delete("__Host-session")
    town.later(seconds=2)
    assert (await browser.see(path)).heading == "Please start again"
    assert await session_of(town, browser) is None


async def test_a_second_press_brings_no_session_back_that_was_ended(town):
    """R42: signing out at once is signing out."""
    ada, browser = await resident(town), town.browser()
    path = await begin_for(town, browser)
    page = await give_password(browser, await browser.see(path), ada)
    code = code_of(town, ada)
    await browser.press(page, "continue", code=code)
    session = await session_of(town, browser)
    assert session is not None
    async with town.transaction() as db:
        await sessions.end(db, town.vault, session.id, "signed_out", town.clock.now())

    answer = await browser.follow(await browser.press(page, "continue", code=code))

    assert Shown(answer).heading == "Please start again"
    assert await session_of(town, browser) is None


async def test_two_presses_at_once_are_one_sign_in(town):
    """R45: the second of two posts under way at the same time finds the code spent, and follows the first."""
    ada, browser = await resident(town), town.browser()
    page = await give_password(browser, await browser.see(await begin_for(town, browser)), ada)
    code = code_of(town, ada)

    answers = await asyncio.gather(*(browser.press(page, "continue", code=code) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {303}
    for answer in answers:
        assert (await browser.follow(answer)).url.path == "/privacy"
    assert [kind for kind in await town.history(ada.account_id) if kind == "signed_in"] == ["signed_in"]


@pytest.mark.parametrize("step", ["/second-factor", "/enrol", "/recovery-codes"])
async def test_a_later_page_opened_first_leads_back_to_the_first(town, step):
    """R45: the order in which pages are opened decides nothing."""
    await resident(town)
    browser = town.browser()
    path = await begin_for(town, browser)

    page = await browser.see(path + step)

    assert page.name == "sign-in"
    answer = await browser.http.post(
        path + step,
        content=f"csrf_token={page.hidden['csrf_token']}&action=continue&code=123456",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, path)


async def test_nothing_that_is_posted_again_gives_a_second_session(town):
    """R45: each form of a finished sign-in, sent once more, leads to a page that says so."""
    ada, browser = await resident(town), town.browser()
    path = await begin_for(town, browser)
    first = await browser.see(path)
    second = await give_password(browser, first, ada)
    code = code_of(town, ada)
    await browser.press(second, "continue", code=code)
    before = await session_of(town, browser)
    town.later(seconds=31)

    for page, fields in (
        (first, {"identifier": ada.email, "password": PASSWORD}),
        (second, {"code": code_of(town, ada)}),
    ):
        answer = await browser.press(page, "continue", **fields)
        assert answer.headers["location"] == path
        assert "set-cookie" not in answer.headers

    over = await browser.see(path)
    assert over.heading == "You are signed in"
    assert "/privacy" in over.links
    assert await session_of(town, browser) == before


async def test_known_and_unknown_addresses_answer_alike(town):
    """R27: the same status, headers and bytes, but for what is new in every page."""
    await resident(town)

    async def refused(address: str) -> tuple[int, dict[str, str], str]:
        browser = town.browser()
        answer = await browser.press(await browser.see("/sign-in"), "continue", identifier=address, password="wrong")
        headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
        body = re.sub(
            r'value="[\w=-]{40,}"|"challenge": "[^"]+"|/sign-in/[0-9a-f-]{36}|sign_in=[0-9a-f-]{36}', "", answer.text
        )
        return answer.status_code, headers, body.replace(address, "ADDRESS")

    assert await refused("ada@example.org") == await refused("eve@example.org")


async def test_guessing_is_slowed_alike_for_known_and_unknown(town):
    """R26, R27: 429 with Retry-After, in the page, with what was typed; waiting is all it takes."""
    ada = await resident(town)

    async def guessed(address: str) -> list[tuple[int, str]]:
        browser = town.browser()
        page = await browser.see("/sign-in")
        answers = [await browser.press(page, "continue", identifier=address, password="wrong") for _ in range(7)]
        assert f'value="{address}"' in answers[-1].text
        return [(answer.status_code, answer.headers.get("retry-after", "")) for answer in answers]

    known = await guessed(ada.email)

    assert known == await guessed("eve@example.org")
    assert known[-1][0] == 429
    assert int(known[-1][1]) > 0
    town.later(minutes=15)
    assert (await sign_in(town, town.browser(), ada)).name == "account"


async def test_a_mistake_loses_nothing_that_was_typed_but_the_password(town):
    """What was typed comes back, secrets never."""
    browser = town.browser()
    page = await browser.see("/sign-in")

    answer = await browser.press(page, "continue", identifier="Ada@Example.org ", password="a secret of mine")

    assert answer.status_code == 400
    assert 'value="Ada@Example.org "' in answer.text
    assert "a secret of mine" not in answer.text
    assert "The email address or the password is not right" in Shown(answer).text
    page = await browser.see(str(answer.url.path))
    assert 'value="Ada@Example.org "' in page.html


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"identifier": "", "password": "x"}, "Enter your email address"),
        ({"identifier": "ada@example.org", "password": ""}, "Enter your password"),
        ({"identifier": "ada", "password": "x"}, "Enter an email address in the right form"),
        ({}, "Enter your email address"),
    ],
)
async def test_what_is_missing_is_said(town, fields, said):
    """Plain words beside the field."""
    browser = town.browser()
    answer = await browser.press(await browser.see("/sign-in"), "continue", **fields)

    assert answer.status_code == 400
    assert said in Shown(answer).text


async def test_what_the_service_asked_for_stands_on_the_page(town):
    """`login_hint`, `ui_locales`, the service's name, and a way back to it."""
    browser = town.browser()
    onward = Onward(
        service_name="Parks <b>",
        cancel="/authorize/cancel?interaction=1",
        hint="ada@example.org",
        language=("fr",),
    )

    answer = await browser.get(await begin_for(town, browser, onward=onward))

    assert '<html lang="fr"' in answer.text
    assert 'value="ada@example.org"' in answer.text
    assert "Parks &lt;b&gt;" in answer.text
    assert "/authorize/cancel?interaction=1" in Shown(answer).links
    assert "form-action 'self';" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_sign_in_that_waited_too_long_leads_on(town):
    """No dead end: what happened, and where to start again."""
    browser = town.browser()
    path = await begin_for(town, browser)
    page = await browser.see(path)
    town.later(hours=2)

    over = Shown(await browser.follow(await browser.press(page, "continue", identifier="a@b.org", password="x")))

    assert (over.status, over.heading) == (400, "Please start again")
    assert "/privacy" in over.links


async def test_another_browser_gets_a_page_that_helps(town):
    """R45: and so does one that refuses our cookies."""
    path = await begin_for(town, town.browser())

    page = await town.browser().see(path)

    assert (page.status, page.name) == (403, "error")
    assert "another browser" in page.text


async def test_five_tabs_and_the_back_button(town):
    """Whatever tab goes on, the others find the citizen signed in."""
    ada, browser = await resident(town), town.browser()
    tabs = [await browser.see(await begin_for(town, browser)) for _ in range(5)]
    await sign_in(town, browser, ada)

    for tab in tabs:
        answer = await browser.press(tab, "continue", identifier=ada.email, password=PASSWORD)
        answer = await browser.follow(answer)
        assert answer.url.path == "/privacy"
    assert [kind for kind in await town.history(ada.account_id) if kind == "signed_in"] == ["signed_in"]


async def test_back_from_the_second_page_and_on_as_somebody_else(town):
    """The back button stays within the sign-in; another person can start over."""
    ada, eve = await resident(town), await resident(town, "eve@example.org", has_app=False)
    browser = town.browser()
    path = await begin_for(town, browser)
    page = await give_password(browser, await browser.see(path), ada)
    assert (await browser.see(path)).name == "second-factor"

    page = Shown(await browser.follow(await browser.press(page, "restart")))

    assert page.name == "sign-in"
    assert ada.email not in page.html
    page = await give_password(browser, page, eve)
    assert eve.email in page.text
    assert "Enter a recovery code" in page.heading


async def test_a_password_alone_is_enough_where_policy_allows(town):
    """The simulator's people without a second authenticator, with `assurance.minimum=aal1`."""
    allow_password_alone(town)
    bob = await resident(town, "bob@example.org", has_app=False, has_codes=False)
    browser = town.browser()

    assert (await sign_in(town, browser, bob)).name == "account"

    session = await session_of(town, browser)
    assert session is not None
    assert (session.acr, session.amr) == ("aal1", ("pwd",))


async def test_a_step_up_asks_only_for_the_second_factor(town):
    """Signed in with a password, and a service asks for more."""
    allow_password_alone(town)
    ada, browser = await resident(town, has_app=False, has_codes=False), town.browser()
    await sign_in(town, browser, ada)
    before = await session_of(town, browser)
    seed = totp.new_seed()
    async with town.transaction() as db:
        from accounts.account import data_key_of

        key = await data_key_of(db, town.vault, ada.account_id)
        await totp.add(db, key, ada.account_id, seed, "Phone", town.clock.now())

    page = await browser.see(await begin_for(town, browser, acr="aal2"))
    assert page.name == "second-factor"
    await browser.press(page, "continue", code=totp.current_code(seed, town.clock.now()))

    after = await session_of(town, browser)
    assert before is not None
    assert after is not None
    assert (after.id, after.acr) == (before.id, "aal2")


async def test_who_lacks_what_is_asked_for_is_led_through_setting_it_up(town):
    """A relying party that demands more gets it: an app, ten codes to keep, and on to the service."""
    bob, browser = await resident(town, has_app=False, has_codes=False), town.browser()
    page = await give_password(browser, await browser.see(await begin_for(town, browser)), bob)
    assert (page.name, page.buttons) == ("enrol", ["continue"])
    seed = seed_on(page)

    wrong = await browser.press(page, "continue", code="000000")
    assert wrong.status_code == 400
    assert seed_on(Shown(wrong)) == seed, "the same drawing, which is in the app by now"
    page = Shown(
        await browser.follow(
            await browser.press(Shown(wrong), "continue", code=totp.current_code(seed, town.clock.now()))
        )
    )

    assert page.name == "enrol"
    codes = codes_on(page)
    assert len(set(codes)) == 10
    assert codes_on(await browser.see(page.action)) == codes, "a reload shows the same ones"
    answer = await browser.press(page, "continue")
    assert answer.headers["location"] == "/privacy"
    session = await session_of(town, browser)
    assert session is not None
    assert session.acr == "aal2"
    assert codes_on(await browser.see(page.action)) == [], "and never again"
    await town.work()
    assert {mail.subject for mail in town.post.sent} == {
        "A new way to sign in to your account",
        "New recovery codes for your account",
    }


async def test_what_cannot_be_reached_is_said_honestly(town):
    """AAL3 needs attested hardware: no set-up leads there, so the page leads back."""
    ada, browser = await resident(town), town.browser()
    onward = Onward(service_name="Treasury", cancel="/authorize/cancel?interaction=1")

    page = await sign_in(town, browser, ada, await begin_for(town, browser, acr="aal3", onward=onward))

    assert (page.status, page.name) == (400, "error")
    assert "Treasury" in page.text
    assert "/authorize/cancel?interaction=1" in page.links


async def test_a_phishing_resistant_level_offers_a_passkey_and_nothing_less(town):
    """`acr_values=aal2-phr` of somebody who has none: both factors first, then a passkey to set up."""
    ada, browser = await resident(town), town.browser()

    page = await sign_in(town, browser, ada, await begin_for(town, browser, acr="aal2-phr"))

    assert (page.name, page.heading) == ("enrol", "Set up a passkey")
    assert 'name="code"' not in page.html
    assert "its JavaScript is switched off" in page.text


async def test_a_suspended_citizen_learns_it_after_signing_in(town):
    """R27: nobody else learns it from us."""
    sus, browser = await resident(town, state="suspended"), town.browser()

    page = await sign_in(town, browser, sus)

    assert (page.status, page.name, page.heading) == (403, "error", "Your account is suspended")
    assert 'href="/end-session"' in page.html, "the account would lead here again"
    assert 'href="/"' not in page.html.partition("<main")[2]
    assert await session_of(town, browser) is not None


async def test_our_own_pages_ask_again_when_it_is_time(town):
    """R30: the address is filled in, and the same session goes on with a new time."""
    ada, browser = await resident(town), town.browser()
    await sign_in(town, browser, ada)
    before = await session_of(town, browser)
    assert before is not None
    town.later(minutes=6)

    page = await browser.see("/account/security/app")

    assert (page.name, page.heading) == ("sign-in", "Confirm that it is you")
    assert f'value="{ada.email}"' in page.html
    page = await give_password(browser, page, ada)
    page = Shown(await browser.follow(await browser.press(page, "continue", code=code_of(town, ada))))
    assert page.heading == "Add an authenticator app"
    after = await session_of(town, browser)
    assert after is not None
    assert (after.id, after.auth_time) == (before.id, town.clock.now())


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
async def test_a_sign_in_never_leads_elsewhere(town, elsewhere):
    """`return_to` is a path of ours or nothing."""
    ada, browser = await resident(town), town.browser()

    answer = await browser.http.get("/sign-in", params={"return_to": elsewhere})
    page = await give_password(browser, await browser.see(answer.headers["location"]), ada)
    answer = await browser.press(page, "continue", code=code_of(town, ada))

    assert answer.headers["location"] == "/account"


async def test_forgotten_password_leads_to_what_is_possible(town):
    """R50: no reset by mail alone; the page says what helps, whom to ask, and leads back."""
    browser = town.browser()
    page = await browser.see("/sign-in")
    recovery = next(link for link in page.links if link.startswith("/recovery"))

    page = await browser.see(recovery)

    assert page.name == "recovery"
    assert "recovery code" in page.text
    assert any(link.startswith("mailto:") for link in page.links)
    assert (await browser.see(next(link for link in page.links if link.startswith("/sign-in/")))).name == "sign-in"
    assert (await town.browser().see("/recovery")).name == "recovery"


async def test_a_form_of_another_kind_changes_nothing(town):
    """R12, R73: JSON, broken UTF-8, a repeated field, no token."""
    browser = town.browser()
    page = await browser.see("/sign-in")
    token = page.hidden["csrf_token"]
    form = {"content-type": "application/x-www-form-urlencoded"}

    async def post(body: bytes, headers: dict[str, str]) -> Any:
        return await browser.http.post(page.action, content=body, headers=headers)

    assert (await post(b"{}", {"content-type": "application/json"})).status_code == 415
    assert (await post(b"csrf_token=%ff&identifier=a", form)).status_code == 400
    assert (await post(f"csrf_token={token}&identifier=a&identifier=b".encode(), form)).status_code == 400
    assert (await post(b"identifier=a%40b.org&password=x", form)).status_code == 403


async def test_a_person_in_arabic_reads_from_the_right(town):
    """The browser's language, where nothing else is asked for."""
    browser = town.browser()

    answer = await browser.get((await browser.get("/sign-in")).headers["location"], **{"accept-language": "ar"})

    assert '<html lang="ar" dir="rtl">' in answer.text


async def test_a_proof_grows_old_on_the_way(town):
    """A password typed half an hour ago is asked for again."""
    ada, browser = await resident(town), town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    town.later(minutes=31)

    page = Shown(await browser.follow(await browser.press(page, "continue", code=code_of(town, ada))))

    assert page.name == "sign-in"
