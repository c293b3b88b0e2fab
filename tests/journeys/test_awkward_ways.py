"""People do not walk straight: tabs, the back button, lunch, double clicks. Each way lands on a page that helps."""

import asyncio
from urllib.parse import urlencode

import pytest
from leading import onward_in
from playwright.async_api import Browser, Page
from street import PASSWORD, Look, Resident, Street, Visitor, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

LOOKS = [Look(), Look("ar", 320, scripts=False)]
HOUR = 3601
"""Seconds; longer than a sign-in or an authorization request waits."""


async def is_helped(visitor: Visitor) -> None:
    """The page says something, and something on it leads on."""
    assert (await visitor.page.locator("h1").inner_text()).strip(), visitor.page.url
    assert await visitor.main.locator("a[href], button:visible").count(), visitor.page.url


async def new_tab(visitor: Visitor) -> Visitor:
    """Another tab of the same browser."""
    return Visitor(visitor.street, await visitor.page.context.new_page(), visitor.look)


async def address_of(street: Street, **parameters: str) -> str:
    """A request of Parks to the provider."""
    return (await street.clients["parks"].start(**parameters))[0]


async def at_consent(visitor: Visitor, somebody: Resident) -> None:
    """Signed in, and asked."""
    await visitor.enter(visitor.street.parks)
    await visitor.sign_in(somebody)
    await visitor.at("consent")


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_five_tabs_each_lead_on_when_one_of_them_has_signed_in(
    browser: Browser, street: Street, look: Look
) -> None:
    """R45: four sign-in pages are left open while the fifth is finished; whatever is then done in them, nobody signs in
    twice and nobody is stuck."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        tabs = [await new_tab(visitor) for _ in range(4)]
        for tab in tabs:
            await tab.enter(street.parks)
            await tab.at("sign-in")
        await at_consent(visitor, somebody)
        reloaded, filled_in, stepped, cancelled = tabs

        await reloaded.page.reload()
        await reloaded.at("consent")

        await filled_in.give_password(somebody.email)
        await filled_in.at("consent")

        await stepped.open(stepped.page.url + "/second-factor")
        await stepped.at("consent")

        await cancelled.follow("/authorize/cancel")
        await cancelled.at("service-problem")
        assert "error=access_denied" in cancelled.page.url

        await visitor.agree()
        await visitor.is_in(street.parks)
        for tab in (stepped, reloaded):
            await tab.press("allow")
            await tab.is_in(street.parks)
        for tab in tabs:
            await is_helped(tab)
            assert all(status < 500 for status, _ in tab.documents)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_the_back_button_after_each_step_of_a_registration_leads_back_to_where_it_stands(
    browser: Browser, street: Street, look: Look
) -> None:
    """R45: a step that was taken is not taken again, and not undone; the journey goes on from the step it is at."""
    email = street.newcomer()
    async with visiting(browser, street, look) as visitor:

        async def back_and_forth() -> None:
            there = visitor.page.url
            await visitor.page.go_back()
            await is_helped(visitor)
            if visitor.page.url != there:
                await visitor.open(there)
            assert visitor.page.url == there

        await visitor.enter(street.parks, "?start=create")
        await visitor.write(identifier=email)
        await visitor.press()
        await back_and_forth()
        await visitor.write(code=street.mail(email)[0]["code"])
        await visitor.press()
        await back_and_forth()
        await visitor.write(password=PASSWORD)
        await visitor.press()
        await back_and_forth()
        await visitor.set_up_app()
        await back_and_forth()
        await visitor.keep_codes()
        await back_and_forth()
        await visitor.agree()
        await visitor.is_in(street.parks)
        await visitor.page.go_back()
        await is_helped(visitor)
        await visitor.open(street.parks)
        await visitor.is_in(street.parks)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_the_back_button_after_each_step_of_a_sign_in(browser: Browser, street: Street, look: Look) -> None:
    """R45: from the second step back to the first is the second step again; back from the service says it is done."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        sign_in = visitor.page.url
        await visitor.give_password(somebody.email)
        await visitor.page.go_back()
        await visitor.at("second-factor")
        await visitor.open(sign_in)
        await visitor.give_code(somebody.seed)
        await visitor.at("consent")
        consent = visitor.page.url
        await visitor.page.go_back()
        await is_helped(visitor)
        await visitor.open(sign_in)
        assert visitor.page.url == consent
        street.later(11)
        await visitor.open(sign_in)
        await visitor.at("error")
        await visitor.follow("/authorize?interaction")
        assert visitor.page.url == consent
        await visitor.agree()
        await visitor.is_in(street.parks)
        await visitor.open(consent)
        await visitor.at("error")
        await visitor.follow(street.parks)
        await visitor.is_in(street.parks)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_after_an_hour_every_step_says_so_and_leads_back_to_the_service(
    browser: Browser, street: Street, look: Look
) -> None:
    """Issue: an expired interaction. Nothing typed into an old page counts, and the way leads back to Parks."""
    somebody, email = street.resident(), street.newcomer()
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.at("sign-in")
        tab = await new_tab(visitor)
        await tab.enter(street.parks, "?start=create")
        await tab.write(identifier=email)
        await tab.press()
        await tab.at("register")
        code = street.mail(email)[0]["code"]
        street.later(HOUR)
        await visitor.give_password(somebody.email)
        await tab.write(code=code)
        await tab.press()
        for late in (visitor, tab):
            await late.at("error")
            await late.follow("/authorize?interaction")
            await late.at("error")
            await late.follow(street.parks)
            await late.at("service")

        await at_consent(visitor, somebody)
        street.later(HOUR)
        await visitor.press("allow")
        await visitor.at("error")
        await visitor.follow(street.parks)
        await visitor.is_out(street.parks)
        await visitor.open("/account")
        await visitor.at("sign-in")


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_reloading_what_a_form_answered_shows_it_again(browser: Browser, street: Street, look: Look) -> None:
    """Issue: a reload after POST. The browser sends the form once more; a mistake stays that mistake."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.open("/sign-in")
        await visitor.give_password(somebody.email, "wrong")
        await visitor.page.reload()
        await visitor.at("sign-in")
        assert await visitor.page.locator(".summary").count() == 1
        await visitor.give_password(somebody.email)
        await visitor.write(code="000000")
        await visitor.press()
        await visitor.page.reload()
        await visitor.at("second-factor")
        assert await visitor.page.locator(".summary").count() == 1
        await visitor.give_code(somebody.seed)
        await visitor.at("account")
        await visitor.open("/account/profile/name")
        await visitor.write(name="")
        await visitor.press()
        await visitor.page.reload()
        await visitor.at("profile")
        await visitor.write(name="Ada")
        await visitor.press()
        await visitor.page.reload()
        await visitor.at("profile")
        await visitor.open("/account")
        await visitor.press()
        await visitor.page.reload()
        await visitor.at("signed-out")


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_a_double_click_on_each_button_does_no_more_than_one(
    browser: Browser, street: Street, look: Look
) -> None:
    """R45, R78: impatient people arrive where others do; there is one agreement, one code."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        for step in ("sign-in", "second-factor", "consent"):
            await visitor.page.locator(f'main[data-page="{step}"]').wait_for() if step != "sign-in" else None
            if step == "sign-in":
                await visitor.enter(street.parks)
                await visitor.write(identifier=somebody.email, password=PASSWORD)
            elif step == "second-factor":
                await visitor.write(code=street.code(somebody.seed))
            await visitor.main.locator("form button[type=submit]").first.dblclick()
        await visitor.is_in(street.parks)
        street.later(31)
        await visitor.open("/account/services")
        assert await visitor.main.locator("section.panel").count() == 1


async def test_the_same_answer_sent_five_times_at_once_gives_one_code(browser: Browser, street: Street) -> None:
    """R45, R78: of five posts of "Allow" one gets the code, the others are told that it is done."""
    async with visiting(browser, street, Look()) as visitor:
        await at_consent(visitor, street.resident())
        fields = await visitor.main.locator("form input[type=hidden]").all()
        form = {str(await one.get_attribute("name")): str(await one.get_attribute("value")) for one in fields}
        ask = visitor.page.request
        content = urlencode({**form, "action": "allow"})
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": street.issuer}

        async def answer() -> str:
            said = await ask.post(f"{street.issuer}/authorize/consent", data=content, headers=headers, max_redirects=0)
            assert said.status in (303, 409), said.status
            if said.status == 409:
                return "done"
            then = await ask.get(street.issuer + said.headers["location"], max_redirects=0)
            return "code" if "code=" in onward_in(await then.text()) else str(then.status)

        said = sorted(await asyncio.gather(*(answer() for _ in range(5))))

    assert said.count("code") == 1
    assert set(said) <= {"code", "done", "409"}


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_who_keeps_no_cookies_is_told_what_to_do(browser: Browser, street: Street, look: Look) -> None:
    """Issue: cookies refused. Each form says so before anything is judged: no password is tried."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        for address, fields in (
            (await address_of(street), {"identifier": somebody.email, "password": PASSWORD}),
            ("/register", {"identifier": street.newcomer()}),
        ):
            await visitor.open(address)
            await visitor.page.context.clear_cookies()
            await visitor.write(**fields)
            await visitor.press()
            await visitor.at("error")
            await is_helped(visitor)
            await visitor.read("Your browser does not accept our cookies", "Allow cookies")
            assert visitor.documents[-1][0] == 400


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_a_link_opened_in_another_browser_gives_nothing_away_and_takes_nothing(
    browser: Browser, street: Street, look: Look
) -> None:
    """R45: pages of a sign-in, a registration and a consent belong to the browser that began them."""
    somebody, email = street.resident(), street.newcomer()
    async with visiting(browser, street, look) as visitor, visiting(browser, street, look) as other:
        await visitor.open("/register")
        await visitor.write(identifier=email)
        await visitor.press()
        links = [visitor.page.url]
        await visitor.enter(street.parks)
        links.append(visitor.page.url)
        await visitor.sign_in(somebody)
        await visitor.at("consent")
        links.append(visitor.page.url)
        for link in links:
            await other.open(link)
            await other.at("error")
            await is_helped(other)
            assert other.documents[-1][0] == 403
            text = await other.page.locator("body").inner_text()
            assert email not in text
            assert somebody.email not in text

        await visitor.agree()
        await visitor.is_in(street.parks)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_a_form_that_is_not_ours_any_more_is_refused_and_works_after_a_reload(
    browser: Browser, street: Street, look: Look
) -> None:
    """R77: a wrong form token. The page says how to go on, and that is true."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.at("sign-in")
        await visitor.page.evaluate("document.querySelector('[name=csrf_token]').value = 'A'.repeat(43)")
        await visitor.write(identifier=somebody.email, password=PASSWORD)
        await visitor.press()
        await visitor.at("error")
        assert visitor.documents[-1][0] == 403
        await is_helped(visitor)

        await visitor.page.go_back()
        await visitor.page.reload()
        await visitor.sign_in(somebody)
        await visitor.agree()
        await visitor.is_in(street.parks)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_a_consent_left_open_is_not_given_by_somebody_else(browser: Browser, street: Street, look: Look) -> None:
    """R13: signed out in another tab the page asks to sign in; signed in as another person it asks that person."""
    ada, ben = street.resident(), street.resident()
    async with visiting(browser, street, look) as visitor:
        await at_consent(visitor, ada)
        tab = await new_tab(visitor)
        await tab.open("/account")
        await tab.press()
        await tab.at("signed-out")
        await visitor.press("allow")
        await visitor.at("sign-in")
        await visitor.sign_in(ada)
        await visitor.at("consent")

        await tab.open("/account")
        await tab.press()
        await tab.open("/account")
        await tab.sign_in(ben)
        await tab.at("account")
        await visitor.press("allow")
        await visitor.at("consent")
        assert ben.email in await visitor.main.inner_text()
        await visitor.agree()
        told = await visitor.is_in(street.parks)
        assert told["userinfo"]["email"] == ben.email


async def test_a_page_of_a_service_may_open_us_in_a_window(browser: Browser, street: Street) -> None:
    """R70: the pages of an interaction do not cut a service's popup from its opener."""
    async with visiting(browser, street, Look()) as visitor:
        await visitor.open(street.parks)
        address = await address_of(street, display="popup")
        async with visitor.page.expect_popup() as opening:
            await visitor.page.evaluate(
                "address => { window.opened = window.open(address, 'x', 'width=400') }", address
            )
        popup: Page = await opening.value
        await popup.locator('main[data-page="sign-in"]').wait_for()
        assert not await visitor.page.evaluate("window.opened.closed")
        assert await popup.evaluate("window.opener !== null")
