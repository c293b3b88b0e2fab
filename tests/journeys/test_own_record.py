"""What stands about a citizen: who gets what, ending it, and the profile it comes from."""

import httpx2
import pytest
from playwright.async_api import Browser
from street import EVERY_LOOK, Look, Street, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

TYPED = "Augusta Ada King"


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_withdrawing_kills_the_tokens_of_that_service_at_once_and_signs_out_there(
    browser: Browser, street: Street, look: Look
) -> None:
    """Journey 5 and R13: one page lists both services; withdrawing one leaves the other alone, kills its tokens with
    the very answer, and sends it a logout token. Agreeing again is asked for again."""
    async with visiting(browser, street, look) as visitor:
        somebody = street.resident()
        await visitor.come_signed_in(somebody)
        await visitor.enter(street.parks)
        for service in (street.parks, street.taxes):
            if service == street.taxes:
                await visitor.enter(service)
            await visitor.agree()
            await visitor.is_in(service)
        parks, taxes = (street.clients[name].tokens["access_token"] for name in ("parks", "taxes"))
        assert userinfo(street, parks) == userinfo(street, taxes) == 200

        await visitor.open("/account/services")
        await visitor.at("services")
        panels = visitor.main.locator("section.panel")
        assert await panels.count() == 2
        await visitor.read("City Parks", "Taxes", "Email address", "Since")
        name = {"en": "Taxes", "ar": "الضرائب"}[look.language]
        await visitor.arrive(panels.filter(has_text=name).locator("a"))
        await visitor.at("service-withdraw")
        await visitor.press()

        assert (userinfo(street, parks), userinfo(street, taxes)) == (200, 401)
        await visitor.at("services")
        assert await visitor.main.locator(".banner.success").count() == 1
        assert await panels.count() == 1
        for _ in range(20):
            await visitor.open(street.taxes)
            if not await visitor.main.locator("pre").count():
                break
        await visitor.is_out(street.taxes)
        await visitor.open(street.parks)
        await visitor.is_in(street.parks)

        await visitor.enter(street.taxes)
        await visitor.agree()
        await visitor.is_in(street.taxes)
        assert userinfo(street, taxes) == 401, "a new agreement revived an old token"

        await visitor.open("/account/history")
        await visitor.at("history")
        names = {"en": ("Taxes", "الضرائب"), "ar": ("الضرائب", "Taxes")}[look.language]
        assert await visitor.main.locator("bdi", has_text=names[0]).count() == 5
        assert await visitor.main.locator("bdi", has_text=names[1]).count() == 0


def userinfo(street: Street, access_token: str) -> int:
    """The status of the answer to this token."""
    headers = {"authorization": f"Bearer {access_token}"}
    return httpx2.get(f"{street.issuer}/userinfo", headers=headers).status_code


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_the_profile_is_seen_and_edited_and_services_get_what_it_says_then(
    browser: Browser, street: Street, look: Look
) -> None:
    """Journey 6: name, birth date, address; Parks gets of it what `profile` and `email` release, Taxes the address."""
    async with visiting(browser, street, look) as visitor:
        await visitor.come_signed_in(street.resident())
        await visitor.open("/account/profile")
        await visitor.at("profile")
        await visitor.read("Ada Lovelace", "10 December 1985", "London", "0123")

        await visitor.follow("/account/profile/name")
        await visitor.write(name="فاطمة", given_name="", family_name="", middle_name="", nickname="Fati")
        await visitor.press()
        await visitor.follow("/account/profile/birth-date")
        await visitor.write(birthdate__day="29", birthdate__month="2", birthdate__year="1992")
        await visitor.press()
        await visitor.follow("/account/profile/address")
        await visitor.write(
            street_address="7 rue Didouche Mourad", locality="Alger", country="Algérie", postal_code="16000"
        )
        await visitor.press()
        await visitor.at("profile")
        assert await visitor.main.locator(".banner.success").count() == 1
        await visitor.read("فاطمة", "29 February 1992", "Alger")

        await visitor.enter(street.parks)
        await visitor.agree()
        told = (await visitor.is_in(street.parks))["userinfo"]
        assert (told["name"], told["birthdate"]) == ("فاطمة", "1992-02-29")
        assert not {"given_name", "family_name", "address", "phone_number"} & told.keys()
        await visitor.enter(street.taxes)
        await visitor.agree()
        told = (await visitor.is_in(street.taxes))["userinfo"]
        assert told["address"]["locality"] == "Alger"
        assert told["phone_number"] == "+442079460123"
        assert "email" not in told


async def test_a_mistake_in_the_profile_is_named_and_nothing_typed_is_lost(browser: Browser, street: Street) -> None:
    """Product: a citizen who made a mistake loses no typed input."""
    async with visiting(browser, street, Look(scripts=False)) as visitor:
        await visitor.open("/account/profile/birth-date")
        await visitor.sign_in(street.resident())
        await visitor.at("profile")
        await visitor.write(birthdate__day="31", birthdate__month="2", birthdate__year="1992")
        await visitor.press()
        await visitor.at("profile")
        assert await visitor.page.locator(".summary a").count() == 1
        assert await visitor.main.locator("[name=birthdate-day]").input_value() == "31"


async def test_the_language_of_the_account_is_spoken_from_then_on(browser: Browser, street: Street) -> None:
    """Journey 6: the account's language, on pages and to services."""
    async with visiting(browser, street, Look()) as visitor:
        await visitor.open("/account/profile/language")
        await visitor.sign_in(street.resident())
        await visitor.at("profile")
        await visitor.main.locator('input[value="ar"]').check()
        await visitor.press()
        assert await visitor.page.locator("html").get_attribute("dir") == "rtl"
        await visitor.enter(street.parks)
        await visitor.page.locator('main[data-page="consent"]').wait_for()
        await visitor.press("allow")
        assert (await visitor.is_in(street.parks))["userinfo"]["locale"] == "ar"


async def test_a_page_says_in_time_that_its_time_runs_out_and_can_be_given_more(
    browser: Browser, street: Street
) -> None:
    """WCAG 2.2, 2.2.1: two minutes before, read out, and one click that leaves what is typed where it is."""
    async with visiting(browser, street, Look("en", 320)) as visitor:
        await visitor.page.clock.install()
        await visitor.open("/account/profile/name")
        await visitor.sign_in(street.resident())
        await visitor.at("profile")
        await visitor.write(name=TYPED)
        said = visitor.main.locator("[role=status]")
        assert await said.inner_text() == ""

        street.later(28 * 60)
        await visitor.page.clock.fast_forward("28:01")
        await said.locator("text=Send this page before").wait_for()
        before = await said.locator("time").get_attribute("datetime")
        await said.locator("a").click()
        await said.locator(f'time:not([datetime="{before}"])').wait_for()

        assert await visitor.main.locator("[name=name]").input_value() == TYPED
        street.later(10 * 60)
        await visitor.press()
        await visitor.at("profile")
        await visitor.read(TYPED)


async def test_what_was_typed_too_late_is_there_again_after_signing_in(browser: Browser, street: Street) -> None:
    """Product: a citizen loses no typed input; without JavaScript the page says until when from the start."""
    somebody = street.resident()
    async with visiting(browser, street, Look("ar", 320, scripts=False)) as visitor:
        await visitor.open("/account/profile/name")
        await visitor.sign_in(somebody)
        await visitor.at("profile")
        assert await visitor.main.locator("[role=status] time").count() == 1
        await visitor.write(name=TYPED)
        street.later(31 * 60)
        await visitor.press()
        await visitor.sign_in(somebody)
        await visitor.at("profile")
        assert await visitor.main.locator("[name=name]").input_value() == TYPED
        await visitor.press()
        await visitor.at("profile")
        assert TYPED in await visitor.main.inner_text()
