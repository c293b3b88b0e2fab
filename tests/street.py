"""A street to walk in a real browser: `identity simulate`, the demo's Parks and Taxes beside it, and visitors."""

import asyncio
import re
import secrets
import socket
import threading
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import pyotp
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped]
from joserfc.jwk import ECKey
from playwright.async_api import Browser, CDPSession, ConsoleMessage, Locator, Page, Response
from simulated import Simulator, simulator

from config.demo.demo import PLACEHOLDER
from config.demo.openid_client import OpenIdClient
from config.demo.relying_party import Service, create_service
from config.server import Running, listen

DEMO = Path("config/demo")
PASSWORD = "four plain words walking"
RECOVERY_CODES = ["K7FM-2QXP-9RTH-4WDN", "M3KD-8VCX-5TPR-7HJA"]
PHONE = "+442079460123"
"""Of everybody on the street."""
KIOSK_SECRET = secrets.token_urlsafe(32)
KIOSK = {
    "client_id": "kiosk",
    "client_secret": KIOSK_SECRET,
    "client_name": "Town Hall Kiosk",
    "response_types": [],
    "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"],
    "backchannel_token_delivery_mode": "poll",
    "scope": "openid email",
}
PATIENCE = 20_000
"""Milliseconds until a page that does not come is a failure; two shared cores are slow at times."""


class Look(msgspec.Struct, frozen=True):
    """How a visitor sees pages."""

    language: str = "en"
    width: int = 1280
    scripts: bool = True
    scheme: str = "light"

    def __str__(self) -> str:
        return f"{self.language}-{self.width}{'' if self.scripts else '-no-js'}"


WITH_SCRIPTS = tuple(Look(language, width) for language in ("en", "ar") for width in (1280, 320))
EVERY_LOOK = (Look("en", 1280), Look("ar", 320), Look("en", 320, scripts=False), Look("ar", 1280, scripts=False))
"""Language, width and scripts: every two of them in every combination. Passkeys alone need scripts."""


class Resident(msgspec.Struct, frozen=True):
    """Somebody with an account: a password, an authenticator app, two recovery codes."""

    handle: str
    seed: str

    @property
    def email(self) -> str:
        return f"{self.handle}@example.org"


class Remembering(OpenIdClient):
    """A service's client that lets a test look at the tokens it got."""

    session: Any = None

    def _oauth(self) -> Any:
        self.session = super()._oauth()
        if self._key is not None:
            # Authlib reads the machine's clock, the street has its own.
            now = int(self._clock().timestamp())
            proof = PrivateKeyJWT(self._issuer, claims={"iat": now, "exp": now + 60}, alg="ES256")
            self.session.register_client_auth_method(proof)
        return self.session

    @property
    def tokens(self) -> dict[str, Any]:
        """The last token answer."""
        return dict(self.session.token)


class Street:
    """Everything that runs, by its address."""

    def __init__(self, simulator: Simulator, folder: Path, clock: "StreetClock") -> None:
        self.simulator = simulator
        self.issuer = simulator.issuer
        self.ask = simulator.ask
        self.parks = self.taxes = ""
        self.clients: dict[str, Remembering] = {}
        self.secrets = {PASSWORD, *RECOVERY_CODES, "@example.org", PHONE, KIOSK_SECRET}
        """What must never be in the log (R66); visitors add their cookies and the codes that passed through them."""
        self.broken: set[str] = set()
        """Services that take no logout token."""
        self._clock = clock
        self._log = folder / "log"
        self._residents: Iterator[Resident] = iter(())

    @property
    def log(self) -> str:
        """What the product wrote to its log so far."""
        return self._log.read_text("utf-8")

    def resident(self) -> Resident:
        """Somebody whom no other test of this street meets."""
        return next(self._residents)

    def newcomer(self) -> str:
        """The address of somebody who has no account yet."""
        return f"new-{secrets.token_hex(4)}@example.org"

    def later(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        self.ask("POST", "/clock/advance", {"seconds": seconds})
        self._clock.offset += timedelta(seconds=seconds)

    def code(self, seed: str) -> str:
        """What an authenticator app shows now."""
        return pyotp.TOTP(seed.replace(" ", "")).at(self._clock.now())

    def mail(self, address: str) -> list[dict[str, Any]]:
        """What was sent there, the newest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"/inbox?to={quote(address)}")
        return found

    def not_me(self, address: str) -> str:
        """The link in the newest notice that was sent there; it is the only one (R67)."""
        notice = next(mail["text"] for mail in self.mail(address) if "/not-me/" in mail["text"])
        [link] = re.findall(r"https?://\S+", notice)
        return str(link)

    def from_elsewhere(self, path: str, **fields: str) -> dict[str, Any]:
        """What a kiosk is answered, which has no browser: it asks for a citizen who is somewhere else."""
        answer = httpx2.post(self.issuer + path, data={"scope": "openid email", **fields}, auth=("kiosk", KIOSK_SECRET))
        told: dict[str, Any] = answer.raise_for_status().json()
        return told


class StreetClock:
    """The simulator's time, for the services."""

    offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


@contextmanager
def open_street(folder: Path, residents: int = 60, *options: str) -> Iterator[Street]:
    """Start everything, and end it afterwards."""
    doors = {name: listen("localhost", 0) for name in ("parks", "taxes")}
    homes = {name: f"http://{name}.localhost:{bound[0].getsockname()[1]}" for name, bound in doors.items()}
    secret, key, clock = secrets.token_urlsafe(32), ECKey.generate_key("P-256", private=True), StreetClock()
    key.ensure_kid()
    people = [Resident(f"resident{n}", pyotp.random_base32()) for n in range(residents)]
    with simulator(
        folder,
        "--setting=assurance.repeat_codes=false",
        *options,
        people=_people(people),
        clients=_clients(homes, secret),
    ) as running:
        street = Street(running, folder, clock)
        street.parks, street.taxes = homes["parks"], homes["taxes"]
        street._residents = iter(people)
        ways = {"inbox": "http://localhost:9", "account": f"{street.issuer}/account", "issuer": street.issuer}
        services = (
            (Service("parks", "City Parks", street.parks, neighbour_name="Taxes", neighbour=street.taxes, **ways), "openid profile email", {"key": key}),  # noqa: E501
            (Service("taxes", "Taxes", street.taxes, neighbour_name="City Parks", neighbour=street.parks, **ways), "openid profile address phone", {"secret": secret}),  # noqa: E501
        )  # fmt: skip
        apps = {}
        for service, scope, proof in services:
            client = Remembering(street.issuer, service.key, scope, service.home, clock.now, **proof)  # type: ignore[arg-type]
            street.clients[service.key] = client
            apps[service.key] = _may_break(create_service(service, client, clock.now), street.broken, service.key)
        with _served([(apps[name], bound) for name, bound in doors.items()]):
            yield street
        street.secrets |= {secret, *(one.seed for one in people)}
    assert not [found for found in street.secrets if found in street.log]


def _people(people: list[Resident]) -> str:
    codes = ", ".join(f'"{code}"' for code in RECOVERY_CODES)
    return "\n".join(
        f'[[people]]\nhandle = "{one.handle}"\nemail = "{one.email}"\npassword = "{PASSWORD}"\ntotp = "{one.seed}"\n'
        f'recovery_codes = [{codes}]\nphone_number = "{PHONE}"\n[people.claims]\nname = "Ada Lovelace"\n'
        f'given_name = "Ada"\nfamily_name = "Lovelace"\nbirthdate = 1985-12-10\n'
        'address = { locality = "London", country = "United Kingdom" }\n'
        for one in people
    )


def _clients(homes: dict[str, str], secret: str) -> list[dict[str, Any]]:
    """The demo's own reviewed files, as the simulator takes them."""
    clients = []
    for name, home in homes.items():
        text = (DEMO / f"{name}.toml").read_text("utf-8")
        text = re.sub(rf"http://{name}\.localhost:\d+", home, text)
        for client in tomllib.loads(text)["client"]:
            if client.pop("client_secret_sha256", None) == PLACEHOLDER:
                client["client_secret"] = secret
            clients.append({**client, "id_token_signed_response_alg": "ES256"})
    return [*clients, KIOSK]


def _may_break(app: Any, broken: set[str], name: str) -> Any:
    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if name in broken and scope.get("path") == "/backchannel-logout":
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await app(scope, receive, send)

    return wrapped


@contextmanager
def _served(apps: list[tuple[Any, list[socket.socket]]]) -> Iterator[None]:
    """Serve in a thread, so that tests may wait as they like."""
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        running = Running()
        try:
            for app, sockets in apps:
                await running.serve("a service", app, sockets)
            ready.set()
            await asyncio.to_thread(stop.wait)
        finally:
            await running.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


class Visitor:
    """One browser and who sits before it. Every page of ours it meets is in one piece: right language and direction,
    nothing to scroll sideways, no script stopped by our own policy, never a 5xx."""

    def __init__(self, street: Street, page: Page, look: Look) -> None:
        self.street, self.page, self.look = street, page, look
        self.documents: list[tuple[int, str]] = []
        """Status and address of every document that came, redirects included."""
        self.complaints: list[str] = []
        self.authenticator = ""
        self._devtools: CDPSession | None = None
        page.on("response", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, said: ConsoleMessage) -> None:
        # A page with a status of 400 is news to the console, not to us.
        if said.type == "error" and "Failed to load resource" not in said.text:
            self.complaints.append(said.text)

    def _note(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.documents.append((response.status, response.url))

    @property
    def main(self) -> Locator:
        return self.page.locator("main")

    def pages_of_ours(self) -> list[str]:
        """The addresses of pages that the provider showed."""
        return [
            url for status, url in self.documents if url.startswith(self.street.issuer) and status not in (302, 303)
        ]

    async def open(self, address: str) -> None:
        """Type an address; one that begins with a slash is the provider's."""
        await self.page.goto(self.street.issuer + address if address.startswith("/") else address)

    async def at(self, name: str) -> None:
        """Be on this page, and see it in one piece."""
        await self.page.locator(f'main[data-page="{name}"]').wait_for()
        if not self.page.url.startswith(self.street.issuer):
            return
        html = self.page.locator("html")
        direction = "rtl" if self.look.language == "ar" else "ltr"
        assert (await html.get_attribute("lang"), await html.get_attribute("dir")) == (self.look.language, direction)
        assert await self.page.locator("h1").count() == 1, self.page.url
        width = await self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= self.look.width, f"{self.page.url} is {width} px wide"

    async def read(self, *words: str) -> None:
        """See these words in the page's main part (in English alone)."""
        if self.look.language == "en":
            text = " ".join((await self.main.inner_text()).split())
            for some in words:
                assert some in text, text

    async def write(self, **fields: str) -> None:
        """Fill in fields, by their names."""
        for name, value in fields.items():
            await self.main.locator(f'[name="{name.replace("__", "-")}"]').fill(value)

    async def press(self, value: str = "continue") -> None:
        """Press the button of this value, and arrive where it leads."""
        await self.arrive(self.main.locator(f'button[name="action"][value="{value}"]').first)

    async def follow(self, address: str) -> None:
        """Follow the main part's link whose address has this in it."""
        await self.arrive(self.main.locator(f'a[href*="{address}"]').first)

    async def arrive(self, clicked: Locator) -> None:
        """Click, and wait for the page that comes of it."""
        async with self.page.expect_navigation(wait_until="domcontentloaded"):
            await clicked.click()

    # What people do, step by step.

    async def enter(self, service: str, start: str = "") -> None:
        """From a service's first page to sign in there."""
        await self.open(service)
        await self.follow(f"/sign-in{start}")

    async def give_password(self, email: str, password: str = PASSWORD) -> None:
        """The first page of a sign-in."""
        await self.at("sign-in")
        await self.write(identifier=email, password=password)
        await self.press()

    async def give_code(self, seed: str) -> None:
        """The second page, with what the authenticator app shows."""
        await self.at("second-factor")
        await self.write(code=self.street.code(seed))
        await self.press()

    async def sign_in(self, somebody: Resident) -> None:
        """Both pages; an app's code works once, so it is a later one the next time."""
        await self.give_password(somebody.email)
        await self.give_code(somebody.seed)
        self.street.later(31)

    async def come_signed_in(self, somebody: Resident) -> None:
        """As after both pages, which other journeys show: the simulator gives the cookies."""
        given = self.street.ask("POST", f"/people/{somebody.handle}/sign-in", {})
        await self.page.context.add_cookies(given["cookies"])

    async def confirm_address(self, email: str) -> None:
        """The first two pages of a registration."""
        await self.at("register")
        await self.write(identifier=email)
        await self.press()
        await self.at("register")
        await self.write(code=self.street.mail(email)[0]["code"])
        await self.press()
        await self.main.locator('[name="password"]').wait_for()

    async def set_up_app(self) -> str:
        """The page of a new authenticator app; its key, as it stands there for typing."""
        await self.at("enrol")
        key = await self.main.locator("details code").first.text_content() or ""
        await self.write(code=self.street.code(key))
        await self.press()
        return key

    async def keep_codes(self) -> list[str]:
        """The page of recovery codes; what is written down."""
        await self.at("enrol")
        codes = await self.main.locator(".codes code").all_inner_texts()
        await self.press()
        return codes

    async def leave(self) -> None:
        """Be signed out, as by a browser that was closed."""
        await self.page.context.clear_cookies(name="identity_session")

    async def is_done(self, page: str) -> None:
        """See on this page that what was asked for is done."""
        await self.at(page)
        assert await self.main.locator(".banner.success").count() == 1, await self.main.inner_text()

    async def is_wrong(self, page: str) -> None:
        """See on this page that something was wrong."""
        await self.at(page)
        assert await self.page.locator(".summary").count() == 1, await self.main.inner_text()

    async def agree(self) -> None:
        """The consent page."""
        await self.at("consent")
        await self.press("allow")

    async def is_in(self, service: str) -> dict[str, Any]:
        """See that the service has let us in; what it was told: claims of the ID token, and of userinfo."""
        await self.at("service")
        assert self.page.url == f"{service}/", self.page.url
        assert await self.main.locator("pre").count() == 2, await self.main.inner_text()
        texts = await self.main.locator("pre").all_text_contents()
        id_token, userinfo = (msgspec.json.decode(text) for text in texts)
        return {"id_token": id_token, "userinfo": userinfo}

    async def is_out(self, service: str) -> None:
        """See that the service does not know us."""
        await self.open(service)
        await self.at("service")
        assert await self.main.locator("pre").count() == 0

    # Passkeys.

    async def get_device(self, **different: Any) -> None:
        """A device that has passkeys and knows its user by touch; `different` are options of Chromium's."""
        devtools = await self.page.context.new_cdp_session(self.page)
        await devtools.send("WebAuthn.enable")
        added = await devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                    "defaultBackupEligibility": True,
                    "defaultBackupState": True,
                    **different,
                }
            },
        )
        self._devtools, self.authenticator = devtools, added["authenticatorId"]

    async def passkeys(self) -> list[dict[str, Any]]:
        """What is on the device."""
        assert self._devtools is not None
        found = await self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(found["credentials"])

    async def take_over(self, passkeys: list[dict[str, Any]]) -> None:
        """Get passkeys from another device, as their maker copies them."""
        assert self._devtools is not None
        for credential in passkeys:
            await self._devtools.send(
                "WebAuthn.addCredential", {"authenticatorId": self.authenticator, "credential": credential}
            )

    async def put_device_away(self) -> None:
        """It is there, but nobody touches it: else it answers each page's offer of autofill by itself."""
        assert self._devtools is not None
        hands_off = {"authenticatorId": self.authenticator, "enabled": False}
        await self._devtools.send("WebAuthn.setAutomaticPresenceSimulation", hands_off)

    async def tap(self) -> None:
        """Use the passkey button of this page."""
        await self.arrive(self.main.locator("button[data-passkey]"))


@asynccontextmanager
async def visiting(browser: Browser, street: Street, look: Look, **more: Any) -> AsyncIterator[Visitor]:
    """A browser that nobody has used yet."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": 720},
        locale=look.language,
        java_script_enabled=look.scripts,
        color_scheme=look.scheme,  # type: ignore[arg-type]
        **more,
    )
    context.set_default_timeout(PATIENCE)
    visitor = Visitor(street, await context.new_page(), look)
    try:
        yield visitor
        broken = [url for status, url in visitor.documents if status >= 500]
        assert not broken, broken
        assert not visitor.complaints, visitor.complaints
        street.secrets |= {
            cookie["value"] for cookie in await context.cookies(street.issuer) if len(cookie["value"]) > 20
        }
        street.secrets |= set(re.findall(r"[?&]code=([^&]+)", " ".join(url for _, url in visitor.documents)))
    finally:
        await context.close()
