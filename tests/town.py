"""A town for tests of the provider's pages: the whole house, services that ask, citizens with a browser, one clock."""

import base64
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import httpx2
import msgspec
from leading import led_to
from litestar.types import ASGIApp
from services import make_sqlite

from accounts.account import data_key_of, open_account
from accounts.activity import activity_of
from accounts.citizen import Browser
from accounts.contact import add_contact
from accounts.database import Database, Transaction, digest
from accounts.errors import Refusal
from accounts.profile import Claims, write_profile
from accounts.vault import Vault, VaultKeys
from config.app import create_app
from config.database import open_engine
from config.house import House
from config.mail import Rendered
from config.settings import Settings
from config.store import MemoryStore
from identity.password import CHEAPEST
from identity.session import Device, start
from oidc.client import RegisteredClient, find_client, put_client
from oidc.fetcher import Fetched, FetchFailed
from oidc.protocol.client_registration import read_client_metadata
from oidc.protocol.errors import ProtocolError
from oidc.protocol.pkce import s256
from oidc.signing_keys import ensure_keys

ISSUER = "https://account.example.gov"
NOON = datetime(2026, 11, 22, 12, 0, 15, tzinfo=UTC)
VERIFIER = "a-verifier-that-is-long-enough-for-anybody-0123456789"
SECRET = "a-secret-of-more-than-enough-entropy-for-anyone"
ADA = Claims(name="Ada Lovelace", given_name="Ada", family_name="Lovelace", birthdate="1815-12-10")
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Instant:
    """The town's clock stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


class Post:
    """Keeps what is sent instead of sending it."""

    def __init__(self) -> None:
        self.sent: list[Rendered] = []

    async def send(self, message: Rendered) -> None:
        self.sent.append(message)


class Outside:
    """The network: services that take logout tokens, or do not. `answers` maps an address to a status, or to None for
    one that does not answer; `documents` are there to be fetched."""

    def __init__(self) -> None:
        self.answers: dict[str, int | None] = {}
        self.documents: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.received: list[tuple[str, dict[str, str]]] = []
        self.pinged: list[tuple[str, dict[str, Any], str]] = []

    async def get(self, url: str) -> Fetched:
        self.fetched.append(url)
        if url not in self.documents:
            raise FetchFailed("nothing is there")
        return Fetched(200, self.documents[url])

    async def post_form(self, url: str, fields: dict[str, str]) -> Fetched:
        self.received.append((url, fields))
        status = self.answers.get(url, 200)
        if status is None:
            raise FetchFailed("timed out")
        return Fetched(status, b"")

    async def post_json(self, url: str, document: dict[str, Any], *, bearer: str) -> Fetched:
        self.pinged.append((url, document, bearer))
        status = self.answers.get(url, 204)
        if status is None:
            raise FetchFailed("timed out")
        return Fetched(status, b"")

    async def close(self) -> None:
        pass


class Shown(HTMLParser):
    """What a page says and which form it has, as a person without JavaScript meets it."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__()
        self.status = answer.status_code
        self.html = answer.text
        self.name = ""
        self.heading = ""
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.buttons: list[str] = []
        self.links: list[str] = []
        self._texts: list[str] = []
        self._in_heading = False
        self.feed(self.html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "main":
            self.name = given.get("data-page", "")
        elif tag == "h1":
            self._in_heading = True
        elif tag == "form":
            self.action = given.get("action", "")
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden[given["name"]] = given["value"]
        elif tag == "button" and given.get("name") == "action":
            self.buttons.append(given["value"])
        elif tag == "a":
            self.links.append(given.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "h1":
            self._in_heading = False

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
        if self._in_heading:
            self.heading += data


class Citizen:
    """One browser, and who sits before it."""

    def __init__(self, town: "Town") -> None:
        self.town = town
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=town.app), base_url=ISSUER, follow_redirects=False
        )
        self.session_id: UUID | None = None

    async def sign_in(
        self, account_id: UUID, *, acr: str = "aal2", amr: tuple[str, ...] = ("pwd", "otp", "mfa")
    ) -> UUID:
        """As if the sign-in pages had been gone through just now."""
        await self.get("/authorize")  # an empty request: whatever it is answered with, the browser gets its cookie
        secret = self.http.cookies["__Host-browser"]
        async with self.town.transaction() as db:
            session_id, cookie = await start(
                db,
                await data_key_of(db, self.town.vault, account_id),
                account_id,
                browser=Browser(secret).digest,
                acr=acr,
                amr=amr,
                device=Device("Firefox on Linux", "192.0.2.7"),
                policy=self.town.house.identity_policy.session,
                now=self.town.clock.now(),
            )
        self.http.cookies.set("__Host-session", cookie, domain=urlsplit(ISSUER).hostname or "", path="/")
        self.session_id = session_id
        return session_id

    async def get(self, address: str, **headers: str) -> httpx2.Response:
        """Follow a link."""
        return await self.http.get(address, headers=headers)

    async def see(self, address: str) -> Shown:
        """Follow a link to a page, through redirects of ours."""
        answer = await self.get(address)
        while answer.status_code == 303 and answer.headers["location"].startswith("/"):
            answer = await self.get(answer.headers["location"])
        assert answer.headers["content-type"].startswith("text/html"), (answer.status_code, answer.headers)
        return Shown(answer)

    async def press(self, shown: Shown, action: str, **fields: str) -> httpx2.Response:
        """Press a button of the page's form, a second after it was shown."""
        self.town.later(seconds=1)
        data = {**shown.hidden, **fields, "action": action}
        return await self.http.post(shown.action, content=urlencode(data), headers={**FORM, "origin": ISSUER})

    async def follow(self, answer: httpx2.Response) -> httpx2.Response:
        """Go where redirects of ours lead; stop at a page, or before the door of a service."""
        while answer.status_code == 303 and answer.headers["location"].startswith("/"):
            answer = await self.get(answer.headers["location"])
        return answer


class Service:
    """A relying party."""

    def __init__(self, town: "Town", client: RegisteredClient) -> None:
        self.town = town
        self.client_id = client.client_id
        self.redirect_uri = client.metadata.redirect_uris[0] if client.metadata.redirect_uris else ""

    def fields(self, **changes: str | None) -> dict[str, str]:
        """A request; a change of None leaves the parameter out."""
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile email",
            "state": "a-state",
            "nonce": "a-nonce",
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def address(self, **changes: str | None) -> str:
        """The address to which it sends the citizen."""
        return f"/authorize?{urlencode(self.fields(**changes))}"

    def answer(self, response: httpx2.Response) -> dict[str, str]:
        """What came to its redirect URI; fails when the response is anything else."""
        location = led_to(response)
        assert location.startswith(self.redirect_uri), (location, response.status_code, response.text[:2000])
        return dict(parse_qsl(urlsplit(location).query))

    async def redeem(self, code: str, **changes: str | None) -> httpx2.Response:
        """Tokens for a code."""
        asked: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": VERIFIER,
            **changes,
        }
        return await self.post("/token", **asked)

    async def refresh(self, refresh_token: str) -> httpx2.Response:
        """New tokens for a refresh token."""
        return await self.post("/token", grant_type="refresh_token", refresh_token=refresh_token)

    async def post(self, path: str, **fields: str | None) -> httpx2.Response:
        """As a confidential client, server to server."""
        basic = base64.b64encode(f"{self.client_id}:{SECRET}".encode()).decode()
        content = urlencode({name: value for name, value in fields.items() if value is not None})
        return await self.town.wire.post(path, content=content, headers={**FORM, "authorization": f"Basic {basic}"})

    async def userinfo(self, access_token: str) -> httpx2.Response:
        """What it may see."""
        return await self.town.wire.get("/userinfo", headers={"authorization": f"Bearer {access_token}"})

    async def enter(self, citizen: Citizen, **changes: str | None) -> dict[str, Any]:
        """A signed-in citizen comes in, agreeing where asked; the token answer."""
        answer = await citizen.follow(await citizen.get(self.address(**changes)))
        if answer.status_code == 200:
            answer = await citizen.follow(await citizen.press(Shown(answer), "allow"))
        tokens = await self.redeem(self.answer(answer)["code"])
        self.town.later(seconds=1)
        assert tokens.status_code == 200, tokens.text
        given: dict[str, Any] = tokens.json()
        return given


class Town:
    """The house, its clock, its post and the network around it."""

    def __init__(self, house: House, app: ASGIApp, clock: Instant, post: Post, outside: Outside) -> None:
        self.house, self.clock, self.post, self.outside = house, clock, post, outside
        self.vault, self.provider = house.vault, house.provider
        self.app = app
        self.worker = house.worker()
        self.wire = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url=ISSUER)
        self._citizens: list[Citizen] = []

    def later(self, **duration: float) -> None:
        """Let time pass."""
        self.clock.moment += timedelta(**duration)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction, committed at the end."""
        async with self.house.database.begin() as db:
            yield db

    async def service(self, client_id: str = "parks", **registered: Any) -> Service:
        """Register a service; ES256 where nothing is said."""
        given: dict[str, Any] = {
            "client_name": client_id.title(),
            "redirect_uris": [f"https://{client_id}.example/callback"],
            "post_logout_redirect_uris": [f"https://{client_id}.example/bye"],
            "backchannel_logout_uri": f"https://{client_id}.example/logout",
            "grant_types": ["authorization_code", "refresh_token"],
            **registered,
        }
        given = {name: value for name, value in given.items() if value is not None}
        read = read_client_metadata(given, self.provider.capabilities, default_signing_algorithm="ES256").metadata
        kept = digest(SECRET) if read.uses_secret else None
        async with self.transaction() as db:
            await put_client(db, client_id, read, secret_digest=kept, source="import", now=self.clock.now())
            found = await find_client(db, client_id)
        assert found is not None
        self.later(seconds=1)  # until every worker has heard of it
        return Service(self, found)

    async def person(
        self, claims: Claims = ADA, email: str = "ada@example.org", *, state: Any = "active", locale: str | None = "en"
    ) -> UUID:
        """A citizen with a profile and a verified address."""
        now = self.clock.now()
        async with self.transaction() as db:
            account_id, key = await open_account(db, self.vault, now, state=state, locale=locale)
            await write_profile(db, key, account_id, claims, now)
            await add_contact(db, self.vault, key, account_id, "email", email, now, verified=True, primary=True)
        return account_id

    def browser(self) -> Citizen:
        """A browser that nobody has used yet."""
        citizen = Citizen(self)
        self._citizens.append(citizen)
        return citizen

    async def citizen(self, **person: Any) -> tuple[Citizen, UUID]:
        """A signed-in citizen, and their account."""
        account_id = await self.person(**person)
        browser = self.browser()
        await browser.sign_in(account_id)
        self.later(seconds=1)  # a request that comes in the very instant of a sign-in would count as later
        return browser, account_id

    async def history(self, account_id: UUID) -> list[str]:
        """The kinds of events in an account's history, the oldest first."""
        async with self.transaction() as db:
            key = await data_key_of(db, self.vault, account_id)
            return [event.kind for event in reversed(await activity_of(db, key, account_id))]

    async def work(self) -> None:
        """Let the outbox worker do all that is due."""
        await self.worker.drain()

    async def close(self) -> None:
        """End it."""
        for client in (self.wire, *(citizen.http for citizen in self._citizens)):
            await client.aclose()
        await self.house.close()


_idle: dict[bytes, list[tuple[House, ASGIApp]]] = defaultdict(list)
"""Applications whose town has ended, by the settings of their house: to make one takes longer than most tests."""


def _move_in(house: House) -> tuple[House, ASGIApp]:
    """The house with an application around it. One that stood around another house of the same settings serves it: it
    looks everything up in its own `House`, which becomes this one."""
    idle = _idle[msgspec.json.encode(house.settings)]
    if not idle:
        return house, create_app(house)
    known, app = idle.pop()
    house._messages = known._messages  # templates that are compiled already
    known.__dict__ = house.__dict__
    return known, app


@asynccontextmanager
async def new_town(
    database_url: str, settings: dict[str, Any] | None = None, **capabilities: Any
) -> AsyncIterator[Town]:
    """A town on a database with every table, or on a SQLite file that is not there yet. `settings` are the house's,
    `capabilities` replace what its provider can do."""
    clock, post, outside = Instant(), Post(), Outside()
    make_sqlite(database_url)
    engine = open_engine(database_url, 10, durable=False)
    vault = Vault(VaultKeys(wrapping={1: b"w" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32))
    database = Database(engine, keep=(Refusal, ProtocolError))
    store = MemoryStore(NOON - timedelta(days=1))
    chosen = msgspec.convert({"issuer": ISSUER, **(settings or {})}, Settings)
    house = House(chosen, clock, database, store, vault, post, CHEAPEST)  # type: ignore[arg-type]
    able = msgspec.structs.replace(house.provider.capabilities, **capabilities)
    house.provider = msgspec.structs.replace(house.provider, fetcher=outside, capabilities=able)
    house, app = _move_in(house)
    town = Town(house, app, clock, post, outside)
    try:
        async with town.transaction() as db:
            await ensure_keys(db, house.key_holder, clock.now(), ["ES256"])  # an RSA key takes half a second to find
        yield town
    finally:
        await town.close()
        _idle[msgspec.json.encode(chosen)].append((house, app))


def claims_of(jwt: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    part = jwt.split(".")[1]
    claims: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
