"""Refusals as OAuth says them: JSON with `error`, for every endpoint that programs call (RFC 6749 section 5.2)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from accounts.errors import CRASHED, Refusal, Unavailable
from oidc.endpoints.cors import ANYONE
from oidc.protocol.errors import (
    INVALID_CLIENT,
    INVALID_REQUEST,
    SERVER_ERROR,
    TEMPORARILY_UNAVAILABLE,
    ChangedPlaces,
    ProtocolError,
    Replayed,
)
from oidc.protocol.legible import all_legible, legible
from oidc.protocol.token_response import NO_STORE

AnyRequest = Request[Any, Any, Any]

CLIENT = "client"
"""Key of the request's state: the client_id, once it has authenticated."""
CLAIMED = "client_claimed"
"""Key of the request's state: the client_id that came, proved or not."""
HEADERS = "answer_headers"
"""Key of the request's state: headers that its answer has in any case."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("oidc")


def as_json(request: AnyRequest, error: Exception, more: Mapping[str, str] | None = None) -> Response[bytes]:
    """One mapping for all of them. What is not foreseen says nothing and logs everything. `more`: further headers."""
    known = protocol_error_of(error)
    if not isinstance(error, ProtocolError | Refusal):
        request.state[CRASHED] = True
    note(request, error, known)
    headers: dict[str, str] = {**NO_STORE, **ANYONE, **request.state.get(HEADERS, {}), **(more or {})}
    if known.code == INVALID_CLIENT and request.headers.get("authorization", "")[:5].lower() == "basic":
        # Only who tried it is told of it (RFC 6749 section 5.2); a browser would open its own dialog.
        headers["WWW-Authenticate"] = 'Basic realm="token"'
    if isinstance(error, Refusal) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers
    return json_response(known.fields(), headers, known.status)


def protocol_error_of(error: Exception) -> ProtocolError:
    """Any exception in the protocol's words."""
    if isinstance(error, ProtocolError):
        return error
    if isinstance(error, Refusal):
        code = TEMPORARILY_UNAVAILABLE if error.status >= 500 else INVALID_REQUEST
        return ProtocolError(
            code, "Please try again later.", detail=f"{error.reason} {error.detail}", status=error.status
        )
    if isinstance(error, HTTPException) and error.status_code < 500:
        return ProtocolError(INVALID_REQUEST, str(error.detail)[:200], status=error.status_code)
    return ProtocolError(SERVER_ERROR, "Something went wrong here.")


def note(request: AnyRequest, error: Exception, known: ProtocolError) -> None:
    """The log's one line: who asked, why not, and what came beside what is accepted; no secret of what was sent. What
    is away is not the request's affair and was said already, once for all (accounts/outage.py)."""
    if isinstance(error, Unavailable):
        return
    if isinstance(error, ChangedPlaces):
        request.state[CLAIMED] = None
    said = {"path": request.scope.get("path_template", ""), **who_asked(request), **said_of(known)}
    if known.status >= 500:
        log.error("failed", **said, exc_info=error)
    elif isinstance(error, Replayed):
        log.warning("replayed", **said)
    else:
        log.info("refused", **said)


def who_asked(request: AnyRequest) -> dict[str, str | None]:
    """`client` where it authenticated; else the name that came, marked as no more than claimed."""
    client, claimed = request.state.get(CLIENT), request.state.get(CLAIMED)
    if client is None and claimed is not None:
        return {CLIENT: None, CLAIMED: legible(claimed)}
    return {CLIENT: client}


def said_of(error: ProtocolError) -> dict[str, Any]:
    """A refusal as every log line of this package says it."""
    said: dict[str, Any] = {"error": error.code, "why": error.description, "detail": error.detail.reason}
    for name, values in (("came", error.detail.came), ("accepted", error.detail.accepted)):
        if values is not None:
            said[name] = all_legible(values)
    return said


def json_response(members: dict[str, Any], headers: dict[str, str], status: int = 200) -> Response[bytes]:
    """JSON bytes; `msgspec` writes them, Litestar only sends."""
    return Response(msgspec.json.encode(members), status_code=status, headers=headers, media_type="application/json")


ERRORS: dict[int | type[Exception], Callable[[AnyRequest, Any], Response[Any]]] = {
    ProtocolError: as_json,
    Refusal: as_json,
    HTTPException: as_json,
    Exception: as_json,
}
"""The `exception_handlers` of an endpoint that answers JSON."""
