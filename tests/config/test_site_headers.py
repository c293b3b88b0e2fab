"""What every response carries (R70), by its kind: a page, anything else."""

import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.testing import TestClient
from litestar.types import ASGIApp

from accounts.pages.page import KEEPS_OPENER, POSTS_ELSEWHERE, see_other
from config.site.headers import HeaderPolicy, content_security_policy, with_headers

PAGE = "<!doctype html>" + "<p>The same words again and again.</p>" * 60


@get("/page", sync_to_thread=False)
def a_page() -> Response[str]:
    return Response(PAGE, media_type="text/html")


@get("/interaction", sync_to_thread=False)
def a_page_of_an_interaction(request: Request) -> Response[str]:  # type: ignore[type-arg]
    request.state[KEEPS_OPENER] = True
    return Response(PAGE, media_type="text/html")


@get("/form-post", sync_to_thread=False)
def a_page_that_posts_to_a_service(request: Request) -> Response[str]:  # type: ignore[type-arg]
    request.state[POSTS_ELSEWHERE] = True
    return Response(PAGE, media_type="text/html")


@get("/json", sync_to_thread=False)
def some_json() -> dict[str, str]:
    return {"a": "b" * 2000}


@get("/kept", sync_to_thread=False)
def may_be_kept() -> Response[dict[str, str]]:
    return Response({}, headers={"cache-control": "public, max-age=300"})


@post("/form", sync_to_thread=False)
def a_form() -> Response[bytes]:
    return see_other("https://parks.example/")


def application(policy: HeaderPolicy) -> ASGIApp:
    handlers = [a_page, a_page_of_an_interaction, a_page_that_posts_to_a_service, some_json, may_be_kept, a_form]
    return with_headers(Litestar(handlers, openapi_config=None), policy)


@pytest.fixture(scope="module")
def client() -> TestClient[ASGIApp]:
    return TestClient(application(HeaderPolicy()), base_url="https://account.example")


def test_a_page_carries_all_that_protects_it(client: TestClient[ASGIApp]) -> None:
    """R70"""
    headers = client.get("/page").headers

    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"] == "max-age=63072000"
    assert headers["cache-control"] == "no-store"
    assert "publickey-credentials-get=(self)" in headers["permissions-policy"]
    assert "camera=()" in headers["permissions-policy"]


def test_a_page_of_an_interaction_keeps_a_services_popup_and_its_forms_lead_to_us(client: TestClient[ASGIApp]) -> None:
    """R70, R82: COOP would cut a popup from its opener; where a form goes on to is no matter of the page's policy."""
    headers = client.get("/interaction").headers

    assert "form-action 'self'; " in headers["content-security-policy"]
    assert headers["cross-origin-opener-policy"] == "unsafe-none"


def test_a_page_that_posts_to_a_service_sets_no_limit_to_what_follows(client: TestClient[ASGIApp]) -> None:
    """R82: any `form-action` would be held against the service's own redirects as well."""
    security = client.get("/form-post").headers["content-security-policy"]

    assert "form-action" not in security
    assert "script-src 'self'" in security


@pytest.mark.parametrize(
    "frame", ["*", "https:", "https://*", "https://a b", "https://a;script-src *", "'unsafe-inline'"]
)
def test_no_frame_widens_the_policy(frame: str) -> None:
    assert content_security_policy([frame]) == content_security_policy()


def test_protocol_answers_and_redirects_carry_the_cheap_subset(client: TestClient[ASGIApp]) -> None:
    """COOP on a redirect would cut the popup as well."""
    for answer in (client.get("/json"), client.post("/form", follow_redirects=False), client.get("/no-such-page")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"]
        assert "content-security-policy" not in answer.headers
        assert "cross-origin-opener-policy" not in answer.headers


def test_what_a_handler_says_about_caching_stands(client: TestClient[ASGIApp]) -> None:
    assert client.get("/kept").headers.get_list("cache-control") == ["public, max-age=300"]


def test_without_https_there_is_no_hsts_and_no_secure_cookie() -> None:
    """R40, R74: loopback only; a Secure cookie would never come back there."""
    plain = TestClient(application(HeaderPolicy(https=False)))
    answer = plain.get("/page?lang=cy")
    assert "strict-transport-security" not in answer.headers
    assert "Secure" not in answer.headers["set-cookie"]


def test_a_language_chosen_by_hand_is_remembered(client: TestClient[ASGIApp]) -> None:
    cookie = client.get("/page?x=1&lang=cy").headers["set-cookie"]
    assert cookie == "identity_lang=cy; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure"


@pytest.mark.parametrize(
    "path", ["/page?lang=de", "/page?lang=", "/page?lang=%ff%0d%0a", "/page?slang=cy", "/json?lang=cy"]
)
def test_only_a_page_in_a_language_of_ours_sets_it(client: TestClient[ASGIApp], path: str) -> None:
    assert "set-cookie" not in client.get(path).headers


def test_a_page_is_compressed_and_says_what_it_depends_on(client: TestClient[ASGIApp]) -> None:
    packed = client.get("/page", headers={"accept-encoding": "gzip"})
    plain = client.get("/page", headers={"accept-encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(PAGE) / 5
    assert packed.text == plain.text == PAGE
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == "accept-encoding, accept-language, cookie"
    assert "content-encoding" not in client.get("/json", headers={"accept-encoding": "gzip"}).headers


def test_head_is_answered_like_get_without_the_body(client: TestClient[ASGIApp]) -> None:
    """RFC 9110 section 9.3.2: a server must answer HEAD; the router alone answers 405."""
    for path in ("/page", "/json"):
        head = client.head(path, headers={"accept-encoding": "identity"})
        assert head.status_code == 200
        assert head.content == b""
        got = client.get(path, headers={"accept-encoding": "identity"})
        assert head.headers["content-length"] == got.headers["content-length"]
