"""Every way back into an account, and every way to stop one. None needs JavaScript but a passkey."""

import pytest
from playwright.async_api import Browser
from street import PHONE, RECOVERY_CODES, Look, Resident, Street, Visitor, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

DAY = 86400
ANOTHER = "quite another few words"


async def prove_contacts(visitor: Visitor, somebody: Resident) -> None:
    """A code from the mail, and one from the phone."""
    street = visitor.street
    await visitor.open("/recovery/contacts")
    await visitor.write(identifier=somebody.email)
    await visitor.press()
    await visitor.write(code=street.mail(somebody.email)[0]["code"])
    await visitor.press()
    await visitor.write(code=street.mail(PHONE)[0]["code"])
    await visitor.press()
    await visitor.at("recovery")


async def stop(browser: Browser, street: Street, look: Look, link: str) -> None:
    """Open the link of a notice in a browser where nobody is signed in, and press its button."""
    async with visiting(browser, street, look) as elsewhere:
        await elsewhere.open(link)
        await elsewhere.at("not-me")
        assert await elsewhere.page.locator("input:not([type=hidden])").count() == 0, "it asks for nothing"
        await elsewhere.press()
        await elsewhere.at("not-me")


async def test_a_forgotten_password_by_a_passkey(browser: Browser, street: Street) -> None:
    """Another authenticator opens the account, and a new password is set there."""
    somebody, look = street.resident(), Look("fr")
    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await visitor.open("/account/security/passkey")
        await visitor.sign_in(somebody)
        await visitor.tap()
        await visitor.is_done("security")
        passkeys = await visitor.passkeys()

    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await visitor.open("/account/security/password")
        await visitor.at("sign-in")
        await visitor.follow("/recovery")
        await visitor.at("recovery")
        await visitor.follow("/sign-in/")
        await visitor.at("sign-in")
        await visitor.take_over(passkeys)
        await visitor.tap()
        await visitor.at("security")
        await visitor.write(password=ANOTHER)
        await visitor.press()
        await visitor.is_done("security")


async def test_a_lost_app_by_a_recovery_code(browser: Browser, street: Street) -> None:
    """A code from paper stands for the phone; a new app is added, and signs in."""
    somebody = street.resident()
    async with visiting(browser, street, Look("cy", 320, scripts=False)) as visitor:
        await visitor.open("/account/security/app")
        await visitor.give_password(somebody.email)
        await visitor.follow("use=recovery-code")
        await visitor.write(code=RECOVERY_CODES[0])
        await visitor.press()
        await visitor.at("security")
        key = await visitor.main.locator("details code").first.text_content() or ""
        await visitor.write(code=street.code(key))
        await visitor.press()
        await visitor.is_done("security")
        street.later(31)

        await visitor.leave()
        await visitor.open("/account")
        await visitor.give_password(somebody.email)
        await visitor.give_code(key)
        await visitor.at("account")


async def test_nothing_but_two_contacts_and_a_day_of_waiting(browser: Browser, street: Street) -> None:
    """R50, R51: told to every contact at once; a day later, and not an hour before, a new way is added."""
    somebody = street.resident()
    street.later(8 * DAY)  # an address and a number that came lately prove nothing
    async with visiting(browser, street, Look("es", 320, scripts=False)) as visitor:
        await prove_contacts(visitor, somebody)
        assert street.not_me(somebody.email)
        assert street.not_me(PHONE)
        street.later(DAY - 3600)
        await prove_contacts(visitor, somebody)
        assert await visitor.main.locator("[name=password]").count() == 0
        street.later(2 * 3600)
        await prove_contacts(visitor, somebody)
        await visitor.write(password=ANOTHER)
        await visitor.main.locator("[name=lost]").check()
        await visitor.press()
        key = await visitor.main.locator("details code").first.text_content() or ""
        await visitor.write(code=street.code(key))
        await visitor.press()
        street.later(31)
        await visitor.follow("/sign-in")
        await visitor.give_password(somebody.email, ANOTHER)
        await visitor.give_code(key)
        await visitor.at("account")


async def test_a_way_back_that_was_not_mine_is_stopped_from_its_notice(browser: Browser, street: Street) -> None:
    """R51: without signing in, by one button; whoever waited has waited for nothing, and the old ways stay."""
    somebody, look = street.resident(), Look("ar", 320, scripts=False)
    street.later(8 * DAY)
    async with visiting(browser, street, look) as thief:
        await prove_contacts(thief, somebody)
        await stop(browser, street, look, street.not_me(somebody.email))
        street.later(DAY + 3600)
        await thief.page.reload()
        await thief.at("recovery")
        await prove_contacts(thief, somebody)
        assert await thief.main.locator("[name=password]").count() == 0, "it begins again"

    async with visiting(browser, street, look) as visitor:
        await visitor.open("/account")
        await visitor.sign_in(somebody)
        await visitor.at("account")


async def test_a_changed_address_is_undone_from_the_notice_to_the_old_one(browser: Browser, street: Street) -> None:
    """R51: who took an account over and replaced its address loses it again; the old address signs in."""
    somebody, thiefs, look = street.resident(), street.newcomer(), Look("en", 320, scripts=False)
    async with visiting(browser, street, look) as thief:
        await thief.open("/account/contacts")
        await thief.sign_in(somebody)
        await thief.at("contacts")
        await thief.follow("/new/email?replaces=")
        await thief.write(identifier=thiefs)
        await thief.press()
        await thief.write(code=street.mail(thiefs)[0]["code"])
        await thief.press()
        await thief.is_done("contacts")
        await thief.read(thiefs)
        await stop(browser, street, look, street.not_me(somebody.email))
        await thief.open("/account/contacts")
        await thief.at("sign-in")

    async with visiting(browser, street, look) as visitor:
        await visitor.open("/account/contacts")
        await visitor.give_password(thiefs)
        await visitor.is_wrong("sign-in")
        await visitor.sign_in(somebody)
        await visitor.at("contacts")
        await visitor.read(somebody.email)
        assert thiefs not in await visitor.main.inner_text()
