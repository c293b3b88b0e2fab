"""Client authentication at the token endpoint: each method, as it was registered and in no weaker way (R6, R12)."""

import base64
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx2
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from loopback import Loopback, loopback
from oidc_kit import ISSUER, SECRET, VERIFIER, Box, basic, new_box
from services import Backend

from accounts.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = ECKey.generate_key("P-256", {"kid": "one"})


async def offer(box: Box, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
    """Ask with a code that was never issued: who authenticated hears invalid_grant, others invalid_client."""
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://parks.example/callback", **fields}
    return await box.http.post("/token", data={**form, "code_verifier": VERIFIER}, headers=headers or {})


def error(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


PASSED, REFUSED = (400, "invalid_grant"), (401, "invalid_client")


async def test_a_secret_comes_in_the_header_or_in_the_body(box: Box) -> None:
    """RFC 6749 section 2.3.1: whichever it was registered for; libraries choose by themselves."""
    await box.register("parks")
    await box.register("taxes", token_endpoint_auth_method="client_secret_post")
    for name in ("parks", "taxes"):
        assert error(await offer(box, basic(name, SECRET))) == PASSED
        assert error(await offer(box, client_id=name, client_secret=SECRET)) == PASSED
        both = await offer(box, basic(name, SECRET), client_id=name, client_secret=SECRET)
        assert error(both) == (400, "invalid_request")


def raw_basic(client_id: str, secret: str) -> dict[str, str]:
    """As many libraries write it: nothing encoded."""
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.mark.parametrize("secret", ["it-is-50%-of-a-long-secret-of-theirs", "one+two%20three/four=five-and-some-more"])
async def test_a_basic_secret_passes_encoded_or_raw(box: Box, secret: str) -> None:
    """RFC 6749 section 2.3.1, and what Authlib and many others send instead."""
    await box.register("parks", secret=secret)

    assert error(await offer(box, basic("parks", secret))) == PASSED
    assert error(await offer(box, raw_basic("parks", secret))) == PASSED
    assert error(await offer(box, raw_basic("parks", secret + "+"))) == REFUSED


async def test_a_raw_client_id_never_passes_for_another_client(box: Box) -> None:
    """One client is looked up by one name; the encoded reading comes first, and a second never helps its secret."""
    back = {"redirect_uris": ["https://parks.example/callback"]}
    await box.register("parks+ids", secret="a-secret-of-the-one-with-a-plus-in-its-name", **back)
    assert error(await offer(box, raw_basic("parks+ids", "a-secret-of-the-one-with-a-plus-in-its-name"))) == PASSED

    await box.register("parks ids", secret="a-secret-of-the-one-with-a-space-in-its-name", **back)
    ours = raw_basic("parks+ids", "a-secret-of-the-one-with-a-plus-in-its-name")
    assert error(await offer(box, ours)) == REFUSED
    assert error(await offer(box, ours, client_id="parks+ids")) == PASSED
    assert error(await offer(box, ours, client_id="parks ids")) == REFUSED


async def test_an_empty_password_of_a_public_client_is_no_method(box: Box) -> None:
    """RFC 6749 section 3.2.1; of a client with a secret it proves nothing."""
    await box.register("parks")
    await box.register("spa", token_endpoint_auth_method="none")

    assert error(await offer(box, raw_basic("spa", ""), client_id="spa")) == PASSED
    assert error(await offer(box, raw_basic("spa", ""))) == PASSED
    assert error(await offer(box, raw_basic("parks", ""), client_id="parks")) == REFUSED


async def test_a_wrong_secret_is_refused(box: Box) -> None:
    """RFC 6749 section 5.2; the challenge goes to who tried Basic."""
    await box.register("parks")
    await box.register("taxes", token_endpoint_auth_method="client_secret_post")

    refused = await offer(box, basic("parks", SECRET + "x"))
    assert error(refused) == REFUSED
    assert refused.headers["www-authenticate"].startswith("Basic")

    refused = await offer(box, client_id="taxes", client_secret="wrong")
    assert error(refused) == REFUSED
    assert "www-authenticate" not in refused.headers


async def test_a_client_without_a_stored_secret_matches_none(box: Box) -> None:
    """Fail closed: no digest is no match, also for the empty secret."""
    await box.register("parks", secret=None)

    assert error(await offer(box, basic("parks", SECRET))) == REFUSED
    assert error(await offer(box, basic("parks", " "))) == REFUSED


async def test_a_name_alone_is_enough_for_public_clients_only(box: Box) -> None:
    """RFC 6749 section 2.1."""
    await box.register("parks")
    await box.register("spa", token_endpoint_auth_method="none")

    assert error(await offer(box, client_id="spa")) == PASSED
    assert error(await offer(box, client_id="parks")) == REFUSED
    assert error(await offer(box, client_id="nobody")) == REFUSED
    assert error(await offer(box)) == REFUSED


def assertion(now: datetime, key: ECKey = KEY, **changes: Any) -> dict[str, str]:
    """A `private_key_jwt` of parks as a correct client makes it, with changes."""
    issued = int(now.timestamp())
    claims = {"iss": "parks", "sub": "parks", "aud": ISSUER, "jti": "j-1", "iat": issued, "exp": issued + 60, **changes}
    header = {"alg": "ES256", "kid": key.kid}
    return {"client_assertion_type": BEARER, "client_assertion": jwt.encode(header, claims, key, algorithms=["ES256"])}


def public(*keys: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


@pytest.fixture
async def signing(box: Box) -> Box:
    """With parks registered for `private_key_jwt`, its keys by value."""
    await box.register("parks", token_endpoint_auth_method="private_key_jwt", jwks=public(KEY))
    return box


async def test_a_signed_assertion_authenticates_once(signing: Box) -> None:
    """R6, RFC 7523 section 3: the `jti` works once; a new one again."""
    first = assertion(signing.now)

    assert error(await offer(signing, **first)) == PASSED
    assert error(await offer(signing, **first)) == REFUSED
    assert error(await offer(signing, **assertion(signing.now, jti="j-2"))) == PASSED


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"iss": "taxes"},
        {"exp": 0},
        {"jti": None},
        {"key": ECKey.generate_key("P-256", {"kid": "one"})},
        {"key": ECKey.generate_key("P-256", {"kid": "unknown"})},
    ],
)
async def test_a_wrong_assertion_is_refused(signing: Box, changes: dict[str, Any]) -> None:
    """R6: audience, issuer, expiry, jti, signature."""
    assert error(await offer(signing, **assertion(signing.now, **changes))) == REFUSED


async def test_an_assertion_may_name_the_token_endpoint(signing: Box) -> None:
    """OpenID Connect Core section 9: what most libraries send as audience, for the `standard` profile."""
    assert error(await offer(signing, **assertion(signing.now, aud=f"{ISSUER}/token"))) == PASSED


async def test_a_refused_assertion_says_what_came_and_what_is_accepted(signing: Box) -> None:
    """RFC 6749 section 5.2: with it a team mends its library in a minute."""
    elsewhere = await offer(signing, **assertion(signing.now, aud=["https://elsewhere.example", ISSUER]))
    assert error(elsewhere) == REFUSED
    for address in ("https://elsewhere.example", ISSUER, f"{ISSUER}/token"):
        assert address in elsewhere.json()["error_description"]

    milliseconds = await offer(signing, **assertion(signing.now, exp=int(signing.now.timestamp() * 1000) + 60_000))
    assert error(milliseconds) == REFUSED
    assert "seconds" in milliseconds.json()["error_description"]


async def test_a_list_of_audiences_that_are_all_ours_is_accepted(signing: Box) -> None:
    """RFC 7523 section 3: nobody else can use it."""
    assert error(await offer(signing, **assertion(signing.now, aud=[ISSUER, f"{ISSUER}/token"]))) == PASSED


async def test_two_ways_at_once_are_refused(signing: Box) -> None:
    """R12, RFC 6749 section 2.3."""
    both = await offer(signing, basic("parks", SECRET), **assertion(signing.now))

    assert error(both) == (400, "invalid_request")


async def test_an_assertion_older_than_the_store_is_refused(signing: Box) -> None:
    """R6, R75: a replay cache that lost its memory lets nothing old through."""
    from config.store import MemoryStore

    old = assertion(signing.now)
    signing.later(seconds=2)
    signing.store = MemoryStore(signing.now)
    signing.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=signing._application()), base_url=ISSUER)  # type: ignore[arg-type]

    assert error(await offer(signing, **old)) == REFUSED
    assert error(await offer(signing, **assertion(signing.now, jti="j-3"))) == PASSED
    await signing.http.aclose()


async def test_without_a_store_nothing_passes(signing: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """R75: it degrades as documented and skips no check; the client may try again."""

    async def down(*_: object) -> bool:
        raise StoreUnavailable("down")

    monkeypatch.setattr(signing.store, "first_use", down)
    refused = await offer(signing, **assertion(signing.now))

    assert error(refused) == (503, "temporarily_unavailable")
    assert refused.headers["retry-after"] == "5"


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    """Where parks publishes its keys."""
    async with loopback() as made:
        made.answer = made.say(msgspec.json.encode(public(KEY)))
        yield made


@pytest.fixture
async def fetching(backend: Backend, server: Loopback) -> AsyncIterator[Box]:
    """With parks registered for `private_key_jwt`, its keys at an address."""
    async with new_box(backend.database_url, loopback_http=True) as box:
        await box.register("parks", token_endpoint_auth_method="private_key_jwt", jwks_uri=server.url("/jwks"))
        yield box


def numbered(box: Box, number: int, key: ECKey = KEY) -> dict[str, str]:
    return assertion(box.now, key, jti=f"n-{number}")


async def test_published_keys_are_fetched_and_kept(fetching: Box, server: Loopback) -> None:
    """`jwks_uri`: once for many requests; again after five minutes."""
    for number in range(3):
        assert error(await offer(fetching, **numbered(fetching, number))) == PASSED
    assert len(server.heads) == 1

    fetching.later(minutes=5)
    assert error(await offer(fetching, **numbered(fetching, 9))) == PASSED
    assert len(server.heads) == 2


async def test_a_rotated_client_key_is_found_at_once(fetching: Box, server: Loopback) -> None:
    """`oidcc-refresh-token-rp-key-rotation`: an unknown kid makes us ask again, at most once a minute."""
    assert error(await offer(fetching, **numbered(fetching, 1))) == PASSED
    second = ECKey.generate_key("P-256", {"kid": "two"})
    server.answer = server.say(msgspec.json.encode(public(second)))

    assert error(await offer(fetching, **numbered(fetching, 2, second))) == PASSED
    assert len(server.heads) == 2

    stranger = ECKey.generate_key("P-256", {"kid": "three"})
    for number in range(3, 6):
        assert error(await offer(fetching, **numbered(fetching, number, stranger))) == REFUSED
    assert len(server.heads) == 2

    fetching.later(seconds=61)
    server.answer = server.say(msgspec.json.encode(public(stranger)))
    assert error(await offer(fetching, **numbered(fetching, 6, stranger))) == PASSED


@pytest.mark.parametrize(
    "answer", [Loopback.say(b"", "500 No"), Loopback.say(b"<html>"), Loopback.say(b"[]"), Loopback.say(b"{}")]
)
async def test_keys_that_cannot_be_had_authenticate_nobody(fetching: Box, server: Loopback, answer: Any) -> None:
    """R75: without keys there is no client."""
    server.answer = answer

    assert error(await offer(fetching, **numbered(fetching, 1))) == REFUSED


async def test_a_dead_server_is_bridged_for_an_hour(fetching: Box, server: Loopback) -> None:
    """The last keys serve on, and the dead server is asked once a minute, not with each request."""
    assert error(await offer(fetching, **numbered(fetching, 1))) == PASSED
    server.answer = server.say(b"", "503 Busy")
    fetching.later(minutes=6)
    for number in range(2, 5):
        assert error(await offer(fetching, **numbered(fetching, number))) == PASSED
    assert len(server.heads) == 2

    fetching.later(minutes=55)
    assert error(await offer(fetching, **numbered(fetching, 6))) == REFUSED


async def test_a_name_that_no_client_can_have_is_refused(box: Box) -> None:
    """R73: a database may not even take such a text."""
    for name in ("parks%00", "parks\x00"):
        assert error(await offer(box, raw_basic(name, SECRET))) == REFUSED
    assert error(await offer(box, **assertion(box.now, iss="a\x00", sub="a\x00"))) == REFUSED
