"""Access tokens as they are presented to a resource of ours, and how a refusal is said there (RFC 6750)."""

from typing import Any

from litestar import Request, Response

from oidc.endpoints.errors import as_json, protocol_error_of
from oidc.protocol.errors import INVALID_REQUEST, INVALID_TOKEN, ProtocolError
from oidc.protocol.parameters import FORM, read_form, read_query

MAX_BODY = 16_384
MAX_TOKEN = 4096


class NoToken(ProtocolError):
    """Nothing was presented: the challenge names no error (RFC 6750 section 3.1)."""

    def __init__(self) -> None:
        super().__init__(INVALID_TOKEN, "An access token is needed.")


async def presented_token(request: Request[Any, Any, Any]) -> str:
    """The one token of the request: in the header, or in the body of a form (RFC 6750 sections 2.1 and 2.2).

    In the query it would end up in logs and histories: refused (section 2.3, RFC 9700 section 4.3.2).
    """
    if "access_token" in read_query(request.scope["query_string"]):
        raise ProtocolError(INVALID_REQUEST, "An access token does not belong in the address.")
    in_header, in_body = _in_header(request.headers.get("authorization")), await _in_body(request)
    if in_header is not None and in_body is not None:
        raise ProtocolError(INVALID_REQUEST, "The access token was sent in more than one way.")
    token = in_header or in_body
    if token is None:
        raise NoToken
    if len(token) > MAX_TOKEN:
        raise ProtocolError(INVALID_TOKEN, "The access token is not valid, or not any more.", detail="too long")
    return token


def _in_header(authorization: str | None) -> str | None:
    """The scheme's name is compared without case (RFC 9110 section 11.1)."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None


async def _in_body(request: Request[Any, Any, Any]) -> str | None:
    content_type = request.headers.get("content-type")
    if request.method != "POST" or (content_type or "").partition(";")[0].strip().lower() != FORM:
        return None
    return read_form(await request.body(), content_type, max_bytes=MAX_BODY).get("access_token")


def challenge(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The refusal as JSON, and for people's tools in `WWW-Authenticate` (RFC 6750 section 3)."""
    response = as_json(request, error)
    known = protocol_error_of(error)
    if known.status in {400, 401, 403}:
        said = "" if isinstance(error, NoToken) else f', error="{known.code}", error_description="{known.description}"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="userinfo"{said}'
    return response
