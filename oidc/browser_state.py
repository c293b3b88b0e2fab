"""What a browser knows of its own sign-in: a value that is another one when a session begins, ends, or is another
person's (Session Management 1.0 section 3.2).

It is a keyed hash of the session's id: every worker makes the same one, nothing is stored, and nobody is known by it.
Its cookie is read by our script in a frame of the service, so it can be neither HttpOnly nor SameSite=Lax like the
session's own, and gives its bearer nothing. It is put right whenever the browser comes by; a session that runs out
tells the service no more by it than by the back channel.
"""

import base64
from typing import Any

from litestar import Request

from accounts.vault import Vault
from identity.cookies import SEEN, cookie_name
from identity.session import SessionView


class BrowserStates:
    """Held by the provider where session management is on. `secure` is whether our issuer is https."""

    def __init__(self, vault: Vault, secure: bool) -> None:
        self._vault = vault
        self.cookie = cookie_name("browser_state", secure)

    def of(self, session: SessionView | None) -> str:
        """Empty while nobody is signed in."""
        if session is None:
            return ""
        return base64.urlsafe_b64encode(self._vault.mac("browser_state", session.id.bytes)).rstrip(b"=").decode()

    def held_by(self, request: Request[Any, Any, Any]) -> str:
        """What the browser will hold once it has the answer to this request."""
        if SEEN in request.state:
            return self.of(request.state[SEEN])
        return request.cookies.get(self.cookie, "")

    def news_for(self, request: Request[Any, Any, Any]) -> str | None:
        """The cookie that the answer must bring along, for the browser to be up to date."""
        state = self.held_by(request)
        if state == request.cookies.get(self.cookie, ""):
            return None
        # Browsers give no cookie to a frame of another site unless it is SameSite=None, nor that one unless it is
        # Secure, which they allow on loopback too.
        return f"{self.cookie}={state}; Path=/; SameSite=None; Secure" + ("" if state else "; Max-Age=0")
