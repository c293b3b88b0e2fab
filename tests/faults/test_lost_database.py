"""The database goes away at any moment, is full or falls silent: everybody is told to come back, what does not need it
is answered, and all is well as soon as it is back (R75, R81)."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import msgspec
import pytest
from proxy import Proxy
from services import Backend
from sqlalchemy import make_url, text
from structlog.testing import capture_logs
from town import FORM, ISSUER, Shown, Town, new_town

from accounts.database import Database, digest
from accounts.errors import Refusal
from config.database import open_engine
from oidc.key_schedule import ANNOUNCED
from oidc.protocol.errors import ProtocolError

pytestmark = [pytest.mark.anyio, pytest.mark.services]

PROGRAMS = (
    ("POST", "/token", {"grant_type": "refresh_token", "refresh_token": "unknown"}),
    ("POST", "/par", {"client_id": "parks"}),
    ("POST", "/introspect", {"token": "unknown"}),
    ("POST", "/revoke", {"token": "unknown"}),
    ("POST", "/device_authorization", {"client_id": "parks"}),
    ("GET", "/userinfo", {}),
)


class Place:
    """A town whose database is behind a proxy, with a pool of its own."""

    def __init__(self, town: Town, proxy: Proxy, url: str) -> None:
        self.town, self.proxy, self._url = town, proxy, url
        self._first = town.house.database

    def use(self, pool_size: int = 2, statement_timeout: float = 10, silence: float = 10) -> None:
        """Another pool from now on."""
        engine = open_engine(self._url, pool_size, statement_timeout=statement_timeout, silence=silence)
        self.town.house.database = Database(engine, keep=(Refusal, ProtocolError))

    async def ask(self, method: str, path: str, fields: dict[str, str], **headers: str) -> httpx2.Response:
        """As a program."""
        if method == "GET":
            return await self.town.wire.get(path, headers={"authorization": "Bearer unknown", **headers})
        basic = {"authorization": "Basic cGFya3M6eA=="}
        return await self.town.wire.post(path, content=urlencode(fields), headers={**FORM, **basic, **headers})

    async def close(self) -> None:
        if self.town.house.database is not self._first:
            await self.town.house.database.engine.dispose()
            self.town.house.database = self._first


@pytest.fixture
async def place(postgres_redis: Backend) -> AsyncIterator[Place]:
    url = make_url(postgres_redis.database_url)
    proxy = Proxy(url.port or 0)
    await proxy.start()
    through = url.set(port=proxy.port).render_as_string(hide_password=False)
    async with new_town(through) as town:
        made = Place(town, proxy, through)
        yield made
        proxy.silence(False)
        await made.close()
    await proxy.refuse()


def is_told_to_come_back(answer: httpx2.Response) -> bool:
    return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


async def test_programs_are_told_in_their_own_words(place: Place) -> None:
    """RFC 6749 section 4.1.2.1's `temporarily_unavailable`, never stored, readable from every origin."""
    await place.town.service()
    await place.proxy.refuse()

    for method, path, fields in PROGRAMS:
        answer = await place.ask(method, path, fields)
        assert is_told_to_come_back(answer), (path, answer.status_code, answer.text)
        assert answer.json()["error"] == "temporarily_unavailable", path
        assert "no-store" in answer.headers["cache-control"], path
        assert answer.headers["access-control-allow-origin"] == "*", path

    await place.proxy.start()
    assert (await place.ask(*PROGRAMS[0])).status_code == 401


async def test_a_person_can_send_the_same_form_again(place: Place) -> None:
    """In their language, with what they typed, but nothing secret; and it works once the database is back."""
    citizen = place.town.browser()
    shown = await citizen.see("/sign-in?return_to=/account")
    fields = {**shown.hidden, "identifier": "ada@example.org", "password": "not for any page", "action": "continue"}
    fields["code"] = "927364"
    headers = {**FORM, "origin": ISSUER, "accept": "text/html", "accept-language": "fr"}
    await place.proxy.refuse()

    answer = await citizen.http.post(shown.action, content=urlencode(fields), headers=headers)

    assert is_told_to_come_back(answer)
    assert '<html lang="fr"' in answer.text
    again = Shown(answer)
    assert again.action == shown.action
    assert again.hidden["identifier"] == "ada@example.org"
    assert "not for any page" not in answer.text
    assert "927364" not in answer.text
    assert fields["csrf_token"] not in answer.text, "a token is masked anew for each page"

    await place.proxy.start()
    answer = await citizen.http.post(again.action, content=urlencode(again.hidden), headers=headers)
    assert answer.status_code == 400, "the password is asked for once more"
    assert 'value="ada@example.org"' in answer.text


async def test_a_page_that_was_only_looked_at_has_a_link_to_itself(place: Place) -> None:
    citizen, _ = await place.town.citizen()
    await place.proxy.refuse()

    answer = await citizen.get("/account/history?before=x&lang=cy")

    assert is_told_to_come_back(answer)
    assert '<html lang="cy"' in answer.text
    assert Shown(answer).links.count("/account/history?before=x&lang=cy") == 2, "and the one of its language"


async def test_discovery_and_keys_are_answered_from_memory_as_long_as_the_schedule_allows(place: Place) -> None:
    """No key signs that is not in what was known: each is announced for an hour before it does (Core 10.1.1)."""
    wire = place.town.wire
    known = (await wire.get("/jwks")).json()
    await place.proxy.refuse()
    place.town.later(seconds=ANNOUNCED.total_seconds() - 1)

    assert (await wire.get("/jwks")).json() == known
    assert (await wire.get("/.well-known/openid-configuration")).status_code == 200
    place.town.later(seconds=1)
    assert is_told_to_come_back(await wire.get("/jwks")), "what is no longer known to be right is not said"
    assert (await wire.get("/.well-known/openid-configuration")).status_code == 200

    await place.proxy.start()
    assert (await wire.get("/jwks")).json() == known


async def test_keys_that_were_never_known_are_not_made_up(place: Place) -> None:
    await place.proxy.refuse()

    answer = await place.town.wire.get("/jwks")

    assert is_told_to_come_back(answer)
    assert answer.json()["error"] == "temporarily_unavailable"


async def test_no_request_meets_a_connection_from_before(place: Place) -> None:
    """Each connection of the pool was cut while nobody used it: nobody after that is told to come back."""
    place.use(pool_size=3)
    async with place.town.transaction() as one, place.town.transaction() as two, place.town.transaction() as three:
        for held in (one, two, three):
            await held.scalar(text("SELECT 1"))
    await place.proxy.cut()
    await asyncio.sleep(0)  # the loop hears of it as it would before any request

    answers = await asyncio.gather(*(place.ask(*PROGRAMS[0]) for _ in range(6)))

    assert {answer.status_code for answer in answers} == {401}


async def test_a_cut_in_the_middle_keeps_nothing_and_says_so(place: Place) -> None:
    service = await place.town.service()
    citizen, _ = await place.town.citizen()
    landed = await citizen.follow(await citizen.get(service.address()))
    code = service.answer(await citizen.follow(await citizen.press(Shown(landed), "allow")))["code"]
    place.proxy.cut_after(b"UPDATE")  # it is being prepared

    assert is_told_to_come_back(await service.redeem(code))

    assert (await service.redeem(code)).status_code == 200, "it was not spent"
    assert (await service.redeem(code)).status_code == 400


async def test_a_commit_that_nobody_knows_of_is_no_success_and_what_works_once_is_spent(place: Place) -> None:
    """The database did it, and the word of it was lost: 503, never 500, never tokens; a second try gets none."""
    service = await place.town.service()
    citizen, _ = await place.town.citizen()
    landed = await citizen.follow(await citizen.get(service.address()))
    code = service.answer(await citizen.follow(await citizen.press(Shown(landed), "allow")))["code"]
    place.proxy.cut_after(digest(code), times=2)  # first it is read; then one statement spends it and keeps tokens

    answer = await service.redeem(code)

    assert is_told_to_come_back(answer)
    assert answer.json()["error"] == "temporarily_unavailable"
    again = await service.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_a_person_is_told_too_where_the_commit_was_lost(place: Place) -> None:
    citizen, _ = await place.town.citizen()
    shown = await citizen.see("/account/profile/name")
    place.proxy.cut_after(b"COMMIT")

    answer = await citizen.press(shown, "continue", name="Augusta King")

    assert is_told_to_come_back(answer)
    assert Shown(answer).hidden["name"] == "Augusta King"
    assert (await citizen.press(Shown(answer), "continue")).status_code == 303


async def test_a_pool_of_one_that_another_holds(place: Place) -> None:
    """It takes a connection that somebody keeps, and gets it as soon as it is given back."""
    place.use(pool_size=1)
    place.town.house.database.engine.pool._timeout = 0.05
    async with place.town.transaction() as held:
        await held.begin()
        assert is_told_to_come_back(await place.ask(*PROGRAMS[0]))

    assert (await place.ask(*PROGRAMS[0])).status_code == 401


async def test_a_statement_that_takes_too_long_is_broken_off(place: Place) -> None:
    """It waits for a lock of somebody else; the server breaks it off, and the next one is well."""
    await place.town.service()
    place.use(statement_timeout=1)
    async with place.town.transaction() as held:
        await held.begin()
        await held.execute(text("LOCK TABLE client, oidc_revision IN ACCESS EXCLUSIVE MODE"))
        place.town.later(seconds=1)
        with capture_logs() as lines:
            assert is_told_to_come_back(await place.ask(*PROGRAMS[0]))

    assert [(line["event"], line["why"]) for line in lines] == [
        ("overloaded", "canceling statement due to statement timeout")
    ]
    assert (await place.ask(*PROGRAMS[0])).status_code == 401


async def test_a_database_that_falls_silent_is_hung_up_on(place: Place) -> None:
    """No reset and no refusal: nothing at all. Keys are answered meanwhile."""
    place.use(silence=1.0)
    wire = place.town.wire
    known = (await wire.get("/jwks")).json()
    place.town.later(seconds=1)
    place.proxy.silence()

    answers = await asyncio.gather(place.ask(*PROGRAMS[0]), wire.get("/jwks"))

    assert is_told_to_come_back(answers[0])
    assert answers[1].json() == known
    await place.proxy.cut()
    assert (await place.ask(*PROGRAMS[0])).status_code == 401


async def test_the_log_says_once_what_is_away_and_once_that_it_is_back(place: Place) -> None:
    """A line for all requests, without a traceback and without a line for each (R66)."""
    citizen, _ = await place.town.citizen()
    await place.proxy.refuse()
    place.town.later(seconds=1)
    began = time.monotonic()
    with capture_logs() as lines:
        for _ in range(5):
            await place.ask(*PROGRAMS[0])
            await citizen.get("/account")
        await place.proxy.start()
        for _ in range(3):
            await place.ask(*PROGRAMS[1])

    away = [line for line in lines if line["event"] == "away"]
    assert 1 <= len(away) <= 1 + time.monotonic() - began, "once a second at most"
    assert re.fullmatch(r"127\.0\.0\.1/test_\w+", away[0]["name"])
    assert [line["event"] for line in lines if line["event"] == "back"] == ["back"]
    assert not any(line.get("exc_info") for line in lines)
    assert not [line for line in lines if "commit_failed" in line["event"] or line["event"] == "error_page"]
    assert "SELECT" not in msgspec.json.encode([dict(line) for line in away]).decode()


async def test_the_worker_goes_on_where_it_was(place: Place) -> None:
    """It neither dies nor fills the log."""
    worker = place.town.house.worker(pause=0.01)
    running: asyncio.Task[Any] = asyncio.create_task(worker.run())
    await place.proxy.refuse()
    with capture_logs() as lines:
        assert is_told_to_come_back(await place.ask(*PROGRAMS[0]))
        await asyncio.sleep(0.1)
    await place.proxy.start()

    await worker.drain()
    worker.stop()
    await running
    assert {line["event"] for line in lines} <= {"away", "back"}
