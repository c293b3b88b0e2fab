"""What every response carries: security headers (R70), and for pages the language cookie and compression.

Around the application, so that it sees each response, also those the router makes itself. It takes a few microseconds.
"""

import gzip
import re
from collections.abc import Iterable
from urllib.parse import parse_qs

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from accounts.pages.page import KEEPS_OPENER, POSTS_ELSEWHERE
from config.site.languages import COOKIE, PARAMETER, supported
from config.site.static import takes_gzip

YEAR = 31_536_000
SMALLEST = 600
"""Bytes; below, compression gains nothing."""

Headers = list[tuple[bytes, bytes]]

_ORIGIN = re.compile(r"https?://[a-z0-9.:_\[\]-]+", re.IGNORECASE)

PERMISSIONS = (
    "publickey-credentials-get=(self), publickey-credentials-create=(self), "
    "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
)


class HeaderPolicy(msgspec.Struct, frozen=True):
    """`https`: the issuer's scheme; without it there is neither HSTS nor a Secure cookie (loopback only, R74)."""

    https: bool = True
    hsts_seconds: int = 2 * YEAR


def with_headers(app: ASGIApp, policy: HeaderPolicy) -> ASGIApp:
    """The application whose responses carry what R70 asks. A header the handler set itself is left alone.

    HEAD is answered as GET without its body, which the router does not do (RFC 9110 section 9.3.2).
    """
    common: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
    if policy.https:
        common.append((b"strict-transport-security", f"max-age={policy.hsts_seconds}".encode()))
    common.append((b"cache-control", b"no-store"))

    async def framed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        bodiless = scope["method"] == "HEAD"
        if bodiless:
            # A copy: the server reads its own to know that no body will follow.
            scope = {**scope, "method": "GET"}
        held: list[Message] = []  # the start of a page, until its length is known

        async def framed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: Headers = list(message["headers"])
                is_page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
                present = {name for name, _ in headers}
                added = [*common, *_page_headers(scope, policy)] if is_page else common
                headers += [header for header in added if header[0] not in present or header[0] == b"set-cookie"]
                message["headers"] = headers
                if is_page:
                    held.append(message)
                    return
            elif message["type"] == "http.response.body":
                if held:
                    start = held.pop()
                    if not message.get("more_body"):
                        _compress(scope, start, message)
                    await send(start)
                if bodiless:
                    message["body"] = b""
            await send(message)

        await app(scope, receive, framed_send)

    return framed


def content_security_policy(frames: Iterable[str] = (), *, posts_elsewhere: bool = False) -> str:
    """Nothing inline, nothing foreign; forms lead to us, and frames show these origins alone.

    `posts_elsewhere`: no limit for forms at all. Browsers hold `form-action` against every redirect that follows a
    form, so that any limit would decide what a service may do after its callback (R82).
    """
    framed = " ".join(origin for origin in frames if _ORIGIN.fullmatch(origin))
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        + ("" if posts_elsewhere else "form-action 'self'; ")
        + "frame-ancestors 'none'; base-uri 'none'"
        + (f"; frame-src {framed}" if framed else "")
    )


def _page_headers(scope: Scope, policy: HeaderPolicy) -> Headers:
    """For documents. A page of an interaction must not cut a relying party's popup from its opener."""
    state = scope.get("state", {})
    security = content_security_policy(state.get("frames") or (), posts_elsewhere=bool(state.get(POSTS_ELSEWHERE)))
    headers = [
        (b"content-security-policy", security.encode()),
        (b"cross-origin-opener-policy", b"unsafe-none" if state.get(KEEPS_OPENER) else b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", PERMISSIONS.encode()),
        (b"vary", b"accept-encoding, accept-language, cookie"),
    ]
    if chosen := _chosen_language(scope["query_string"]):
        secure = "; Secure" if policy.https else ""
        cookie = f"{COOKIE}={chosen}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}"
        headers.append((b"set-cookie", cookie.encode()))
    return headers


def _chosen_language(query: bytes) -> str | None:
    """The language that `?lang=` chooses by hand, where it is one of ours."""
    if f"{PARAMETER}=".encode() not in query:
        return None
    return supported(parse_qs(query.decode("latin-1")).get(PARAMETER, [""])[0])


def _compress(scope: Scope, start: Message, message: Message) -> None:
    """gzip a whole page. Safe beside secrets because the CSRF token is masked anew on each page (BREACH)."""
    body: bytes = message.get("body", b"")  # type: ignore[assignment]
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding").decode("latin-1")
    headers: Headers = start["headers"]  # type: ignore[typeddict-item,assignment]
    if len(body) < SMALLEST or not takes_gzip(accepted) or any(name == b"content-encoding" for name, _ in headers):
        return
    body = gzip.compress(body, 6, mtime=0)
    message["body"] = body  # type: ignore[typeddict-unknown-key]
    headers[:] = [header for header in headers if header[0] != b"content-length"]
    headers += [(b"content-length", str(len(body)).encode()), (b"content-encoding", b"gzip")]
