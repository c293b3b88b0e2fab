"""A relying party as FAPI 2.0 wants it: keys of its own, pushed and signed requests, proofs of possession."""

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

import httpx2
import msgspec
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry
from town import FORM, ISSUER, VERIFIER, Citizen, Service, Shown, Town

from oidc.protocol.keys import thumbprint

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SIGNING_KEY = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
PROOF_KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256", {"kid": "two"})


def public(*keys: Key) -> dict[str, Any]:
    """A key set as a client registers it."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def signed(header: dict[str, Any], claims: dict[str, Any], key: Key = SIGNING_KEY) -> str:
    """A JWT, however wrong its header may be; a member of None is left out."""
    full = {"alg": "ES256", **header}
    message = ".".join(
        _segment(msgspec.json.encode({name: value for name, value in part.items() if value is not None}))
        for part in (full, claims)
    )
    return f"{message}.{_segment(JWSRegistry.algorithms[full['alg']].sign(message.encode(), key))}"


def _segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Fapi:
    """A service that authenticates by private_key_jwt and holds a DPoP key."""

    def __init__(self, town: Town, service: Service, proof_key: Key | None = PROOF_KEY) -> None:
        self.town, self.service, self.proof_key = town, service, proof_key
        self.client_id = service.client_id
        self._count = 0

    def _fresh(self) -> str:
        self._count += 1
        return f"{self.client_id}-{self._count}-{id(self)}"

    @property
    def moment(self) -> int:
        return int(self.town.clock.now().timestamp())

    def assertion(self, **changes: Any) -> dict[str, str]:
        """`private_key_jwt` (RFC 7523)."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": ISSUER,
            "jti": self._fresh(),
            "iat": self.moment,
            "exp": self.moment + 60,
            **changes,
        }
        return {"client_assertion_type": BEARER, "client_assertion": signed({"kid": "one"}, claims)}

    def object(self, header: dict[str, Any] | None = None, key: Key = SIGNING_KEY, **changes: Any) -> str:
        """A signed request object (RFC 9101, Message Signing section 5.3.1); a change of None leaves a claim out."""
        claims = {
            **self.service.fields(),
            "iss": self.client_id,
            "aud": ISSUER,
            "nbf": self.moment,
            "iat": self.moment,
            "exp": self.moment + 300,
            **changes,
        }
        return signed({"kid": "one", "typ": "oauth-authz-req+jwt", **(header or {})}, claims, key)

    def proof(
        self,
        path: str,
        *,
        method: str = "POST",
        access_token: str | None = None,
        key: Key | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A DPoP proof for an endpoint (RFC 9449 section 4.2)."""
        key = key or self.proof_key
        assert key is not None
        ath = _segment(hashlib.sha256(access_token.encode()).digest()) if access_token is not None else None
        claims = {
            "jti": self._fresh(),
            "htm": method,
            "htu": ISSUER + path,
            "iat": self.moment,
            "ath": ath,
            **changes,
        }
        return signed({"typ": "dpop+jwt", "jwk": key.as_dict(private=False), **(header or {})}, claims, key)

    async def post(
        self, path: str, *, proof: str | None = "own", assertion: dict[str, str] | None = None, **fields: Any
    ) -> httpx2.Response:
        """To an endpoint of ours, authenticated, with a proof of its key unless told otherwise."""
        headers = dict(FORM)
        if proof == "own":
            proof = self.proof(path) if self.proof_key is not None else None
        if proof is not None:
            headers["dpop"] = proof
        sent = {**fields, **(self.assertion() if assertion is None else assertion)}
        content = urlencode({name: value for name, value in sent.items() if value is not None})
        return await self.town.wire.post(path, content=content, headers=headers)

    async def push(self, *, proof: str | None = None, **changes: str | None) -> httpx2.Response:
        """POST /par with the parameters of a request."""
        return await self.post("/par", proof=proof, assertion=None, **self.service.fields(**changes))

    async def push_object(self, proof: str | None = None, **changes: Any) -> httpx2.Response:
        """POST /par with a request object alone."""
        return await self.post("/par", proof=proof, client_id=self.client_id, request=self.object(**changes))

    def address(self, request_uri: str, **more: str) -> str:
        """Where it sends the citizen (RFC 9126 section 4)."""
        return "/authorize?" + urlencode({"client_id": self.client_id, "request_uri": request_uri, **more})

    async def code(self, citizen: Citizen, **changes: Any) -> str:
        """A citizen comes in by a pushed request, agreeing where asked."""
        pushed = await self.push(**changes)
        assert pushed.status_code == 201, pushed.text
        answer = await citizen.follow(await citizen.get(self.address(pushed.json()["request_uri"])))
        if answer.status_code == 200:
            answer = await citizen.follow(await citizen.press(Shown(answer), "allow"))
        code: str = self.service.answer(answer)["code"]
        return code

    async def redeem(self, code: str, **changes: Any) -> httpx2.Response:
        """POST /token for a code."""
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.service.redirect_uri,
            "code_verifier": VERIFIER,
            **changes,
        }
        return await self.post("/token", **asked)

    async def refresh(self, refresh_token: str, **changes: Any) -> httpx2.Response:
        """POST /token for a refresh token."""
        return await self.post("/token", grant_type="refresh_token", refresh_token=refresh_token, **changes)

    async def tokens(self, citizen: Citizen, **changes: Any) -> dict[str, Any]:
        """Tokens for a citizen."""
        answer = await self.redeem(await self.code(citizen, **changes))
        assert answer.status_code == 200, answer.text
        self.town.later(seconds=1)
        given: dict[str, Any] = answer.json()
        return given

    async def userinfo(self, access_token: str, *, scheme: str = "DPoP", **changes: Any) -> httpx2.Response:
        """GET /userinfo with a proof for this token."""
        proof = self.proof("/userinfo", method="GET", access_token=access_token, **changes)
        headers = {"authorization": f"{scheme} {access_token}", "dpop": proof}
        return await self.town.wire.get("/userinfo", headers=headers)


async def fapi(town: Town, client_id: str = "parks", **registered: Any) -> Fapi:
    """Register such a service; `profile` says how strictly it is held to it."""
    metadata = {"token_endpoint_auth_method": "private_key_jwt", "jwks": public(SIGNING_KEY), **registered}
    return Fapi(town, await town.service(client_id, **metadata))


def jkt(key: Key = PROOF_KEY) -> str:
    """The thumbprint of a proof's key."""
    return thumbprint(key)
