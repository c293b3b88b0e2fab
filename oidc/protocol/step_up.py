"""A sign-in that is not enough for what is asked of a resource (RFC 9470)."""

from oidc.protocol.assurance import meets
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.errors import INSUFFICIENT_USER_AUTHENTICATION, ProtocolError


class InsufficientAuthentication(ProtocolError):
    """Section 3: the challenge says what would be enough, so that the client can ask for it."""

    def __init__(self, acr_values: tuple[str, ...]) -> None:
        super().__init__(INSUFFICIENT_USER_AUTHENTICATION, "The citizen has to sign in more strongly.", status=401)
        self.acr_values = acr_values


def require_least_acr(acr: str, capabilities: Capabilities) -> None:
    """Our least level may have risen since the citizen signed in; a level that we do not know any more is none. Names
    of a framework count for the levels that they stand for."""
    if not meets(acr, capabilities.minimum_acr, capabilities):
        levels = capabilities.acr_values
        raise InsufficientAuthentication(levels[levels.index(capabilities.minimum_acr) :])
