"""Public clients in browsers call these endpoints from their own origins (Fetch standard, CORS protocol).

Nothing here is decided by a cookie: whoever has the code or the token may ask from anywhere, and no credentials of the
browser are ever allowed along.
"""

from litestar import Response

ANYONE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "WWW-Authenticate, DPoP-Nonce, Retry-After, Allow",
}


NAMED = "Authorization, Content-Type, DPoP"
ANY_HEADER = f"*, {NAMED}"
"""For what anybody may read: "*" is every header but `Authorization`, which is only ever allowed by its name
(Fetch standard, section "CORS-preflight fetch")."""


def preflight(methods: str, headers: str = NAMED) -> Response[bytes]:
    """The answer to OPTIONS: with these methods and request headers a script of another origin may come."""
    answer = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": headers,
        "Access-Control-Max-Age": "86400",
        "Allow": f"{methods}, OPTIONS",
    }
    return Response(b"", status_code=204, headers=answer)
