"""What programs read about us: both discovery documents and our public keys (Discovery 1.0, RFC 8414, RFC 7517)."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod

from accounts.database import Transaction
from oidc.document import Document
from oidc.endpoints.cors import ANY_HEADER, ANYONE, preflight
from oidc.endpoints.errors import ERRORS
from oidc.provider import Provider

READ = [HttpMethod.GET, HttpMethod.HEAD]
WELL_KNOWN = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]

DISCOVERY_SECONDS = 3600
KEYS_SECONDS = 300
"""How long a copy of the key set may be used. A next key is announced for longer before it signs; who meets a key it
does not know asks again anyway (OpenID Connect Core section 10.1.1)."""


@route(WELL_KNOWN, http_method=READ, exception_handlers=ERRORS)
async def discovery(request: Request[Any, Any, Any], provider: NamedDependency[Provider]) -> Response[bytes]:
    """The same bytes at both addresses."""
    return cached(request, provider.discovery, DISCOVERY_SECONDS)


@route("/jwks", http_method=READ, exception_handlers=ERRORS)
async def jwks(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """The next, the current and the lately retired keys."""
    return cached(request, await provider.keys.published(db, now), KEYS_SECONDS)


def cached(request: Request[Any, Any, Any], document: Document, seconds: int) -> Response[bytes]:
    """RFC 9110 sections 9.3.2 and 13.1.2: HEAD is GET without content, and who has the document is told so."""
    headers = {**ANYONE, "Cache-Control": f"public, max-age={seconds}", "ETag": document.etag}
    if document.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    if request.method == HttpMethod.HEAD:
        headers["Content-Length"] = str(len(document.body))
        return Response(b"", headers=headers, media_type="application/json", status_code=200)
    return Response(document.body, headers=headers, media_type="application/json", status_code=200)


@route([*WELL_KNOWN, "/jwks"], http_method=[HttpMethod.OPTIONS])
async def discovery_preflight() -> Response[bytes]:
    """A browser asks before it reads with headers of its own: libraries send whatever they send with every request."""
    return preflight("GET, HEAD", ANY_HEADER)


handlers = (discovery_preflight, discovery, jwks)
