"""The endpoints that programs call, in the whole house: its middlewares, headers and cookies around them."""

from typing import TYPE_CHECKING, Any

import pytest
from oidc_kit import VERIFIER

import oidc.endpoints.userinfo

if TYPE_CHECKING:
    from town import Town

pytestmark = pytest.mark.anyio

PATHS = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"]


async def test_a_service_gets_tokens_and_claims(town: "Town") -> None:
    """Code, token, userinfo, refresh: the main job from the service's side."""
    parks = await town.service()
    ada, _ = await town.citizen()

    tokens = await parks.enter(ada)
    who = await parks.userinfo(tokens["access_token"])
    again = await parks.refresh(tokens["refresh_token"])

    assert who.json()["email"] == "ada@example.org"
    assert again.status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_documents_are_public_and_set_no_cookie(town: "Town", path: str) -> None:
    """They are cached by everyone in between: nothing in them may belong to one browser."""
    got = await town.wire.get(path)
    head = await town.wire.head(path)

    for answer in (got, head):
        assert answer.status_code == 200
        assert answer.headers["cache-control"].startswith("public")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "set-cookie" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("path", ["/token", "/userinfo", *PATHS])
async def test_a_preflight_passes_the_house(town: "Town", path: str) -> None:
    """oidc-client-ts asks before it posts; no form guard stands in the way."""
    answer = await town.wire.options(path, headers={"origin": "https://spa.example"})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in answer.headers


async def test_a_browser_of_another_origin_redeems_and_reads(town: "Town") -> None:
    """A public client in a browser: Origin is foreign, no cookies, no CSRF token; and the answer may be read."""
    spa = await town.service("spa", token_endpoint_auth_method="none")
    ada, _ = await town.citizen()
    code = spa.answer(await ada.follow(await ada.press(await ada.see(spa.address()), "allow")))["code"]
    origin = {"origin": "https://spa.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}

    answer = await town.wire.post(
        "/token",
        data={
            "grant_type": "authorization_code",
            "client_id": "spa",
            "code": code,
            "redirect_uri": spa.redirect_uri,
            "code_verifier": VERIFIER,
        },
        headers=origin,
    )
    who = await town.wire.get(
        "/userinfo", headers={**origin, "authorization": f"Bearer {answer.json()['access_token']}"}
    )

    assert (answer.status_code, who.status_code) == (200, 200)
    assert answer.headers["access-control-allow-origin"] == who.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    assert not {"set-cookie", "access-control-allow-credentials"} & {*answer.headers, *who.headers}


async def test_another_method_is_not_allowed(town: "Town") -> None:
    """RFC 6749 section 3.2: POST; a code in an address would end up in logs."""
    assert (await town.wire.get("/token?grant_type=authorization_code&code=x")).status_code == 405
    assert (await town.wire.put("/userinfo")).status_code == 405


NOT_SERVED = [
    ("GET", "/token", 405, {"POST", "OPTIONS"}),
    ("DELETE", "/userinfo", 405, {"GET", "POST", "OPTIONS"}),
    ("POST", "/jwks", 405, {"GET", "HEAD", "OPTIONS"}),
    ("GET", "/introspect", 405, {"POST", "OPTIONS"}),
    ("GET", "/token/more", 404, set()),
    ("GET", "/.well-known/oauth-protected-resource", 404, set()),
]


@pytest.mark.parametrize(("method", "path", "status", "allowed"), NOT_SERVED)
async def test_a_program_that_errs_in_path_or_method_reads_json(
    town: "Town", method: str, path: str, status: int, allowed: set[str]
) -> None:
    """From any origin, with what is allowed instead (RFC 9110 section 15.5.6)."""
    answer = await town.wire.request(method, path, headers={"origin": "https://spa.example"})

    assert answer.status_code == status
    assert answer.json()["error"] == "invalid_request"
    assert set(answer.headers.get("allow", "").split(", ")) - {""} == allowed
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("method", "path", "status", "_"), NOT_SERVED)
async def test_a_browser_that_errs_in_path_or_method_sees_a_page(
    town: "Town", method: str, path: str, status: int, _: set[str]
) -> None:
    """Somebody typed it, or followed a link."""
    answer = await town.wire.request(method, path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == status
    assert 'data-page="error"' in answer.text


async def test_a_crash_says_nothing_and_says_it_in_json(town: "Town", monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything unforeseen is a 500 that says nothing and logs everything."""

    async def crash(*_: Any) -> None:
        raise RuntimeError("the secret of all secrets")

    monkeypatch.setattr(oidc.endpoints.userinfo, "find_released", crash)
    answer = await town.wire.get("/userinfo", headers={"authorization": "Bearer x"})

    assert answer.status_code == 500
    assert answer.json() == {"error": "server_error", "error_description": "Something went wrong here."}
