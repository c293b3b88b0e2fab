"""Redis loses its memory, or dies, in the middle of a journey: what works once has worked once, limits stay, and what
cannot be answered is said quickly (R75). Two worker processes of the product, and a Redis of this file's own."""

import asyncio
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
import pyotp
import pytest
import redis
from fleet import Fleet, fleet
from joserfc import jwt
from joserfc.jwk import ECKey
from party import Visitor, people_of, registered
from servers import program
from services import Backend
from simulated import CALLBACK, Page, free_port
from soft_passkey import SoftPasskey
from town import Shown

from oidc.protocol.pkce import s256

pytestmark = [pytest.mark.anyio, pytest.mark.services]

SECRET = "what the service and its workers know"
ES256 = {"id_token_signed_response_alg": "ES256"}
KEY = ECKey.generate_key("P-256", {"kid": "of-the-service", "use": "sig", "alg": "ES256"})
CLIENTS = [
    registered("parks", SECRET, **ES256),
    registered("by-key", token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY.as_dict(private=False)]},
               **ES256),
]  # fmt: skip
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST = 2.0
"""Seconds for an answer without Redis: its calls end after 0.25; the rest is a busy machine's."""
FLUSHED, KILLED = "flushed", "killed"
Ask = Callable[[], httpx2.Response]


class Redis:
    """A server of this file's own, nothing of it on disk."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen([program("Redis"), *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        with redis.Redis(port=self.port) as connection:
            connection.flushall()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    started = Redis(tmp_path_factory.mktemp("redis"))
    started.start()
    yield started
    started.kill()


class Town:
    """The workers, their Redis, people who have not signed in yet. Everybody comes from an address of their own."""

    def __init__(self, running: Fleet, memory: Redis, seeds: list[str]) -> None:
        self.fleet, self.memory, self.issuer = running, memory, running.issuer
        self._seeds, self._handles = seeds, iter(range(len(seeds)))
        self._addresses = iter(range(1, 250))

    def visitor(self, number: int | None = None) -> Visitor:
        """Somebody new, or another browser of somebody."""
        number = next(self._handles) if number is None else number
        visitor = self.fleet.visitor(f"person{number}", self._seeds[number])
        visitor.http.headers["x-forwarded-for"] = f"198.51.100.{next(self._addresses)}"
        return visitor

    def browser(self) -> httpx2.Client:
        """Anybody's."""
        return self.fleet.client(headers={"x-forwarded-for": f"198.51.100.{next(self._addresses)}"})

    def lose(self, how: str, *meanwhile: Ask) -> list[int]:
        """Redis loses its memory; `meanwhile` is asked while it is gone: a page or 503 and quick, each time. The
        statuses of those answers."""
        statuses = []
        if how == FLUSHED:
            self.memory.flush()
        else:
            self.memory.kill()
            for ask in (*meanwhile, *meanwhile):
                began = time.monotonic()
                answer = ask()
                assert time.monotonic() - began < LONGEST, f"{answer.request.url.path} took its time"
                assert answer.status_code == 503 or answer.status_code < 500, (answer.request.url.path, answer.text)
                statuses.append(answer.status_code)
            self.memory.start()
        # The first proof that it is shown is refused, whatever it is: from then on it knows what is too old.
        assert self.post("/introspect", {"token": "unknown", **self.assertion()}).status_code == 401
        self.fleet.house.clock.advance(2)
        return statuses

    @property
    def moment(self) -> int:
        return int(self.fleet.house.clock.now().timestamp())

    def assertion(self) -> dict[str, str]:
        """`private_key_jwt`."""
        claims = {"iss": "by-key", "sub": "by-key", "aud": self.issuer, "jti": secrets.token_hex(16),
                  "iat": self.moment, "exp": self.moment + 60}  # fmt: skip
        signed = jwt.encode({"alg": "ES256", "kid": KEY.kid}, claims, KEY)
        return {"client_assertion_type": ASSERTION, "client_assertion": signed}

    def proof(self, **claims: Any) -> str:
        """A DPoP proof for the token endpoint."""
        said = {"jti": secrets.token_hex(16), "htm": "POST", "htu": f"{self.issuer}/token", "iat": self.moment}
        return jwt.encode(
            {"alg": "ES256", "typ": "dpop+jwt", "jwk": KEY.as_dict(private=False)}, {**said, **claims}, KEY
        )

    def post(self, path: str, fields: dict[str, str], **options: Any) -> httpx2.Response:
        """As a service does."""
        return self._service.post(self.issuer + path, data=fields, **options)

    @property
    def _service(self) -> httpx2.Client:
        return self.fleet.client()


@pytest.fixture(scope="module")
async def town(
    module_postgres_redis: Backend, memory: Redis, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    backend = msgspec.structs.replace(module_postgres_redis, store_url=f"redis://127.0.0.1:{memory.port}/0")
    seeds, people = people_of(16)
    options = ("throttle.per_address=20", "proxy.trusted=127.0.0.0/8")
    async with fleet(tmp_path_factory.mktemp("town"), backend, CLIENTS, people, 2, *options) as running:
        made = Town(running, memory, seeds)
        await outside(made.lose, FLUSHED)
        yield made


either = pytest.mark.parametrize("how", [FLUSHED, KILLED])


async def outside(of: Callable[..., Any], *arguments: Any) -> Any:
    """Beside the loop, in which the outbox worker runs."""
    return await asyncio.to_thread(of, *arguments)


# What a service holds.


def authorization(verifier: str, **more: str) -> dict[str, str]:
    return {"client_id": "parks", "response_type": "code", "scope": "openid", "redirect_uri": CALLBACK,
            "code_challenge": s256(verifier), "code_challenge_method": "S256", **more}  # fmt: skip


def code_grant(landed: str, verifier: str) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": parse_qs(urlsplit(landed).query)["code"][0],
            "redirect_uri": CALLBACK, "code_verifier": verifier}  # fmt: skip


@either
async def test_a_code_from_before_works_once(town: Town, how: str) -> None:
    """R4: not twice, and not never."""
    await outside(_code_from_before, town, how)


def _code_from_before(town: Town, how: str) -> None:
    visitor, verifier = town.visitor(), secrets.token_urlsafe(48)
    address = str(httpx2.URL(f"{town.issuer}/authorize", params=authorization(verifier)))
    spent, waiting = (code_grant(visitor.follow(address), verifier) for _ in range(2))
    assert town.post("/token", spent, auth=("parks", SECRET)).status_code == 200

    town.lose(how, lambda: town.browser().get(address))

    assert town.post("/token", waiting, auth=("parks", SECRET)).status_code == 200
    for grant in (spent, waiting):
        refused = town.post("/token", grant, auth=("parks", SECRET))
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


@either
async def test_a_pushed_request_from_before_leads_on_once(town: Town, how: str) -> None:
    """R5."""
    await outside(_pushed_from_before, town, how)


def _pushed_from_before(town: Town, how: str) -> None:
    visitor, verifier = town.visitor(), secrets.token_urlsafe(48)
    pushed = town.post("/par", authorization(verifier), auth=("parks", SECRET)).json()["request_uri"]
    asked = {"client_id": "parks", "request_uri": pushed}
    address = str(httpx2.URL(f"{town.issuer}/authorize", params=asked))

    town.lose(how, lambda: town.post("/par", authorization(verifier), auth=("parks", SECRET)))

    landed = visitor.follow(address)
    assert town.post("/token", code_grant(landed, verifier), auth=("parks", SECRET)).status_code == 200
    town.lose(how)
    again = visitor.http.get(address)
    assert again.status_code in (400, 409), "over, and no code again"


@either
async def test_a_client_assertion_works_once(town: Town, how: str) -> None:
    """R6: what was issued before the loss is refused, used or not; a new one works."""
    await outside(_assertion, town, how)


def _assertion(town: Town, how: str) -> None:
    used, unused = town.assertion(), town.assertion()
    assert town.post("/introspect", {"token": "unknown", **used}).status_code == 200

    statuses = town.lose(how, lambda: town.post("/introspect", {"token": "unknown", **unused}))

    assert set(statuses) <= {503}
    refused = [town.post("/introspect", {"token": "unknown", **each}) for each in (used, unused)]
    assert [each.status_code for each in refused] == [401, 401]
    assert town.post("/introspect", {"token": "unknown", **town.assertion()}).status_code == 200


@either
async def test_a_dpop_proof_works_once(town: Town, how: str) -> None:
    """R7: likewise."""
    await outside(_proof, town, how)


def _proof(town: Town, how: str) -> None:
    visitor, verifier = town.visitor(), secrets.token_urlsafe(48)
    address = str(httpx2.URL(f"{town.issuer}/authorize", params=authorization(verifier)))
    grants = [code_grant(visitor.follow(address), verifier) for _ in range(3)]
    redeem = lambda grant, proof: town.post("/token", grant, auth=("parks", SECRET), headers={"dpop": proof})  # noqa: E731
    used = town.proof()
    tokens = redeem(grants[0], used).raise_for_status().json()
    assert tokens["token_type"] == "DPoP"

    statuses = town.lose(how, lambda: redeem(grants[1], town.proof()))

    assert set(statuses) <= {503}
    refused = redeem(grants[1], used)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")
    assert redeem(grants[2], town.proof()).status_code == 200


# What a citizen is in the middle of.


class Tab:
    """A browser without scripts: where it is, and how its form goes on."""

    def __init__(self, http: httpx2.Client, address: str) -> None:
        self.http = http
        self.go(http.get(address))

    def go(self, answer: httpx2.Response) -> None:
        """Follow redirects to a page."""
        while answer.is_redirect:
            answer = self.http.get(str(answer.url.join(answer.headers["location"])))
        self.answer, self.page, self.shown = answer, Page(answer), Shown(answer)

    def send(self, action: str = "continue", **typed: str) -> httpx2.Response:
        """Send the form, its hidden fields as they came."""
        there, fields, _ = next(form for form in self.page.forms if ("action", action) in form[2])
        address = str(httpx2.URL(self.page.address).join(there))
        return self.http.post(address, data={**fields, **typed, "action": action})

    def on(self, action: str = "continue", **typed: str) -> str:
        """Send it and see where it leads: the name of that page."""
        self.go(self.send(action, **typed))
        return self.page.name


def first_step(town: Town, visitor: Visitor, path: str = "/sign-in?return_to=/account") -> Tab:
    """As far as the page for the second one."""
    tab = Tab(visitor.http, town.issuer + path)
    assert tab.on(identifier=f"{visitor.handle}@example.org", password=visitor.password) == "second-factor"
    return tab


@either
async def test_a_second_factor_is_still_asked_and_its_code_works_once(town: Town, how: str) -> None:
    """R24: what was proved and what was spent stands in SQL. A code that met no Redis is not spent."""
    await outside(_second_factor, town, how)


def _second_factor(town: Town, how: str) -> None:
    visitor = town.visitor()
    other = town.visitor(int(visitor.handle.removeprefix("person")))
    tab, elsewhere = first_step(town, visitor), first_step(town, other)
    code = visitor.code()

    statuses = town.lose(how, lambda: tab.send(code=code), lambda: tab.http.get(town.issuer + "/sign-in"))

    assert statuses[::2] in ([], [503, 503])
    code = visitor.code()
    assert tab.on(code=code) == "account"
    town.lose(how)
    assert elsewhere.on(code=code) == "second-factor", "a step is good for one use"
    assert elsewhere.answer.status_code == 400


@either
async def test_a_passkeys_ceremony_ends_with_the_store_and_the_next_one_works(town: Town, how: str) -> None:
    """R29: a challenge that is not known is no challenge; one that was used is not known either."""
    await outside(_passkey, town, how)


def _passkey(town: Town, how: str) -> None:
    visitor = town.visitor()
    tab = first_step(town, visitor, "/sign-in?return_to=/account/security/passkey")
    assert tab.on(code=visitor.code()) == "security"
    device = SoftPasskey(origin=town.issuer, rp_id="localhost")
    by_passkey = lambda tab, credential: tab.http.post(  # noqa: E731
        town.issuer + ceremony_of(tab)[0], data={**tab.shown.hidden, "credential": credential}
    )

    lost = device.create(ceremony_of(tab)[1])
    town.lose(how, lambda: by_passkey(tab, lost))
    tab.go(by_passkey(tab, lost))
    assert (tab.page.name, tab.answer.status_code) == ("security", 400)
    tab.go(by_passkey(tab, device.create(ceremony_of(tab)[1])))
    assert tab.answer.status_code == 200

    other = Tab(town.browser(), town.issuer + "/sign-in?return_to=/account")
    old = Tab(other.http, town.issuer + "/sign-in?return_to=/account")
    answer = device.get(ceremony_of(other)[1])
    other.go(by_passkey(other, answer))
    assert other.page.name == "account"
    town.lose(how)
    third = Tab(town.browser(), town.issuer + "/sign-in?return_to=/account")
    assert by_passkey(third, answer).status_code == 400
    assert old.http.get(town.issuer + "/account").status_code == 200, "sessions are not kept there"


def ceremony_of(tab: Tab) -> tuple[str, str]:
    """Where a page's script sends its answer, and the options for the device."""
    html = tab.answer.text
    action = html.split('data-action="')[1].split('"')[0]
    return action, html.split('id="passkey-options">')[1].split("</script>")[0]


@either
async def test_a_registration_goes_on(town: Town, how: str) -> None:
    """R31, R45: the code from the mail counts; recovery codes that can be shown no more are made anew."""
    address, http = f"nea-{how}@example.org", town.browser()
    tab = await outside(Tab, http, f"{town.issuer}/register")
    assert await outside(lambda: tab.on(identifier=address)) == "register"
    code = (await town.fleet.mail(address))[0].code or ""
    await outside(_registration, town, how, tab, code)


def _registration(town: Town, how: str, tab: Tab, code: str) -> None:
    statuses = town.lose(how, lambda: tab.send(code=code), lambda: tab.http.get(tab.page.address))
    assert statuses[::2] in ([], [503, 503])
    assert tab.on(code=code) == "register"
    assert tab.on(password="eleven quiet bicycles") == "enrol"
    seed = tab.answer.text.split("<code>")[1].split("</code>")[0].replace(" ", "")
    now = town.fleet.house.clock.now()
    assert tab.on(code=pyotp.TOTP(seed).at(now)) == "enrol"
    assert tab.shown.heading == "Your recovery codes"

    town.lose(how, lambda: tab.http.get(tab.page.address), lambda: tab.send())

    tab.go(tab.http.get(tab.page.address))
    assert tab.on("make") == "enrol"
    assert tab.answer.text.count("<li><code>") == 10
    assert tab.on() == "account"


@either
async def test_a_way_back_goes_on(town: Town, how: str) -> None:
    """R50: the code from the mail counts once, the recovery code once, and the waiting time begins."""
    visitor = town.visitor()
    address = f"{visitor.handle}@example.org"
    town.fleet.house.clock.advance(8 * 86400)  # a contact of less than a week proves nothing (R51)
    tab = await outside(Tab, visitor.http, f"{town.issuer}/recovery/contacts")
    await outside(lambda: tab.on(identifier=address))
    code = (await town.fleet.mail(address))[0].code or ""
    await outside(_way_back, town, how, tab, code, f"code-one-of-{visitor.handle.removeprefix('person')}")


def _way_back(town: Town, how: str, tab: Tab, code: str, spare: str) -> None:
    statuses = town.lose(how, lambda: tab.send(code=code), lambda: tab.http.get(tab.page.address))
    assert statuses[::2] in ([], [503, 503])
    tab.on(code=code)
    assert "recovery code" in tab.shown.text
    town.lose(how, lambda: tab.send(code=spare))
    assert tab.on(code=spare) == "recovery"
    assert tab.shown.heading == "The waiting time has begun"


@either
async def test_a_limit_does_not_fall_back_to_zero(town: Town, how: str) -> None:
    """R26: of twenty attempts from an address a lost store gives back less than a tenth."""
    await outside(_limit, town, how)


def _limit(town: Town, how: str) -> None:
    tab = Tab(town.browser(), f"{town.issuer}/recovery/contacts")
    ask = lambda: tab.send(identifier=f"{secrets.token_hex(6)}@example.org")  # noqa: E731
    assert [ask().status_code for _ in range(15)] == [303] * 15

    town.lose(how, ask)

    after = [ask().status_code for _ in range(10)]
    assert after.count(303) <= 20 // 10 + 5
    assert after[-1] == 429
