"""POST /introspect, as relying parties meet it (RFC 7662, RFC 9701)."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from oidc_kit import ISSUER, Box, decoded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tokens(box: Box) -> dict[str, Any]:
    """Tokens of Ada at Parks."""
    made: dict[str, Any] = (await box.redeem(await box.code(await box.register()))).json()
    return made


async def test_a_live_access_token_is_described(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 7662 section 2.2, RFC 9470 section 6.2: scope, times, the sector's `sub`, and how the citizen signed in."""
    answer = await box.introspect(tokens["access_token"])

    claims = decoded(tokens["id_token"])[1]
    now = int(box.now.timestamp())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "active": True,
        "iss": ISSUER,
        "client_id": "parks",
        "sub": claims["sub"],
        "scope": tokens["scope"],
        "token_type": "Bearer",
        "iat": now,
        "exp": now + tokens["expires_in"],
        "auth_time": claims["auth_time"],
        "acr": claims["acr"],
    }


async def test_a_live_refresh_token_is_described_until_it_is_rotated(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 7662 section 2.1: any token of ours may be asked about."""
    before = (await box.introspect(tokens["refresh_token"])).json()
    await box.refresh(tokens["refresh_token"])
    after = (await box.introspect(tokens["refresh_token"])).json()

    assert (before["active"], before["token_type"]) == (True, "refresh_token")
    assert after == {"active": False}


@pytest.mark.parametrize("which", ["unknown", "foreign", "id_token", "expired", "revoked"])
async def test_whatever_is_not_a_live_token_of_the_caller_is_inactive(
    box: Box, tokens: dict[str, Any], which: str
) -> None:
    """RFC 7662 sections 2.2 and 4, R11: nothing but `active: false`, whatever the reason."""
    await box.register("taxes")
    asked, caller = tokens["access_token"], "parks"
    if which == "unknown":
        asked = "never-issued"
    elif which == "foreign":
        caller = "taxes"
    elif which == "id_token":
        asked = tokens["id_token"]
    elif which == "expired":
        box.later(seconds=601)
    else:
        await box.revoke(tokens["refresh_token"])

    assert (await box.introspect(asked, caller)).json() == {"active": False}


async def test_a_public_client_may_not_ask(box: Box) -> None:
    """RFC 7662 section 2.1: the endpoint is for callers that authenticate; otherwise tokens could be scanned."""
    await box.register("app", secret=None, token_endpoint_auth_method="none")

    answer = await box.http.post("/introspect", data={"token": "x", "client_id": "app"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_the_answer_is_signed_for_who_asks_for_it(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 9701 sections 4 and 5: a JWT of its own type, for this caller, the answer inside it."""
    answer = await box.introspect(tokens["access_token"], accept="application/token-introspection+jwt")

    keys = KeySet.import_key_set((await box.http.get("/jwks")).json())
    signed = jwt.decode(answer.text, keys, algorithms=["ES256"])
    assert answer.headers["content-type"] == "application/token-introspection+jwt"
    assert signed.header["typ"] == "token-introspection+jwt"
    assert (signed.claims["iss"], signed.claims["aud"]) == (ISSUER, "parks")
    assert signed.claims["token_introspection"]["active"] is True
    assert {"sub", "exp"}.isdisjoint(signed.claims)
