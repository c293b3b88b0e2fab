"""Request objects: an authorization request as a JWT, at `/authorize` and at `/par` (RFC 9101, Core section 6)."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest
from fapi_kit import OTHER_KEY, SIGNING_KEY, Fapi, fapi, public, signed
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from services import Backend
from town import ISSUER, Shown, Town, new_town

from oidc.fetcher import Fetched
from oidc.protocol.errors import ProtocolError

pytestmark = pytest.mark.anyio


def unsigned(claims: dict[str, Any]) -> str:
    """`alg` none (OpenID Connect Core section 6.1)."""
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode() for part in parts) + "."


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def at_the_door(parks: Fapi, request: str, **beside: str | None) -> httpx2.Response:
    """A stranger comes to `/authorize` with the object in the address."""
    return await parks.town.browser().get(parks.service.address(request=request, **beside))


async def test_a_signed_object_is_the_request(town: Town) -> None:
    """RFC 9101 section 6.3: what stands beside a signed object is ignored, and what only stands there not used."""
    parks = await fapi(town)
    ada, _ = await town.citizen()
    await parks.code(ada)
    request = parks.object(state="inside", nonce=None)

    answer = parks.service.answer(
        await ada.get(f"/authorize?client_id=parks&request={request}&state=outside&nonce=outside&prompt=login")
    )

    assert answer["state"] == "inside"
    assert "code" in answer
    without = parks.object(state=None)
    answer = parks.service.answer(await ada.get(parks.service.address(request=without, state="outside")))
    assert "state" not in answer


async def test_it_can_be_pushed(town: Town) -> None:
    """RFC 9126 section 3."""
    parks = await fapi(town)
    ada, _ = await town.citizen()
    await parks.code(ada)

    pushed = await parks.push_object(state="inside")

    assert pushed.status_code == 201
    assert parks.service.answer(await ada.get(parks.address(pushed.json()["request_uri"])))["state"] == "inside"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"nbf": 10**11},
        {"aud": "https://other.example"},
        {"iss": "taxes"},
        {"client_id": "taxes"},
        {"request_uri": "https://parks.example/x"},
        {"request": "x"},
        {"sub": "parks"},
        {"header": {"alg": "none"}},
        {"header": {"kid": "unknown"}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": "dpop+jwt"}},
        {"header": {"jku": "https://parks.example/jwks"}},
        {"header": {"jwk": OTHER_KEY.as_dict(private=False)}, "key": OTHER_KEY},
        {"key": OTHER_KEY},
    ],
)
async def test_an_object_that_breaks_a_rule_is_refused(town: Town, changes: dict[str, Any]) -> None:
    """RFC 9101 sections 4, 6.2 and 10.8, R11: at both doors, with the code of this specification."""
    parks = await fapi(town)
    if changes.get("header") == {"alg": "none"}:
        request = unsigned({**parks.service.fields(), "iss": "parks"}) + "x" * 86
    else:
        request = parks.object(**changes)

    pushed = await parks.post("/par", client_id="parks", request=request)
    direct = parks.service.answer(await at_the_door(parks, request))

    assert refusal(pushed) == (400, "invalid_request_object")
    assert direct["error"] == "invalid_request_object"


async def test_an_object_and_a_reference_to_one_cannot_stand_together(town: Town) -> None:
    """RFC 9101 section 5, OpenID Connect Core section 6.1: whether the address is registered or not."""
    parks = await fapi(town)
    reference = "https://plain.example/request.jwt"
    plain = await town.service("plain", request_uris=[reference])
    for service, request in ((parks.service, parks.object()), (plain, unsigned(plain.fields()))):
        answer = await town.browser().get(service.address(request=request, request_uri=reference))
        assert service.answer(answer)["error"] == "invalid_request", service.client_id


async def test_a_broken_signature_is_refused(town: Town) -> None:
    """RFC 9101 section 6.2."""
    parks = await fapi(town)
    head, body, signature = parks.object().split(".")
    broken = f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"

    assert refusal(await parks.post("/par", client_id="parks", request=broken)) == (400, "invalid_request_object")


async def test_several_audiences_and_a_clock_a_little_ahead_are_fine(town: Town) -> None:
    """RFC 9101 section 5.2.1; FAPI 2.0 section 5.3.2.1: nbf up to ten seconds ahead."""
    parks = await fapi(town)

    several = await parks.push_object(aud=[ISSUER, "https://other.example"])
    ahead = await parks.push_object(nbf=parks.moment + 8)

    assert (several.status_code, ahead.status_code) == (201, 201)


async def test_what_the_object_asks_is_judged_as_always(town: Town) -> None:
    """R1, R2: signing makes nothing right."""
    parks = await fapi(town)

    for changes, error in (
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ):
        assert refusal(await parks.push_object(**changes)) == (400, error)


async def test_an_unreadable_object_without_a_safe_address_is_a_page(town: Town) -> None:
    """RFC 6749 section 4.1.2.1: nobody is sent to an address that stands in a broken object."""
    await fapi(town)

    answer = await town.browser().get("/authorize?client_id=parks&request=not.a.jwt")

    assert answer.status_code == 400
    assert Shown(answer).name == "error"


async def test_an_unsigned_object_is_refused_where_no_setting_allows_it(town: Town) -> None:
    """OpenID Connect Core section 6.1, RFC 9101 section 4: never ignored, and the refusal says why."""
    parks = await town.service()
    request = unsigned({"state": "inside", "redirect_uri": parks.redirect_uri})

    answer = parks.answer(await town.browser().get(parks.address(request=request)))
    assert answer["error"] == "invalid_request_object"
    assert "not signed" in answer["error_description"]
    with pytest.raises(ProtocolError):
        await town.service("old", request_object_signing_alg="none")


@pytest.fixture
async def lenient(backend: Backend) -> AsyncIterator[Town]:
    """A town that allows unsigned request objects, and says so."""
    async with new_town(backend.database_url, {"request_object": {"allow_unsigned": True}}) as made:
        document = (await made.wire.get("/.well-known/openid-configuration")).json()
        assert "none" in document["request_object_signing_alg_values_supported"]
        yield made


async def test_an_unsigned_object_is_honoured_where_no_signature_was_promised(lenient: Town) -> None:
    """OpenID Connect Core section 6.1: what it leaves out stands beside it. Who registered to sign must sign."""
    town = lenient
    parks = await town.service()
    strict = await fapi(town, "strict", require_signed_request_object=True)
    ada, _ = await town.citizen()
    await parks.enter(ada)

    answer = parks.answer(
        await ada.get(parks.address(request=unsigned({"state": "inside", "redirect_uri": parks.redirect_uri})))
    )
    assert answer["state"] == "inside"
    assert "code" in answer

    for request in (None, unsigned(strict.service.fields())):
        refused = await strict.post("/par", assertion=None, **strict.service.fields(request=request))
        assert refused.json()["error"] in {"invalid_request", "invalid_request_object"}
        assert refused.status_code == 400


async def test_the_registered_algorithm_is_the_only_one(town: Town) -> None:
    """OpenID Connect Registration section 2, `request_object_signing_alg`."""
    rsa = RSAKey.generate_key(2048, {"kid": "rsa"})
    parks = await fapi(town, jwks=public(SIGNING_KEY, rsa), request_object_signing_alg="ES256")
    claims = {**parks.service.fields(), "iss": "parks", "aud": ISSUER, "exp": parks.moment + 60}
    with_rsa = jwt.encode({"alg": "RS256", "kid": "rsa"}, claims, rsa, algorithms=["RS256"])

    assert refusal(await parks.post("/par", client_id="parks", request=with_rsa)) == (400, "invalid_request_object")
    with_ec = signed({"kid": "one"}, claims)
    assert (await parks.post("/par", client_id="parks", request=with_ec)).status_code == 201


async def test_keys_that_were_rotated_are_fetched_once_more(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """R72: an unknown kid makes us ask jwks_uri again, and not a second time within the minute."""
    new, asked, published = ECKey.generate_key("P-256", {"kid": "new"}), [], [public(SIGNING_KEY)]

    async def get(url: str) -> Fetched:
        asked.append(url)
        return Fetched(200, msgspec.json.encode(published[0]))

    monkeypatch.setattr(town.provider.client_keys._fetcher, "get", get)
    parks = await fapi(town, jwks=None, jwks_uri="https://parks.example/jwks")
    assert (await parks.push_object()).status_code == 201
    published[0] = public(SIGNING_KEY, new)

    rotated = await parks.push_object(header={"kid": "new"}, key=new)
    unknown = await parks.push_object(header={"kid": "nobody"}, key=new)

    assert rotated.status_code == 201
    assert refusal(unknown) == (400, "invalid_request_object")
    assert len(asked) == 2


async def test_discovery_says_so(town: Town) -> None:
    """OpenID Connect Discovery section 3, RFC 9101 section 10.5."""
    document = (await town.wire.get("/.well-known/openid-configuration")).json()

    assert document["request_parameter_supported"] is True
    assert {"ES256", "PS256"} <= set(document["request_object_signing_alg_values_supported"])
    assert "none" not in document["request_object_signing_alg_values_supported"]
    assert document["require_signed_request_object"] is False
