"""A relying party as FAPI-CIBA has it: signed requests, tokens bound to a client certificate, a person elsewhere."""

import json
import re
import secrets
from typing import Any

import httpx2
import pytest
from certificates import header
from joserfc.jwk import Key
from party import Heard

from conformance.clients import CERTIFICATES, KEYS
from conformance.kit import (
    Browser,
    Claims,
    Party,
    SignedIn,
    Suite,
    check_id_token,
    check_token_error,
    check_tokens,
    entropy_of,
    signed,
)

GRANT = "urn:openid:params:grant-type:ciba"
ENDPOINT = "backchannel_authentication_endpoint"
NOT_YET = ("authorization_pending", "slow_down")


class Ciba(Party):
    """One client, its certificate and the person it asks for. Without `certificate` it shows none; without `method`
    it gives its name alone."""

    def __init__(self, suite: Suite, client_id: str, which: str) -> None:
        super().__init__(suite, suite.known(client_id).metadata, KEYS[which])
        self.certificate = CERTIFICATES[which]
        self.shows_certificate = True
        self.mode: str = self.metadata["backchannel_token_delivery_mode"]
        self.token = ""

    def request(self, **changes: Any) -> Claims:
        """CIBA Core section 7.1; a change of None leaves a parameter out."""
        self.token = changes.get("client_notification_token") or secrets.token_urlsafe(24)
        told = {"client_notification_token": self.token} if self.mode == "ping" else {}
        asked = {"scope": "openid email", "login_hint": "ada@example.org", **told, **changes}
        return {name: value for name, value in asked.items() if value is not None}

    def object(self, asked: Claims, head: Claims | None = None, key: Key | None = None, **changes: Any) -> str:
        """Section 7.1.1: the request, signed; a change of None leaves a claim out."""
        now = self.suite.now()
        claims = {**asked, "iss": self.client_id, "aud": self.suite.issuer, "iat": now, "nbf": now, "exp": now + 300,
                  "jti": secrets.token_urlsafe(16), **changes}  # fmt: skip
        key = key or self.key
        assert key is not None
        return signed({"alg": "ES256", "kid": key.kid, **(head or {})}, claims, key)

    def post(self, endpoint: str, fields: Any, **options: Any) -> httpx2.Response:
        """Over a connection with its certificate; an assertion is meant for the endpoint (section 7.1)."""
        if self.shows_certificate:
            options["headers"] = {"client-cert": header(self.certificate)}
        if self.method != "private_key_jwt":
            fields = {"client_id": self.client_id, **fields}
        elif "client_assertion" not in fields:
            fields = {**fields, **self.proof(self.suite.metadata[endpoint])}
        return super().post(endpoint, fields, **options)

    def ask(self, token: str | None = None, **more: str) -> httpx2.Response:
        """What the backchannel authentication endpoint answers."""
        return self.post(ENDPOINT, {"request": token or self.object(self.request()), **more})

    def begin(self, token: str | None = None, **more: str) -> str:
        """The `auth_req_id` of a request that waits now, its answer checked (section 7.3)."""
        answer = self.ask(token, **more)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        body = answer.json()
        assert entropy_of(body["auth_req_id"]) >= 128
        assert len(body["auth_req_id"]) >= 20
        assert 0 < body["expires_in"] <= 6 * 3600
        assert 0 <= body["interval"] <= 6 * 3600
        return str(body["auth_req_id"])

    def poll(self, auth_req_id: str, **more: str) -> httpx2.Response:
        """Section 10.1."""
        return self.post("token_endpoint", {"grant_type": GRANT, "auth_req_id": auth_req_id, **more})

    def refresh(self, token: str, **more: str | None) -> httpx2.Response:
        """A refresh token, with the certificate."""
        return self.post("token_endpoint", {"grant_type": "refresh_token", "refresh_token": token, **more})

    def answer(self, browser: Browser, choice: str = "allow") -> str:
        """The person opens the newest request in their account and answers it; the text of the question."""
        listed = browser.open(f"{self.suite.issuer}/account/requests", until="requests")
        link = re.search(r'href="(/account/requests/[^"]+)"', listed.text)
        assert link is not None, listed.text
        address = self.suite.issuer + link[1]
        question = browser.http.get(address)
        end = browser.open(address, choice, until="device")
        assert end.page == "device", end
        return question.text

    def pinged(self, auth_req_id: str) -> list[Heard]:
        """Section 10.2: what came to the notification endpoint about this request, checked; waits for it."""
        told = self.suite.ear.told(self.client_id, auth_req_id)
        for one in told:
            assert one.headers["content-type"].startswith("application/json")
            assert one.headers["authorization"] == f"Bearer {self.token}"
            assert json.loads(one.body) == {"auth_req_id": auth_req_id}
        return told

    def entered(self, auth_req_id: str) -> SignedIn:
        """The tokens of a request that the person allowed, checked; a client that is pinged waits for that."""
        if self.mode == "ping":
            self.pinged(auth_req_id)
        self.suite.later(10)
        tokens = check_tokens(self.poll(auth_req_id))
        claims = check_id_token(self, tokens, None)
        # Section 10.3.1: a claim of push mode, but never another request's.
        assert claims.get("urn:openid:params:jwt:claim:auth_req_id", auth_req_id) == auth_req_id
        assert "c_hash" not in claims
        signed_in = SignedIn({}, tokens, claims)
        assert self.userinfo(tokens["access_token"]).json()["sub"] == claims["sub"]
        return signed_in

    def userinfo(self, access_token: str, **headers: str) -> httpx2.Response:
        """The protected resource, over the connection with the certificate."""
        headers = {"authorization": f"Bearer {access_token}", "client-cert": header(self.certificate), **headers}
        return self.suite.http.get(self.suite.metadata["userinfo_endpoint"], headers=headers)


def ciba(suite: Suite, mode: str, which: str = "first", name: str = "ciba") -> Ciba:
    """The plan's first or second client of a delivery mode; `tls` authenticates by its certificate."""
    return Ciba(suite, f"{name}-{mode}-{which}", which)


def check_pending(answer: httpx2.Response) -> None:
    """CIBA Core section 11."""
    check_token_error(answer, *NOT_YET)


def check_refused(answer: httpx2.Response) -> None:
    """CIBA Core section 13: the request breaks a rule."""
    check_token_error(answer, "invalid_request")


@pytest.fixture(params=["poll", "ping"])
def party(suite: Suite, request: pytest.FixtureRequest) -> Ciba:
    """The first client, in each delivery mode."""
    return ciba(suite, request.param)


@pytest.fixture
def second(suite: Suite, party: Ciba) -> Ciba:
    """The second client, in the same mode."""
    return ciba(suite, party.mode, "second")


@pytest.fixture(scope="session")
def person(suite: Suite) -> Browser:
    """Who is asked for: signed in with a browser of their own."""
    return suite.browser()
