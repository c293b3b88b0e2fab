"""Somebody who has no account goes from Parks to Parks, and everything they need on the way is set up."""

import pytest
from playwright.async_api import Browser
from street import EVERY_LOOK, PASSWORD, WITH_SCRIPTS, Look, Street, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


@pytest.mark.parametrize("look", EVERY_LOOK, ids=str)
async def test_a_password_and_an_authenticator_app_are_set_up_on_the_way(
    browser: Browser, street: Street, look: Look
) -> None:
    """Journey 1: address, code from the inbox, password, app (its key typed, not scanned), recovery codes, consent in
    plain words, back in Parks with an ID token and userinfo."""
    email = street.newcomer()
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks, "?start=create")
        await visitor.confirm_address(email)
        await visitor.write(password=PASSWORD)
        await visitor.press()
        assert await visitor.main.locator(".qr svg").count() == 1
        await visitor.set_up_app()
        codes = await visitor.keep_codes()
        await visitor.at("consent")
        await visitor.read("City Parks", "To book places for you", "Email address")
        await visitor.agree()

        told = await visitor.is_in(street.parks)

    assert told["userinfo"]["email"] == email
    assert told["id_token"]["acr"] == "aal2"
    assert set(told["id_token"]["amr"]) >= {"pwd", "otp"}
    assert len(set(codes)) == 10


@pytest.mark.parametrize("look", WITH_SCRIPTS, ids=str)
async def test_a_passkey_needs_no_password_and_no_app(browser: Browser, street: Street, look: Look) -> None:
    """Journey 1 with a passkey: one tap instead of password and app; recovery codes are the way back (R31)."""
    email = street.newcomer()
    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await visitor.enter(street.parks, "?start=create")
        await visitor.confirm_address(email)
        await visitor.tap()
        codes = await visitor.keep_codes()
        await visitor.agree()

        told = await visitor.is_in(street.parks)

    assert told["id_token"]["acr"] == "aal2-phr"
    assert "pwd" not in told["id_token"]["amr"]
    assert len(set(codes)) == 10


async def test_a_refused_consent_leads_back_and_tells_the_service_nothing(browser: Browser, street: Street) -> None:
    """R13: "Do not allow" is an answer; the service learns that, and no more."""
    async with visiting(browser, street, Look()) as visitor:
        await visitor.enter(street.parks)
        await visitor.sign_in(street.resident())
        await visitor.at("consent")
        await visitor.press("refuse")

        await visitor.at("service-problem")

        assert "access_denied" in (await visitor.main.locator("pre").text_content() or "")
        assert visitor.page.url.startswith(street.parks)


async def test_an_address_that_is_known_is_told_so_by_mail_alone(browser: Browser, street: Street) -> None:
    """R27: the page is the same for an account that exists; what else there is to do stands in the mail."""
    known, unknown = street.resident().email, street.newcomer()
    seen = []
    async with visiting(browser, street, Look()) as visitor:
        for email in (known, unknown):
            await visitor.open("/register")
            await visitor.at("register")
            await visitor.write(identifier=email)
            await visitor.press()
            seen.append((await visitor.main.inner_text()).replace(email, "ADDRESS"))

    assert seen[0] == seen[1]
    assert street.mail(known)[0]["code"] is None
    assert street.mail(unknown)[0]["code"] is not None
