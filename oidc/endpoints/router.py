"""What the router refuses at and beside the endpoints that programs call, said as those endpoints say it."""

from litestar import Litestar, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from oidc.endpoints.errors import AnyRequest, as_json
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError


def places_of_programs(app: Litestar) -> frozenset[str]:
    """The first parts of the paths that are for programs: of the handlers that answer every refusal in JSON."""
    return frozenset(
        _first(route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute) and any(_speaks_json(handler) for handler in route.route_handlers)
    )


def not_served_to_program(request: AnyRequest, places: frozenset[str], error: HTTPException) -> Response[bytes] | None:
    """No such path, or not by this method (RFC 9110 section 15.5.6: `Allow`). None where a page is due: for a browser,
    whose navigation always names HTML, and anywhere else."""
    is_browser = "text/html" in request.headers.get("accept", "")
    if is_browser or error.status_code not in {404, 405} or _first(request.url.path) not in places:
        return None
    headers = error.headers or {}
    allowed = next((value for name, value in headers.items() if name.lower() == "allow"), "")
    text = f"This address takes {allowed}." if allowed else "There is nothing at this address."
    return as_json(request, ProtocolError(INVALID_REQUEST, text, status=error.status_code), headers)


def _speaks_json(handler: HTTPRouteHandler) -> bool:
    return ProtocolError in (handler.exception_handlers or {})


def _first(path: str) -> str:
    return path.strip("/").partition("/")[0]
