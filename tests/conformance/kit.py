"""What every ported module needs: a provider to talk to, browsers, relying parties, and the suite's common checks."""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
import msgspec
from joserfc import jwt
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry
from leading import led_to
from party import Ear
from simulated import SEED, Outsider, Page, Simulator

Claims = dict[str, Any]
REDIRECT = "https://suite.example.org/test/a/house/callback"
GONE = "https://suite.example.org/test/a/house/post_logout_redirect"
PASSWORD = "four plain words walking"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
VSCHAR = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")
PROFILE = {
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "middle_name": "King",
    "nickname": "ada",
    "preferred_username": "ada.lovelace",
    "profile": "https://people.example.org/ada",
    "picture": "https://people.example.org/ada.png",
    "website": "https://ada.example.org/",
    "gender": "female",
    "birthdate": "1985-12-10",
    "zoneinfo": "Europe/London",
}
OF_SCOPE = {
    "profile": {*PROFILE, "locale", "updated_at"},
    "email": {"email", "email_verified"},
    "address": {"address"},
    "phone": {"phone_number", "phone_number_verified"},
}
TEXTS = set().union(*OF_SCOPE.values()) - {"email_verified", "phone_number_verified", "updated_at", "address"}
PEOPLE = "\n".join(
    f'[[people]]\nhandle = "{handle}"\nemail = "{handle}@example.org"\npassword = "{PASSWORD}"\ntotp = "{SEED}"\n'
    f'recovery_codes = ["one-of-{handle}", "two-of-{handle}"]\nphone_number = "+44 20 7946 01{number}"\nlocale = "en"\n'
    "[people.claims]\n"
    + "".join(f'{name} = "{value}"\n' for name, value in PROFILE.items())
    + 'updated_at = 1700000000\naddress = { formatted = "12 Square\\nLondon", locality = "London", '
    + 'country = "United Kingdom" }\n'
    for number, handle in ((23, "ada"), (24, "ben"))
)


class End(msgspec.Struct, frozen=True):
    """Where a browser ended: at an address outside the provider with what it was given there, or on a `page`."""

    address: str = ""
    fields: dict[str, str] = {}
    method: str = "GET"
    page: str = ""
    status: int = 0
    text: str = ""


class Browser(Outsider):
    """A person before a browser without JavaScript. `seen` are the pages they met."""

    def __init__(self, simulator: Simulator, handle: str) -> None:
        super().__init__(simulator, handle, PASSWORD, SEED)

    def open(self, address: str, choice: str = "allow", until: str | None = None) -> End:
        """Follow a link to its end, filling in every page; `until` stops at a page of that name."""
        return self.end(self.http.get(address), choice, until)

    def send(self, address: str, fields: Mapping[str, str], choice: str = "allow", until: str | None = None) -> End:
        """The same with a form that another site posts: without our cookies, which are SameSite=Lax."""
        other = httpx2.Client(timeout=30)
        self.simulator.browsers.append(other)
        return self.end(other.post(address, data=dict(fields)), choice, until)

    def end(self, response: httpx2.Response, choice: str = "allow", until: str | None = None) -> End:
        """Go on from a response."""
        for _ in range(30):
            if led := led_to(response):
                there = urljoin(str(response.url), led)
                if not there.startswith(self.simulator.issuer + "/"):
                    parts = urlsplit(there)
                    return End(there, dict(parse_qsl(parts.query, keep_blank_values=True)))
                response = self.http.get(there)
                continue
            page = Page(response)
            self.seen.append(page.name)
            if page.name == "form-post":
                address, fields, _ = page.forms[-1]
                return End(address, fields, "POST")
            if page.name in ("error", "signed-out", until or "error") or response.status_code >= 400:
                return End(page=page.name, status=response.status_code, text=response.text, address=page.address)
            response = self.fill(page, choice)
        raise AssertionError(f"no end: {self.seen}")


class Suite:
    """One provider, seen from outside: its address, its metadata, and a clock that can be moved."""

    def __init__(self, simulator: Simulator, clients: Sequence[Claims], ear: Ear) -> None:
        self.simulator, self.ear = simulator, ear
        self._clients = {client["client_id"]: client for client in clients}
        self.issuer = simulator.issuer
        self.http = httpx2.Client(timeout=30)
        simulator.browsers.append(self.http)
        self.metadata: Claims = self.http.get(f"{self.issuer}/.well-known/openid-configuration").json()

    def now(self) -> int:
        """The provider's time, in seconds."""
        # Over the connection that is open: every proof and request object asks for the time.
        health = self.http.get(f"{self.simulator.control}/health").raise_for_status().json()
        return int(datetime.fromisoformat(health["now"]).timestamp())

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.simulator.ask("POST", "/clock/advance", {"seconds": seconds})

    def jwks(self) -> list[Claims]:
        """The provider's key set as it is now."""
        found: list[Claims] = self.http.get(self.metadata["jwks_uri"]).raise_for_status().json()["keys"]
        return found

    def browser(self, handle: str = "ada") -> Browser:
        """A new browser of somebody who has not signed in with it."""
        return Browser(self.simulator, handle)

    def known(self, client_id: str, key: Key | None = None) -> "Party":
        """A client that the plan was given."""
        return Party(self, self._clients[client_id], key)

    def register(self, **metadata: Any) -> httpx2.Response:
        """What the registration endpoint answers."""
        asked = {"redirect_uris": [REDIRECT], "client_name": "The suite", **metadata}
        asked = {name: value for name, value in asked.items() if value is not None}
        return self.http.post(self.metadata["registration_endpoint"], json=asked)

    def party(self, key: Key | None = None, **metadata: Any) -> "Party":
        """A client that has registered itself."""
        answer = self.register(**metadata)
        assert answer.status_code == 201, answer.text
        return Party(self, answer.json(), key)


class SignedIn(msgspec.Struct, frozen=True):
    """What a whole sign-in brought."""

    asked: dict[str, str]
    tokens: Claims
    claims: Claims


class Party:
    """A relying party: what it registered, and its private key if it has one."""

    def __init__(self, suite: Suite, metadata: Mapping[str, Any], key: Key | None = None) -> None:
        self.suite, self.metadata, self.key = suite, dict(metadata), key
        self.client_id: str = metadata["client_id"]
        self.redirect_uri: str = next(iter(metadata.get("redirect_uris", ())), "")
        self.method: str = metadata.get("token_endpoint_auth_method", "client_secret_basic")
        self.algorithm: str = metadata.get("id_token_signed_response_alg", "RS256")

    def request(self, **changes: str | None) -> dict[str, str]:
        """An authorization request; a change of None leaves a parameter out. Without PKCE, as the plans send it."""
        asked = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "response_type": "code",
            "state": secrets.token_urlsafe(10),
            "nonce": secrets.token_urlsafe(10),
            **changes,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def address(self, asked: Mapping[str, str]) -> str:
        """Where it sends the browser."""
        return f"{self.suite.metadata['authorization_endpoint']}?{urlencode(asked)}"

    def come(self, browser: Browser, asked: Mapping[str, str], choice: str = "allow", until: str | None = None) -> End:
        """Send a browser with a request."""
        return browser.open(self.address(asked), choice, until)

    def code(self, browser: Browser, **changes: str | None) -> tuple[dict[str, str], str]:
        """A request and the code that answered it."""
        asked = self.request(**changes)
        return asked, check_code(self.come(browser, asked), asked, self.suite.issuer)

    def proof(self, audience: Any = None, **changes: Any) -> dict[str, str]:
        """`private_key_jwt` (RFC 7523)."""
        assert self.key is not None
        now = self.suite.now()
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": audience or self.suite.issuer,
                  "jti": secrets.token_urlsafe(16), "iat": now, "exp": now + 60, **changes}  # fmt: skip
        algorithm = self.metadata.get("token_endpoint_auth_signing_alg") or algorithm_of(self.key)
        token = signed({"alg": algorithm, "kid": self.key.kid}, claims, self.key)
        return {"client_assertion_type": ASSERTION, "client_assertion": token}

    def post(self, endpoint: str, fields: Mapping[str, str | None], **options: Any) -> httpx2.Response:
        """Ask an endpoint, authenticated as it registered."""
        sent = {name: value for name, value in fields.items() if value is not None}
        if self.method == "client_secret_basic":
            options["auth"] = (self.client_id, self.metadata["client_secret"])
        elif self.method == "client_secret_post":
            sent |= {"client_id": self.client_id, "client_secret": self.metadata["client_secret"]}
        elif self.method == "private_key_jwt" and "client_assertion" not in sent:
            sent |= self.proof()
        return self.suite.http.post(self.suite.metadata[endpoint], data=sent, **options)

    def redeem(self, code: str, **changes: str | None) -> httpx2.Response:
        """The token endpoint's answer to a code."""
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, **changes}
        return self.post("token_endpoint", grant)

    def refresh(self, token: str, **changes: str | None) -> httpx2.Response:
        """The token endpoint's answer to a refresh token."""
        return self.post("token_endpoint", {"grant_type": "refresh_token", "refresh_token": token, **changes})

    def sign_in(self, browser: Browser, **changes: str | None) -> SignedIn:
        """The happy flow, with every check of the suite on the way."""
        asked, code = self.code(browser, **changes)
        return self.finish(asked, code)

    def finish(self, asked: dict[str, str], code: str, **changes: str | None) -> SignedIn:
        """Redeem a code and check what it brings."""
        tokens = check_tokens(self.redeem(code, **changes))
        return SignedIn(asked, tokens, check_id_token(self, tokens, asked.get("nonce")))

    def userinfo(self, access_token: str) -> httpx2.Response:
        """GET, with the token in the header."""
        headers = {"authorization": f"Bearer {access_token}"}
        return self.suite.http.get(self.suite.metadata["userinfo_endpoint"], headers=headers)

    def about(self, signed_in: SignedIn) -> Claims:
        """The checked claims of userinfo."""
        return check_userinfo(self.userinfo(signed_in.tokens["access_token"]), signed_in.claims["sub"])


def algorithm_of(key: Key) -> str:
    """What a key of ours signs with."""
    return {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}[key.key_type]


def segment(value: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def signed(header: Claims, claims: Claims, key: Key | None) -> str:
    """A JWT, however wrong; members of None are left out, and `alg` none has no signature."""
    message = ".".join(
        segment(msgspec.json.encode({name: value for name, value in part.items() if value is not None}))
        for part in (header, claims)
    )
    if header["alg"] == "none":
        return f"{message}."
    return f"{message}.{segment(JWSRegistry.algorithms[header['alg']].sign(message.encode(), key))}"


def unsigned(claims: Claims) -> str:
    """An unsigned request object."""
    return signed({"alg": "none"}, claims, None)


def public(*keys: Key) -> Claims:
    """A key set as a client publishes it."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def entropy_of(value: str) -> float:
    """An estimate from below: the suite asks for 128 bits of codes and tokens."""
    return len(value) * 6.0 if re.fullmatch(r"[A-Za-z0-9._~+/=-]+", value) else 0.0


def check_code(end: End, asked: Mapping[str, str], issuer: str) -> str:
    """A successful authorization response: `state` as it went, `iss` (RFC 9207), a code, and nothing else."""
    assert "code" in end.fields, end
    assert end.address.startswith(asked["redirect_uri"])
    assert end.fields.get("state") == asked.get("state")
    assert end.fields["iss"] == issuer
    own = dict(parse_qsl(urlsplit(asked["redirect_uri"]).query))
    assert end.fields.keys() - own.keys() <= {"code", "state", "iss", "session_state"}
    assert {name: end.fields.get(name) for name in own} == own, "the query of the redirect URI is kept"
    assert entropy_of(end.fields["code"]) >= 128
    return end.fields["code"]


def check_error(end: End, asked: Mapping[str, str], issuer: str, *allowed: str) -> str:
    """An error that goes back to the client: `state`, `iss`, one of the allowed codes, and no code beside it."""
    assert end.fields.get("error") in allowed, end
    assert end.fields.get("state") == asked.get("state")
    assert end.fields["iss"] == issuer
    own = dict(parse_qsl(urlsplit(asked.get("redirect_uri", "")).query))
    assert end.fields.keys() - own.keys() <= {
        *("error", "error_description", "error_uri", "state", "iss", "session_state")
    }
    assert VSCHAR.fullmatch(end.fields.get("error_description", ""))
    return end.fields["error"]


def check_page(end: End) -> None:
    """An error that is shown to the person and sent nowhere."""
    assert (end.page, end.fields) == ("error", {}), end
    assert end.status in (400, 403, 404), end.status


def check_tokens(answer: httpx2.Response) -> Claims:
    """A successful token response (RFC 6749 section 5.1)."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert "no-store" in answer.headers["cache-control"]
    tokens: Claims = answer.json()
    assert tokens["token_type"].lower() in ("bearer", "dpop")
    assert isinstance(tokens["access_token"], str)
    assert entropy_of(tokens["access_token"]) >= 128
    assert isinstance(tokens["expires_in"], int)
    assert tokens["expires_in"] > 0
    assert "error" not in tokens
    return tokens


def check_token_error(answer: httpx2.Response, *allowed: str) -> str:
    """A refusal of the token endpoint or of PAR (RFC 6749 section 5.2)."""
    assert answer.status_code == 400 or (answer.status_code == 401 and "invalid_client" in allowed), answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["error"] in allowed, body
    assert body.keys() <= {"error", "error_description", "error_uri"}
    assert VSCHAR.fullmatch(body.get("error_description", ""))
    error: str = body["error"]
    return error


def check_jwt(party: Party, token: str, algorithm: str) -> tuple[Claims, Claims]:
    """Header and claims of a JWT that one of the provider's published keys has signed."""
    keys = KeySet.import_key_set({"keys": party.suite.jwks()})
    decoded = jwt.decode(token, keys, algorithms=[algorithm])
    assert decoded.header["kid"] in {key.kid for key in keys.keys}
    return decoded.header, decoded.claims


def check_id_token(party: Party, tokens: Claims, nonce: str | None) -> Claims:
    """OpenID Connect Core sections 2 and 3.1.3.7."""
    header, claims = check_jwt(party, tokens["id_token"], party.algorithm)
    assert header["alg"] == party.algorithm
    now = party.suite.now()
    assert claims["iss"] == party.suite.metadata["issuer"]
    assert claims["aud"] in (party.client_id, [party.client_id])
    assert claims.get("azp", party.client_id) == party.client_id
    assert 0 < len(claims["sub"]) <= 255
    assert claims["sub"].isascii()
    assert abs(now - claims["iat"]) < 300
    assert claims["exp"] > now
    assert claims.get("nonce") == nonce
    assert isinstance(claims.get("acr", ""), str)
    assert isinstance(claims.get("auth_time", 0), int)
    if "at_hash" in claims:
        half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
        assert claims["at_hash"] == segment(half)
    return claims


def check_refreshed(party: Party, answer: httpx2.Response, first: SignedIn) -> Claims:
    """Another access token that works; where there is an ID token, it says the same (OpenID Connect Core 12.2)."""
    again = check_tokens(answer)
    assert again["access_token"] != first.tokens["access_token"]
    assert VSCHAR.fullmatch(again.get("refresh_token", ""))
    assert entropy_of(again.get("refresh_token") or first.tokens["refresh_token"]) >= 128
    if "id_token" in again:
        claims = check_id_token(party, again, None)
        kept = ("iss", "sub", "aud", "auth_time", "azp")
        assert {name: claims.get(name) for name in kept} == {name: first.claims.get(name) for name in kept}
        assert claims["iat"] >= first.claims["iat"]
    return again


def check_userinfo(answer: httpx2.Response, sub: str) -> Claims:
    """Sections 5.3.2 and 5.1: the same `sub`, standard claims in their types, nothing empty, nothing null."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    claims: Claims = answer.json()
    assert claims["sub"] == sub
    check_standard_claims(claims)
    return claims


def check_standard_claims(claims: Claims) -> None:
    """The types of section 5.1."""
    for name in TEXTS & claims.keys():
        assert isinstance(claims[name], str), name
        assert claims[name], name
    for name in {"email_verified", "phone_number_verified"} & claims.keys():
        assert isinstance(claims[name], bool), name
    assert isinstance(claims.get("updated_at", 0), int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", claims.get("birthdate", "1985-12-10"))
    assert isinstance(claims.get("address", {}), dict)
    assert all(isinstance(part, str) and part for part in claims.get("address", {}).values())
