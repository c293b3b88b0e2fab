"""One sign-in for two services, and one sign-out for both."""

import pytest
from playwright.async_api import Browser
from street import EVERY_LOOK, Look, Street, Visitor, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


async def enter_both(visitor: Visitor, street: Street) -> None:
    """Signed in to Parks, and so to Taxes."""
    await visitor.come_signed_in(street.resident())
    await visitor.enter(street.parks)
    await visitor.agree()
    await visitor.is_in(street.parks)
    await visitor.enter(street.taxes)
    await visitor.agree()
    await visitor.is_in(street.taxes)


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_the_second_service_asks_for_no_password_and_the_second_visit_for_nothing(
    browser: Browser, street: Street, look: Look
) -> None:
    """Journey 2: in Taxes only the consent that is new; at a second visit not one page of ours is shown. The two know
    the citizen by different names (Core section 8)."""
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.sign_in(street.resident())
        await visitor.agree()
        parks = await visitor.is_in(street.parks)

        visitor.documents.clear()
        await visitor.enter(street.taxes)
        await visitor.at("consent")
        assert len(visitor.pages_of_ours()) == 1
        await visitor.agree()
        taxes = await visitor.is_in(street.taxes)
        assert taxes["id_token"]["sub"] != parks["id_token"]["sub"]
        assert taxes["id_token"]["sid"] != parks["id_token"]["sid"]
        assert taxes["userinfo"]["address"]["locality"] == "London"
        assert "email" not in taxes["userinfo"]

        visitor.documents.clear()
        for service in (street.taxes, street.parks):
            await visitor.open(f"{service}/sign-in")
            await visitor.is_in(service)
        assert visitor.pages_of_ours() == []


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_signing_out_of_parks_signs_out_of_taxes_and_says_so(
    browser: Browser, street: Street, look: Look
) -> None:
    """Journey 4: the session ends, Taxes is told server to server (R14), the page lists it with its state and can be
    read again without any cookie, and leads on to Parks."""
    async with visiting(browser, street, look) as visitor:
        await enter_both(visitor, street)

        await visitor.open(street.parks)
        await visitor.arrive(visitor.main.locator('form[action="/sign-out"] button'))
        await visitor.at("signed-out")
        await visitor.page.locator(".tag.good, .tag.waiting").first.wait_for()
        address = visitor.page.url
        for _ in range(20):
            if await visitor.page.locator(".tag.good").count() == 2:
                break
            await visitor.follow("/signed-out/")
        assert await visitor.page.locator(".tag.good").count() == 2, await visitor.main.inner_text()

        async with visiting(browser, street, look) as elsewhere:
            await elsewhere.open(address)
            await elsewhere.at("signed-out")
            await elsewhere.read("Taxes", "City Parks")

        await visitor.follow(f"{street.parks}/signed-out")
        await visitor.at("service-signed-out")
        await visitor.is_out(street.taxes)
        await visitor.open("/account")
        await visitor.at("sign-in")


async def test_a_service_that_cannot_be_reached_is_named_and_delays_no_other(browser: Browser, street: Street) -> None:
    """Journey 4 and R14: each service has a state of its own; a dead one keeps nobody signed in here."""
    async with visiting(browser, street, Look()) as visitor:
        await enter_both(visitor, street)
        street.broken.add("taxes")
        try:
            await visitor.open(street.parks)
            await visitor.arrive(visitor.main.locator('form[action="/sign-out"] button'))
            await visitor.at("signed-out")
            parks = visitor.main.locator("dl.list > div", has_text="City Parks")
            taxes = visitor.main.locator("dl.list > div", has_text="Taxes")
            for _ in range(20):
                if "keep trying" in await taxes.inner_text() and await parks.locator(".good").count():
                    break
                await visitor.follow("/signed-out/")
            assert "keep trying" in await taxes.inner_text()
            assert await parks.locator(".good").count() == 1
        finally:
            street.broken.clear()


async def test_the_only_service_is_returned_to_at_once(browser: Browser, street: Street) -> None:
    """Journey 4, RP-Initiated Logout 1.0 section 3: nobody else was signed in, so there is nothing to show."""
    async with visiting(browser, street, Look()) as visitor:
        await visitor.come_signed_in(street.resident())
        await visitor.enter(street.parks)
        await visitor.agree()
        await visitor.is_in(street.parks)
        visitor.documents.clear()

        await visitor.arrive(visitor.main.locator('form[action="/sign-out"] button'))

        await visitor.at("service-signed-out")
        assert visitor.pages_of_ours() == []


async def test_signing_out_of_the_account_signs_out_of_both_services(browser: Browser, street: Street) -> None:
    """Journey 4 begun at the provider: the button of the home page."""
    async with visiting(browser, street, Look()) as visitor:
        await enter_both(visitor, street)
        await visitor.open("/account")
        await visitor.at("account")
        await visitor.press()
        await visitor.at("signed-out")
        for _ in range(20):
            if await visitor.page.locator(".tag.good").count() == 2:
                break
            await visitor.follow("/signed-out/")
        await visitor.is_out(street.parks)
        await visitor.is_out(street.taxes)
