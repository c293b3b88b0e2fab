"""A relying party as FAPI 2.0 has it: pushed and signed requests, proofs of possession, signed answers."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from joserfc.jwk import ECKey, Key

from conformance.clients import KEYS
from conformance.kit import (
    Browser,
    Claims,
    End,
    Party,
    SignedIn,
    Suite,
    check_code,
    check_id_token,
    check_jwt,
    check_tokens,
    entropy_of,
    segment,
    signed,
)
from conformance.modules import FAPI2

REFUSED_OBJECT = ("invalid_request_object", "invalid_request", "access_denied")


class Fapi(Party):
    """One client and its key for proofs."""

    def __init__(self, suite: Suite, client_id: str, key: Key) -> None:
        super().__init__(suite, suite.known(client_id).metadata, key)
        self.proof_key = ECKey.generate_key("P-256")
        self.verifier = secrets.token_urlsafe(48)
        self.signs_answers = self.metadata["profile"] == "fapi2-message-signing"

    def request(self, **changes: str | None) -> dict[str, str]:
        """With PKCE, and with JARM where the profile has it."""
        challenge = segment(hashlib.sha256(self.verifier.encode()).digest())
        mode = {"response_mode": "jwt"} if self.signs_answers else {}
        return super().request(**{"code_challenge": challenge, "code_challenge_method": "S256", **mode, **changes})

    def object(self, asked: Mapping[str, Any], header: Claims | None = None, key: Key | None = None,
               **changes: Any) -> str:  # fmt: skip
        """The request as a signed object (Message Signing section 5.3.1); a change of None leaves a claim out."""
        now = self.suite.now()
        claims = {**asked, "iss": self.client_id, "aud": self.suite.issuer, "nbf": now, "iat": now, "exp": now + 300,
                  **changes}  # fmt: skip
        key = key or self.key
        assert key is not None
        return signed({"alg": "ES256", "kid": key.kid, "typ": "oauth-authz-req+jwt", **(header or {})}, claims, key)

    def dpop(self, endpoint: str, method: str = "POST", access_token: str | None = None, key: Key | None = None,
             header: Claims | None = None, **changes: Any) -> str:  # fmt: skip
        """A proof (RFC 9449 section 4.2)."""
        key = key or self.proof_key
        ath = segment(hashlib.sha256(access_token.encode()).digest()) if access_token else None
        claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": self.suite.metadata[endpoint],
                  "iat": self.suite.now(), "ath": ath, **changes}  # fmt: skip
        return signed({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False), **(header or {})}, claims,
                      key)  # fmt: skip

    def send(self, fields: Mapping[str, str | None], dpop: str | None = None, **proof: Any) -> httpx2.Response:
        """POST to the pushed authorization request endpoint, authenticated."""
        headers = {"dpop": dpop} if dpop else {}
        own = self.proof(**proof) if "client_assertion" not in fields else {}
        return self.post("pushed_authorization_request_endpoint", {**own, **fields}, headers=headers)

    def push(self, asked: Mapping[str, Any], dpop: str | None = None, **changes: Any) -> httpx2.Response:
        """Push a request as a signed object."""
        return self.send({"client_id": self.client_id, "request": self.object(asked, **changes)}, dpop)

    def pushed(self, asked: Mapping[str, Any], dpop: str | None = None, **changes: Any) -> str:
        """The `request_uri` of a request that was pushed (RFC 9126 section 2.2)."""
        answer = self.push(asked, dpop, **changes)
        assert answer.status_code == 201, answer.text
        body = answer.json()
        assert isinstance(body["expires_in"], int)
        assert 5 <= body["expires_in"] <= 600
        assert entropy_of(body["request_uri"].rpartition(":")[2]) >= 128
        return str(body["request_uri"])

    def visit(self, browser: Browser, request_uri: str, choice: str = "allow", until: str | None = None,
              **beside: str) -> End:  # fmt: skip
        """Send a browser with it; the answer, out of its signed envelope."""
        query = {"client_id": self.client_id, "request_uri": request_uri, **beside}
        end = browser.open(f"{self.suite.metadata['authorization_endpoint']}?{urlencode(query)}", choice, until)
        return self.opened(end)

    def opened(self, end: End) -> End:
        """JARM section 2.1."""
        if not self.signs_answers or end.page:
            return end
        own = dict(parse_qsl(urlsplit(self.redirect_uri).query))
        assert end.fields.keys() == own.keys() | {"response"}, end
        _, claims = check_jwt(self, end.fields["response"], "ES256")
        assert claims.pop("aud") == self.client_id
        assert self.suite.now() < claims.pop("exp") <= self.suite.now() + 600
        return End(end.address, {**{name: end.fields[name] for name in own}, **claims}, end.method)

    def fapi_code(self, browser: Browser, dpop: str | None = None, **changes: Any) -> tuple[dict[str, str], str]:
        """A pushed request and the code that answered it."""
        asked = self.request(**changes)
        end = self.visit(browser, self.pushed(asked, dpop))
        return asked, check_code(end, asked, self.suite.issuer)

    def redeem(self, code: str, dpop: str | None = "own", **changes: str | None) -> httpx2.Response:
        """At the token endpoint, with verifier and proof."""
        if dpop == "own":
            dpop = self.dpop("token_endpoint")
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
                 "code_verifier": self.verifier, **changes}  # fmt: skip
        return self.post("token_endpoint", grant, headers={"dpop": dpop} if dpop else {})

    def refresh(self, token: str, dpop: str | None = "own", **changes: str | None) -> httpx2.Response:
        """The same for a refresh token."""
        if dpop == "own":
            dpop = self.dpop("token_endpoint")
        grant = {"grant_type": "refresh_token", "refresh_token": token, **changes}
        return self.post("token_endpoint", grant, headers={"dpop": dpop} if dpop else {})

    def fapi_sign_in(self, browser: Browser, **changes: Any) -> SignedIn:
        """The happy flow."""
        asked, code = self.fapi_code(browser, **changes)
        return self.taken(asked, self.redeem(code))

    def taken(self, asked: dict[str, str], answer: httpx2.Response) -> SignedIn:
        """Checked tokens, bound to the key."""
        tokens = check_tokens(answer)
        assert tokens["token_type"].lower() == "dpop"
        return SignedIn(asked, tokens, check_id_token(self, tokens, asked.get("nonce")))

    def resource(self, access_token: str, dpop: str | None = "own", scheme: str = "DPoP") -> httpx2.Response:
        """The protected resource: userinfo."""
        if dpop == "own":
            dpop = self.dpop("userinfo_endpoint", "GET", access_token)
        headers = {"authorization": f"{scheme} {access_token}", **({"dpop": dpop} if dpop else {})}
        return self.suite.http.get(self.suite.metadata["userinfo_endpoint"], headers=headers)


def fapi(suite: Suite, plan: str, which: str = "first") -> Fapi:
    """The plan's first or second client."""
    return Fapi(suite, f"{'fapi2' if plan == FAPI2 else 'fapi2-message-signing'}-{which}", KEYS[which])


def check_refused_object(party: Fapi, answer: httpx2.Response) -> None:
    """RFC 9101 section 6.2, RFC 9126 section 2.3: PAR refuses, and says what."""
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in ("invalid_request_object", "invalid_request"), answer.text
