"""Authorization requests: parsed, judged rule by rule, kept while they wait (OpenID Connect Core 3.1.2)."""

from typing import Any

import msgspec

from oidc.protocol.authorization_details import read_authorization_details
from oidc.protocol.authorization_rules import (
    read_acr_values,
    read_display,
    read_dpop_thumbprint,
    read_locales,
    read_prompt,
    read_scope,
    refuse_what_is_not_supported,
    require_allowed_response_mode,
    require_code_response,
    require_exact_redirect_uri,
)
from oidc.protocol.capabilities import RESOURCES, Capabilities
from oidc.protocol.claims import NO_CLAIMS, ClaimsAsked, read_claims
from oidc.protocol.client import Client, require_grant_type
from oidc.protocol.client_metadata import AUTHORIZATION_CODE
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError, ReplyTo, may_travel
from oidc.protocol.parameters import (
    MAX_NONCE,
    MAX_STATE,
    Parameters,
    read_hint,
    read_seconds,
    refuse_repeats,
    require_at_most,
)
from oidc.protocol.pkce import read_code_challenge
from oidc.protocol.resource import read_resources
from oidc.protocol.vector import levels_of

MAX_VTR = 1024


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that kept every rule. Lists are tuples without repeats; `max_age` counts seconds.

    `scope` holds what this provider knows of what was asked. `max_age` and `acr_values` are the request's own, else the
    client's registered defaults. `id_token_hint` is still raw. Nothing in here is secret, much of it is personal.
    """

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    response_mode: str = "query"
    state: str | None = None
    nonce: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    claims: ClaimsAsked = NO_CLAIMS
    login_hint: str | None = None
    id_token_hint: str | None = None
    ui_locales: tuple[str, ...] = ()
    claims_locales: tuple[str, ...] = ()
    display: str | None = None
    code_challenge: str | None = None
    resource: tuple[str, ...] = ()
    authorization_details: tuple[dict[str, Any], ...] = ()
    dpop_jkt: str | None = None

    @property
    def reply_to(self) -> ReplyTo:
        """Where its answer goes, errors too."""
        return ReplyTo(self.client_id, self.redirect_uri, self.response_mode, self.state)

    @property
    def is_openid(self) -> bool:
        """Whether an ID token is asked for."""
        return "openid" in self.scope

    def to_bytes(self) -> bytes:
        """For the row it waits in."""
        return msgspec.json.encode(self)


def authorization_request_from(kept: bytes) -> AuthorizationRequest:
    """The request that was kept."""
    return msgspec.json.decode(kept, type=AuthorizationRequest)


def require_client_id(parameters: Parameters) -> str:
    """RFC 6749 section 4.1.1. Without it nobody is there to answer: the error is a page."""
    return parameters.require("client_id")


def read_authorization_request(
    parameters: Parameters, client: Client, capabilities: Capabilities
) -> AuthorizationRequest:
    """The rules in their order: who asks and where the answer may go, then everything else (RFC 6749 section 4.1.2.1).

    Until the redirect URI is known to be the client's own, a refusal is a plain `ProtocolError`, for a page. After
    that it is an `AuthorizationError`, which carries `state` and goes back to the client.
    """
    if parameters.require("client_id") != client.client_id:
        raise ProtocolError(INVALID_REQUEST, "The client_id does not fit the client.")
    redirect_uri = require_exact_redirect_uri(parameters.get("redirect_uri"), client)
    reply_to = ReplyTo(client.client_id, redirect_uri, *readable_reply(parameters, client, capabilities))
    try:
        return judge(parameters, client, capabilities, redirect_uri)
    except ProtocolError as error:
        raise may_travel(error, reply_to) from error


def readable_reply(parameters: Parameters, client: Client, capabilities: Capabilities) -> tuple[str, str | None]:
    """How an error can be told: with the state that came, also one too long to be kept; one that came twice is none,
    and a response mode that is itself at fault is not used."""
    try:
        mode = require_allowed_response_mode(parameters.get("response_mode"), client, capabilities)
    except ProtocolError:
        mode = require_allowed_response_mode(None, client, capabilities)
    try:
        return mode, parameters.get("state")
    except ProtocolError:
        return mode, None


def judge(
    parameters: Parameters, client: Client, capabilities: Capabilities, redirect_uri: str
) -> AuthorizationRequest:
    """Everything that may be told to the client."""
    refuse_repeats(parameters)
    refuse_what_is_not_supported(parameters)
    require_code_response(parameters)
    require_grant_type(client, AUTHORIZATION_CODE)
    metadata = client.metadata
    max_age = read_seconds(parameters, "max_age")
    details = read_authorization_details(parameters.get("authorization_details"), capabilities.detail_types, client)
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        response_mode=require_allowed_response_mode(parameters.get("response_mode"), client, capabilities),
        state=require_at_most(parameters, "state", MAX_STATE),
        nonce=require_at_most(parameters, "nonce", MAX_NONCE),
        scope=read_scope(parameters, client, capabilities, is_needed=not details),
        prompt=read_prompt(parameters, capabilities),
        max_age=metadata.default_max_age if max_age is None else max_age,
        acr_values=read_acr_values(parameters)
        or levels_of(require_at_most(parameters, "vtr", MAX_VTR), capabilities)
        or metadata.default_acr_values,
        claims=read_claims(parameters.get("claims")),
        login_hint=read_hint(parameters, "login_hint"),
        id_token_hint=parameters.get("id_token_hint"),
        ui_locales=read_locales(parameters, "ui_locales"),
        claims_locales=read_locales(parameters, "claims_locales"),
        display=read_display(parameters),
        code_challenge=read_code_challenge(parameters, required=client.require_pkce),
        resource=read_resources(parameters, capabilities.resources) if capabilities.has(RESOURCES) else (),
        authorization_details=details,
        dpop_jkt=read_dpop_thumbprint(parameters, capabilities),
    )


def response_parameters(reply_to: ReplyTo, issuer: str, answer: dict[str, str]) -> dict[str, str]:
    """The answer's parameters in order: `code` or the error, `state` as it came, `iss` always (RFC 9207, R9)."""
    return answer | ({} if reply_to.state is None else {"state": reply_to.state}) | {"iss": issuer}
