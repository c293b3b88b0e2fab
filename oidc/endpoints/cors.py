"""Public clients in browsers call these endpoints from their own origins (Fetch standard, CORS protocol).

Nothing here is decided by a cookie: whoever has the code or the token may ask from anywhere, and no credentials of the
browser are ever allowed along.
"""

from litestar import Response

ANYONE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "WWW-Authenticate, DPoP-Nonce, Retry-After",
}


def preflight(methods: str) -> Response[bytes]:
    """The answer to OPTIONS."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, DPoP",
        "Access-Control-Max-Age": "86400",
        "Allow": f"{methods}, OPTIONS",
    }
    return Response(b"", status_code=204, headers=headers)
