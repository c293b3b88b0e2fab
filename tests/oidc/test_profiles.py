"""Client profiles: each enforces its whole specification, at every door (FAPI 2.0, final; R5, R6, R7, R8)."""

import base64
from typing import Any

import httpx2
import pytest
from fapi_kit import BEARER, OTHER_KEY, SIGNING_KEY, Fapi, fapi, public, signed
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from town import ISSUER, Citizen, Shown, Town

from oidc.protocol.errors import MetadataError

pytestmark = pytest.mark.anyio

FAPI2, SIGNING = "fapi2", "fapi2-message-signing"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def entered(town: Town, profile: str, **registered: Any) -> tuple[Fapi, Citizen]:
    parks = await fapi(town, profile=profile, **registered)
    ada, _ = await town.citizen()
    return parks, ada


async def signed_code(parks: Fapi, citizen: Citizen, **changes: Any) -> dict[str, Any]:
    """A signed request, pushed; the claims of the signed answer, verified as a client does."""
    pushed = await parks.push_object(**changes)
    assert pushed.status_code == 201, pushed.text
    answer = await citizen.follow(await citizen.get(parks.address(pushed.json()["request_uri"])))
    if answer.status_code == 200:
        answer = await citizen.follow(await citizen.press(Shown(answer), "allow"))
    response = parks.service.answer(answer)
    assert set(response) == {"response"}
    keys = KeySet.import_key_set((await parks.town.wire.get("/jwks")).json())
    return dict(jwt.decode(response["response"], keys, algorithms=["ES256"]).claims)


async def test_the_happy_flow_of_the_security_profile(town: Town) -> None:
    """fapi2-security-profile-final-happy-flow: push, PKCE, a proof, userinfo, refresh without rotation."""
    parks, ada = await entered(town, FAPI2)
    tokens = await parks.tokens(ada, scope="openid profile offline_access", prompt="consent")

    userinfo = await parks.userinfo(tokens["access_token"])
    again = await parks.refresh(tokens["refresh_token"])

    assert userinfo.status_code == 200
    assert again.status_code == 200
    assert "refresh_token" not in again.json()
    assert (
        jwt.decode(
            tokens["id_token"],
            KeySet.import_key_set((await town.wire.get("/jwks")).json()),
            algorithms=["ES256"],
        ).claims["aud"]
        == "parks"
    )


async def test_the_happy_flow_of_message_signing(town: Town) -> None:
    """fapi2-message-signing-final: the request is signed (JAR), the answer is signed (JARM) without being asked to."""
    parks, ada = await entered(town, SIGNING)

    answer = await signed_code(parks, ada)

    assert answer["iss"] == ISSUER
    assert answer["state"] == "a-state"
    assert (await parks.redeem(answer["code"])).status_code == 200


@pytest.mark.parametrize("profile", [FAPI2, SIGNING])
async def test_a_request_in_the_address_is_not_heard(town: Town, profile: str) -> None:
    """fapi2-...-ensure-unsigned-authorization-request-without-using-par-fails; signing it does not help."""
    parks, ada = await entered(town, profile)

    for address in (parks.service.address(), parks.service.address(request=parks.object())):
        answer = await ada.get(address)
        assert answer.status_code == 303
        assert "code=" not in answer.headers["location"]
    if profile == FAPI2:
        refused = parks.service.answer(await ada.get(parks.service.address()))
        assert (refused["error"], refused["iss"]) == ("invalid_request", ISSUER)


async def test_message_signing_wants_the_request_signed(town: Town) -> None:
    """fapi2-...-ensure-unsigned-request-at-par-endpoint-fails, ...-signature-algorithm-is-not-none."""
    parks = await fapi(town, profile=SIGNING)
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    unsigned = f"{head}.{parks.object().split('.')[1]}."

    assert refusal(await parks.push()) == (400, "invalid_request")
    assert refusal(await parks.post("/par", client_id="parks", request=unsigned, proof=None))[0] == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"nbf": None},
        {"exp": 1},
        {"aud": "https://other.example"},
        {"aud": None},
        {"iss": None},
        {"nbf": "over 60 minutes ago"},
        {"exp": "over 60 minutes ahead"},
        {"nbf": "70 seconds ahead"},
        {"key": OTHER_KEY},
        {"redirect_uri": None},
    ],
)
async def test_a_signed_request_keeps_the_rules_of_its_envelope(town: Town, changes: dict[str, Any]) -> None:
    """Message Signing section 5.3.1: fapi2-...-ensure-request-object-without-exp-fails and its sisters."""
    parks = await fapi(town, profile=SIGNING)
    moments = {
        "over 60 minutes ago": parks.moment - 3700,
        "over 60 minutes ahead": parks.moment + 3700,
        "70 seconds ahead": parks.moment + 70,
    }
    changes = {name: moments.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}

    code, error = refusal(await parks.push_object(**changes))

    assert code == 400
    assert error == ("invalid_request" if "redirect_uri" in changes else "invalid_request_object")


async def test_what_is_fine_in_a_signed_request(town: Town) -> None:
    """Several audiences; nbf eight seconds ahead; no state, no nonce; what stands outside is not used."""
    parks, ada = await entered(town, SIGNING)

    assert "code" in await signed_code(parks, ada, aud=[ISSUER, "https://other.example"])
    assert "code" in await signed_code(parks, ada, nbf=parks.moment + 8)
    assert "state" not in await signed_code(parks, ada, state=None, nonce=None)
    outside = {"state": "outside", "nonce": "outside", "client_id": "parks", "request": parks.object(state=None)}
    pushed = await parks.post("/par", proof=None, assertion=None, **outside)
    answer = await ada.get(parks.address(pushed.json()["request_uri"]))
    claims = jwt.decode(
        parks.service.answer(answer)["response"],
        KeySet.import_key_set((await town.wire.get("/jwks")).json()),
        algorithms=["ES256"],
    ).claims
    assert "state" not in claims


@pytest.mark.parametrize("profile", [FAPI2, SIGNING])
async def test_only_algorithms_of_the_profile(town: Town, profile: str) -> None:
    """FAPI 2.0 section 5.4.1: RS256 is refused for assertions, request objects and proofs; PS256 is fine."""
    parks = await fapi(town, profile=profile, jwks=public(SIGNING_KEY, RSA))

    def assertion(algorithm: str) -> dict[str, str]:
        claims = {"iss": "parks", "sub": "parks", "aud": ISSUER, "jti": algorithm, "exp": parks.moment + 60}
        return {
            "client_assertion_type": BEARER,
            "client_assertion": signed({"alg": algorithm, "kid": "rsa"}, claims, RSA),
        }

    for algorithm, good in (("RS256", False), ("PS256", True)):
        request = parks.object(header={"alg": algorithm, "kid": "rsa"}, key=RSA)
        objects = await parks.post("/par", client_id="parks", request=request, proof=None)
        proof = parks.proof("/par", header={"alg": algorithm}, key=RSA)
        proofs = await parks.post("/par", client_id="parks", request=parks.object(), proof=proof)
        assertions = await parks.post(
            "/par", client_id="parks", request=parks.object(), proof=None, assertion=assertion(algorithm)
        )
        if good:
            assert [a.status_code for a in (objects, proofs, assertions)] == [201, 201, 201]
        else:
            assert refusal(objects) == (400, "invalid_request_object")
            assert refusal(proofs) == (400, "invalid_dpop_proof")
            assert refusal(assertions) == (401, "invalid_client")


@pytest.mark.parametrize("path", ["/par", "/token", "/introspect", "/revoke"])
async def test_the_audience_of_an_assertion_is_the_issuer_as_one_string(town: Town, path: str) -> None:
    """FAPI 2.0 section 5.3.2.1, R6: not this address, not the token endpoint, not a list."""
    parks = await fapi(town, profile=FAPI2)
    fields = {**parks.service.fields(), "grant_type": "authorization_code", "code": "x", "token": "x"}

    for audience in (ISSUER + path, ISSUER + "/token", [ISSUER], [ISSUER, ISSUER + path], ISSUER + "/", None):
        answer = await parks.post(path, assertion=parks.assertion(aud=audience), **fields)
        assert refusal(answer) == (401, "invalid_client"), audience
    for changes in ({"nbf": parks.moment + 70}, {"exp": parks.moment - 300}, {"sub": None}, {"iat": parks.moment + 70}):
        answer = await parks.post(path, assertion=parks.assertion(**changes), **fields)
        assert refusal(answer) == (401, "invalid_client"), changes
    ahead = await parks.post(path, assertion=parks.assertion(nbf=parks.moment + 8, iat=parks.moment + 8), **fields)
    assert ahead.status_code != 401


@pytest.mark.parametrize("profile", [FAPI2, SIGNING])
async def test_a_token_is_given_to_a_key_or_not_at_all(town: Town, profile: str) -> None:
    """fapi2-...-ensure-holder-of-key-required: for a code and for a refresh token; the code survives the mistake."""
    parks, ada = await entered(town, profile)
    offline = {"scope": "openid offline_access", "prompt": "consent"}
    code = (
        (await signed_code(parks, ada, **offline))["code"] if profile == SIGNING else await parks.code(ada, **offline)
    )

    assert refusal(await parks.redeem(code, proof=None)) == (400, "invalid_request")
    tokens = await parks.redeem(code)
    assert tokens.status_code == 200
    assert refusal(await parks.refresh(tokens.json()["refresh_token"], proof=None)) == (400, "invalid_request")


async def test_a_code_is_for_one_client_once_for_a_minute_with_its_verifier(town: Town) -> None:
    """fapi2-...-authorization-code-is-bound-to-client, -reuse, -expired, -pkce-code-verifier-required (R3, R4)."""
    parks, ada = await entered(town, FAPI2)
    taxes = await fapi(town, "taxes", profile=FAPI2)

    assert refusal(await taxes.redeem(await parks.code(ada))) == (400, "invalid_grant")
    assert (await parks.redeem(await parks.code(ada), code_verifier=None)).status_code == 400
    assert refusal(await parks.redeem(await parks.code(ada), code_verifier="x" * 43)) == (400, "invalid_grant")
    code = await parks.code(ada)
    town.later(seconds=61)
    assert refusal(await parks.redeem(code)) == (400, "invalid_grant")
    code = await parks.code(ada)
    tokens = (await parks.redeem(code)).json()
    town.later(seconds=1)
    assert refusal(await parks.redeem(code)) == (400, "invalid_grant")
    assert refusal(await parks.userinfo(tokens["access_token"])) == (401, "invalid_token")


async def test_who_must_sign_its_answers_cannot_choose_an_open_one(town: Town) -> None:
    """Message Signing section 5.4: response_mode query is refused, form_post.jwt is fine."""
    parks = await fapi(town, profile=SIGNING)

    assert refusal(await parks.push_object(response_mode="query")) == (400, "invalid_request")
    assert (await parks.push_object(response_mode="form_post.jwt")).status_code == 201


@pytest.mark.parametrize(
    "registered",
    [
        {"token_endpoint_auth_method": "client_secret_basic", "jwks": None},
        {"token_endpoint_auth_method": "none", "jwks": None},
        {"require_pkce": False},
        {"id_token_signed_response_alg": "RS256"},
        {"request_object_signing_alg": "RS256"},
    ],
)
async def test_what_the_profile_does_not_allow_cannot_be_registered(town: Town, registered: dict[str, Any]) -> None:
    """FAPI 2.0 section 5.3.2: a setting that would weaken it is refused by name."""
    with pytest.raises(MetadataError):
        await fapi(town, profile=FAPI2, **registered)


async def test_the_standard_profile_asks_for_none_of_this(town: Town) -> None:
    """A service of the standard profile goes on as it was, with whatever of it that it likes."""
    parks = await town.service()
    ada, _ = await town.citizen()

    tokens = await parks.enter(ada)

    assert tokens["token_type"] == "Bearer"
