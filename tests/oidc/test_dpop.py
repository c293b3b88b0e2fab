"""DPoP: tokens are for who holds their key (RFC 9449, R7)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fapi_kit import OTHER_KEY, PROOF_KEY, Fapi, fapi, jkt, signed
from joserfc.jwk import ECKey, OctKey, RSAKey
from services import Backend
from town import ISSUER, Citizen, Shown, Town, claims_of, new_town

from accounts.consent import withdraw_consent

pytestmark = pytest.mark.anyio

OFFLINE = {"scope": "openid profile offline_access", "prompt": "consent"}


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def entered(town: Town, **registered: Any) -> tuple[Fapi, Citizen]:
    parks = await fapi(town, **registered)
    ada, _ = await town.citizen()
    return parks, ada


async def test_a_proof_binds_the_access_token(town: Town) -> None:
    """Sections 5 and 7.1: token_type DPoP, userinfo with a proof for this very token."""
    parks, ada = await entered(town)

    tokens = await parks.tokens(ada)

    assert tokens["token_type"] == "DPoP"
    answer = await parks.userinfo(tokens["access_token"])
    assert answer.status_code == 200
    assert answer.json()["name"] == "Ada Lovelace"


async def test_without_a_proof_tokens_are_bearer_tokens(town: Town) -> None:
    """Nothing changes for who does not ask; a Bearer token is not taken as a bound one (section 7.1)."""
    parks, ada = await entered(town)

    answer = await parks.redeem(await parks.code(ada), proof=None)

    assert answer.json()["token_type"] == "Bearer"
    assert "dpop-nonce" not in answer.headers
    assert refusal(await parks.userinfo(answer.json()["access_token"])) == (401, "invalid_token")
    assert (await parks.service.userinfo(answer.json()["access_token"])).status_code == 200


async def test_a_bound_token_alone_is_worth_nothing(town: Town) -> None:
    """Section 7.1: not as a Bearer token, in header or body, and not with another key's proof."""
    parks, ada = await entered(town)
    token = (await parks.tokens(ada))["access_token"]

    assert refusal(await parks.service.userinfo(token)) == (401, "invalid_token")
    assert refusal(await parks.userinfo(token, scheme="Bearer")) == (401, "invalid_token")
    in_body = await town.wire.post("/userinfo", data={"access_token": token})
    assert refusal(in_body) == (401, "invalid_token")
    without = await town.wire.get("/userinfo", headers={"authorization": f"DPoP {token}"})
    assert refusal(without) == (401, "invalid_token")
    assert without.headers["www-authenticate"].startswith("DPoP ")
    assert "algs=" in without.headers["www-authenticate"]
    assert refusal(await parks.userinfo(token, key=OTHER_KEY)) == (401, "invalid_token")


async def test_the_scheme_is_read_without_case(town: Town) -> None:
    """RFC 9110 section 11.1."""
    parks, ada = await entered(town)
    token = (await parks.tokens(ada))["access_token"]

    for scheme in ("dpop", "DPOP", "dPoP"):
        assert (await parks.userinfo(token, scheme=scheme)).status_code == 200


BAD: list[dict[str, Any]] = [
    {"htm": "PUT"},
    {"htm": "post"},
    {"htu": "https://other.example/token"},
    {"htu": ISSUER + "/userinfo/"},
    {"htu": ISSUER.replace("https", "http") + "/token"},
    {"iat": 1},
    {"iat": None},
    {"iat": 10**10},
    {"jti": None},
    {"jti": ""},
    {"exp": 1},
    {"nbf": 10**10},
    {"header": {"typ": "JWT"}},
    {"header": {"typ": None}},
    {"header": {"jwk": None}},
    {"header": {"jwk": OTHER_KEY.as_dict(private=False)}},
    {"header": {"jwk": PROOF_KEY.as_dict(private=True)}},
    {"header": {"crit": ["x"], "x": 1}},
    {"header": {"jku": "https://parks.example/jwks"}},
]


@pytest.mark.parametrize("changes", BAD)
async def test_a_proof_that_breaks_a_rule_is_refused_everywhere(town: Town, changes: dict[str, Any]) -> None:
    """Section 4.3: at the token endpoint, at `/par` and at userinfo alike; the code is not spent by it."""
    parks, ada = await entered(town)
    code, token = await parks.code(ada), (await parks.tokens(ada))["access_token"]

    def bad(path: str, **more: Any) -> str:
        return parks.proof(path, **more, **changes)

    at_par = await parks.push(proof=bad("/par"))
    at_token = await parks.redeem(code, proof=bad("/token"))
    at_userinfo = await town.wire.get(
        "/userinfo",
        headers={
            "authorization": f"DPoP {token}",
            "dpop": bad("/userinfo", **method_unless(changes), access_token=token),
        },
    )

    assert refusal(at_par) == (400, "invalid_dpop_proof")
    assert refusal(at_token) == (400, "invalid_dpop_proof")
    assert refusal(at_userinfo) == (401, "invalid_dpop_proof")
    assert (await parks.redeem(code)).status_code == 200


def method_unless(changes: dict[str, Any]) -> dict[str, str]:
    return {} if "htm" in changes else {"method": "GET"}


async def test_a_proof_is_for_one_token(town: Town) -> None:
    """Section 4.3, check 12: `ath` is there and is the hash of the token presented."""
    parks, ada = await entered(town)
    one, two = (await parks.tokens(ada))["access_token"], (await parks.tokens(ada))["access_token"]

    for ath in (None, "x", claims_of(parks.proof("/userinfo", access_token=two))["ath"]):
        assert refusal(await parks.userinfo(one, ath=ath)) == (401, "invalid_dpop_proof")


async def test_two_proofs_are_none(town: Town) -> None:
    """Section 4.3, check 1."""
    parks, ada = await entered(town)
    token = (await parks.tokens(ada))["access_token"]
    proofs = [parks.proof("/userinfo", method="GET", access_token=token) for _ in range(2)]
    headers = [("authorization", f"DPoP {token}"), *(("dpop", proof) for proof in proofs)]

    assert refusal(await town.wire.get("/userinfo", headers=headers)) == (401, "invalid_dpop_proof")


@pytest.mark.parametrize("seconds", [-10, 10])
async def test_clocks_may_differ_by_ten_seconds(town: Town, seconds: int) -> None:
    """FAPI 2.0 section 5.3.2.1 (`iat` 10 seconds before and after)."""
    parks, ada = await entered(town)
    code = await parks.code(ada)

    answer = await parks.redeem(code, proof=parks.proof("/token", iat=parks.moment + seconds))

    assert answer.status_code == 200


async def test_exp_and_nbf_in_a_proof_are_fine(town: Town) -> None:
    """They are not forbidden; where they are there, they count."""
    parks, ada = await entered(town)
    proof = parks.proof("/token", exp=parks.moment + 30, nbf=parks.moment - 5)

    assert (await parks.redeem(await parks.code(ada), proof=proof)).status_code == 200


async def test_the_address_compares_normalised(town: Town) -> None:
    """Section 4.3, check 9: without query and fragment; scheme, host and port as RFC 3986 normalises them."""
    parks, ada = await entered(town)
    token = (await parks.tokens(ada))["access_token"]

    for htu in (ISSUER + "/userinfo?x=1#y", "HTTPS://Account.Example.GOV:443/userinfo"):
        assert (await parks.userinfo(token, htu=htu)).status_code == 200


async def test_a_proof_works_once(town: Town) -> None:
    """Section 11.1: of a hundred copies one passes."""
    parks, ada = await entered(town)
    token = (await parks.tokens(ada))["access_token"]
    proof = parks.proof("/userinfo", method="GET", access_token=token)
    headers = {"authorization": f"DPoP {token}", "dpop": proof}

    answers = await asyncio.gather(*(town.wire.get("/userinfo", headers=headers) for _ in range(100)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 99


async def test_the_request_announces_the_key(town: Town) -> None:
    """Section 10: `dpop_jkt` binds the code; only its key redeems it, and a wrong one spends the code."""
    parks, ada = await entered(town)

    good = await parks.code(ada, dpop_jkt=jkt())
    assert (await parks.redeem(good)).status_code == 200
    bad = await parks.code(ada, dpop_jkt=jkt(OTHER_KEY))
    assert refusal(await parks.redeem(bad)) == (400, "invalid_grant")
    assert refusal(await parks.redeem(await parks.code(ada, dpop_jkt=jkt()), proof=None)) == (400, "invalid_grant")


async def test_a_proof_at_par_announces_it_too(town: Town) -> None:
    """Section 10.1: header and parameter bind alike, and must agree."""
    parks, ada = await entered(town)

    code = await parks.code(ada, proof=parks.proof("/par"))
    with_other = await parks.redeem(code, proof=parks.proof("/token", key=OTHER_KEY))
    disagreeing = await parks.push(proof=parks.proof("/par"), dpop_jkt=jkt(OTHER_KEY))
    agreeing = await parks.push(proof=parks.proof("/par"), dpop_jkt=jkt())

    assert refusal(with_other) == (400, "invalid_grant")
    assert refusal(disagreeing) == (400, "invalid_dpop_proof")
    assert agreeing.status_code == 201


async def test_a_malformed_announcement_is_refused(town: Town) -> None:
    """Section 10: a thumbprint is 43 characters."""
    parks = await fapi(town)

    assert refusal(await parks.push(dpop_jkt="x")) == (400, "invalid_request")


async def test_a_public_clients_refresh_token_is_bound(town: Town) -> None:
    """Section 5: the key of the first proof is the only one that refreshes, rotation after rotation."""
    spa = Fapi(town, await town.service("spa", token_endpoint_auth_method="none"))
    ada, _ = await town.citizen()
    name = {"client_id": "spa"}
    answer = await ada.follow(await ada.get(spa.service.address(**OFFLINE)))
    code = spa.service.answer(await ada.follow(await ada.press(Shown(answer), "allow")))["code"]
    first = (await spa.redeem(code, assertion=name)).json()
    town.later(seconds=1)

    other = await spa.refresh(first["refresh_token"], assertion=name, proof=spa.proof("/token", key=OTHER_KEY))
    none = await spa.refresh(first["refresh_token"], assertion=name, proof=None)
    second = await spa.refresh(first["refresh_token"], assertion=name)

    assert refusal(other) == (400, "invalid_grant")
    assert refusal(none) == (400, "invalid_grant")
    assert second.json()["token_type"] == "DPoP"
    assert second.json()["refresh_token"] != first["refresh_token"]
    third = await spa.refresh(second.json()["refresh_token"], assertion=name, proof=spa.proof("/token", key=OTHER_KEY))
    assert refusal(third) == (400, "invalid_grant")


async def test_who_authenticates_may_change_keys_and_keeps_its_refresh_token(town: Town) -> None:
    """Section 5 and R8: bound to the client, not to the key; not rotated where tokens are sender-constrained."""
    parks, ada = await entered(town, dpop_bound_access_tokens=True)
    tokens = await parks.tokens(ada, **OFFLINE)

    for key in (PROOF_KEY, OTHER_KEY, PROOF_KEY):
        town.later(seconds=30)
        again = await parks.refresh(tokens["refresh_token"], proof=parks.proof("/token", key=key))
        assert again.status_code == 200, again.text
        assert "refresh_token" not in again.json()
        userinfo = await parks.userinfo(again.json()["access_token"], key=key)
        assert userinfo.status_code == 200
    assert refusal(await parks.refresh(tokens["refresh_token"], proof=None)) == (400, "invalid_request")


async def test_a_kept_refresh_token_lives_on_by_use_and_dies_with_its_grant(town: Town) -> None:
    """R8, R13: each use moves its end; a withdrawal ends it at once."""
    parks = await fapi(town, dpop_bound_access_tokens=True)
    ada, account_id = await town.citizen()
    tokens = await parks.tokens(ada, **OFFLINE)
    for _ in range(2):
        town.later(days=29)
        assert (await parks.refresh(tokens["refresh_token"])).status_code == 200
    async with town.transaction() as db:
        await withdraw_consent(db, account_id, "parks", town.clock.now())

    assert refusal(await parks.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


async def test_a_client_that_must_show_a_key_gets_nothing_without(town: Town) -> None:
    """Section 5.2, `dpop_bound_access_tokens`: the code is not spent by the attempt."""
    parks, ada = await entered(town, dpop_bound_access_tokens=True)
    code = await parks.code(ada)

    assert refusal(await parks.redeem(code, proof=None)) == (400, "invalid_request")
    assert (await parks.redeem(code)).status_code == 200


async def test_introspection_names_the_key(town: Town) -> None:
    """Section 6.2: cnf with jkt, token_type DPoP."""
    parks, ada = await entered(town)
    tokens = await parks.tokens(ada)

    facts = (await parks.post("/introspect", proof=None, token=tokens["access_token"])).json()

    assert facts["cnf"] == {"jkt": jkt()}
    assert facts["token_type"] == "DPoP"


@pytest.mark.parametrize("key", [RSAKey.generate_key(2048), ECKey.generate_key("P-521"), OctKey.generate_key(256)])
async def test_only_public_keys_of_known_kinds(town: Town, key: Any) -> None:
    """Section 4.3, checks 5 to 7, R11: the algorithm fits the key, and a shared secret is none."""
    parks = await fapi(town)
    claims = claims_of(parks.proof("/par"))
    algorithm = {"RSA": "RS256", "EC": "ES512", "oct": "HS256"}[key.key_type]
    header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=key.key_type == "oct")}
    proof = signed(header, claims, key)

    answer = await parks.push(proof=proof)

    assert answer.status_code == (400 if key.key_type == "oct" else 201)


@pytest.fixture
async def strict(backend: Backend) -> AsyncIterator[Town]:
    """A deployment that demands nonces."""
    async with new_town(backend.database_url, {"dpop": {"require_nonce": True}}) as made:
        yield made


async def test_a_nonce_is_offered_with_every_answer_to_a_proof(town: Town) -> None:
    """Section 8.2: with success and with refusal; a page in a browser may read it."""
    parks, ada = await entered(town)

    answers = [
        await parks.push(proof=parks.proof("/par")),
        await parks.push(proof=parks.proof("/par", htm="GET")),
        await parks.redeem(await parks.code(ada)),
        await parks.redeem("nothing"),
    ]
    tokens = answers[2].json()
    answers += [await parks.userinfo(tokens["access_token"]), await parks.userinfo(tokens["access_token"], ath="x")]

    for answer in answers:
        assert answer.headers["dpop-nonce"], answer.text
        assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"]
    with_nonce = parks.proof("/par", nonce=answers[0].headers["dpop-nonce"])
    assert (await parks.push(proof=with_nonce)).status_code == 201


async def test_a_nonce_that_is_not_ours_is_answered_with_one_that_is(town: Town) -> None:
    """Section 8: use_dpop_nonce."""
    parks = await fapi(town)

    answer = await parks.push(proof=parks.proof("/par", nonce="guessed"))

    assert refusal(answer) == (400, "use_dpop_nonce")
    again = await parks.push(proof=parks.proof("/par", nonce=answer.headers["dpop-nonce"]))
    assert again.status_code == 201


async def test_where_nonces_are_demanded_the_first_proof_is_sent_back_for_one(strict: Town) -> None:
    """Sections 8 and 9: at the authorization server and at the resource; a nonce ages."""
    parks, ada = await entered(strict)
    code = await parks.code(ada)

    challenged = await parks.redeem(code)
    assert refusal(challenged) == (400, "use_dpop_nonce")
    nonce = challenged.headers["dpop-nonce"]
    tokens = await parks.redeem(code, proof=parks.proof("/token", nonce=nonce))
    assert tokens.status_code == 200
    token = tokens.json()["access_token"]

    at_resource = await parks.userinfo(token)
    assert refusal(at_resource) == (401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in at_resource.headers["www-authenticate"]
    fresh = at_resource.headers["dpop-nonce"]
    assert (await parks.userinfo(token, nonce=fresh)).status_code == 200
    strict.later(seconds=301)
    assert refusal(await parks.userinfo(token, nonce=fresh)) == (401, "use_dpop_nonce")


async def test_a_proof_with_a_nonce_works_once_for_as_long_as_the_nonce_lasts(strict: Town) -> None:
    """Section 11.1: the nonce says when a proof was made, so its jti is kept for as long as the nonce is good."""
    parks, ada = await entered(strict)
    code = await parks.code(ada)
    nonce = (await parks.redeem(code)).headers["dpop-nonce"]
    token = (await parks.redeem(code, proof=parks.proof("/token", nonce=nonce))).json()["access_token"]
    proof = parks.proof("/userinfo", method="GET", access_token=token, nonce=nonce)
    headers = {"authorization": f"DPoP {token}", "dpop": proof}
    assert (await strict.wire.get("/userinfo", headers=headers)).status_code == 200

    for _ in range(4):
        strict.later(seconds=61)
        assert refusal(await strict.wire.get("/userinfo", headers=headers)) == (401, "invalid_dpop_proof")


async def test_discovery_says_so(town: Town) -> None:
    """Section 5.1."""
    document = (await town.wire.get("/.well-known/openid-configuration")).json()

    assert {"ES256", "PS256", "Ed25519"} <= set(document["dpop_signing_alg_values_supported"])
    assert not {"none", "HS256"} & set(document["dpop_signing_alg_values_supported"])
