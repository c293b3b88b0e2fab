"""A relying party made of Authlib alone: it reads discovery, and believes nothing that it has not verified."""

import secrets
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken, UserInfo
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from party import BYE, Ear, provider, registered
from services import Backend
from simulated import CALLBACK

pytestmark = pytest.mark.anyio

SECRET = "what Authlib's client and the provider alone know"
KEY = ECKey.generate_key("P-256", {"kid": "of-authlib", "use": "sig", "alg": "ES256"})
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Party:
    """A service in one object: what it discovered, its client, its keys for verifying."""

    def __init__(self, issuer: str, client_id: str, algorithm: str, **proof: Any) -> None:
        self.issuer, self.client_id, self.algorithm = issuer, client_id, algorithm
        self.oauth = AsyncOAuth2Client(
            client_id,
            scope="openid profile email",
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
            **proof,
        )
        if proof.get("token_endpoint_auth_method") == "private_key_jwt":
            self.oauth.register_client_auth_method(PrivateKeyJWT(issuer, alg="ES256", headers={"kid": KEY.kid}))
        self.metadata: dict[str, Any] = {}
        self.keys = KeySet([])

    async def discover(self) -> None:
        """Read what the provider says of itself; Authlib's own rules judge it."""
        async with httpx2.AsyncClient() as http:
            self.metadata = (await http.get(get_well_known_url(self.issuer, external=True))).json()
            self.keys = KeySet.import_key_set((await http.get(self.metadata["jwks_uri"])).json())
        plain_http = {"issuer", "jwks_uri"}  # it asks for https, which a simulator on loopback has not
        judged = OpenIDProviderMetadata(self.metadata)
        for name in judged.REGISTRY_KEYS:
            if name not in plain_http and not name.endswith("_endpoint"):
                getattr(judged, f"validate_{name}", lambda: None)()

    def claims_of(self, token: dict[str, Any], nonce: str | None) -> CodeIDToken:
        """The verified claims of an ID token (OpenID Connect Core section 3.1.3.7), `at_hash` included."""
        decoded = jwt.decode(token["id_token"], self.keys, algorithms=[self.algorithm])
        options = {"iss": {"values": [self.issuer]}, "aud": {"values": [self.client_id]}}
        known = {"client_id": self.client_id, "access_token": token["access_token"]}
        claims = CodeIDToken(decoded.claims, decoded.header, options, {**known, "nonce": nonce} if nonce else known)
        claims.validate(leeway=5)
        return claims

    def read_logout_token(self, token: str) -> dict[str, Any]:
        """A verified logout token (Back-Channel Logout section 2.6)."""
        decoded = jwt.decode(token, self.keys, algorithms=[self.algorithm])
        assert decoded.header["typ"] == "logout+jwt"
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
        ).validate(decoded.claims)
        assert decoded.claims["events"] == {LOGOUT_EVENT: {}}
        assert "nonce" not in decoded.claims
        return dict(decoded.claims)


WAYS = [
    ("client_secret_basic", "ES256", {}, {"client_secret": SECRET}),
    ("private_key_jwt", "RS256", {"jwks": {"keys": [KEY.as_dict(private=False)]}}, {"client_secret": KEY}),
    ("none", "ES256", {}, {}),
]


async def test_authlib_completes_the_whole_flow(empty_backend: Backend, tmp_path: Path) -> None:
    """Discovery, sign-in with password and TOTP, ID token, userinfo, refresh, sign-out, logout token."""
    with Ear() as ear:
        clients = [
            registered(
                method,
                SECRET if method.startswith("client_secret") else None,
                token_endpoint_auth_method=method,
                id_token_signed_response_alg=algorithm,
                backchannel_logout_uri=ear.address(method),
                backchannel_logout_session_required=True,
                **metadata,
            )
            for method, algorithm, metadata, _ in WAYS
        ]
        with provider(tmp_path, empty_backend, clients) as (running, visitors):
            for (method, algorithm, _, proof), visitor in zip(WAYS, visitors, strict=False):
                party = Party(running.issuer, method, algorithm, token_endpoint_auth_method=method, **proof)
                async with party.oauth as oauth:
                    await party.discover()
                    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
                    address, state = oauth.create_authorization_url(
                        party.metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier
                    )

                    came_back = await visitor.visit(address)
                    token = await oauth.fetch_token(
                        party.metadata["token_endpoint"],
                        authorization_response=came_back,
                        state=state,
                        code_verifier=verifier,
                    )
                    claims = party.claims_of(token, nonce)
                    who = UserInfo((await oauth.get(party.metadata["userinfo_endpoint"])).raise_for_status().json())
                    assert visitor.seen == ["sign-in", "second-factor", "consent"]
                    assert (claims["acr"], who["sub"]) == ("aal2", claims["sub"])
                    assert {"pwd", "otp"} <= set(claims["amr"])
                    assert (who.name, who.email) == ("Ada Lovelace", f"{visitor.handle}@example.org")

                    again = await oauth.refresh_token(party.metadata["token_endpoint"])
                    assert again["access_token"] != token["access_token"]
                    assert party.claims_of(again, None)["sub"] == claims["sub"]
                    await oauth.get(party.metadata["userinfo_endpoint"])

                    bye = _end_session(party, again["id_token"])
                    assert (await visitor.visit(bye)).removeprefix(BYE) == "?state=bye"
                    told = party.read_logout_token(ear.token(method))
                    assert (told["sub"], told["sid"]) == (claims["sub"], claims["sid"])
                    ended = await oauth.get(party.metadata["userinfo_endpoint"])
                    assert ended.status_code == 401, "the session is over, and what leaned on it"


def _end_session(party: Party, id_token: str) -> str:
    hint = {"id_token_hint": id_token, "post_logout_redirect_uri": BYE, "state": "bye"}
    return str(httpx2.URL(party.metadata["end_session_endpoint"], params=hint))
