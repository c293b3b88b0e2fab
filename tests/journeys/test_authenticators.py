"""Every authenticator: set up, signed in with, removed; each change is told to its owner by a notice with one link."""

import json

import pytest
from playwright.async_api import Browser
from street import PASSWORD, PHONE, RECOVERY_CODES, Look, Resident, Street, Visitor, visiting

from config.site.languages import catalog_of

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

SECURITY = "/account/security"
BOUND = {"defaultBackupEligibility": False, "defaultBackupState": False}
KEY = {"transport": "usb", **BOUND}
KINDS = [
    pytest.param(BOUND, "It stays on this one device.", Look("fr"), id="platform"),
    pytest.param(KEY, "It stays on this one device.", Look("cy", 320), id="roaming"),
    pytest.param({}, "It is copied to your other devices.", Look("es"), id="synced"),
]


async def at_settings(visitor: Visitor, somebody: Resident, page: str) -> None:
    """On a page of the security settings, for which one signs in."""
    await visitor.open(SECURITY + page)
    await visitor.sign_in(somebody)
    await visitor.at("security")


async def remove(visitor: Visitor, kind: str, name: str = "") -> None:
    """From the security page, asked once more."""
    rows = visitor.main.locator(".list > div", has_text=name)
    await visitor.arrive(rows.locator(f'a[href*="/remove/{kind}/"]').first)
    await visitor.at("security")
    await visitor.press()
    await visitor.is_done("security")


@pytest.mark.parametrize(("device", "truth", "look"), KINDS)
async def test_a_passkey_of_each_kind(
    browser: Browser, street: Street, device: dict[str, str | bool], truth: str, look: Look
) -> None:
    """R29: from a touch to a sign-in without a word typed, on a device that keeps it and on one that copies it; what
    its owner is told of that is true."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.get_device(**device)
        await at_settings(visitor, somebody, "/passkey")
        await visitor.tap()
        await visitor.is_done("security")
        assert catalog_of(look.language).gettext(truth) in await visitor.main.inner_text()
        passkeys = await visitor.passkeys()
        assert street.not_me(somebody.email)

    async with visiting(browser, street, look) as visitor:
        await visitor.get_device(**device)
        await visitor.open(SECURITY)
        await visitor.at("sign-in")
        await visitor.take_over(passkeys)
        await visitor.tap()
        await visitor.at("security")
        await visitor.put_device_away()
        await remove(visitor, "passkey")
        assert await visitor.main.locator('a[href*="/remove/passkey/"]').count() == 0


async def test_a_security_key_that_does_not_know_its_user(browser: Browser, street: Street) -> None:
    """R20, R29: beside a password it counts, from the first day; alone it does not, and the page says so calmly."""
    email, look = street.newcomer(), Look("ar", 320)
    device = {**KEY, "hasResidentKey": False, "hasUserVerification": False, "isUserVerified": False}
    async with visiting(browser, street, look) as visitor:
        await visitor.get_device(**device)
        await visitor.open("/register")
        await visitor.confirm_address(email)
        await visitor.write(password=PASSWORD)
        await visitor.press()
        await visitor.at("enrol")
        await visitor.tap()
        await visitor.keep_codes()
        passkeys = await visitor.passkeys()
        assert street.not_me(email)

    async with visiting(browser, street, look) as visitor:
        await visitor.get_device(**device)
        await visitor.open(SECURITY)
        await visitor.at("sign-in")
        await visitor.take_over(passkeys)
        await visitor.main.locator("button[data-passkey]").click()
        await visitor.main.locator("form [role=status]:not(:empty)").wait_for()
        await visitor.give_password(email)
        await visitor.at("second-factor")
        await visitor.tap()
        await visitor.at("security")


async def test_no_password_at_all(browser: Browser, street: Street) -> None:
    """R22, R31: who has a passkey and recovery codes gives the password up; nobody gets in by it any more."""
    somebody, look = street.resident(), Look("en", 320)
    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await at_settings(visitor, somebody, "/passkey")
        await visitor.tap()
        await visitor.is_done("security")
        await visitor.follow("/password/remove")
        await visitor.at("security")
        await visitor.press()
        await visitor.is_done("security")
        await visitor.read("You have no password, and need none.")
        passkeys = await visitor.passkeys()

    async with visiting(browser, street, look) as visitor:
        await visitor.get_device()
        await visitor.open(SECURITY)
        await visitor.give_password(somebody.email)
        await visitor.is_wrong("sign-in")
        await visitor.take_over(passkeys)
        await visitor.tap()
        await visitor.at("security")


async def test_a_password_is_changed(browser: Browser, street: Street) -> None:
    """R30: the old one ends with it."""
    somebody, another = street.resident(), "quite another few words"
    async with visiting(browser, street, Look("fr", 320, scripts=False)) as visitor:
        await at_settings(visitor, somebody, "/password")
        await visitor.write(password=another)
        await visitor.press()
        await visitor.is_done("security")
        assert street.not_me(somebody.email)

        await visitor.leave()
        await visitor.open(SECURITY)
        await visitor.give_password(somebody.email, PASSWORD)
        await visitor.is_wrong("sign-in")
        await visitor.give_password(somebody.email, another)
        await visitor.give_code(somebody.seed)
        await visitor.at("security")


async def test_two_apps_that_are_told_apart_by_their_names(browser: Browser, street: Street) -> None:
    """R24: either signs in, until it is removed."""
    somebody, name = street.resident(), "Ffôn gwaith"
    async with visiting(browser, street, Look("cy", 1280, scripts=False)) as visitor:
        await at_settings(visitor, somebody, "/app")
        key = await visitor.main.locator("details code").first.text_content() or ""
        await visitor.write(name=name, code="000000")
        await visitor.press()
        await visitor.is_wrong("security")
        assert await visitor.main.locator("[name=name]").input_value() == name
        await visitor.write(code=street.code(key))
        await visitor.press()
        await visitor.is_done("security")
        assert await visitor.main.locator('a[href*="/remove/app/"]').count() == 2
        assert street.not_me(somebody.email)
        street.later(31)

        await visitor.leave()
        await visitor.open(SECURITY)
        await visitor.give_password(somebody.email)
        await visitor.give_code(key)
        await visitor.at("security")
        await remove(visitor, "app", name)
        street.later(31)

        await visitor.leave()
        await visitor.open(SECURITY)
        await visitor.give_password(somebody.email)
        await visitor.give_code(key)
        await visitor.is_wrong("second-factor")
        await visitor.give_code(somebody.seed)
        await visitor.at("security")


async def test_recovery_codes_are_made_anew_and_each_works_once(browser: Browser, street: Street) -> None:
    """R24, R31: the earlier ones end."""
    somebody = street.resident()
    async with visiting(browser, street, Look("es", 320, scripts=False)) as visitor:

        async def give(code: str) -> None:
            await visitor.leave()
            await visitor.open(SECURITY)
            await visitor.give_password(somebody.email)
            await visitor.follow("use=recovery-code")
            await visitor.write(code=code)
            await visitor.press()

        await at_settings(visitor, somebody, "/recovery-codes")
        await visitor.press("make")
        codes = await visitor.main.locator(".codes code").all_inner_texts()
        assert len(set(codes)) == 10
        await visitor.press()
        await visitor.is_done("security")

        await give(RECOVERY_CODES[0])
        await visitor.is_wrong("second-factor")
        await give(codes[0])
        await visitor.at("security")
        assert street.not_me(somebody.email)
        await give(codes[0])
        await visitor.is_wrong("second-factor")


async def test_codes_by_text_message(browser: Browser, street: Street) -> None:
    """R24, R25: set up on a number of one's own, with its limits said, and given up again."""
    somebody = street.resident()
    async with visiting(browser, street, Look("ar", 1280, scripts=False)) as visitor:
        await at_settings(visitor, somebody, "/phone")
        await visitor.press()
        await visitor.is_done("security")
        assert street.not_me(PHONE)

        await visitor.leave()
        await visitor.open(SECURITY)
        await visitor.give_password(somebody.email)
        await visitor.follow("use=text")
        await visitor.at("second-factor")
        await visitor.press()
        await visitor.write(code=street.mail(PHONE)[0]["code"])
        await visitor.press()
        await visitor.at("security")
        await remove(visitor, "phone")

        await visitor.leave()
        await visitor.open(SECURITY)
        await visitor.give_password(somebody.email)
        await visitor.at("second-factor")
        assert await visitor.main.locator('a[href*="use=text"]').count() == 0


async def test_who_lacks_what_a_service_asks_for_is_led_through_setting_it_up(browser: Browser, street: Street) -> None:
    """R21, OpenID Connect Core 5.5.1.1: a passkey is set up on the way; where nothing here can do, an honest page leads
    back to the service, which gets an error and no weaker token."""
    somebody, parks = street.resident(), street.clients["parks"]
    async with visiting(browser, street, Look("en", 320)) as visitor:
        await visitor.get_device()
        await visitor.open((await parks.start(acr_values="aal2-phr"))[0])
        await visitor.sign_in(somebody)
        await visitor.at("enrol")
        await visitor.tap()
        await visitor.at("consent")
        insists = json.dumps({"id_token": {"acr": {"essential": True, "values": ["aal3"]}}})
        await visitor.open((await parks.start(claims=insists))[0])
        await visitor.at("error")
        await visitor.arrive(visitor.main.locator("a.button"))

        assert visitor.page.url.startswith(street.parks)
        assert not [address for _, address in visitor.documents if "code=" in address]
