"""The browser's own cookie, and the proof that a form came from a page we gave to that browser."""

import base64
import binascii
import hmac
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import BeforeMessageSendHookHandler, Message, Scope
from litestar.types.asgi_types import HTTPResponseStartEvent

from accounts.citizen import Browser
from accounts.database import new_secret
from accounts.errors import Refusal
from accounts.pages.page import form_of
from accounts.vault import Vault
from identity.cookies import cookie_name
from oidc.browser_state import BrowserStates

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MASK = 16
AGE = 400 * 86400
"""Seconds: the longest that browsers keep a cookie."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def sender_of(states: BrowserStates | None) -> list[BeforeMessageSendHookHandler]:
    """What keeps each browser's state up to date where services may watch it (Session Management 1.0)."""
    if states is None:
        return []

    async def send_state(message: Message, scope: Scope) -> None:
        if message["type"] == "http.response.start" and (cookie := states.news_for(Request(scope))):
            _set_cookie(message, cookie)

    return [send_state]


def _set_cookie(message: HTTPResponseStartEvent, value: str) -> None:
    headers = message.setdefault("headers", [])
    if not isinstance(headers, list):
        message["headers"] = headers = list(headers)
    headers.append((b"set-cookie", value.encode()))


class Browsers:
    """Knows browsers by their cookie and judges their forms."""

    def __init__(self, vault: Vault, issuer: str) -> None:
        self._vault = vault
        parts = urlsplit(issuer)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._secure = parts.scheme == "https"
        self._cookie = cookie_name("browser", self._secure)

    def browser_of(self, request: Request[Any, Any, Any]) -> Browser:
        """The browser of a request; one that has no cookie yet gets it with the answer."""
        known: Browser | None = request.state.get("browser")
        if known is None:
            secret = request.cookies.get(self._cookie, "")
            is_new = _SECRET.match(secret) is None
            if is_new:
                secret = request.state["new_browser"] = new_secret()
            known = request.state["browser"] = Browser(secret, is_new)
        return known

    async def remember(self, request: Request[Any, Any, Any]) -> None:
        """Before the handler: let the page's form ask for its token, should it have a form."""
        request.state["csrf_token"] = lambda: self._token(self.browser_of(request))

    async def send_cookie(self, message: Message, scope: Scope) -> None:
        """Before the answer leaves: give a new browser its cookie."""
        if message["type"] != "http.response.start":
            return
        secret = scope.get("state", {}).get("new_browser")
        if secret:
            value = f"{self._cookie}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={AGE}"
            _set_cookie(message, value + ("; Secure" if self._secure else ""))

    async def verify_form(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """The guard of every unsafe request: same origin, and a token made for this browser.

        A handler opts out by `opt={"csrf": False}`: protocol endpoints alone, which no cookie makes powerful.
        Raises Refusal("cross_site" | "cookies_refused" | "form_expired").
        """
        if handler.opt.get("csrf") is False or not isinstance(connection, Request) or connection.method in SAFE:
            return
        origin = connection.headers.get("origin")
        if (origin is not None and origin != self._origin) or connection.headers.get(
            "sec-fetch-site", "same-origin"
        ) in (
            "cross-site",
            "same-site",
        ):
            raise Refusal("cross_site", status=403)
        secret = connection.cookies.get(self._cookie, "")
        if not _SECRET.match(secret):
            raise Refusal("cookies_refused", status=400)
        if not self._is_token(Browser(secret), (await form_of(connection)).get("csrf_token", "")):
            raise Refusal("form_expired", status=403)

    def _mac(self, browser: Browser) -> bytes:
        return self._vault.mac("form", browser.secret.encode())[:MASK]

    def _token(self, browser: Browser) -> str:
        # Pages are compressed: a token that repeats could be guessed by its effect on the length (BREACH).
        mask = secrets.token_bytes(MASK)
        masked = bytes(a ^ b for a, b in zip(mask, self._mac(browser), strict=True))
        return base64.urlsafe_b64encode(mask + masked).decode()

    def _is_token(self, browser: Browser, token: str) -> bool:
        try:
            raw = base64.urlsafe_b64decode(token.encode())
        except (binascii.Error, ValueError):
            return False
        if len(raw) != 2 * MASK:
            return False
        mac = bytes(a ^ b for a, b in zip(raw[:MASK], raw[MASK:], strict=True))
        return hmac.compare_digest(mac, self._mac(browser))
