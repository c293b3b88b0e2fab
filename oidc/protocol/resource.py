"""Resource indicators: for which API an access token is meant (RFC 8707)."""

from collections.abc import Collection

from oidc.protocol.errors import INVALID_TARGET, ProtocolError
from oidc.protocol.parameters import Parameters
from oidc.protocol.uris import problem_of_uri

MAX_RESOURCES = 16


def read_resources(parameters: Parameters, known: Collection[str]) -> tuple[str, ...]:
    """RFC 8707 section 2: absolute, without fragment, and APIs that this provider gives tokens for. Each once."""
    asked = tuple(dict.fromkeys(parameters.all("resource")))
    if len(asked) > MAX_RESOURCES or any(problem_of_uri(uri) or uri not in known for uri in asked):
        raise ProtocolError(INVALID_TARGET, "A resource is not known here.")
    return asked


def narrow_resources(granted: Collection[str], asked: tuple[str, ...]) -> tuple[str, ...]:
    """RFC 8707 section 2.2: a token request names some of what was granted, and never more; nothing named is all."""
    if not set(asked) <= set(granted):
        raise ProtocolError(INVALID_TARGET, "The resource is more than was granted.")
    return asked or tuple(granted)


def one_audience(resources: tuple[str, ...]) -> str | None:
    """RFC 8707 section 2.2, RFC 9068 section 3: a token for several APIs could be replayed by each of them at the rest.

    The one API that a JWT is for; None where no resource plays a part and the token stays opaque.
    """
    if len(resources) > 1:
        raise ProtocolError(INVALID_TARGET, "An access token is for one resource. Name one of those granted.")
    return resources[0] if resources else None
