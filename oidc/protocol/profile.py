"""What each client profile enforces, all of it at once (FAPI 2.0 Security Profile and Message Signing, FAPI-CIBA)."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from oidc.protocol.capabilities import (
    FAPI2,
    FAPI2_ALGORITHMS,
    FAPI2_MESSAGE_SIGNING,
    FAPI_CIBA,
    FAPI_CIBA_ALGORITHMS,
    STANDARD,
)
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError


class ProfileRules(msgspec.Struct, frozen=True, kw_only=True):
    """One profile. Every field is a demand; False and None leave it to the client's own metadata."""

    pushed_requests: bool = False
    signed_requests: bool = False
    signed_responses: bool = False
    sender_constrained_tokens: bool = False
    pkce: bool = False
    issuer_is_the_audience: bool = False
    algorithms: tuple[str, ...] | None = None
    longest_code: timedelta = timedelta(seconds=60)


FAPI = ProfileRules(
    pushed_requests=True,
    sender_constrained_tokens=True,
    pkce=True,
    issuer_is_the_audience=True,
    algorithms=FAPI2_ALGORITHMS,
)
RULES_OF_PROFILE: dict[str, ProfileRules] = {
    STANDARD: ProfileRules(),
    FAPI2: FAPI,
    FAPI2_MESSAGE_SIGNING: msgspec.structs.replace(FAPI, signed_requests=True, signed_responses=True),
    # CIBA Core section 7.1: an assertion may be meant for the endpoints as well as for the issuer.
    FAPI_CIBA: msgspec.structs.replace(
        FAPI, signed_requests=True, issuer_is_the_audience=False, algorithms=FAPI_CIBA_ALGORITHMS
    ),
}


def rules_of(client: Client) -> ProfileRules:
    """What binds this client: its profile, and what it asked for itself when it registered."""
    rules, metadata = RULES_OF_PROFILE[client.profile], client.metadata
    bound = metadata.dpop_bound_access_tokens or metadata.tls_client_certificate_bound_access_tokens
    return msgspec.structs.replace(
        rules,
        pushed_requests=rules.pushed_requests or metadata.require_pushed_authorization_requests,
        signed_requests=rules.signed_requests or metadata.require_signed_request_object,
        sender_constrained_tokens=rules.sender_constrained_tokens or bound,
        pkce=rules.pkce or metadata.require_pkce,
    )


def algorithms_for(client: Client | None, offered: Sequence[str], registered: str | None = None) -> tuple[str, ...]:
    """FAPI 2.0 Security Profile section 5.4.1: PS256, ES256, EdDSA; elsewhere what is offered.

    Where the client registered one algorithm for the purpose, it is the only one.
    """
    allowed = rules_of(client).algorithms if client is not None else None
    return tuple(name for name in offered if (allowed is None or name in allowed) and registered in (None, name))


def require_pushed(client: Client, *, pushed: bool) -> None:
    """RFC 9126 section 6, R5: a client that must push is not heard at `/authorize` directly."""
    if not pushed and rules_of(client).pushed_requests:
        raise ProtocolError(INVALID_REQUEST, "This client must push its authorization requests.")


def require_signed(client: Client, *, signed: bool) -> None:
    """RFC 9101 section 10.5, Message Signing section 5.3.2: the request is signed, wherever it arrives."""
    if not signed and rules_of(client).signed_requests:
        raise ProtocolError(INVALID_REQUEST, "This client must sign its requests.")


def require_sender_constraint(client: Client, *, jkt: str | None, certificate: str | None) -> None:
    """FAPI 2.0 Security Profile section 5.3.2.1: a token is given to a key, or not at all.

    `jkt` is the thumbprint of a DPoP proof that holds, `certificate` that of the TLS connection (RFC 8705).
    `invalid_request`, because the same code must do for codes and for refresh tokens.
    """
    metadata = client.metadata
    if metadata.dpop_bound_access_tokens and jkt is None:
        raise ProtocolError(INVALID_REQUEST, "The DPoP proof is missing.")
    if metadata.tls_client_certificate_bound_access_tokens and certificate is None:
        raise ProtocolError(INVALID_REQUEST, "The client certificate is missing.")
    if rules_of(client).sender_constrained_tokens and jkt is None and certificate is None:
        raise ProtocolError(INVALID_REQUEST, "The DPoP proof or client certificate is missing.")
