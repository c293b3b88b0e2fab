"""JARM: the answer of `/authorize` as one signed JWT (JWT Secured Authorization Response Mode, final)."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from town import ISSUER, Citizen, Service, Shown, Town

pytestmark = pytest.mark.anyio


async def entered(town: Town, **registered: Any) -> tuple[Service, Citizen]:
    """A service that verifies ES256, and a citizen who has agreed to it."""
    parks = await town.service(**{"authorization_signed_response_alg": "ES256", **registered})
    ada, _ = await town.citizen()
    await parks.enter(ada)
    return parks, ada


async def verified(town: Town, response: str) -> dict[str, Any]:
    """The claims of an answer, as a client checks it: with the key set that is published."""
    keys = KeySet.import_key_set((await town.wire.get("/jwks")).json())
    token = jwt.decode(response, keys, algorithms=["ES256"])
    assert token.header["typ"] == "JWT"
    return dict(token.claims)


@pytest.mark.parametrize("mode", ["jwt", "query.jwt"])
async def test_the_answer_is_one_signed_parameter(town: Town, mode: str) -> None:
    """JARM sections 2.1, 2.3.1 and 2.3.4: `response` alone, with iss, aud, exp, code and state inside."""
    parks, ada = await entered(town)

    answer = parks.answer(await ada.get(parks.address(response_mode=mode)))

    assert set(answer) == {"response"}
    claims = await verified(town, answer["response"])
    assert set(claims) == {"iss", "aud", "exp", "code", "state"}
    assert (claims["iss"], claims["aud"], claims["state"]) == (ISSUER, "parks", "a-state")
    assert 0 < claims["exp"] - town.clock.now().timestamp() <= 600
    assert (await parks.redeem(claims["code"])).status_code == 200


async def test_the_signed_answer_can_be_posted(town: Town) -> None:
    """JARM section 2.3.3."""
    parks, ada = await entered(town)

    shown = Shown(await ada.get(parks.address(response_mode="form_post.jwt")))

    assert set(shown.hidden) == {"response"}
    assert (await verified(town, shown.hidden["response"]))["state"] == "a-state"


async def test_an_error_is_signed_too(town: Town) -> None:
    """JARM section 2.1: error and error_description are claims."""
    parks = await town.service(authorization_signed_response_alg="ES256")

    answer = parks.answer(await town.browser().get(parks.address(response_mode="jwt", prompt="none")))

    claims = await verified(town, answer["response"])
    assert claims["error"] == "login_required"
    assert claims["aud"] == "parks"


async def test_a_refusal_by_the_citizen_is_signed(town: Town) -> None:
    """The answer of the consent page goes the same way."""
    parks = await town.service(authorization_signed_response_alg="ES256")
    ada, _ = await town.citizen()

    consent = Shown(await ada.follow(await ada.get(parks.address(response_mode="query.jwt"))))
    answer = parks.answer(await ada.press(consent, "refuse"))

    assert (await verified(town, answer["response"]))["error"] == "access_denied"


async def test_a_service_that_named_no_algorithm_gets_rs256(town: Town) -> None:
    """JARM section 3: the default of authorization_signed_response_alg."""
    from oidc.signing_keys import ensure_keys

    parks, ada = await entered(town, authorization_signed_response_alg=None)
    async with town.transaction() as db:
        await ensure_keys(db, town.house.key_holder, town.clock.now(), ["RS256"])
    town.later(seconds=1)

    answer = parks.answer(await ada.get(parks.address(response_mode="jwt")))

    keys = KeySet.import_key_set((await town.wire.get("/jwks")).json())
    assert jwt.decode(answer["response"], keys, algorithms=["RS256"]).claims["aud"] == "parks"


async def test_discovery_says_so(town: Town) -> None:
    """JARM section 4."""
    document = (await town.wire.get("/.well-known/openid-configuration")).json()

    assert document["authorization_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert {"form_post", "jwt", "query.jwt", "form_post.jwt"} <= set(document["response_modes_supported"])
