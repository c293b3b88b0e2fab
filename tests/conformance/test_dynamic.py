"""The dynamic plan: clients that register themselves, keys that change, request objects."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey, RSAKey
from simulated import header_of

from conformance.kit import (
    REDIRECT,
    Claims,
    Suite,
    check_code,
    check_id_token,
    check_jwt,
    check_page,
    check_tokens,
    public,
    signed,
)
from conformance.modules import DYNAMIC

PLANS = (DYNAMIC,)
GRANTS = ["authorization_code", "refresh_token"]


class Site:
    """What a relying party publishes: documents by path, which may change."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.documents: dict[str, Any] = {}

    def publish(self, path: str, document: Any) -> str:
        """Its address."""
        self.documents[path] = document
        return self.address + path


@pytest.fixture
def site() -> Iterator[Site]:
    """A small web server on this machine."""
    documents: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            body = document.encode() if isinstance(document, str) else msgspec.json.encode(document)
            self.send_response(200 if self.path in documents else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made = Site(f"http://suite.localhost:{server.server_address[1]}")
    made.documents = documents
    yield made
    server.shutdown()
    thread.join(10)
    server.server_close()


def refused(suite: Suite, *errors: str, **metadata: Any) -> None:
    """A registration that must not happen (OpenID Connect Registration section 3.3)."""
    answer = suite.register(**metadata)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in errors


def kept(suite: Suite, **metadata: Any) -> None:
    """Registered, told again, and the client works."""
    party = suite.party(**metadata)
    assert {name: party.metadata[name] for name in metadata} == metadata
    party.sign_in(suite.browser())


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


def test_oidcc_registration_logo_uri(suite: Suite) -> None:
    """Registration section 2."""
    kept(suite, logo_uri="https://suite.example.org/logo.png")


def test_oidcc_registration_policy_uri(suite: Suite) -> None:
    """Registration section 2."""
    kept(suite, policy_uri="https://suite.example.org/policy.html")


def test_oidcc_registration_tos_uri(suite: Suite) -> None:
    """Registration section 2."""
    kept(suite, tos_uri="https://suite.example.org/tos.html")


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
    assert all(key.get("kid") for key in after)
    check_id_token(party, first.tokens, first.asked["nonce"])


def test_oidcc_refresh_token_rp_key_rotation(suite: Suite, site: Site) -> None:
    """A client that has changed its keys refreshes with the new one a minute later."""
    old, new = (ECKey.generate_key("P-256", {"kid": name, "use": "sig"}) for name in ("old", "new"))
    jwks_uri = site.publish("/jwks", public(old))
    party = suite.party(old, token_endpoint_auth_method="private_key_jwt", jwks_uri=jwks_uri, grant_types=GRANTS)
    signed_in = party.sign_in(suite.browser(), scope="openid offline_access", prompt="consent")

    site.publish("/jwks", public(new))
    party.key = new
    suite.later(60)

    again = check_tokens(party.refresh(signed_in.tokens["refresh_token"]))
    party.userinfo(again["access_token"]).raise_for_status()


def by_reference(suite: Suite, site: Site, key: RSAKey, algorithm: str) -> None:
    """Section 6.2: the object stands at a registered address, and is fetched from there."""
    address = f"{site.address}/request.jwt"
    party = suite.party(key, jwks=public(key), request_object_signing_alg=algorithm, request_uris=[address])
    asked = party.request()
    claims: Claims = {**asked, "iss": party.client_id, "aud": suite.issuer}
    site.publish("/request.jwt", signed({"alg": algorithm, "kid": key.kid}, claims, key))
    outside = {name: asked[name] for name in ("client_id", "response_type", "scope")}

    end = party.come(suite.browser(), {**outside, "state": "of-the-query", "request_uri": address})

    party.finish(asked, check_code(end, asked, suite.issuer))


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
