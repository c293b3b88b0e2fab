"""One journey, two worker processes on PostgreSQL and Redis: each request goes to the one that did not get the last."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fleet import Alternating, Fleet, fleet
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from party import BYE, Visitor, people_of, registered
from services import Backend
from simulated import CALLBACK, Page, claims_of, header_of

from oidc.protocol.pkce import s256
from oidc.signing_keys import rotate

pytestmark = [pytest.mark.anyio, pytest.mark.services]

SECRET = "what the service and both workers know"
KEY = ECKey.generate_key("P-256", {"kid": "of-the-service", "use": "sig", "alg": "ES256"})
ES256 = {"id_token_signed_response_alg": "ES256"}
CLIENTS = [
    registered("parks", SECRET, **ES256),
    registered("by-key", token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY.as_dict(private=False)]},
               **ES256),
]  # fmt: skip
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
WITHIN = 1.0
"""Seconds in which every worker knows what one of them did (R42)."""


class Two:
    """The workers, and people who have not signed in yet."""

    def __init__(self, running: Fleet, visitors: list[Visitor]) -> None:
        self.fleet, self.issuer = running, running.issuer
        self._visitors = visitors

    def visitor(self) -> Visitor:
        """Somebody new."""
        return self._visitors.pop()

    async def code(self, visitor: Visitor, client_id: str = "parks") -> tuple[str, str]:
        """A code and the verifier for it, asked for through alternating workers."""
        verifier = secrets.token_urlsafe(48)
        asked = {
            "client_id": client_id, "response_type": "code", "scope": "openid profile", "redirect_uri": CALLBACK,
            "state": "s", "nonce": "n", "code_challenge": s256(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        landed = await visitor.visit(str(httpx2.URL(f"{self.issuer}/authorize", params=asked)))
        return parse_qs(urlsplit(landed).query)["code"][0], verifier

    async def post(self, worker: int, path: str, fields: dict[str, str], **options: Any) -> httpx2.Response:
        """Ask one worker as a service does."""
        transport = Alternating(self.fleet.ports[worker : worker + 1])
        async with httpx2.AsyncClient(transport=transport, timeout=30) as http:
            return await http.post(self.issuer + path, data=fields, **options)

    async def get(self, worker: int, path: str, **options: Any) -> httpx2.Response:
        """Ask one worker."""
        transport = Alternating(self.fleet.ports[worker : worker + 1])
        async with httpx2.AsyncClient(transport=transport, timeout=30) as http:
            return await http.get(self.issuer + path, **options)

    async def redeem(self, worker: int, code: str, verifier: str) -> httpx2.Response:
        """Redeem a code at this worker."""
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": verifier}
        return await self.post(worker, "/token", grant, auth=("parks", SECRET))

    async def userinfo(self, worker: int, token: str) -> int:
        """The status that this worker's userinfo answers with."""
        return (await self.get(worker, "/userinfo", headers={"authorization": f"Bearer {token}"})).status_code


@pytest.fixture(scope="module")
async def two(module_postgres_redis: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    """Two workers for all tests of this file; people are not shared."""
    seeds, people = people_of(8)
    async with fleet(tmp_path_factory.mktemp("two"), module_postgres_redis, CLIENTS, people) as running:
        yield Two(running, [running.visitor(f"person{n}", seed) for n, seed in enumerate(seeds)])


async def test_a_journey_alternates_between_workers(two: Two) -> None:
    """Sign-in, CSRF token, consent, code, tokens, refresh, sign-out: each begun at one worker, ended at the other."""
    visitor = two.visitor()
    both = two.fleet.ports
    watched = Alternating(both)
    visitor.http.close()
    visitor.http = two.fleet.client(watched)

    code, verifier = await two.code(visitor)

    assert visitor.seen == ["sign-in", "second-factor", "consent"]
    ports = [port for port, _ in watched.asked]
    assert ports == [both[n % 2] for n in range(len(ports))]
    assert len(ports) > 6
    answered = await two.redeem(0, code, verifier)
    tokens = answered.raise_for_status().json()
    assert await two.userinfo(1, tokens["access_token"]) == 200
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    again = (await two.post(1, "/token", fields, auth=("parks", SECRET))).json()
    same = (await two.post(0, "/token", fields, auth=("parks", SECRET))).json()
    assert same["refresh_token"] == again["refresh_token"], "the grace gives the same successor at every worker (R8)"
    assert await two.userinfo(0, again["access_token"]) == 200

    visitor.seen = []
    await two.code(visitor)
    assert visitor.seen == [], "the second time nothing is asked, whichever worker is met"


async def test_a_code_redeemed_at_one_worker_is_spent_at_the_other(two: Two) -> None:
    """R4: and there it ends what the first gave."""
    code, verifier = await two.code(two.visitor())
    tokens = (await two.redeem(0, code, verifier)).raise_for_status().json()

    replayed = await two.redeem(1, code, verifier)

    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert await two.userinfo(0, tokens["access_token"]) == 401
    assert await two.userinfo(1, tokens["access_token"]) == 401


async def test_a_client_assertion_works_once_across_workers(two: Two) -> None:
    """R6: `jti` once, whichever worker saw it first."""
    now = int(time.time())
    claims = {"iss": "by-key", "sub": "by-key", "aud": two.issuer, "jti": secrets.token_hex(16), "iat": now,
              "exp": now + 60}  # fmt: skip
    assertion = jwt.encode({"alg": "ES256", "kid": KEY.kid}, claims, KEY)
    fields = {"token": "unknown", "client_assertion_type": ASSERTION, "client_assertion": assertion}

    first = await two.post(0, "/introspect", fields)
    second = await two.post(1, "/introspect", fields)

    assert (first.status_code, first.json()) == (200, {"active": False})
    assert (second.status_code, second.json()["error"]) == (401, "invalid_client")


async def test_a_csrf_token_of_one_worker_holds_at_the_other_and_only_in_its_browser(two: Two) -> None:
    """The key of the tokens is the deployment's, not the process'."""
    mine, other = two.fleet.client(), two.fleet.client()
    page = await asyncio.to_thread(mine.get, f"{two.issuer}/sign-in?return_to=/account", follow_redirects=True)
    await asyncio.to_thread(other.get, f"{two.issuer}/sign-in?return_to=/account", follow_redirects=True)
    [(action, fields, _)] = [form for form in Page(page).forms if "identifier" in form[1]]
    typed = {**fields, "identifier": "nobody@example.org", "password": "x" * 16, "action": "continue"}
    here = str(page.url.join(action))

    for _ in range(2):  # one of the two is the other worker
        assert (await asyncio.to_thread(mine.post, here, data=typed)).status_code == 400  # the password, not the form
    assert (await asyncio.to_thread(other.post, here, data=typed)).status_code == 403


async def test_a_sign_out_is_seen_by_the_other_worker_within_a_second(two: Two) -> None:
    """R42: session, access token and refresh token end everywhere."""
    visitor = two.visitor()
    code, verifier = await two.code(visitor)
    tokens = (await two.redeem(0, code, verifier)).raise_for_status().json()
    secrets_of_browser = {"cookie": "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())}
    assert (await two.get(1, "/account", headers=secrets_of_browser)).status_code == 200

    hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": BYE, "state": "bye"}
    ended = await two.get(0, "/end-session", params=hint, headers=secrets_of_browser)
    began = time.monotonic()
    assert ended.headers["location"] == f"{BYE}?state=bye"

    assert (await two.get(1, "/account", headers=secrets_of_browser)).status_code == 303, "to the sign-in"
    assert await two.userinfo(1, tokens["access_token"]) == 401
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await two.post(1, "/token", fields, auth=("parks", SECRET))).json()["error"] == "invalid_grant"
    assert time.monotonic() - began < WITHIN


async def test_a_rotated_key_reaches_both_workers_within_a_second(two: Two) -> None:
    """R61: what one signs with the new key, services that read the other's key set can verify."""
    visitor = two.visitor()
    code, verifier = await two.code(visitor)
    before = (await two.redeem(0, code, verifier)).raise_for_status().json()["id_token"]
    house = two.fleet.house
    async with house.database.begin() as db:
        await rotate(db, house.key_holder, house.clock.now(), algorithms=["ES256"])
    began = time.monotonic()
    await asyncio.sleep(max(0.0, began + WITHIN - time.monotonic()))

    for worker in (0, 1):
        keys = KeySet.import_key_set((await two.get(1 - worker, "/jwks")).json())
        code, verifier = await two.code(visitor)
        after = (await two.redeem(worker, code, verifier)).raise_for_status().json()["id_token"]
        assert header_of(after)["kid"] != header_of(before)["kid"]
        for token in (before, after):
            assert jwt.decode(token, keys, algorithms=["ES256"]).claims["sub"] == claims_of(before)["sub"]
