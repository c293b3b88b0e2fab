"""A hundred at once through HTTP, over three worker processes on PostgreSQL and Redis: exactly one gets through."""

import asyncio
import re
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import generous_worker
import httpx2
import pyotp
import pytest
from fleet import Alternating, Fleet, fleet
from party import Visitor, people_of, registered
from services import Backend
from simulated import CALLBACK, Page
from sqlalchemy import func, select

from accounts.account import Account
from identity.session import Session
from oidc.protocol.pkce import s256

pytestmark = [pytest.mark.anyio, pytest.mark.services]

SECRET = "what the service and its workers know"
WORKERS = 3
POOL = ("database.pool_size=40",)
"""So that nobody waits for a connection: what is raced is the statement."""
ID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
Send = Callable[[httpx2.AsyncClient], Awaitable[httpx2.Response]]


SEED = pyotp.random_base32()


@pytest.fixture(scope="module")
async def three(module_postgres_redis: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Three workers that let anybody try as often as they like: else the throttle would end the race at its start."""
    seeds, people = people_of(3)
    for seed in seeds:
        people = people.replace(seed, SEED)
    folder = tmp_path_factory.mktemp("races")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("config.workers.COMMAND", (sys.executable, str(Path(generous_worker.__file__))))
        async with fleet(
            folder,
            module_postgres_redis,
            [registered("parks", SECRET, id_token_signed_response_alg="ES256")],
            people,
            WORKERS,
        ) as running:
            yield running


class Form:
    """A form as a browser without scripts holds it: where it goes, its fields as they came, the browser's cookies."""

    def __init__(self, http: httpx2.Client, page: Page, name: str) -> None:
        assert page.name == name, page.name
        action, self.fields, _ = next(form for form in page.forms if ("action", "continue") in form[2])
        self.address = str(httpx2.URL(page.address).join(action))
        self.http = http

    def post(self, **typed: str) -> httpx2.Response:
        """Send it once."""
        return self.http.post(self.address, data={**self.fields, **typed, "action": "continue"})

    def send(self, **typed: str) -> Send:
        """Send it from a connection of its own."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        data = {**self.fields, **typed, "action": "continue"}
        return lambda http: http.post(self.address, data=data, headers={"cookie": cookies})


async def at_once(running: Fleet, sends: Sequence[Send]) -> list[httpx2.Response]:
    """All of these at one moment, each on a connection of its own, over every worker in turn."""
    gate = asyncio.Event()

    async def one(number: int, send: Send) -> httpx2.Response:
        port = running.ports[number % len(running.ports)]
        async with httpx2.AsyncClient(transport=Alternating([port]), timeout=120, verify=False) as http:
            await gate.wait()
            answer = await send(http)
            await answer.aread()
            return answer

    asked = [asyncio.create_task(one(number, send)) for number, send in enumerate(sends)]
    await asyncio.sleep(0.05)
    gate.set()
    return await asyncio.gather(*asked)


async def test_a_hundred_redemptions_of_a_code_give_tokens_once(three: Fleet) -> None:
    """R4, R78: and because the other ninety-nine are replays, what the one got is dead."""
    visitor = three.visitor("person0", SEED)
    verifier = secrets.token_urlsafe(48)
    asked = {
        "client_id": "parks", "response_type": "code", "scope": "openid", "redirect_uri": CALLBACK,
        "code_challenge": s256(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    landed = await visitor.visit(str(httpx2.URL(f"{three.issuer}/authorize", params=asked)))
    grant = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(landed).query)["code"][0],
             "redirect_uri": CALLBACK, "code_verifier": verifier}  # fmt: skip

    redeem: Send = lambda http: http.post(f"{three.issuer}/token", data=grant, auth=("parks", SECRET))  # noqa: E731

    answers = await at_once(three, [redeem] * 100)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 99}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    bearer = {"authorization": f"Bearer {won['access_token']}"}
    dead = await asyncio.to_thread(three.client().get, f"{three.issuer}/userinfo", headers=bearer)
    assert dead.status_code == 401


async def waiting_for_a_code(running: Fleet, handle: str, count: int) -> list[Form]:
    """So many browsers of one person, each at its second step."""
    visitors = [running.visitor(handle, SEED) for _ in range(count)]
    return [await asyncio.to_thread(_at_the_second_step, visitor) for visitor in visitors]


def _at_the_second_step(visitor: Visitor) -> Form:
    answer = visitor.http.get(f"{visitor.simulator.issuer}/sign-in?return_to=/account", follow_redirects=True)
    answer = visitor.fill(Page(answer), "continue")
    while answer.is_redirect:
        answer = visitor.http.get(str(answer.url.join(answer.headers["location"])))
    return Form(visitor.http, Page(answer), "second-factor")


async def sessions_of(running: Fleet, handle: str) -> int:
    async with running.house.database.begin() as db:
        found = select(func.count()).select_from(Session).where(Session.account_id == running.people[handle])
        return int(await db.scalar(found))


async def spend_everywhere(running: Fleet, handle: str, code: str) -> None:
    """Five browsers of one person, twenty posts of each, one code: one session comes of it."""
    forms = await waiting_for_a_code(running, handle, 5)

    answers = await at_once(running, [form.send(code=code) for form in forms for _ in range(20)])

    won = [answer for answer in answers if "session=" in answer.headers.get("set-cookie", "")]
    assert len(won) == 1
    assert await sessions_of(running, handle) == 1
    winner = won[0].request.url.path
    others = Counter(answer.status_code for answer in answers if answer.request.url.path != winner)
    assert others == {400: 80}, "code wrong, and nothing else: no 429, no 5xx"
    assert {answer.status_code for answer in answers if answer.request.url.path == winner} <= {303, 400}


async def test_a_hundred_uses_of_a_recovery_code_sign_in_once(three: Fleet) -> None:
    """R24: in whatever browser."""
    await spend_everywhere(three, "person1", "code-one-of-1")


async def test_a_hundred_uses_of_a_totp_step_sign_in_once(three: Fleet) -> None:
    """R24: RFC 6238 section 5.2, a step is good for one use."""
    await spend_everywhere(three, "person2", pyotp.TOTP(SEED).at(three.house.clock.now()))


async def test_a_hundred_confirmations_of_one_address_make_one_account_and_answer_alike(three: Fleet) -> None:
    """R27, R78: five registrations of one address, twenty posts of each code."""
    address = "nea@example.org"
    before = await accounts(three)
    forms = []
    for count in range(1, 6):
        http = three.client()
        page = await asyncio.to_thread(http.get, f"{three.issuer}/register", follow_redirects=True)
        form = Form(http, Page(page), "register")
        asked = await asyncio.to_thread(form.post, identifier=address)
        page = await asyncio.to_thread(http.get, str(asked.url.join(asked.headers["location"])))
        mail = (await three.mail(address, count))[0]
        forms.append((Form(http, Page(page), "register"), mail.code or ""))

    answers = await at_once(three, [form.send(code=code) for form, code in forms for _ in range(20)])

    alike = {
        (answer.status_code, ID.sub("ID", answer.headers["location"]), ID.sub("", answer.text)) for answer in answers
    }
    assert alike == {(303, "/register/ID/password", "")}
    assert await accounts(three) == before + 1


async def accounts(running: Fleet) -> int:
    async with running.house.database.begin() as db:
        return int(await db.scalar(select(func.count()).select_from(Account)))
