"""GET and POST /userinfo, as relying parties meet it."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from oidc_kit import ISSUER, Box, decoded, new_box
from services import Backend

from accounts.profile import Address, Claims

pytestmark = pytest.mark.anyio

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def tokens(box: Box) -> dict[str, Any]:
    """Tokens of Ada at Parks."""
    made: dict[str, Any] = (await box.redeem(await box.code(await box.register()))).json()
    return made


async def test_userinfo_says_what_the_scopes_release(box: Box) -> None:
    """OpenID Connect Core sections 5.3.2 and 5.4: the standard claims of each granted scope, in their types."""
    ada = await box.person(
        Claims(name="Ada", address=Address(locality="London", country="UK"), zoneinfo="Europe/London")
    )
    session = await box.session(ada)
    scopes = ("openid", "profile", "email", "phone", "address")
    tokens = (await box.redeem(await box.code(await box.register(), session=session, scopes=scopes))).json()

    answer = await box.userinfo(tokens["access_token"])

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "sub": decoded(tokens["id_token"])[1]["sub"],
        "name": "Ada",
        "zoneinfo": "Europe/London",
        "locale": "en",
        "updated_at": int(box.now.timestamp()),
        "email": "ada@example.org",
        "email_verified": True,
        "phone_number": "+34600000001",
        "phone_number_verified": True,
        "address": {"locality": "London", "country": "UK"},
    }


async def test_a_token_is_taken_from_header_or_form(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 6750 sections 2.1 and 2.2, Core section 5.3.1; `oidcc-userinfo-get`, `-post-header`, `-post-body`."""
    token = tokens["access_token"]

    answers = [
        await box.http.get("/userinfo", headers={"authorization": f"Bearer {token}"}),
        await box.http.post("/userinfo", headers={"authorization": f"Bearer {token}"}),
        await box.http.post("/userinfo", content=f"access_token={token}", headers=FORM),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json() == answers[1].json() == answers[2].json()


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
async def test_the_token_type_is_compared_without_case(box: Box, tokens: dict[str, Any], scheme: str) -> None:
    """RFC 9110 section 11.1, `fapi2-...-access-token-type-header-case-sensitivity`."""
    answer = await box.http.get("/userinfo", headers={"authorization": f"{scheme} {tokens['access_token']}"})

    assert answer.status_code == 200


async def test_without_a_token_the_challenge_names_no_error(box: Box) -> None:
    """RFC 6750 section 3.1."""
    refused = await box.http.get("/userinfo")

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer realm="userinfo"'


@pytest.mark.parametrize("offered", ["never-issued", "x" * 5000, "é", "a b"])
async def test_an_unknown_token_is_invalid(box: Box, offered: str) -> None:
    """RFC 6750 section 3.1: 401, invalid_token, in the header and in the body."""
    refused = await box.http.get("/userinfo", headers={b"authorization": f"Bearer {offered}".encode()})

    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert refused.json()["error"] == "invalid_token"
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_only_an_access_token_opens_it(box: Box, tokens: dict[str, Any]) -> None:
    """R11: no other artefact passes for one."""
    for name in ("id_token", "refresh_token"):
        assert not await box.is_alive(tokens[name])
    assert not await box.is_alive(
        await box.code(await box.register("taxes"), session=await box.session(await box.person(email="b@example.org")))
    )


async def test_a_token_expires(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 6749 section 5.1: `expires_in`."""
    box.later(seconds=599)
    assert await box.is_alive(tokens["access_token"])
    box.later(seconds=1)
    assert not await box.is_alive(tokens["access_token"])


async def test_a_token_sent_twice_or_in_the_address_is_refused(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 6750 sections 2 and 2.3, RFC 9700 section 4.3.2."""
    token = tokens["access_token"]
    refused = [
        await box.http.get(f"/userinfo?access_token={token}"),
        await box.http.post(
            "/userinfo", content=f"access_token={token}", headers={**FORM, "authorization": f"Bearer {token}"}
        ),
        await box.http.post("/userinfo", content=f"access_token={token}&access_token={token}", headers=FORM),
    ]

    assert [(answer.status_code, answer.json()["error"]) for answer in refused] == [(400, "invalid_request")] * 3


async def test_a_body_of_another_type_is_not_looked_at(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 6750 section 2.2: the content type is the form's."""
    refused = await box.http.post(
        "/userinfo", content=f"access_token={tokens['access_token']}", headers={"content-type": "text/plain"}
    )

    assert refused.status_code == 401


async def test_a_large_body_is_refused(box: Box) -> None:
    """R73."""
    refused = await box.http.post("/userinfo", content="access_token=" + "x" * 1_000_000, headers=FORM)

    assert refused.status_code == 413


async def test_userinfo_is_signed_for_who_registered_so(box: Box) -> None:
    """OpenID Connect Core section 5.3.2: a JWT with iss and aud, of a typ of its own (R11)."""
    parks = await box.register(userinfo_signed_response_alg="ES256")
    tokens = (await box.redeem(await box.code(parks))).json()

    answer = await box.userinfo(tokens["access_token"])

    assert answer.headers["content-type"] == "application/jwt"
    published = KeySet.import_key_set((await box.http.get("/jwks")).json())
    token = jwt.decode(answer.text, published, algorithms=["ES256"])
    assert token.header["typ"] == "userinfo+jwt"
    assert (token.claims["iss"], token.claims["aud"]) == (ISSUER, "parks")
    assert token.claims["email"] == "ada@example.org"


async def test_a_bound_token_is_not_for_who_only_holds_it(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 9449 section 7.1, RFC 8705 section 3: without proof it opens nothing."""
    from sqlalchemy import update

    from oidc.access_token import AccessToken

    async with box.transaction() as db:
        await db.execute(update(AccessToken).values(dpop_jkt="0" * 43))

    assert not await box.is_alive(tokens["access_token"])


async def test_a_browser_may_ask_from_anywhere(box: Box) -> None:
    """Public clients in browsers (oidc-client-ts): preflight for the Authorization header, no cookies."""
    answer = await box.http.options(
        "/userinfo",
        headers={"origin": "https://spa.example", "access-control-request-headers": "authorization"},
    )

    assert answer.status_code == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_two_sectors_know_one_citizen_by_two_subjects(backend: Backend) -> None:
    """R10, OpenID Connect Core section 8.1: nothing in what two services get links the citizen."""
    async with new_box(backend.database_url) as box:
        session = await box.session(await box.person())
        seen = []
        for name in ("parks", "taxes"):
            tokens = (await box.redeem(await box.code(await box.register(name), session=session), name)).json()
            _, claims = decoded(tokens["id_token"])
            assert (await box.userinfo(tokens["access_token"])).json()["sub"] == claims["sub"]
            seen.append(claims)

        assert seen[0]["sub"] != seen[1]["sub"]
        assert seen[0]["sid"] != seen[1]["sid"]


async def test_a_sign_in_that_is_not_enough_any_more_is_told_what_would_be(box: Box) -> None:
    """RFC 9470 section 3: our least level has risen since; the challenge names those that a step-up can ask for."""
    session = await box.session(await box.person(Claims(name="Ada")), acr="aal1")
    tokens = (await box.redeem(await box.code(await box.register(), session=session))).json()

    refused = await box.userinfo(tokens["access_token"])

    assert (refused.status_code, refused.json()["error"]) == (401, "insufficient_user_authentication")
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="userinfo", error="insufficient_user_authentication"')
    assert challenge.endswith('acr_values="aal2 aal2-phr aal3"')
    assert "sub" not in refused.json()
