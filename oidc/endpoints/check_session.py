"""The frame in which services ask whether a sign-in is still the same (Session Management 1.0 section 3.2)."""

import hashlib
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from oidc.browser_state import BrowserStates

SECONDS = 3600
"""How long a copy may be used: shorter than an address of its script is kept by a worker that has none of it."""


def check_session_handler(states: BrowserStates, script: str) -> HTTPRouteHandler:
    """One page of constant bytes around the script at this address. The one page of ours that others may frame: it
    shows nothing, has nothing to press, and its script answers with one of three words."""
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Session</title>'
        f'<script src="{script}" data-cookie="{states.cookie}"></script></html>'
    ).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        "cache-control": f"public, max-age={SECONDS}",
        "content-security-policy": "default-src 'none'; script-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors *",
        "cross-origin-resource-policy": "cross-origin",
        "etag": etag,
        "vary": "accept-encoding",
    }

    @get("/check-session", sync_to_thread=False)
    def check_session(request: Request[Any, Any, Any]) -> Response[bytes]:
        if etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/html")

    return check_session
