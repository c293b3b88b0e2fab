"""Who may do what at which door (R77): tried on every route of the application, and held against a reviewed table."""

import base64
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import httpx2
import msgspec
import pytest
from residents import PASSWORD, begin_for
from sqlalchemy import select, text, update
from town import FORM, ISSUER, SECRET, VERIFIER, Service, Shown, Town, new_town

from accounts.account import data_key_of
from accounts.citizen import Browser
from accounts.consent import Consent, give_consent
from accounts.consent import Shown as Notice
from accounts.contact import Contact
from config.app import create_routes
from config.tables import metadata
from identity import password, recovery_code, totp
from identity.totp import Totp
from oidc.protocol.pkce import s256
from oidc.protocol.polling import INTERVAL
from oidc.sign_out import Ended, keep
from oidc.waiting_request import AskedFor, WaitingRequest, open_request

pytestmark = pytest.mark.anyio

TABLE = Path(__file__).with_name("authorization_matrix.md")
ROLES = ("nobody", "enrolling", "citizen", "fresh", "suspended", "another's", "client")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WITHOUT_FORM_TOKEN = {
    "DELETE /connect/register/{client_id}",
    "POST /authorize",
    "POST /backchannel-authentication",
    "POST /connect/register",
    "POST /device_authorization",
    "POST /end-session",
    "POST /introspect",
    "POST /par",
    "POST /revoke",
    "POST /token",
    "POST /userinfo",
    "PUT /connect/register/{client_id}",
}
"""Protocol endpoints, to which other sites send forms and programs speak; no cookie of ours gives them power."""
SETTINGS = {"registration": {"mode": "open"}, "logout": {"session_management": True}}
"""So that doors which are off by default are open."""
SIX_MINUTES = timedelta(minutes=6)
"""Longer than a sign-in is fresh (R30)."""
OBJECTS = {"sign_in_id", "registration_id", "consent_id", "authenticator_id", "secret", "interaction", "session"}
OBJECTS |= {"device_request", "ciba_request"}
OBJECTS |= {"contact_id", "change_id", "visit_id"}
FORMS: dict[str, dict[str, str]] = {
    "/register": {"sign_in": "{sign_in_id}", "identifier": "{new_address}"},
    "/authorize/consent": {"interaction": "{interaction}", "action": "allow"},
    "/authorize/select-account": {"interaction": "{interaction}", "action": "continue"},
    "/authorize/cancel": {"interaction": "{interaction}"},
    "/account/contacts": {"contact": "{contact_id}", "action": "continue"},
    "/account/contacts/new/{kind}": {"identifier": "{new_address}"},
    "/recovery/contacts": {"identifier": "{new_address}"},
    "/account/sessions": {"session": "{session}", "action": "end"},
    "/token": {"grant_type": "authorization_code", "code": "unknown", "code_verifier": VERIFIER},
    "/introspect": {"token": "unknown"},
    "/device": {"user_code": "BCDF-GHJK", "action": "continue"},
    "/device/{request_id}": {"request": "{device_request}"},
    "/account/requests/{request_id}": {"request": "{ciba_request}"},
    "/revoke": {"token": "unknown"},
    "/par": {
        "response_type": "code",
        "redirect_uri": "https://parks.example/callback",
        "scope": "openid",
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
    },
}
"""What is sent along where the main button alone would say nothing."""


class Door(msgspec.Struct, frozen=True):
    """One method of one route."""

    method: str
    path: str
    needs_token: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def objects(self) -> set[str]:
        """What it is about: the ids in its address or form."""
        return OBJECTS & set(re.findall(r"{(\w+)}", f"{self.path} {FORMS.get(self.path)}"))

    @property
    def of_nothing(self) -> str:
        """Its address, with an id that nothing has."""
        return re.sub(r"{\w+_id}", str(UUID(int=7)), self.path).replace("{kind}", "app")


def doors(town: Town) -> Iterator[Door]:
    """Every door of the application, as it is registered."""
    for route in sorted(create_routes(town.house).routes, key=lambda route: route.path):
        handlers = {method: handler for handler in route.route_handlers for method in handler.http_methods}  # type: ignore[union-attr]
        for method in METHODS:
            if method in handlers:
                is_exempt = method == "GET" or handlers[method].opt.get("csrf") is False
                yield Door(method, route.path_format, not is_exempt)


class Caller:
    """Somebody at a door: their browser, their account, and what belongs to them."""

    def __init__(self, town: Town, service: Service, account_id: UUID, is_suspended: bool) -> None:
        self.town, self.service, self.account_id, self.is_suspended = town, service, account_id, is_suspended
        self.browser = town.browser()

    async def sign_in_id(self) -> str:
        return (await begin_for(self.town, self.browser)).removeprefix("/sign-in/")

    async def registration_id(self) -> str:
        page = await self.browser.see(f"/register?sign_in={await self.sign_in_id()}")
        answer = await self.browser.press(page, "continue", identifier=new_address())
        return str(answer.headers["location"].rpartition("/")[2])

    async def consent_id(self) -> str:
        notice = Notice("Parks", "To know you.", "2026-11", "en")
        async with self.town.transaction() as db:
            await give_consent(
                db, self.account_id, "parks", scopes=["openid"], claims=["email"], shown=notice,
                lawful_basis="consent", now=self.town.clock.now(),
            )  # fmt: skip
            return str(await db.scalar(select(Consent.id).where(Consent.account_id == self.account_id)))

    async def authenticator_id(self) -> str:
        async with self.town.transaction() as db:
            own = await db.scalar(select(Totp.id).where(Totp.account_id == self.account_id).limit(1))
        return str(own or UUID(int=7))

    async def contact_id(self) -> str:
        async with self.town.transaction() as db:
            return str(await db.scalar(select(Contact.id).where(Contact.account_id == self.account_id)))

    async def change_id(self) -> str:
        """A new address that waits for its code, where this caller may begin with one."""
        page = await self.browser.see("/account/contacts/new/email")
        if page.action != "/account/contacts/new/email":
            return str(UUID(int=7))
        answer = await self.browser.press(page, "continue", identifier=new_address())
        return str(answer.headers["location"].rpartition("/")[2])

    async def visit_id(self) -> str:
        page = await self.browser.see("/recovery/contacts")
        answer = await self.browser.press(page, "continue", identifier=new_address())
        return str(answer.headers["location"].rpartition("/")[2])

    async def session(self) -> str:
        return str(self.browser.session_id)

    async def secret(self) -> str:
        ended = Ended(self.browser.session_id or UUID(int=7), None, None)
        async with self.town.transaction() as db:
            return await keep(db, self.town.vault, ended, self.town.clock.now())

    async def device_request(self) -> str:
        """One whose code was typed in this browser."""
        return await self._request("device", None)

    async def ciba_request(self) -> str:
        """One that waits for this citizen."""
        return await self._request("ciba", self.account_id)

    async def _request(self, kind: Literal["device", "ciba"], account_id: UUID | None) -> str:
        now, wait = self.town.clock.now(), timedelta(minutes=10)
        await self.browser.get("/authorize")  # for the cookie
        async with self.town.transaction() as db:
            opened = await open_request(
                db, self.town.vault, kind, "parks", AskedFor(("openid",)), lifetime=wait, interval=INTERVAL, now=now,
                account_id=account_id,
            )  # fmt: skip
            assert opened is not None
            if kind == "device":
                digest = Browser(self.browser.http.cookies["__Host-browser"]).digest
                await db.execute(update(WaitingRequest).where(WaitingRequest.id == opened.id).values(browser=digest))
        return str(opened.id)

    async def interaction(self) -> str:
        """An open one, bound to this browser by looking at it (a suspended citizen's would end with that)."""
        asked = urlencode(self.service.fields(prompt="consent"))
        address: str = (await self.browser.http.post("/authorize", content=asked, headers=FORM)).headers["location"]
        if not self.is_suspended:
            await self.browser.get(address)
        return address.rpartition("=")[2]


class Trial:
    """Tries doors in a town with one service."""

    def __init__(self, town: Town, service: Service, hashed: str) -> None:
        self.town, self.service, self._hashed = town, service, hashed
        self._token: tuple[datetime, str] | None = None

    async def somebody(self, role: str) -> Caller:
        """A new person in this role, at a browser of their own."""
        town, now = self.town, self.town.clock.now()
        state = role if role in ("enrolling", "suspended") else "active"
        account_id = await town.person(email=new_address(), state=state)
        async with town.transaction() as db:
            await password.set_password(db, account_id, self._hashed, now)
            if role != "enrolling":
                key = await data_key_of(db, town.vault, account_id)
                for name in ("Phone", "Tablet"):
                    await totp.add(db, key, account_id, totp.new_seed(), name, now)
                await recovery_code.make_codes(db, town.vault, account_id, now)
        caller = Caller(town, self.service, account_id, role == "suspended")
        if role not in ("nobody", "client"):
            known = {"acr": "aal1", "amr": ("pwd",)} if role == "enrolling" else {}
            ago = SIX_MINUTES if role == "citizen" else timedelta()
            town.clock.moment -= ago
            await caller.browser.sign_in(account_id, **known)  # type: ignore[arg-type]
            town.clock.moment += ago + timedelta(seconds=1)
        return caller

    async def outcome(self, door: Door, role: str) -> str:
        """What this door answers to somebody in this role."""
        if role == "another's" and not door.objects:
            return "-"
        caller = await self.somebody("fresh" if role == "another's" else role)
        owner = await self.somebody("fresh") if role in ("another's", "client") else caller
        sources: dict[str, Callable[[], Awaitable[str]]] = {name: getattr(owner, name) for name in door.objects}
        values = {name: await source() for name, source in sources.items()}
        values |= {
            "kind": "email" if "contacts" in door.path else "app",
            "client_id": self.service.client_id,
            "file": await self._asset(),
            "new_address": new_address(),
        }
        values["request_id"] = values.get("device_request") or values.get("ciba_request", "")
        form = {name: text.format(**values) for name, text in FORMS.get(door.path, {"action": "continue"}).items()}
        if door.path == "/authorize":
            form = self.service.fields(prompt="none")
        elif door.path == "/authorize/consent":
            form = {**Shown(await owner.browser.get(f"/authorize?interaction={values['interaction']}")).hidden, **form}
        before = await self._others(caller) if role == "another's" else set[tuple[object, ...]]()
        answer = await self._ask(door, door.path.format(**values), form, None if role == "client" else caller)
        if role == "another's":
            assert not before - await self._others(caller), f"{door.name} changed what belongs to somebody else"
        return in_words(answer)

    async def _ask(self, door: Door, path: str, form: dict[str, str], caller: Caller | None) -> httpx2.Response:
        headers = {"accept": "application/problem+json, */*;q=0.1"}
        http = self.town.wire
        if caller is None:
            http.cookies.clear()
            headers["authorization"] = await self._credentials(door)
            if door.path == "/token":
                form = await self._code()
        else:
            http = caller.browser.http
            headers["origin"] = ISSUER
            if door.needs_token:
                form["csrf_token"] = (await caller.browser.see("/register")).hidden["csrf_token"]
        if door.method == "GET":
            return await http.get(path, params=form if door.path.startswith("/authorize") else None, headers=headers)
        return await http.request(door.method, path, content=urlencode(form), headers={**FORM, **headers})

    async def _credentials(self, door: Door) -> str:
        """What a service shows: its secret where programs speak to us, else an access token that is good."""
        if door.name in WITHOUT_FORM_TOKEN and door.path != "/userinfo":
            return "Basic " + base64.b64encode(f"{self.service.client_id}:{SECRET}".encode()).decode()
        now = self.town.clock.now()
        if self._token is None or now - self._token[0] > SIX_MINUTES:
            citizen = await self.somebody("fresh")
            self._token = now, (await self.service.enter(citizen.browser))["access_token"]
        return f"Bearer {self._token[1]}"

    async def _code(self) -> dict[str, str]:
        """A code that nobody has redeemed, as the token endpoint wants it."""
        citizen = (await self.somebody("fresh")).browser
        answer = await citizen.follow(await citizen.get(self.service.address()))
        code = self.service.answer(await citizen.follow(await citizen.press(Shown(answer), "allow")))["code"]
        where = {"redirect_uri": self.service.redirect_uri, "code_verifier": VERIFIER}
        return {"grant_type": "authorization_code", "code": code, **where}

    async def _asset(self) -> str:
        """The style sheet's name."""
        found = re.search(r'/static/([^"]+\.css)', (await self.town.wire.get("/help")).text)
        assert found
        return found[1]

    async def _others(self, caller: Caller) -> set[tuple[object, ...]]:
        """Every row of the database but the caller's own, as SQLite keeps it."""
        rows: set[tuple[object, ...]] = set()
        async with self.town.transaction() as db:
            for table in metadata.sorted_tables:
                own = f" WHERE account_id IS NOT '{caller.account_id.hex}'" if "account_id" in table.c else ""
                rows |= {(table.name, *row) for row in await db.all(text(f'SELECT * FROM "{table.name}"{own}'))}
        return rows


def new_address() -> str:
    """One that nobody has, so that no limit on one address is met."""
    return f"{secrets.token_hex(6)}@example.org"


def in_words(answer: httpx2.Response) -> str:
    """The status, and which page, which reason, or where to."""
    if answer.status_code == 303:
        location = urlsplit(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[\w-]{43}", "*", answer.headers["location"]))
        if location.path == "/sign-in":
            return "sign in again" if "fresh=1" in location.query else "sign in"
        if location.netloc:
            error = re.search(r"error=(\w+)", location.query)
            return f"to service: {error[1] if error else 'code'}"
        return f"to {location.path}"
    kind = answer.headers.get("content-type", "")
    if "json" in kind and answer.content:
        body = answer.json()
        return f"{answer.status_code} {body.get('reason') or body.get('error') or ''}".strip()
    if kind.startswith("text/html"):
        return f"{answer.status_code} {Shown(answer).name}".rstrip()
    return str(answer.status_code)


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[Trial]:
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/town.sqlite", SETTINGS) as town:
        yield Trial(town, await town.service(), await town.house.hasher.hash(PASSWORD))


async def test_every_door_lets_in_whom_the_table_says_and_nobody_else(trial: Trial) -> None:
    """R77: every route x method x role. A door that the table does not have fails, and so does a row without a door.

    After a change: read each difference as an attacker would, then write it into the table.
    """
    found = set()
    for door in doors(trial.town):
        found.add(f"| {' | '.join([door.name, *[await trial.outcome(door, role) for role in ROLES]])} |")
    written = {row for row in TABLE.read_text("utf-8").split("| --- ", 1)[1].splitlines()[1:] if row.startswith("|")}
    tried = [f"tried:   {row}" for row in sorted(found - written)]
    assert found == written, "\n".join(["", *tried, *(f"written: {row}" for row in sorted(written - found))])


async def test_no_door_takes_another_method(trial: Trial) -> None:
    """R77: what no handler takes is 405 for everybody, and says what it would take."""
    known = {door.name: door for door in doors(trial.town)}
    for door in {door.path: door for door in known.values()}.values():
        for method in METHODS:
            if f"{method} {door.path}" not in known:
                answer = await trial.town.wire.request(method, door.of_nothing, headers={"origin": ISSUER})
                assert answer.status_code == 405, (method, door.path, answer.status_code)
                assert answer.headers["allow"], (method, door.path)


async def test_only_protocol_endpoints_do_without_a_form_token(trial: Trial) -> None:
    """R77: the list is exact, so that nobody opts out in passing."""
    exempt = {door.name for door in doors(trial.town) if door.method != "GET" and not door.needs_token}
    assert exempt == WITHOUT_FORM_TOKEN


async def test_every_form_is_refused_without_its_token_from_elsewhere_and_without_cookies(trial: Trial) -> None:
    """R77: at each unsafe door, to a citizen who might do everything there."""
    browser = (await trial.somebody("fresh")).browser
    own = (await browser.see("/register")).hidden["csrf_token"]
    strangers = (await trial.town.browser().see("/register")).hidden["csrf_token"]
    for door in [door for door in doors(trial.town) if door.needs_token]:
        for http, token, origin, refusal in (
            (browser.http, "", ISSUER, (403, "form_expired")),
            (browser.http, "wrong", ISSUER, (403, "form_expired")),
            (browser.http, strangers, ISSUER, (403, "form_expired")),
            (browser.http, own, "https://parks.example", (403, "cross_site")),
            (browser.http, own, "null", (403, "cross_site")),
            (trial.town.wire, own, ISSUER, (400, "cookies_refused")),
        ):
            headers = {**FORM, "origin": origin, "accept": "application/json"}
            content = urlencode({"csrf_token": token, "action": "continue"})
            answer = await http.request(door.method, door.of_nothing, content=content, headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == refusal, (door.name, origin)
