"""A citizen comes back, in a browser that we have never seen."""

import pytest
from playwright.async_api import Browser
from street import EVERY_LOOK, RECOVERY_CODES, WITH_SCRIPTS, Look, Street, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_with_password_and_app_then_with_a_recovery_code(browser: Browser, street: Street, look: Look) -> None:
    """Journey 3: two pages each time, straight to the service when its consent stands; a recovery code is a second
    factor, once, however it is spelled (R24)."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.sign_in(somebody)
        await visitor.agree()
        first = await visitor.is_in(street.parks)

    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.give_password(somebody.email.upper())
        await visitor.at("second-factor")
        await visitor.follow("use=recovery-code")
        await visitor.at("second-factor")
        await visitor.write(code=RECOVERY_CODES[0].lower().replace("-", " "))
        await visitor.press()
        again = await visitor.is_in(street.parks)
        assert again["id_token"]["sub"] == first["id_token"]["sub"]
        assert again["id_token"]["acr"] == "aal2"
        assert visitor.documents[-1][1] == f"{street.parks}/"

    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.give_password(somebody.email)
        await visitor.follow("use=recovery-code")
        await visitor.write(code=RECOVERY_CODES[0])
        await visitor.press()
        await visitor.at("second-factor")
        assert await visitor.page.locator(".summary").count() == 1


@pytest.mark.parametrize("look", WITH_SCRIPTS, ids=str)
async def test_with_one_tap(browser: Browser, street: Street, look: Look) -> None:
    """Journey 3: a passkey that was set up on another device is all it takes, and nothing is typed."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await visitor.open("/account/security/passkey")
        await visitor.sign_in(somebody)
        await visitor.at("security")
        await visitor.tap()
        await visitor.at("security")
        assert await visitor.main.locator(".banner.success").count() == 1
        passkeys = await visitor.passkeys()

    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await visitor.enter(street.parks)
        await visitor.at("sign-in")
        # Chromium's device answers the waiting autofill by itself, as soon as it holds a passkey: no tap at all.
        await visitor.take_over(passkeys)
        await visitor.tap()
        await visitor.agree()
        told = await visitor.is_in(street.parks)

    assert told["id_token"]["acr"] == "aal2-phr"
    assert "pwd" not in told["id_token"]["amr"]


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_forgotten_password_leads_to_a_page_that_says_what_is_possible(
    browser: Browser, street: Street, look: Look
) -> None:
    """Journey 3: no dead link, neither there nor before, and a way back into this very sign-in."""
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.at("sign-in")
        sign_in = visitor.page.url
        await visitor.follow("/recovery")
        await visitor.at("recovery")
        await visitor.read("passkey", "recovery code", "None of these")

        for anchor in await visitor.page.locator("a[href]").all():
            address = await anchor.get_attribute("href") or ""
            if address.startswith("/"):
                answer = await visitor.page.request.get(street.issuer + address)
                assert answer.ok, (address, answer.status)
            else:
                assert address.startswith(("#", "mailto:", "tel:")), address

        await visitor.follow("/sign-in/")
        assert visitor.page.url == sign_in


async def test_a_wrong_password_keeps_what_was_typed_but_the_password(browser: Browser, street: Street) -> None:
    """Product: a citizen who made a mistake loses no typed input; R27: the words are the same for every address."""
    said = []
    async with visiting(browser, street, Look(scripts=False)) as visitor:
        for email in (street.resident().email, street.newcomer()):
            await visitor.open("/sign-in")
            await visitor.give_password(email, "a wrong one")
            await visitor.at("sign-in")
            assert await visitor.main.locator("[name=identifier]").input_value() == email
            assert await visitor.main.locator("[name=password]").input_value() == ""
            said.append(await visitor.page.locator(".summary").inner_text())
    assert said[0] == said[1]
