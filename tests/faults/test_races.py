"""A hundred at once through HTTP, over four worker processes on PostgreSQL and Redis: exactly one gets through."""

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
from sqlalchemy import ColumnElement, func, select

from accounts.account import Account
from accounts.activity import Activity
from accounts.contact import Contact
from identity.confirmation_code import ConfirmationCode
from identity.session import Session, is_alive
from identity.sms import use_phone
from oidc.protocol.pkce import s256

pytestmark = [pytest.mark.anyio, pytest.mark.services]

SECRET = "what the service and its workers know"
WORKERS = 4
POOL = ("database.pool_size=40",)
"""So that nobody waits for a connection: what is raced is the statement."""
ID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
Send = Callable[[httpx2.AsyncClient], Awaitable[httpx2.Response]]


SEED = pyotp.random_base32()
PHONE = "+447700900123"


@pytest.fixture(scope="module")
async def four(module_postgres_redis: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Four workers that let anybody try as often as they like: else the throttle would end the race at its start."""
    seeds, people = people_of(5)
    for seed in seeds:
        people = people.replace(seed, SEED)
    people = people.replace('handle = "person3"\n', f'handle = "person3"\nphone_number = "{PHONE}"\n')
    folder = tmp_path_factory.mktemp("races")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("config.workers.COMMAND", (sys.executable, str(Path(generous_worker.__file__))))
        async with fleet(
            folder,
            module_postgres_redis,
            [registered("parks", SECRET, id_token_signed_response_alg="ES256")],
            people,
            WORKERS,
            *POOL,
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


async def test_a_hundred_redemptions_of_a_code_give_tokens_once(four: Fleet) -> None:
    """R4, R78: and because the other ninety-nine are replays, what the one got is dead."""
    visitor = four.visitor("person0", SEED)
    verifier = secrets.token_urlsafe(48)
    asked = {
        "client_id": "parks", "response_type": "code", "scope": "openid", "redirect_uri": CALLBACK,
        "code_challenge": s256(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    landed = await visitor.visit(str(httpx2.URL(f"{four.issuer}/authorize", params=asked)))
    grant = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(landed).query)["code"][0],
             "redirect_uri": CALLBACK, "code_verifier": verifier}  # fmt: skip

    redeem: Send = lambda http: http.post(f"{four.issuer}/token", data=grant, auth=("parks", SECRET))  # noqa: E731

    answers = await at_once(four, [redeem] * 100)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 99}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    bearer = {"authorization": f"Bearer {won['access_token']}"}
    dead = await asyncio.to_thread(four.client().get, f"{four.issuer}/userinfo", headers=bearer)
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


async def sessions_of(running: Fleet, handle: str, alive: bool = False) -> int:
    async with running.house.database.begin() as db:
        found = select(func.count()).select_from(Session).where(Session.account_id == running.people[handle])
        return int(await db.scalar(found.where(is_alive(running.house.clock.now())) if alive else found))


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


async def test_a_hundred_uses_of_a_recovery_code_sign_in_once(four: Fleet) -> None:
    """R24: in whatever browser."""
    await spend_everywhere(four, "person1", "code-one-of-1")


async def test_a_hundred_uses_of_a_totp_step_sign_in_once(four: Fleet) -> None:
    """R24: RFC 6238 section 5.2, a step is good for one use."""
    await spend_everywhere(four, "person2", pyotp.TOTP(SEED).at(four.house.clock.now()))


async def test_a_hundred_uses_of_a_text_messages_code_sign_in_once(four: Fleet) -> None:
    """R24, R25: it belongs to one sign-in, so this is one browser whose button is pressed a hundred times. Who comes
    second finds the way on, or a session's cookie like the first one's."""
    handle, now = "person3", four.house.clock.now()
    async with four.house.database.begin() as db:
        owned = (Contact.account_id == four.people[handle]) & (Contact.kind == "phone")
        contact = await db.scalar(select(Contact.id).where(owned))
        assert await use_phone(db, four.people[handle], contact, now)
    [form] = await waiting_for_a_code(four, handle, 1)
    form.address += "?use=text"
    await asyncio.to_thread(form.post, action="text")
    code = (await four.mail(PHONE))[0].code or ""

    answers = await at_once(four, [form.send(code=code)] * 100)

    assert {answer.status_code for answer in answers} <= {303, 400}
    cookies = {answer.headers["set-cookie"] for answer in answers if "session=" in answer.headers.get("set-cookie", "")}
    assert len(cookies) == 1, "one secret"
    assert await sessions_of(four, handle) == 1
    assert await used(four, ConfirmationCode.account_id == four.people[handle]) == 1


async def used(running: Fleet, which: ColumnElement[bool]) -> int:
    """How many guesses the codes took that were accepted."""
    async with running.house.database.begin() as db:
        found = select(func.sum(ConfirmationCode.attempts)).where(which, ConfirmationCode.used_at.is_not(None))
        return int(await db.scalar(found) or 0)


async def test_a_hundred_presses_on_this_was_not_me_stop_everything_once(four: Fleet) -> None:
    """R24, R51: five browsers in which nobody is signed in, the one link of a notice."""
    handle = "person4"
    for _ in range(2):
        [form] = await waiting_for_a_code(four, handle, 1)
        await asyncio.to_thread(form.post, code=pyotp.TOTP(SEED).at(four.house.clock.now()))
        four.house.clock.advance(31)
    mail = (await four.mail(f"{handle}@example.org"))[0]
    link = re.search(r"https?://\S+/not-me/\S+", mail.text)
    assert link is not None
    forms = []
    for _ in range(5):
        http = four.client()
        forms.append(Form(http, Page(await asyncio.to_thread(http.get, link[0])), "not-me"))

    answers = await at_once(four, [form.send() for form in forms for _ in range(20)])

    assert {answer.status_code for answer in answers} <= {200, 303}
    async with four.house.database.begin() as db:
        said = select(func.count()).select_from(Activity).where(Activity.account_id == four.people[handle])
        assert await db.scalar(said.where(Activity.kind == "not_me")) == 1
    assert await sessions_of(four, handle, alive=True) == 0


async def test_a_hundred_confirmations_of_one_address_make_one_account_and_answer_alike(four: Fleet) -> None:
    """R27, R78: five registrations of one address, twenty posts of each code."""
    address = "nea@example.org"
    before = await accounts(four)
    forms = []
    for count in range(1, 6):
        http = four.client()
        page = await asyncio.to_thread(http.get, f"{four.issuer}/register", follow_redirects=True)
        form = Form(http, Page(page), "register")
        asked = await asyncio.to_thread(form.post, identifier=address)
        page = await asyncio.to_thread(http.get, str(asked.url.join(asked.headers["location"])))
        mail = (await four.mail(address, count))[0]
        forms.append((Form(http, Page(page), "register"), mail.code or ""))

    answers = await at_once(four, [form.send(code=code) for form, code in forms for _ in range(20)])

    alike = {
        (answer.status_code, ID.sub("ID", answer.headers["location"]), ID.sub("", answer.text)) for answer in answers
    }
    assert alike == {(303, "/register/ID/password", "")}
    assert await accounts(four) == before + 1


async def accounts(running: Fleet) -> int:
    async with running.house.database.begin() as db:
        return int(await db.scalar(select(func.count()).select_from(Account)))
