"""Authlib's client, which knows nothing of our code, against token, userinfo and refresh."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey
from oidc_kit import CALLBACK, ISSUER, SECRET, VERIFIER, Box

pytestmark = pytest.mark.anyio

KEY = ECKey.generate_key("P-256", {"kid": "one"})


@pytest.mark.parametrize(
    ("method", "registered", "made_with"),
    [
        ("client_secret_basic", {}, {"client_secret": SECRET}),
        ("client_secret_post", {}, {"client_secret": SECRET}),
        ("private_key_jwt", {"jwks": {"keys": [KEY.as_dict(private=False)]}}, {"client_secret": KEY}),
        ("none", {}, {}),
    ],
)
async def test_authlib_gets_tokens_refreshes_and_reads(
    box: Box, method: str, registered: dict[str, Any], made_with: dict[str, Any]
) -> None:
    """Each way to authenticate, as a library does it; its clock is the machine's."""
    box.now = datetime.now(UTC)
    code = await box.code(await box.register(token_endpoint_auth_method=method, **registered))
    async with AsyncOAuth2Client(
        "parks",
        token_endpoint_auth_method=method,
        token_endpoint=f"{ISSUER}/token",
        redirect_uri=CALLBACK,
        transport=httpx2.ASGITransport(app=box._application()),  # type: ignore[arg-type]
        **made_with,
    ) as parks:
        if method == "private_key_jwt":
            parks.register_client_auth_method(PrivateKeyJWT(f"{ISSUER}/token", alg="ES256", headers={"kid": "one"}))

        first = await parks.fetch_token(code=code, code_verifier=VERIFIER, grant_type="authorization_code")
        who = await parks.get(f"{ISSUER}/userinfo")
        second = await parks.refresh_token(f"{ISSUER}/token", refresh_token=first["refresh_token"])

    assert who.json()["email"] == "ada@example.org"
    assert second["access_token"] != first["access_token"]
    assert second["id_token"]
