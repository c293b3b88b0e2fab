"""Resource indicators: for which API an access token is meant (RFC 8707)."""

from collections.abc import Collection

from oidc.protocol.errors import INVALID_TARGET, Detail, ProtocolError
from oidc.protocol.legible import all_legible
from oidc.protocol.parameters import Parameters
from oidc.protocol.uris import problem_of_uri

MAX_RESOURCES = 16


def read_resources(parameters: Parameters, known: Collection[str]) -> tuple[str, ...]:
    """RFC 8707 section 2: absolute, without fragment, and APIs that this provider gives tokens for. Each once."""
    asked = tuple(dict.fromkeys(parameters.all("resource")))
    if len(asked) > MAX_RESOURCES:
        raise ProtocolError(INVALID_TARGET, "There are too many resources.")
    unknown = tuple(uri for uri in asked if problem_of_uri(uri) or uri not in known)
    if unknown:
        text = f"A resource is not known here: {' '.join(all_legible(unknown))}."
        raise ProtocolError(INVALID_TARGET, text, detail=Detail("unknown resource", unknown, tuple(known)))
    return asked


def narrow_resources(granted: Collection[str], asked: tuple[str, ...]) -> tuple[str, ...]:
    """RFC 8707 section 2.2: a token request names some of what was granted, and never more; nothing named is all."""
    if not set(asked) <= set(granted):
        detail = Detail("resource not granted", asked, tuple(granted))
        raise ProtocolError(INVALID_TARGET, "The resource is more than was granted.", detail=detail)
    return asked or tuple(granted)


def one_audience(resources: tuple[str, ...]) -> str | None:
    """RFC 8707 section 2.2, RFC 9068 section 3: a token for several APIs could be replayed by each of them at the rest.

    The one API that a JWT is for; None where no resource plays a part and the token stays opaque.
    """
    if len(resources) > 1:
        detail = Detail("more than one resource", resources)
        raise ProtocolError(
            INVALID_TARGET, "An access token is for one resource. Name one of those granted.", detail=detail
        )
    return resources[0] if resources else None
