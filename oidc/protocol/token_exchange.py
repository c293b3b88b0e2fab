"""Token exchange, as far as one service calls another for a citizen with less than it holds itself (RFC 8693)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from oidc.protocol.errors import INVALID_REQUEST, INVALID_SCOPE, ProtocolError
from oidc.protocol.parameters import Parameters, split_scope

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
# How long a chain of services may grow; each link is another party that could leak.
MAX_ACTORS = 3


class ExchangeRequest(msgspec.Struct, frozen=True):
    """RFC 8693 section 2.1, of which we know: an access token for an access token."""

    subject_token: str
    scope: tuple[str, ...]
    resource: tuple[str, ...]


def read_exchange_request(parameters: Parameters) -> ExchangeRequest:
    """RFC 8693 section 2.1. Impersonation is not offered, so the actor is always the client that asks."""
    for name in ("subject_token_type", "requested_token_type"):
        if parameters.get(name) not in ((ACCESS_TOKEN,) if name == "subject_token_type" else (ACCESS_TOKEN, None)):
            raise ProtocolError(INVALID_REQUEST, f"The {name} must be {ACCESS_TOKEN}.")
    if "actor_token" in parameters or "actor_token_type" in parameters:
        raise ProtocolError(INVALID_REQUEST, "An actor_token is not supported: the actor is the client that asks.")
    if "audience" in parameters:
        raise ProtocolError(INVALID_REQUEST, "The parameter audience is not supported: name a resource.")
    return ExchangeRequest(
        subject_token=parameters.require("subject_token"),
        scope=split_scope(parameters.get("scope")),
        resource=parameters.all("resource"),
    )


def exchanged_scope(
    granted: tuple[str, ...], asked: tuple[str, ...], allowed: tuple[str, ...] | None
) -> tuple[str, ...]:
    """RFC 8693 section 1.1: what the subject token has, what is asked, and what this client may hold: only all three.

    `openid` and `offline_access` stay behind: no ID token and no refresh token come of an exchange.
    """
    beyond = {"openid", "offline_access"}
    possible = tuple(name for name in granted if name not in beyond and (allowed is None or name in allowed))
    if not set(asked) <= set(possible):
        raise ProtocolError(INVALID_SCOPE, "The scope is more than can be passed on.")
    scope = asked or possible
    if not scope:
        raise ProtocolError(INVALID_SCOPE, "Nothing of the token can be passed on.")
    return scope


def acting(client_id: str, earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """RFC 8693 section 4.1, `act`: who acts for the subject, and for whom in turn. Delegation, so both stay visible."""
    depth, actor = 0, earlier
    while isinstance(actor, Mapping):
        depth, actor = depth + 1, actor.get("act")
    if depth >= MAX_ACTORS:
        raise ProtocolError(INVALID_REQUEST, "The token has been passed on too often.")
    return {"client_id": client_id, "sub": client_id, **({"act": dict(earlier)} if earlier else {})}


def require_may_act(may_act: Mapping[str, Any] | None, client_id: str) -> None:
    """RFC 8693 section 4.4: where the token says who may act for its subject, nobody else may."""
    if may_act is not None and client_id not in (may_act.get("client_id"), may_act.get("sub")):
        raise ProtocolError(INVALID_REQUEST, "The token may not be passed on to this client.")
