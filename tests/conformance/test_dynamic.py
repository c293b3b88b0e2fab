"""The dynamic plan: clients that register themselves, keys that change, request objects."""

from typing import Any

from joserfc.jwk import ECKey, RSAKey
from simulated import header_of

from conformance.kit import (
    REDIRECT,
    Suite,
    check_id_token,
    check_jwt,
    check_page,
    check_refreshed,
    check_token_error,
    public,
)
from conformance.modules import DYNAMIC
from conformance.site import Site, by_reference

PLANS = (DYNAMIC,)
GRANTS = ["authorization_code", "refresh_token"]


def refused(suite: Suite, *errors: str, **metadata: Any) -> None:
    """A registration that must not happen (OpenID Connect Registration section 3.3)."""
    answer = suite.register(**metadata)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in errors


def test_oidcc_idtoken_rs256(suite: Suite) -> None:
    """Section 10.1: what was registered."""
    signed_in = suite.party(id_token_signed_response_alg="RS256").sign_in(suite.browser())

    assert header_of(signed_in.tokens["id_token"])["alg"] == "RS256"


def test_oidcc_userinfo_rs256(suite: Suite) -> None:
    """Section 5.3.2: a signed userinfo has `iss` and `aud`."""
    party = suite.party(userinfo_signed_response_alg="RS256")
    signed_in = party.sign_in(suite.browser(), scope="openid email")

    answer = party.userinfo(signed_in.tokens["access_token"])

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/jwt")
    _, claims = check_jwt(party, answer.text, "RS256")
    assert (claims["iss"], claims["aud"]) == (suite.issuer, party.client_id)
    assert (claims["sub"], claims["email"]) == (signed_in.claims["sub"], "ada@example.org")


def test_oidcc_ensure_redirect_uri_in_authorization_request(suite: Suite) -> None:
    """Section 3.1.2.1: required, even where one alone is registered; the person is told."""
    party = suite.party()

    check_page(party.come(suite.browser(), party.request(redirect_uri=None)))


def test_oidcc_redirect_uri_query_OK(suite: Suite) -> None:  # noqa: N802 - as the module is named
    """RFC 6749 section 3.1.2: a query of its own is kept."""
    party = suite.party(redirect_uris=[f"{REDIRECT}?foo=bar"])

    party.sign_in(suite.browser())


def test_oidcc_redirect_uri_query_mismatch(suite: Suite) -> None:
    """Another value in the query is another address."""
    party = suite.party(redirect_uris=[f"{REDIRECT}?foo=bar"])

    check_page(party.come(suite.browser(), party.request(redirect_uri=f"{REDIRECT}?bar=foo")))


def test_oidcc_redirect_uri_query_added(suite: Suite) -> None:
    """A query where none was registered as well."""
    party = suite.party()

    check_page(party.come(suite.browser(), party.request(redirect_uri=f"{REDIRECT}?foo=bar")))


def test_oidcc_redirect_uri_regfrag(suite: Suite) -> None:
    """RFC 6749 section 3.1.2: no fragment is registered."""
    refused(suite, "invalid_redirect_uri", "invalid_client_metadata", redirect_uris=[f"{REDIRECT}#foobar"])


def linked(suite: Suite, **metadata: str) -> None:
    """Registered, told again, and on the page where the person decides (Registration section 2)."""
    party = suite.party(**metadata)
    assert {name: party.metadata[name] for name in metadata} == metadata
    shown = party.come(suite.browser(), party.request(), until="consent")
    assert all(f'href="{address}"' in shown.text for address in metadata.values())
    party.sign_in(suite.browser())


def test_oidcc_registration_logo_uri(suite: Suite) -> None:
    """Registration section 2: kept, and the client works. Not shown: the provider would tell a stranger's server who is
    about to sign in where (SHOULD; our pages load nothing foreign, R70)."""
    address = "https://suite.example.org/logo.png"
    party = suite.party(logo_uri=address)
    assert party.metadata["logo_uri"] == address
    assert address not in party.come(suite.browser(), party.request(), until="consent").text
    party.sign_in(suite.browser())


def test_oidcc_registration_policy_uri(suite: Suite) -> None:
    """Registration section 2: the person can read it before they agree."""
    linked(suite, policy_uri="https://suite.example.org/policy.html")


def test_oidcc_registration_tos_uri(suite: Suite) -> None:
    """Registration section 2: likewise."""
    linked(suite, tos_uri="https://suite.example.org/tos.html")


def test_oidcc_registration_jwks_uri(suite: Suite, site: Site) -> None:
    """`private_key_jwt` with keys that the client publishes."""
    key = ECKey.generate_key("P-256", {"kid": "published", "use": "sig"})
    address = site.publish("/jwks", public(key))
    party = suite.party(key, token_endpoint_auth_method="private_key_jwt", jwks_uri=address)

    party.sign_in(suite.browser())

    assert party.metadata["jwks_uri"] == address


def test_oidcc_registration_sector_uri(suite: Suite, site: Site) -> None:
    """Section 5: clients of one sector know a person by the same `sub`, another client by another one."""
    others = ["https://one.example.org/callback", "https://two.example.org/callback"]
    sector = site.publish("/sector", others)
    shared = {"sector_identifier_uri": sector, "subject_type": "pairwise"}

    one, two = (suite.party(redirect_uris=[uri], **shared) for uri in others)

    subjects = {party.sign_in(suite.browser()).claims["sub"] for party in (one, two)}
    assert len(subjects) == 1
    assert suite.party().sign_in(suite.browser()).claims["sub"] not in subjects


def test_oidcc_registration_sector_bad(suite: Suite, site: Site) -> None:
    """Section 5: the document lists every redirect URI."""
    sector = site.publish("/sector", ["https://one.example.org/callback"])

    refused(suite, "invalid_client_metadata", sector_identifier_uri=sector, subject_type="pairwise")


def test_oidcc_server_rotate_keys(suite: Suite) -> None:
    """Section 10.1.1: after a rotation a new key signs, and what the old one signed still verifies."""
    party = suite.party()
    first = party.sign_in(suite.browser())
    before = suite.jwks()

    suite.simulator.ask("POST", "/keys/rotate")

    after = suite.jwks()
    fresh = {key["kid"] for key in after} - {key["kid"] for key in before}
    second = party.sign_in(suite.browser())
    assert header_of(first.tokens["id_token"])["kid"] != header_of(second.tokens["id_token"])["kid"]
    assert header_of(second.tokens["id_token"])["kid"] in {key["kid"] for key in after}
    assert fresh, "the next keys are published before they are used"
    assert header_of(first.tokens["id_token"])["kid"] in {key["kid"] for key in after}, "the old one is still there"
    assert len({key["kid"] for key in after}) == len(after)
    assert not any({"d", "p", "q", "k"} & key.keys() for key in after)
    assert all(key.get("kid") for key in after)
    check_id_token(party, first.tokens, first.asked["nonce"])


def test_oidcc_refresh_token_rp_key_rotation(suite: Suite, site: Site) -> None:
    """A client that has changed its keys refreshes with the new one a minute later."""
    old, new = (RSAKey.generate_key(2048, {"kid": name, "use": "sig"}) for name in ("old", "new"))
    registered = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "RS256"}
    party = suite.party(old, jwks_uri=site.publish("/jwks", public(old)), grant_types=GRANTS, **registered)
    signed_in = party.sign_in(suite.browser(), scope="openid offline_access", prompt="consent")

    site.publish("/jwks", public(new))
    party.key = new
    suite.later(60)

    again = check_refreshed(party, party.refresh(signed_in.tokens["refresh_token"]), signed_in)
    party.userinfo(again["access_token"]).raise_for_status()
    party.key = old
    check_token_error(party.refresh(again["refresh_token"]), "invalid_client")


def test_oidcc_request_uri_unsigned(suite: Suite, site: Site) -> None:
    """Section 6.2, an object that is not signed."""
    by_reference(suite, site, RSAKey.generate_key(2048, {"kid": "requests", "use": "sig"}), "none")


def test_oidcc_request_uri_signed_rs256(suite: Suite, site: Site) -> None:
    """Section 6.2, signed with RS256."""
    by_reference(suite, site, RSAKey.generate_key(2048, {"kid": "requests", "use": "sig"}), "RS256")


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(suite: Suite) -> None:
    """The issuer as audience of `private_key_jwt`, as one string."""
    key = ECKey.generate_key("P-256", {"kid": "assertion", "use": "sig"})
    party = suite.party(key, token_endpoint_auth_method="private_key_jwt", jwks=public(key))
    asked, code = party.code(suite.browser())

    party.finish(asked, code, **party.proof(suite.metadata["issuer"]))
