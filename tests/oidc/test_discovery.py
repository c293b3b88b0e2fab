"""What programs read about us."""

import pytest
from authlib.oidc.discovery import OpenIDProviderMetadata
from oidc_kit import ISSUER, Box, new_box
from services import Backend

pytestmark = pytest.mark.anyio

OPENID, OAUTH, KEYS = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"


async def test_an_independent_reader_accepts_the_document(box: Box) -> None:
    """OpenID Connect Discovery section 3, in Authlib's eyes; the issuer is byte for byte ours."""
    document = (await box.http.get(OPENID)).json()

    OpenIDProviderMetadata(document).validate()
    assert document["issuer"] == ISSUER
    assert document["token_endpoint"] == f"{ISSUER}/token"
    assert document["jwks_uri"] == f"{ISSUER}/jwks"


async def test_both_addresses_say_the_same(box: Box) -> None:
    """RFC 8414."""
    assert (await box.http.get(OPENID)).content == (await box.http.get(OAUTH)).content


async def test_nothing_is_taken_from_the_host_header(box: Box) -> None:
    """R71: issuer and links come from configuration."""
    forged = await box.http.get(OPENID, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})

    assert b"evil" not in forged.content


@pytest.mark.parametrize("path", [OPENID, OAUTH, KEYS])
async def test_documents_are_cached_and_asked_for_by_tag(box: Box, path: str) -> None:
    """RFC 9110 section 13.1.2: who has the document is told so; any origin may read it."""
    first = await box.http.get(path)

    again = await box.http.get(path, headers={"if-none-match": first.headers["etag"]})

    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"].startswith("public, max-age=")
    assert first.headers["access-control-allow-origin"] == "*"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", [OPENID, OAUTH, KEYS])
async def test_head_is_get_without_content(box: Box, path: str) -> None:
    """RFC 9110 section 9.3.2."""
    got, head = await box.http.get(path), await box.http.head(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize("path", [OPENID, OAUTH, KEYS])
async def test_a_preflight_is_answered(box: Box, path: str) -> None:
    """CORS: a browser with headers of its own asks first. Whatever they are called, anybody may read these; and
    `Authorization` is not among what "*" stands for."""
    asks = {"access-control-request-method": "GET", "access-control-request-headers": "authorization, x-request-id"}
    answer = await box.http.options(path, headers={"origin": "https://spa.example", **asks})

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert answer.headers["access-control-allow-headers"].startswith("*, Authorization")


async def test_the_key_set_shows_public_keys_alone(backend: Backend) -> None:
    """RFC 7517: of each algorithm the current and the next key, with kid, use and alg; nothing private."""
    async with new_box(backend.database_url, algorithms=("ES256", "RS256")) as box:
        keys = (await box.http.get(KEYS)).json()["keys"]

    assert sorted(key["alg"] for key in keys) == ["ES256", "ES256", "RS256", "RS256"]
    for key in keys:
        assert key["use"] == "sig"
        assert key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi"} & key.keys()
