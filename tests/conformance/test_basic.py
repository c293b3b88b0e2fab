"""The basic plan: clients given by hand, no PKCE, RS256."""

import hashlib
import json

import pytest
from joserfc.jwk import RSAKey
from simulated import header_of

from conformance.kit import (
    OF_SCOPE,
    Claims,
    Party,
    Suite,
    check_code,
    check_error,
    check_page,
    check_token_error,
    check_userinfo,
    segment,
    unsigned,
)
from conformance.modules import BASIC
from conformance.site import Site, by_reference

PLANS = (BASIC,)


@pytest.fixture
def party(suite: Suite) -> Party:
    """The client with a secret by HTTP Basic."""
    return suite.known("basic")


def scoped(suite: Suite, party: Party, *scopes: str, **changes: str) -> Claims:
    """What userinfo tells for these scopes: all their claims and no others."""
    signed_in = party.sign_in(suite.browser(), scope=" ".join(("openid", *scopes)), **changes)
    claims = party.about(signed_in)
    assert set(claims) == {"sub"}.union(*(OF_SCOPE[scope] for scope in scopes))
    return claims


def test_oidcc_response_type_missing(suite: Suite, party: Party) -> None:
    """RFC 6749 section 3.1.1: an error, to the client or on a page."""
    asked = party.request(response_type=None)

    end = party.come(suite.browser(), asked)

    check_error(end, asked, suite.issuer, "invalid_request", "unsupported_response_type")


def test_oidcc_idtoken_signature(suite: Suite, party: Party) -> None:
    """OpenID Connect Core section 10.1: RS256 by default, and a `kid` of the key set."""
    signed_in = party.sign_in(suite.browser())

    header = header_of(signed_in.tokens["id_token"])

    assert header["alg"] == "RS256"
    assert header["kid"] in {key["kid"] for key in suite.jwks()}


def test_oidcc_userinfo_get(suite: Suite, party: Party) -> None:
    """GET with the token in the header."""
    party.about(party.sign_in(suite.browser()))


def test_oidcc_userinfo_post_header(suite: Suite, party: Party) -> None:
    """Section 5.3.1: POST with the token in the header."""
    signed_in = party.sign_in(suite.browser())
    headers = {"authorization": f"Bearer {signed_in.tokens['access_token']}"}

    answer = suite.http.post(suite.metadata["userinfo_endpoint"], headers=headers)

    check_userinfo(answer, signed_in.claims["sub"])


def test_oidcc_userinfo_post_body(suite: Suite, party: Party) -> None:
    """Section 5.3.1: POST with the token in the form."""
    signed_in = party.sign_in(suite.browser())
    fields = {"access_token": signed_in.tokens["access_token"]}

    answer = suite.http.post(suite.metadata["userinfo_endpoint"], data=fields)

    check_userinfo(answer, signed_in.claims["sub"])


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(suite: Suite, party: Party) -> None:
    """The ID token has no nonce then."""
    assert "nonce" not in party.sign_in(suite.browser(), nonce=None).claims


def test_oidcc_scope_profile(suite: Suite, party: Party) -> None:
    """Section 5.4."""
    scoped(suite, party, "profile")


def test_oidcc_scope_email(suite: Suite, party: Party) -> None:
    """Section 5.4."""
    scoped(suite, party, "email")


def test_oidcc_scope_address(suite: Suite, party: Party) -> None:
    """Sections 5.1.1 and 5.4."""
    assert scoped(suite, party, "address")["address"]["country"] == "United Kingdom"


def test_oidcc_scope_phone(suite: Suite, party: Party) -> None:
    """Section 5.4."""
    scoped(suite, party, "phone")


def test_oidcc_scope_all(suite: Suite, party: Party) -> None:
    """Section 5.4."""
    scoped(suite, party, "profile", "email", "address", "phone")


def test_oidcc_alternate_happy_flow(suite: Suite, party: Party) -> None:
    """Scopes and parameters in another order (RFC 6749 section 3.3)."""
    asked = dict(reversed(party.request(scope="email openid").items()))

    end = party.come(suite.browser(), asked)

    assert set(party.about(party.finish(asked, check_code(end, asked, suite.issuer)))) == {"sub", *OF_SCOPE["email"]}


def test_oidcc_display_page(suite: Suite, party: Party) -> None:
    """Tolerated."""
    party.sign_in(suite.browser(), display="page")


def test_oidcc_display_popup(suite: Suite, party: Party) -> None:
    """Tolerated."""
    party.sign_in(suite.browser(), display="popup")


def test_oidcc_prompt_login(suite: Suite, party: Party) -> None:
    """Section 3.1.2.1: who is signed in is asked again, and `auth_time` says so."""
    browser = suite.browser()
    first = party.sign_in(browser)
    browser.seen = []
    suite.later(2)

    second = party.sign_in(browser, prompt="login")

    assert "sign-in" in browser.seen
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] > first.claims["auth_time"]


def test_oidcc_prompt_none_not_logged_in(suite: Suite, party: Party) -> None:
    """Section 3.1.2.6: never a page."""
    browser = suite.browser()
    asked = party.request(prompt="none")

    end = party.come(browser, asked)

    check_error(end, asked, suite.issuer, "login_required", "interaction_required", "account_selection_required")
    assert browser.seen == []


def test_oidcc_prompt_none_logged_in(suite: Suite, party: Party) -> None:
    """The same person and the same sign-in, without a page."""
    browser = suite.browser()
    first = party.sign_in(browser)
    browser.seen = []
    suite.later(2)

    second = party.sign_in(browser, prompt="none")

    assert browser.seen == []
    assert (second.claims["sub"], second.claims["auth_time"]) == (first.claims["sub"], first.claims["auth_time"])


def test_oidcc_max_age_1(suite: Suite, party: Party) -> None:
    """A second later the person is asked again."""
    browser = suite.browser()
    first = party.sign_in(browser)
    browser.seen = []
    suite.later(2)

    second = party.sign_in(browser, max_age="1")

    assert "sign-in" in browser.seen
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert suite.now() - second.claims["auth_time"] < 60


def test_oidcc_max_age_10000(suite: Suite, party: Party) -> None:
    """The old sign-in will do; `auth_time` is there (section 2)."""
    browser = suite.browser()
    first = party.sign_in(browser, max_age="15000")
    browser.seen = []
    suite.later(2)

    second = party.sign_in(browser, max_age="10000")

    assert browser.seen == []
    assert second.claims["auth_time"] == first.claims["auth_time"]
    assert second.claims["sub"] == first.claims["sub"]


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(suite: Suite, party: Party) -> None:
    """Section 3.1.2.1: ignored."""
    party.sign_in(suite.browser(), extra="foobar")


def test_oidcc_id_token_hint(suite: Suite, party: Party) -> None:
    """`prompt=none` with the ID token of who is signed in."""
    browser = suite.browser()
    first = party.sign_in(browser)
    browser.seen = []

    second = party.sign_in(browser, prompt="none", id_token_hint=first.tokens["id_token"])

    assert browser.seen == []
    assert second.claims["sub"] == first.claims["sub"]


def test_oidcc_login_hint(suite: Suite, party: Party) -> None:
    """Tolerated, even when it names nobody."""
    party.sign_in(suite.browser(), login_hint="buffy@suite.example.org")


def test_oidcc_ui_locales(suite: Suite, party: Party) -> None:
    """Tolerated."""
    party.sign_in(suite.browser(), ui_locales="se")


def test_oidcc_claims_locales(suite: Suite, party: Party) -> None:
    """Tolerated."""
    party.sign_in(suite.browser(), claims_locales="se")


def test_oidcc_ensure_request_with_acr_values_succeeds(suite: Suite, party: Party) -> None:
    """Section 15.1: voluntary, whether the value is known or not; what was reached is said."""
    known = suite.metadata["acr_values_supported"]

    assert party.sign_in(suite.browser(), acr_values=" ".join(known[:2])).claims["acr"] in known
    assert party.sign_in(suite.browser(), acr_values="1 2").claims["acr"] in known


def test_oidcc_codereuse(suite: Suite, party: Party) -> None:
    """RFC 6749 section 4.1.2: refused at once."""
    asked, code = party.code(suite.browser())
    party.finish(asked, code)

    check_token_error(party.redeem(code), "invalid_grant")


def test_oidcc_codereuse_30seconds(suite: Suite, party: Party) -> None:
    """Refused after 30 seconds as well, and what the code gave is worth nothing any more (RFC 6750 section 3.1)."""
    asked, code = party.code(suite.browser())
    signed_in = party.finish(asked, code)
    suite.later(30)

    check_token_error(party.redeem(code), "invalid_grant")

    after = party.userinfo(signed_in.tokens["access_token"])
    assert after.status_code == 401
    assert 'error="invalid_token"' in after.headers["www-authenticate"]


def test_oidcc_ensure_registered_redirect_uri(suite: Suite, party: Party) -> None:
    """Section 3.1.2.1: an error page, no redirect."""
    check_page(party.come(suite.browser(), party.request(redirect_uri=f"{party.redirect_uri}/unregistered")))


def test_oidcc_ensure_post_request_succeeds(suite: Suite, party: Party) -> None:
    """Section 3.1.2.1: `/authorize` by POST."""
    asked = party.request()

    end = suite.browser().send(suite.metadata["authorization_endpoint"], asked)

    party.finish(asked, check_code(end, asked, suite.issuer))


def test_oidcc_server_client_secret_post(suite: Suite) -> None:
    """The happy flow, the secret in the form."""
    party = suite.known("post")

    party.about(party.sign_in(suite.browser()))


def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    suite: Suite, party: Party, site: Site
) -> None:
    """Section 6.2: supported, for an address that the client registered; another is refused by its name."""
    assert suite.metadata["require_request_uri_registration"] is True
    by_reference(suite, site, RSAKey.generate_key(2048, {"kid": "requests", "use": "sig"}), "none")
    asked = party.request(request_uri="https://suite.example.org/requests/one.jwt")

    end = party.come(suite.browser(), asked)

    check_error(end, asked, suite.issuer, "request_uri_not_supported")


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    suite: Suite, party: Party
) -> None:
    """Section 6.1: what only the object says counts, and where both speak the object does."""
    assert "none" in suite.metadata["request_object_signing_alg_values_supported"]
    asked = party.request()
    outside = {name: asked[name] for name in ("client_id", "response_type", "scope", "redirect_uri")}
    sent = {**outside, "state": "of-the-query", "nonce": "of-the-query", "request": unsigned(dict(asked))}

    end = party.come(suite.browser(), sent)

    party.finish(asked, check_code(end, asked, suite.issuer))


def test_oidcc_claims_essential(suite: Suite, party: Party) -> None:
    """Section 5.5: `name` as essential claim, from userinfo and in the ID token apart."""
    wanted = {"userinfo": {"name": {"essential": True}}}
    signed_in = party.sign_in(suite.browser(), claims=json.dumps(wanted))
    assert set(party.about(signed_in)) == {"sub", "name"}
    assert "name" not in signed_in.claims

    signed_in = party.sign_in(suite.browser(), claims=json.dumps({"id_token": wanted["userinfo"]}))
    assert signed_in.claims["name"] == "Ada Lovelace"
    assert set(party.about(signed_in)) == {"sub"}


def test_oidcc_ensure_request_with_valid_pkce_succeeds(suite: Suite, party: Party) -> None:
    """RFC 7636 section 4.5: a client that need not may use it; then the verifier counts."""
    verifier = "a-verifier-of-the-suite-that-is-forty-three-characters-long"
    challenge = segment(hashlib.sha256(verifier.encode()).digest())
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    browser = suite.browser()

    asked, code = party.code(browser, **pkce)
    party.finish(asked, code, code_verifier=verifier)

    _, code = party.code(browser, **pkce)
    check_token_error(party.redeem(code), "invalid_grant")
