"""Every page of the product, in the states a citizen can meet: accessible, light, never wider than the screen.

One walk, twice: in English on a wide screen, in Arabic, dark, on the narrowest. No page is forgotten: the walk has
been at every route that shows one, and has seen every heading that a template can have.

JOURNEY_SHOTS=FOLDER keeps a picture of each.
"""

import os
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, CDPSession
from street import PASSWORD, PHONE, RECOVERY_CODES, Look, Resident, Street, Visitor, visiting

from config.house import TEMPLATE_FOLDERS

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

FIRST_FLIGHT = 14 * 1024
"""Bytes over the wire on a first visit: document, styles, scripts, images, with their headers (product.md)."""
ROUTES = Path("tests/config/authorization_matrix.md")
"""Its own test holds it complete."""
PAGELESS = {
    "/": "leads to the account",
    "/.well-known/oauth-authorization-server": "for programs",
    "/.well-known/openid-configuration": "for programs",
    "/jwks": "for programs",
    "/userinfo": "for programs",
    "/static/{file}": "styles and scripts",
    "/sign-in": "begins a sign-in and leads to it",
    "/.well-known/change-password": "leads to the page",
    "/.well-known/passkey-endpoints": "for browsers",
    "/.well-known/webauthn": "for browsers",
    "/check-session": "a frame that shows nothing, for services",
    "/connect/register/{client_id}": "for programs",
}
UNSEEN = {
    "Set up a security key": "“Set up a passkey” in other words, where the make of keys is checked",
    "Get a code by email": "“Get a code by text message” in other words, where assurance.email_codes is set",
}
"""Headings that the walk does not come by."""
LOOKS = [Look("en", 1280), Look("ar", 320, scheme="dark")]
SHOTS = os.environ.get("JOURNEY_SHOTS")


class Scales:
    """What each document has cost over the wire, with all it asked for."""

    def __init__(self, devtools: CDPSession) -> None:
        self._devtools = devtools
        self._document_of: dict[str, str] = {}
        self._bytes: dict[str, float] = {}

    async def begin(self) -> None:
        self._devtools.on("Network.responseReceived", self._received)
        self._devtools.on("Network.loadingFinished", self._finished)
        await self._devtools.send("Network.enable")
        await self._devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def _received(self, event: dict[str, Any]) -> None:
        self._document_of[event["requestId"]] = event["loaderId"]

    def _finished(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = event["encodedDataLength"]

    async def weight(self) -> int:
        """Of the document that is shown."""
        shown = (await self._devtools.send("Page.getFrameTree"))["frameTree"]["frame"]["loaderId"]
        parts = [size for request, size in self._bytes.items() if self._document_of.get(request) == shown]
        assert len(parts) >= 3, "a page has at least a style and a script"
        return round(sum(parts))


class Inspector:
    """Looks at pages closely, and remembers what it has seen and what is wrong."""

    def __init__(self, browser: Browser, street: Street, look: Look) -> None:
        self.browser, self.street, self.look = browser, street, look
        self.paths: set[str] = set()
        self.headings: set[str] = set()
        self.faults: list[str] = []
        self.heaviest = (0, "")
        self._axe = Axe()
        self._scales: dict[Visitor, Scales] = {}

    async def weigh(self, visitor: Visitor) -> None:
        """From now on every page is a first visit, and each of its bytes is counted."""
        self._scales[visitor] = Scales(await visitor.page.context.new_cdp_session(visitor.page))
        await self._scales[visitor].begin()

    async def see(self, visitor: Visitor, name: str) -> None:
        """A page that has just come."""
        page = visitor.page
        await visitor.at(name)
        await page.wait_for_load_state("load")
        heading = " ".join((await page.locator("h1").inner_text()).split())
        where = f"{urlsplit(page.url).path} ({heading})"
        self.paths.add(urlsplit(page.url).path)
        self.headings.add(heading)
        weight = await self._scales[visitor].weight() + await self._icon(visitor)
        self.heaviest = max(self.heaviest, (weight, where))
        if weight > FIRST_FLIGHT:
            self.faults.append(f"{where}: {weight} bytes")
        found = await self._axe.run(page, options={"resultTypes": ["violations"]})
        for violation in found.response["violations"]:
            self.faults.append(f"{where}: {violation['id']}: {violation['nodes'][0]['html']}")
        if SHOTS:
            file = (
                f"{len(list(Path(SHOTS).glob('*.png'))):03d}-{self.look}-{re.sub(r'[^a-z]+', '-', where.lower())}.png"
            )
            await page.screenshot(path=Path(SHOTS) / file[:120], full_page=True)

    async def _icon(self, visitor: Visitor) -> int:
        """What a browser with a window loads besides: this one does not."""
        address = await visitor.page.locator('link[rel="icon"]').get_attribute("href")
        answer = await visitor.page.request.get(f"{self.street.issuer}{address}", headers={"accept-encoding": "gzip"})
        return int(answer.headers["content-length"]) + sum(map(len, [*answer.headers, *answer.headers.values()]))

    def visiting(self, **more: Any) -> Any:
        """A new browser, weighed from its first page on."""
        return visiting(self.browser, self.street, self.look, **more)

    async def address(self, **parameters: str) -> str:
        """Parks' request to `/authorize`, with these parameters besides."""
        return (await self.street.clients["parks"].start(**parameters))[0]


Chapter = Callable[[Inspector], Awaitable[None]]


async def a_new_citizen(eyes: Inspector) -> None:
    """Registration with a password and an app, its pages with mistakes too; and an address that somebody took."""
    email = eyes.street.newcomer()
    async with eyes.visiting() as visitor, eyes.visiting() as late:
        await eyes.weigh(visitor)
        await eyes.weigh(late)
        await visitor.enter(eyes.street.parks, "?start=create")
        await eyes.see(visitor, "register")
        await visitor.press()
        await eyes.see(visitor, "register")
        await visitor.write(identifier=email)
        await visitor.press()
        await eyes.see(visitor, "register")
        eyes.street.later(61)
        await visitor.press("again")
        await eyes.see(visitor, "register")
        await visitor.write(code="000000")
        await visitor.press()
        await eyes.see(visitor, "register")
        await visitor.write(code=eyes.street.mail(email)[0]["code"])
        await visitor.press()
        await eyes.see(visitor, "register")
        await visitor.write(password="short")
        await visitor.press()
        await eyes.see(visitor, "register")
        eyes.street.later(61)
        await late.open("/register")
        await late.write(identifier=email)
        await late.press()
        code = eyes.street.mail(email)[0]["code"]

        await visitor.write(password=PASSWORD)
        await visitor.press()
        await eyes.see(visitor, "enrol")
        await visitor.write(code="000000")
        await visitor.press()
        await eyes.see(visitor, "enrol")
        await visitor.set_up_app()
        await eyes.see(visitor, "enrol")
        await visitor.keep_codes()
        await eyes.see(visitor, "consent")
        await visitor.agree()
        await visitor.is_in(eyes.street.parks)
        await late.write(code=code)
        await late.press()
        await eyes.see(late, "register")

    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        await visitor.open("/register")
        await visitor.confirm_address(email := eyes.street.newcomer())
        await visitor.write(password=PASSWORD)
        await visitor.press()
        seed = await visitor.set_up_app()
        eyes.street.later(31 * 60)  # too long for codes to be shown, or for proofs to stand
        await visitor.page.reload()
        await visitor.give_password(email)
        await visitor.give_code(seed)
        await eyes.see(visitor, "enrol")
        await visitor.press("make")
        await visitor.keep_codes()
        await eyes.see(visitor, "account")


async def signing_in(eyes: Inspector) -> None:
    """Every step, with mistakes; the ways out; what is left of a sign-in afterwards."""
    somebody = eyes.street.resident()
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        await visitor.enter(eyes.street.parks)
        await eyes.see(visitor, "sign-in")
        sign_in = visitor.page.url
        await visitor.follow("/recovery")
        await eyes.see(visitor, "recovery")
        await visitor.open(sign_in)
        await visitor.press()
        await eyes.see(visitor, "sign-in")
        await visitor.write(identifier=somebody.email, password="wrong")
        await visitor.press()
        await eyes.see(visitor, "sign-in")
        await visitor.give_password(somebody.email)
        await eyes.see(visitor, "second-factor")
        await visitor.press()
        await eyes.see(visitor, "second-factor")
        await visitor.follow("use=recovery-code")
        await eyes.see(visitor, "second-factor")
        await visitor.write(code="WRONG")
        await visitor.press()
        await eyes.see(visitor, "second-factor")
        await visitor.write(code=RECOVERY_CODES[0])
        await visitor.press()
        await eyes.see(visitor, "consent")
        eyes.street.later(15)  # until then a sign-in that is asked for twice leads on twice
        await visitor.open(sign_in)
        await eyes.see(visitor, "error")  # "You are signed in"
        await visitor.page.context.clear_cookies(name="identity_session")
        await visitor.open(sign_in)
        await eyes.see(visitor, "error")  # "Please start again"

        async with eyes.visiting() as stranger:
            await eyes.weigh(stranger)
            await stranger.open(sign_in)
            await eyes.see(stranger, "error")
        await visitor.open("/sign-in")
        for _ in range(6):
            await visitor.give_password(eyes.street.newcomer(), "wrong")
        await visitor.write(identifier=somebody.email)
        for _ in range(12):
            await visitor.write(identifier=somebody.email, password="wrong")
            await visitor.press()
        await eyes.see(visitor, "sign-in")  # too many attempts


async def asked_for_more(eyes: Inspector) -> None:
    """What services may ask besides: an account to choose, a fresh proof, a passkey, more than can be had."""
    somebody = eyes.street.resident()
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        await visitor.get_device()
        await visitor.enter(eyes.street.parks)
        await visitor.sign_in(somebody)
        await visitor.agree()
        await visitor.is_in(eyes.street.parks)
        await visitor.open(await eyes.address(prompt="select_account"))
        await eyes.see(visitor, "select-account")
        await visitor.press("other")
        await visitor.at("sign-in")
        await visitor.open(await eyes.address(prompt="login"))
        await eyes.see(visitor, "sign-in")
        await visitor.open(await eyes.address(prompt="consent"))
        await eyes.see(visitor, "consent")
        await visitor.open(await eyes.address(claims='{"userinfo": {"phone_number": null, "website": null}}'))
        await eyes.see(visitor, "consent")
        consent = visitor.page.url
        essential = '{"id_token": {"acr": {"essential": true, "value": "%s"}}}'
        await visitor.open(await eyes.address(claims=essential % "aal3"))
        await eyes.see(visitor, "error")
        await visitor.open(await eyes.address(claims=essential % "aal2-phr"))
        await eyes.see(visitor, "enrol")
        await visitor.tap()
        await visitor.page.locator("main").wait_for()

        await visitor.open(consent)
        await visitor.press("refuse")
        await visitor.at("service-problem")
        await visitor.open(consent)
        await eyes.see(visitor, "error")  # finished here
        async with eyes.visiting() as stranger:
            await eyes.weigh(stranger)
            await visitor.open(await eyes.address(prompt="consent"))
            await stranger.open(visitor.page.url)
            await eyes.see(stranger, "error")
        eyes.street.later(3601)
        await visitor.page.reload()
        await eyes.see(visitor, "error")  # took too long

        await visitor.put_device_away()
        await visitor.page.context.clear_cookies(name="identity_session")
        await visitor.open(await eyes.address(claims=essential % "aal2-phr"))
        await visitor.give_password(somebody.email)
        await eyes.see(visitor, "second-factor")  # use your passkey


async def requests_that_are_wrong(eyes: Inspector) -> None:
    """What a service sent cannot be told to it: a page, never a redirect. And addresses that lead nowhere."""
    issuer = eyes.street.issuer
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        address = await eyes.address()
        for wrong in (
            address.replace("client_id=parks", "client_id=nobody"),
            address.replace("callback", "elsewhere"),
            f"{issuer}/authorize",
            f"{issuer}/authorize/cancel",
            f"{issuer}/nowhere",
            f"{issuer}/sign-out",
            f"{issuer}/authorize/consent",
        ):
            await visitor.open(wrong)
            await eyes.see(visitor, "error")
        async with eyes.visiting() as forgetful:
            await eyes.weigh(forgetful)
            led = await forgetful.page.request.get(address, max_redirects=0)
            await forgetful.page.context.clear_cookies()
            await forgetful.open(led.headers["location"])
            await eyes.see(forgetful, "error")  # its browser keeps no cookies
        await visitor.open("/register")
        await visitor.page.evaluate("document.querySelector('[name=csrf_token]').value = 'wrong'")
        await visitor.press()
        await eyes.see(visitor, "error")
        for name in ("help", "accessibility", "privacy", "recovery"):
            await visitor.open(f"/{name}")
            await eyes.see(visitor, name)


async def the_account(eyes: Inspector) -> None:
    """The citizen's own pages, with something on each, and with mistakes."""
    somebody, street = eyes.street.resident(), eyes.street
    async with eyes.visiting() as visitor, eyes.visiting() as elsewhere:
        await eyes.weigh(visitor)
        await visitor.get_device()
        await visitor.open("/account/services")
        await visitor.sign_in(somebody)
        await eyes.see(visitor, "services")
        for service in (street.parks, street.taxes):
            await visitor.enter(service)
            await visitor.agree()
            await visitor.is_in(service)
        await elsewhere.open("/account")
        await elsewhere.sign_in(somebody)
        for path, name in (
            ("/account", "account"),
            ("/account/profile", "profile"),
            ("/account/profile/name", "profile"),
            ("/account/profile/birth-date", "profile"),
            ("/account/profile/address", "profile"),
            ("/account/profile/language", "profile"),
            ("/account/services", "services"),
            ("/account/security", "security"),
            ("/account/history", "history"),
            ("/account/sessions/stay", "sessions"),
            ("/account/sessions", "sessions"),
        ):
            await visitor.open(path)
            await eyes.see(visitor, name)
        await visitor.press("others")
        await eyes.see(visitor, "sessions")
        await visitor.open("/account/profile/name")
        await visitor.write(name="")
        await visitor.press()
        await eyes.see(visitor, "profile")
        await visitor.open("/account/profile/birth-date")
        await visitor.write(birthdate__day="31", birthdate__month="2", birthdate__year="1999")
        await visitor.press()
        await eyes.see(visitor, "profile")
        await visitor.write(birthdate__day="1")
        await visitor.press()
        await eyes.see(visitor, "profile")
        await visitor.open("/account/services")
        await visitor.follow("/account/services/")
        await eyes.see(visitor, "service-withdraw")
        await visitor.press()
        await eyes.see(visitor, "services")
        await visitor.page.go_back()
        await visitor.page.reload()
        await eyes.see(visitor, "error")  # this agreement is not there

        await visitor.page.context.clear_cookies(name="identity_session")
        await visitor.open("/account/security/app")
        await visitor.sign_in(somebody)
        await eyes.see(visitor, "security")
        await visitor.press()
        await eyes.see(visitor, "security")
        await visitor.open("/account/security/password")
        await eyes.see(visitor, "security")
        await visitor.write(password="password")
        await visitor.press()
        await eyes.see(visitor, "security")
        await visitor.open("/account/security/recovery-codes")
        await eyes.see(visitor, "security")
        await visitor.press("make")
        await eyes.see(visitor, "security")
        await visitor.press()
        await eyes.see(visitor, "security")
        await visitor.open("/account/security/passkey?kind=key")
        await eyes.see(visitor, "security")
        await visitor.open("/account/security/passkey")
        await eyes.see(visitor, "security")
        await visitor.tap()
        await eyes.see(visitor, "security")
        for kind in ("app", "passkey"):
            await visitor.open("/account/security")
            await visitor.follow(f"/remove/{kind}/")
            await eyes.see(visitor, "security")
        await visitor.press()
        await eyes.see(visitor, "security")
        await suspended(eyes, visitor, somebody)


async def suspended(eyes: Inspector, visitor: Visitor, somebody: Resident) -> None:
    """Who is suspended learns it after having signed in."""
    await visitor.put_device_away()
    eyes.street.ask("POST", f"/people/{somebody.handle}/state", {"state": "suspended"})
    await visitor.open("/account")
    await visitor.sign_in(somebody)
    await eyes.see(visitor, "error")


async def without_a_password(eyes: Inspector) -> None:
    """A citizen with a passkey alone; and one who has nothing to sign in with on this device."""
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        await visitor.get_device()
        await visitor.open("/register")
        await visitor.confirm_address(eyes.street.newcomer())
        await visitor.tap()
        await visitor.keep_codes()
        await visitor.open("/account/security")
        await eyes.see(visitor, "security")
        await visitor.open("/account/security/password")
        await eyes.see(visitor, "security")
        await visitor.write(password=PASSWORD)
        await visitor.press()
        await eyes.see(visitor, "security")
        await visitor.open("/account/security/password/remove")
        await eyes.see(visitor, "security")
        await visitor.press()
        await eyes.see(visitor, "security")
        await visitor.open("/account/profile")
        await eyes.see(visitor, "profile")


async def contacts_and_texts(eyes: Inspector) -> None:
    """Addresses and numbers come and go; codes by text message; and a notice says that it was not me."""
    somebody, street = eyes.street.resident(), eyes.street
    another = street.newcomer()
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        await visitor.open("/account/security/phone")
        await visitor.sign_in(somebody)
        await eyes.see(visitor, "security")
        await visitor.press()
        await eyes.see(visitor, "security")
        await visitor.open("/account/contacts")
        await eyes.see(visitor, "contacts")
        await visitor.open("/account/contacts/new/email")
        await eyes.see(visitor, "contacts")
        await visitor.press()
        await eyes.see(visitor, "contacts")
        await visitor.write(identifier=another)
        await visitor.press()
        await eyes.see(visitor, "contacts")
        await visitor.write(code="000000")
        await visitor.press()
        await eyes.see(visitor, "contacts")
        await visitor.write(code=street.mail(another)[0]["code"])
        await visitor.press()
        await eyes.see(visitor, "contacts")
        await visitor.open("/account/contacts/new/phone")
        await eyes.see(visitor, "contacts")
        await visitor.write(phone="+44 20 7946 0999")
        await visitor.press()
        await eyes.see(visitor, "contacts")
        await visitor.write(code=street.mail("+442079460999")[0]["code"])
        await visitor.press()
        await eyes.see(visitor, "contacts")
        for kind in ("phone", "email"):
            await visitor.open("/account/contacts")
            section = visitor.main.locator("dl.list").nth(0 if kind == "email" else 1)
            await visitor.arrive(section.locator('a[href*="/remove/"]').last)
            await eyes.see(visitor, "contacts")
        await visitor.open("/account/security")
        await visitor.follow("/remove/phone/")
        await eyes.see(visitor, "security")

        await visitor.page.context.clear_cookies(name="identity_session")
        await visitor.open("/sign-in")
        await visitor.give_password(somebody.email)
        await visitor.follow("use=text")
        await eyes.see(visitor, "second-factor")
        await visitor.press()
        await eyes.see(visitor, "second-factor")

        notices = [mail["text"] for mail in street.mail(somebody.email) if "/not-me/" in mail["text"]]
        found = re.search(r"(http\S+/not-me/\S+)", notices[0])
        assert found
        await visitor.open(found[1])
        await eyes.see(visitor, "not-me")
        await visitor.press()
        await eyes.see(visitor, "not-me")
        await visitor.open("/not-me/unknown")
        await eyes.see(visitor, "not-me")


async def asked_from_elsewhere(eyes: Inspector) -> None:
    """A device without a keyboard, a service on the phone; and an answer that travels by a form."""
    somebody, street = eyes.street.resident(), eyes.street
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        await visitor.open("/account/requests")
        await visitor.sign_in(somebody)
        await eyes.see(visitor, "requests")
        for answer in ("allow", "refuse"):
            begun = street.from_elsewhere("/device_authorization")
            await visitor.open("/device")
            await eyes.see(visitor, "device")
            await visitor.press()
            await eyes.see(visitor, "device")
            await visitor.write(user_code=begun["user_code"].lower())
            await visitor.press()
            await eyes.see(visitor, "consent")
            await visitor.press(answer)
            await eyes.see(visitor, "device")
        street.from_elsewhere("/backchannel-authentication", login_hint=somebody.email, binding_message="Desk 4")
        await visitor.open("/account/requests")
        await eyes.see(visitor, "requests")
        await visitor.follow("/account/requests/")
        await eyes.see(visitor, "consent")
        street.later(1200)
        await visitor.press("allow")
        await eyes.see(visitor, "device")

        await visitor.enter(street.parks)
        await visitor.agree()
        await visitor.is_in(street.parks)
        # Its script sends it on at once; without it there is something to see.
        await visitor.page.route("**/form_post.*", lambda route: route.abort())
        await visitor.open(await eyes.address(response_mode="form_post"))
        await eyes.see(visitor, "form-post")


async def the_long_way_back(eyes: Inspector) -> None:
    """Nothing left but an address and a phone: two codes, a day, two codes again."""
    street = eyes.street
    for stopped in (True, False):
        somebody = street.resident()
        street.later(8 * 86400)  # an address and a number that came lately prove nothing
        async with eyes.visiting() as visitor:
            await eyes.weigh(visitor)
            await visitor.open("/recovery/contacts")
            await eyes.see(visitor, "recovery")
            await visitor.press()
            await eyes.see(visitor, "recovery")
            await two_codes(eyes, visitor, somebody)
            await eyes.see(visitor, "recovery")
            if stopped:
                notices = [mail["text"] for mail in street.mail(somebody.email) if "/not-me/" in mail["text"]]
                found = re.search(r"(http\S+/not-me/\S+)", notices[0])
                assert found
                async with eyes.visiting() as elsewhere:
                    await elsewhere.open(found[1])
                    await elsewhere.press()
                await visitor.page.reload()
                await eyes.see(visitor, "recovery")
                continue
            street.later(25 * 3600)
            await visitor.open("/recovery/contacts")
            await two_codes(eyes, visitor, somebody)
            await eyes.see(visitor, "recovery")
            await visitor.write(password="another few plain words")
            await visitor.main.locator("[name=lost]").check()
            await visitor.press()
            await eyes.see(visitor, "recovery")
            key = await visitor.main.locator("details code").first.text_content() or ""
            await visitor.write(code=street.code(key))
            await visitor.press()
            await eyes.see(visitor, "recovery")


async def two_codes(eyes: Inspector, visitor: Visitor, somebody: Resident) -> None:
    """One from the mail, one from the phone."""
    await visitor.write(identifier=somebody.email)
    await visitor.press()
    await eyes.see(visitor, "recovery")
    await visitor.write(code=eyes.street.mail(somebody.email)[0]["code"])
    await visitor.press()
    await eyes.see(visitor, "recovery")
    await visitor.write(code=eyes.street.mail(PHONE)[0]["code"])
    await visitor.press()


async def signing_out(eyes: Inspector) -> None:
    """Asked by a service, by the citizen, by nobody; and what is said afterwards, to the end."""
    somebody, street = eyes.street.resident(), eyes.street
    async with eyes.visiting() as visitor:
        await eyes.weigh(visitor)
        for round_ in range(2):
            for service in (street.parks, street.taxes):
                await visitor.enter(service)
                if service == street.parks:
                    await visitor.sign_in(somebody)
                if not round_:
                    await visitor.agree()
                await visitor.is_in(service)
            if round_:
                await visitor.open("/end-session")
                await eyes.see(visitor, "sign-out")
                await visitor.open(f"/end-session?client_id=parks&post_logout_redirect_uri={street.parks}/elsewhere")
                await eyes.see(visitor, "error")
                street.broken.add("taxes")
                await visitor.press()
            else:
                await visitor.open(street.parks)
                await visitor.arrive(visitor.main.locator('form[action="/sign-out"] button'))
            await eyes.see(visitor, "signed-out")
            await visitor.page.reload()
            await eyes.see(visitor, "signed-out")
        street.broken.clear()
        street.later(31 * 60)
        await visitor.page.reload()
        await eyes.see(visitor, "signed-out")
        await visitor.open("/end-session")
        await eyes.see(visitor, "signed-out")


CHAPTERS: tuple[Chapter, ...] = (
    requests_that_are_wrong,
    a_new_citizen,
    signing_in,
    asked_for_more,
    without_a_password,
    the_account,
    contacts_and_texts,
    asked_from_elsewhere,
    signing_out,
    the_long_way_back,
)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_every_page_is_accessible_and_light_and_none_is_forgotten(
    browser: Browser, street: Street, look: Look
) -> None:
    """WCAG 2.2 AA by all rules of axe; 14 KB on a first visit; R77's table of routes and the templates' headings say
    what there is to see."""
    eyes = Inspector(browser, street, look)
    for chapter in CHAPTERS:
        await chapter(eyes)
    print(f"\n{len(eyes.paths)} addresses, the heaviest: {eyes.heaviest}")
    assert not eyes.faults, "\n".join(eyes.faults)
    assert not (missed := [route for route in page_routes() if not any(map(matching(route), eyes.paths))]), missed
    if look.language == "en":
        wanted = [text for text in headings() if text not in UNSEEN]
        assert not (missed := [text for text in wanted if not any(map(said(text), eyes.headings))]), missed


def page_routes() -> list[str]:
    """Every GET route that shows a page."""
    found = re.findall(r"^\| GET (\S+) \|", ROUTES.read_text("utf-8"), re.MULTILINE)
    assert set(PAGELESS) <= set(found), "PAGELESS names a route that is gone"
    return [route for route in found if route not in PAGELESS]


def matching(route: str) -> Callable[[str], Any]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route))).fullmatch


def headings() -> Iterator[str]:
    """Every heading that stands in a page's template, by its text in English."""
    for folder in TEMPLATE_FOLDERS:
        for template in sorted(folder.glob("*.html")):
            source = template.read_text("utf-8")
            if "block page_name" in source:
                parts = re.findall(r"<h1>(.*?)</h1>|{% set heading = (.*?) %}", source)
                yield from re.findall(r'_\("(.*?)"', " ".join(map(" ".join, parts)))


def said(text: str) -> Callable[[str], Any]:
    """Whether a heading on a page is this text, whatever it names."""
    plain = re.escape(re.sub(r"</?bdi>", "", text))
    return re.compile(re.sub(r"%\\\(\w+\\\)s", ".+", plain)).fullmatch
