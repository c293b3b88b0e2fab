"""Tokens for a client itself (RFC 6749 section 4.4)."""

from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_SCOPE, ProtocolError
from oidc.protocol.parameters import Parameters, split_scope


def service_scope(parameters: Parameters, client: Client, capabilities: Capabilities) -> tuple[str, ...]:
    """RFC 6749 sections 3.3 and 4.4.2: what this client may do in its own name, by default all that is registered.

    Scopes about a citizen mean nothing here and are refused. A client without any gets a token that says who it is.
    """
    registered = client.metadata.scope or ()
    possible = tuple(name for name in capabilities.service_scopes if name in registered)
    asked = split_scope(parameters.get("scope"))
    if not set(asked) <= set(possible):
        raise ProtocolError(INVALID_SCOPE, "The scope is more than the client may have in its own name.")
    return asked or possible
