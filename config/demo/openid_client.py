"""The part of a service that speaks OpenID Connect: Authlib for OAuth, joserfc for what is signed."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx2
import msgspec
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

LEEWAY = 30
"""Seconds our clock and the provider's may be apart."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
Claims = dict[str, Any]


class SignInFailed(Exception):
    """The provider said no, or what it sent does not hold. `error` is its code, or ours."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class Pending(msgspec.Struct, frozen=True):
    """What a service remembers between sending a person away and getting them back."""

    state: str
    nonce: str
    code_verifier: str


class SignedIn(msgspec.Struct, frozen=True):
    """A person, as the provider vouched for them."""

    claims: Claims
    userinfo: Claims
    id_token: str


class OpenIdClient:
    """One registered service. With `key` it authenticates by `private_key_jwt`, with `secret` by HTTP Basic."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        scope: str,
        home: str,
        clock: Callable[[], datetime],
        *,
        key: ECKey | None = None,
        secret: str | None = None,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._scope = scope
        self._home = home
        self._clock = clock
        self._key = key
        self._secret = secret
        self._provider: Mapping[str, Any] = {}
        self._keys: KeySet | None = None

    @property
    def public_keys(self) -> dict[str, Any]:
        """What `jwks_uri` shows."""
        return {"keys": [] if self._key is None else [{**self._key.as_dict(private=False), "use": "sig"}]}

    async def start(self, **parameters: str) -> tuple[str, Pending]:
        """Where to send a person, and what to remember meanwhile."""
        pending = Pending(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
        endpoint = (await self._discover())["authorization_endpoint"]
        async with self._oauth() as oauth:
            address, _ = oauth.create_authorization_url(
                endpoint, state=pending.state, nonce=pending.nonce, code_verifier=pending.code_verifier, **parameters
            )
        return str(address), pending

    async def finish(self, pending: Pending, answer: Mapping[str, str]) -> SignedIn:
        """Turn the provider's answer into a person. Raises `SignInFailed`."""
        if not secrets.compare_digest(answer.get("state", "").encode(), pending.state.encode()):
            raise SignInFailed("state_mismatch", "The answer belongs to another sign-in.")
        if answer.get("iss") != self._issuer:
            raise SignInFailed("iss_mismatch", "The answer comes from another provider.")
        if "error" in answer:
            raise SignInFailed(answer["error"], answer.get("error_description", ""))
        provider = await self._discover()
        async with self._oauth() as oauth:
            try:
                token = await oauth.fetch_token(
                    provider["token_endpoint"],
                    grant_type="authorization_code",
                    code=answer.get("code", ""),
                    code_verifier=pending.code_verifier,
                    redirect_uri=f"{self._home}/callback",
                )
            except oauth.oauth_error_class as error:
                raise SignInFailed(error.error, error.description or "") from error
            claims = await self._verified(token["id_token"], "id_token", nonce=pending.nonce)
            userinfo: Claims = (await oauth.get(provider["userinfo_endpoint"])).json()
        if userinfo.get("sub") != claims["sub"]:
            raise SignInFailed("sub_mismatch", "Userinfo is about somebody else.")
        return SignedIn(claims, userinfo, token["id_token"])

    async def sign_out(self, id_token: str) -> str:
        """Where to send a person who signs out here, so that they sign out everywhere."""
        endpoint = (await self._discover())["end_session_endpoint"]
        hint = {"id_token_hint": id_token, "post_logout_redirect_uri": f"{self._home}/signed-out"}
        return f"{endpoint}?{urlencode(hint)}"

    async def read_logout_token(self, token: str) -> tuple[str | None, str | None]:
        """The `sid` and `sub` that ended (Back-Channel Logout section 2.6). Raises `SignInFailed`."""
        claims = await self._verified(token, "logout_token")
        if LOGOUT_EVENT not in claims.get("events", {}) or "nonce" in claims or not (claims.keys() & {"sid", "sub"}):
            raise SignInFailed("not_a_logout_token")
        return claims.get("sid"), claims.get("sub")

    async def _verified(self, token: str, kind: str, nonce: str | None = None) -> Claims:
        """The claims of a token that the provider signed for us, now. Raises `SignInFailed`."""
        try:
            decoded = jwt.decode(token, await self._key_set(), algorithms=["ES256"])
        except (JoseError, ValueError):
            # The provider may have changed its keys since we looked.
            self._keys = None
            try:
                decoded = jwt.decode(token, await self._key_set(), algorithms=["ES256"])
            except (JoseError, ValueError) as error:
                raise SignInFailed("bad_signature", type(error).__name__) from error
        if kind == "logout_token" and decoded.header.get("typ") != "logout+jwt":
            raise SignInFailed("not_a_logout_token")
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            iat={"essential": True},
            **({} if nonce is None else {"nonce": {"essential": True, "value": nonce}}),  # type: ignore[arg-type]
        )
        try:
            registry.validate(decoded.claims)
        except JoseError as error:
            raise SignInFailed("bad_claims", str(error)) from error
        return dict(decoded.claims)

    async def _discover(self) -> Mapping[str, Any]:
        if not self._provider:
            self._provider = await self._read(f"{self._issuer}/.well-known/openid-configuration")
        return self._provider

    async def _key_set(self) -> KeySet:
        if self._keys is None:
            self._keys = KeySet.import_key_set(await self._read((await self._discover())["jwks_uri"]))  # type: ignore[arg-type]
        return self._keys

    async def _read(self, address: str) -> dict[str, Any]:
        async with httpx2.AsyncClient() as http:
            read: dict[str, Any] = (await http.get(address)).raise_for_status().json()
        return read

    def _oauth(self) -> Any:
        method = "client_secret_basic" if self._key is None else "private_key_jwt"
        oauth = AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=self._key or self._secret,
            token_endpoint_auth_method=method,
            scope=self._scope,
            redirect_uri=f"{self._home}/callback",
            code_challenge_method="S256",
        )
        if self._key is not None:
            # The audience is the issuer, as one string (FAPI 2.0 section 5.3.3.1), not the token endpoint.
            oauth.register_client_auth_method(PrivateKeyJWT(self._issuer, alg="ES256"))
        return oauth
