"""Backchannel authentication requests (CIBA Core 1.0 section 7, FAPI-CIBA section 5.2.2)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from joserfc.jwk import Key

from oidc.protocol.authorization_details import read_authorization_details
from oidc.protocol.authorization_rules import read_acr_values, read_scope
from oidc.protocol.capabilities import FAPI2_ALGORITHMS, Capabilities
from oidc.protocol.client import Client, require_grant_type
from oidc.protocol.client_metadata import CIBA_GRANT
from oidc.protocol.errors import INVALID_BINDING_MESSAGE, INVALID_REQUEST, INVALID_SCOPE, ProtocolError
from oidc.protocol.jwt import JwtKind, require_current, require_instant, require_jti, require_lifetime, verify_jwt
from oidc.protocol.parameters import Parameters, read_seconds
from oidc.protocol.profile import algorithms_for
from oidc.protocol.request_object import parameters_in, require_audience

KIND = JwtKind(
    name="request object",
    error=INVALID_REQUEST,
    typ=frozenset({None, "jwt", "oauth-authz-req+jwt"}),
    algorithms=FAPI2_ALGORITHMS,
)
LONGEST = timedelta(minutes=60)
HINTS: tuple[Literal["login_hint", "login_hint_token", "id_token_hint"], ...] = (
    "login_hint",
    "login_hint_token",
    "id_token_hint",
)
# CIBA Core section 7.1: no more than 1024 characters, of RFC 6750's bearer token.
NOTIFICATION_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,1024}=*")
# Short enough to read on a small screen and to compare with another one.
MAX_MESSAGE = 128
# With a signed request, only client authentication may stand beside it (section 7.1.1).
MAY_STAND_BESIDE = frozenset({"request", "client_id", "client_secret", "client_assertion", "client_assertion_type"})
MAX_EXPIRY = timedelta(minutes=10)


class BackchannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that kept every rule. `hint_kind` says what `hint` is; `expires_in` is how long it may wait."""

    scope: tuple[str, ...]
    hint_kind: Literal["login_hint", "login_hint_token", "id_token_hint"]
    hint: str
    expires_in: timedelta
    acr_values: tuple[str, ...] = ()
    binding_message: str | None = None
    client_notification_token: str | None = None
    details: tuple[dict[str, Any], ...] = ()


def read_backchannel_request(parameters: Parameters, client: Client, capabilities: Capabilities) -> BackchannelRequest:
    """CIBA Core section 7.1, after a signed request has been resolved. Errors answer in JSON (section 13)."""
    require_grant_type(client, CIBA_GRANT)
    kind, hint = require_one_hint(parameters)
    return BackchannelRequest(
        scope=require_openid(read_scope(parameters, client, capabilities)),
        hint_kind=kind,
        hint=hint,
        acr_values=read_acr_values(parameters) or client.metadata.default_acr_values,
        binding_message=read_binding_message(parameters),
        client_notification_token=read_notification_token(parameters, client),
        expires_in=read_expiry(parameters),
        details=read_authorization_details(parameters.get("authorization_details"), capabilities.detail_types, client),
    )


def require_one_hint(parameters: Parameters) -> tuple[Literal["login_hint", "login_hint_token", "id_token_hint"], str]:
    """Section 7.1: exactly one hint says whom to ask."""
    given = [(name, value) for name in HINTS if (value := parameters.get(name)) is not None]
    if len(given) != 1:
        raise ProtocolError(INVALID_REQUEST, "Exactly one of login_hint, login_hint_token, id_token_hint is needed.")
    return given[0]


def require_openid(scope: tuple[str, ...]) -> tuple[str, ...]:
    """Section 7.1: CIBA is OpenID Connect."""
    if "openid" not in scope:
        raise ProtocolError(INVALID_SCOPE, "The scope must hold openid.")
    return scope


def read_binding_message(parameters: Parameters) -> str | None:
    """Section 7.1: shown on both devices to be compared, so it must be short, plain text on one line."""
    message = parameters.get("binding_message")
    if message is not None and (len(message) > MAX_MESSAGE or not message.isprintable()):
        raise ProtocolError(INVALID_BINDING_MESSAGE, f"The binding_message is not {MAX_MESSAGE} printable characters.")
    return message


def read_notification_token(parameters: Parameters, client: Client) -> str | None:
    """Section 7.1: required where we ping the client; it proves to the client that we are the caller."""
    if client.metadata.backchannel_token_delivery_mode != "ping":
        return None
    token = parameters.get("client_notification_token")
    if token is None or len(token) > 1024 or not NOTIFICATION_TOKEN.fullmatch(token):
        raise ProtocolError(INVALID_REQUEST, "The client_notification_token is missing or malformed.")
    return token


def read_expiry(parameters: Parameters) -> timedelta:
    """Section 7.1, `requested_expiry`: a positive number of seconds, never more than we would give."""
    seconds = read_seconds(parameters, "requested_expiry")
    if seconds == 0:
        raise ProtocolError(INVALID_REQUEST, "The requested_expiry must be positive.")
    return MAX_EXPIRY if seconds is None else min(timedelta(seconds=seconds), MAX_EXPIRY)


class Once(msgspec.Struct, frozen=True):
    """What makes a signed request usable once."""

    jti: str
    issued_at: datetime


def resolve_backchannel_request(
    parameters: Parameters, client: Client, keys: Sequence[Key], capabilities: Capabilities, now: datetime
) -> tuple[Parameters, Once | None]:
    """Section 7.1.1: the parameters of a signed request, and what must be new of it; else those that came.

    A client that registered an algorithm for it always signs.
    """
    registered = client.metadata.backchannel_authentication_request_signing_alg
    token = parameters.get("request")
    if token is None:
        if registered is not None or client.is_fapi:
            raise ProtocolError(INVALID_REQUEST, "This client must sign its requests.")
        return parameters, None
    if not set(parameters.values) <= MAY_STAND_BESIDE:
        raise ProtocolError(INVALID_REQUEST, "With a signed request no other parameters may come.")
    claims = verify_backchannel_request(token, client, keys, capabilities, now)
    issued_at = datetime.fromtimestamp(max(require_instant(claims, "iat", KIND), 0.0), UTC)
    return parameters_in(claims, client.client_id, error=INVALID_REQUEST), Once(require_jti(claims, KIND), issued_at)


def verify_backchannel_request(
    token: str, client: Client, keys: Sequence[Key], capabilities: Capabilities, now: datetime
) -> dict[str, Any]:
    """Section 7.1.1: iss, aud, exp, iat, nbf and jti, all of them; FAPI-CIBA 5.2.2: valid for no more than an hour."""
    registered = client.metadata.backchannel_authentication_request_signing_alg
    offered = KIND.algorithms if registered is None else capabilities.request_object_algorithms
    kind = msgspec.structs.replace(KIND, algorithms=algorithms_for(client, offered, registered))
    claims = verify_jwt(token, keys, kind).claims
    if claims.get("iss") != client.client_id:
        raise ProtocolError(INVALID_REQUEST, "The iss of the request object must be the client_id.")
    require_audience(claims.get("aud"), capabilities.issuer, required=True, error=INVALID_REQUEST)
    require_current(claims, kind, now, required=("exp", "iat", "nbf", "jti"))
    require_lifetime(claims, kind, now, LONGEST, since="nbf")
    return claims


def backchannel_response(*, auth_req_id: str, expires_in: timedelta, interval: timedelta) -> dict[str, Any]:
    """Section 7.3."""
    return {
        "auth_req_id": auth_req_id,
        "expires_in": int(expires_in.total_seconds()),
        "interval": int(interval.total_seconds()),
    }
