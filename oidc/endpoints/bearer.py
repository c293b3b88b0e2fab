"""Access tokens as they are presented to a resource of ours, and how a refusal is said there (RFC 6750, RFC 9449)."""

from typing import Any

import msgspec
from litestar import Request, Response

from oidc.endpoints.errors import as_json, protocol_error_of
from oidc.protocol.capabilities import ASYMMETRIC_ALGORITHMS
from oidc.protocol.errors import INVALID_REQUEST, INVALID_TOKEN, ProtocolError
from oidc.protocol.parameters import FORM, read_form, read_query
from oidc.protocol.step_up import InsufficientAuthentication

MAX_BODY = 16_384
MAX_TOKEN = 4096
SCHEMES = ("bearer", "dpop")
BEARER = 'Bearer realm="userinfo"'
BY_PROOF = f'DPoP realm="userinfo", algs="{" ".join(ASYMMETRIC_ALGORITHMS)}"'


class NoToken(ProtocolError):
    """Nothing was presented: the challenge names no error (RFC 6750 section 3.1)."""

    def __init__(self) -> None:
        super().__init__(INVALID_TOKEN, "An access token is needed.")


class Presented(msgspec.Struct, frozen=True):
    """A token, and the scheme it came by: `bearer` or `dpop`."""

    token: str
    scheme: str


async def presented_token(request: Request[Any, Any, Any]) -> Presented:
    """The one token of the request: in the header, or in the body of a form (RFC 6750 sections 2.1 and 2.2).

    In the query it would end up in logs and histories: refused (section 2.3, RFC 9700 section 4.3.2).
    """
    if "access_token" in read_query(request.scope["query_string"]):
        raise ProtocolError(INVALID_REQUEST, "An access token does not belong in the address.")
    in_header, in_body = _in_header(request.headers.get("authorization")), await _in_body(request)
    if in_header is not None and in_body is not None:
        raise ProtocolError(INVALID_REQUEST, "The access token was sent in more than one way.")
    presented = in_header or in_body
    if presented is None:
        raise NoToken
    if len(presented.token) > MAX_TOKEN:
        raise ProtocolError(INVALID_TOKEN, "The access token is not valid, or not any more.", detail="too long")
    return presented


def _in_header(authorization: str | None) -> Presented | None:
    """The scheme's name is compared without case (RFC 9110 section 11.1)."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    return Presented(token, scheme.lower()) if scheme.lower() in SCHEMES and token else None


async def _in_body(request: Request[Any, Any, Any]) -> Presented | None:
    content_type = request.headers.get("content-type")
    if request.method != "POST" or (content_type or "").partition(";")[0].strip().lower() != FORM:
        return None
    token = read_form(await request.body(), content_type, max_bytes=MAX_BODY).get("access_token")
    return Presented(token, "bearer") if token else None


def challenge(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The refusal as JSON, and for people's tools in `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1,
    RFC 9470 section 3)."""
    response = as_json(request, error)
    known = protocol_error_of(error)
    if known.status in {400, 401, 403}:
        said = "" if isinstance(error, NoToken) else f', error="{known.code}", error_description="{known.description}"'
        if isinstance(error, InsufficientAuthentication):
            said += f', acr_values="{" ".join(error.acr_values)}"'
        # Who came with a proof is told in that scheme (RFC 9449 section 7.1).
        by_proof = request.headers.get("authorization", "")[:5].lower() == "dpop "
        response.headers["WWW-Authenticate"] = (BY_PROOF if by_proof else BEARER) + said
    return response
