"""Static assets: read once at start, named by their content, compressed ahead, kept by browsers for a year.

Not Litestar's own: that one answers no conditional request and compresses nothing.
"""

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from config.site.theme import Theme, custom_properties

HERE = Path(__file__).parent
PREFIX = "/static/"

KINDS = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

FOREVER = "public, max-age=31536000, immutable"
BRIEFLY = "public, max-age=60"
"""For a hash that is not ours: during a rolling release a page of the new worker asks the old one."""


class Asset(msgspec.Struct, frozen=True):
    """A file as it goes over the wire. `url` carries a hash of the content."""

    name: str
    url: str
    etag: str
    kind: str
    plain: bytes
    packed: bytes


Assets = Mapping[str, Asset]
"""By name, e.g. `app.css`."""


def read_assets(theme: Theme, others: Iterable[Path] = ()) -> Assets:
    """Our style sheet with the theme's colours, our script and icon, the logo, and the files other packages hand in."""
    contents = {
        "app.css": _tight(custom_properties(theme) + (HERE / "app.css").read_text("utf-8")),
        "site.js": (HERE / "site.js").read_text("utf-8"),
        "icon.svg": _icon(theme),
    }
    if theme.logo_file:
        contents["logo.svg"] = theme.logo_file.read_text("utf-8")
    for path in others:
        if path.name in contents:
            raise ValueError(f"two assets are named {path.name}")
        contents[path.name] = path.read_text("utf-8")
    return {name: _asset(name, content.encode()) for name, content in contents.items()}


def static_handler(assets: Assets) -> HTTPRouteHandler:
    """Answers GET and HEAD below `/static/`, 304 where the browser has it (RFC 9110 section 13.1.2), 404 otherwise."""

    @route(PREFIX + "{file:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], sync_to_thread=False)
    def static(request: Request, file: FromPath[str]) -> Response[bytes]:  # type: ignore[type-arg]
        asset = assets.get(_name_of(file))
        if asset is None:
            return Response(b"", status_code=404, media_type="text/plain")
        headers = {
            "cache-control": FOREVER if PREFIX + file == asset.url else BRIEFLY,
            "etag": asset.etag,
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
        }
        if _matches(request.headers.get("if-none-match", ""), asset.etag):
            return Response(b"", status_code=304, headers=headers)
        body = asset.plain
        if takes_gzip(request.headers.get("accept-encoding", "")) and len(asset.packed) < len(asset.plain):
            body = asset.packed
            headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body))
        if request.method == HttpMethod.HEAD:
            body = b""
        return Response(body, status_code=200, headers=headers, media_type=asset.kind)

    return static


def takes_gzip(accept_encoding: str) -> bool:
    """Whether this Accept-Encoding header allows gzip (RFC 9110 section 12.5.3)."""
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _asset(name: str, content: bytes) -> Asset:
    digest = hashlib.sha256(content).hexdigest()[:12]
    stem, _, suffix = name.rpartition(".")
    return Asset(
        name=name,
        url=f"{PREFIX}{stem}.{digest}.{suffix}",
        etag=f'"{digest}"',
        kind=KINDS[f".{suffix}"],
        plain=content,
        packed=gzip.compress(content, 9, mtime=0),
    )


def _name_of(file: str) -> str:
    """`app.0a1b2c3d4e5f.css` -> `app.css`."""
    return re.sub(r"\.[0-9a-f]{12}(?=\.[a-z]+$)", "", file)


def _matches(if_none_match: str, etag: str) -> bool:
    return any(part.strip().removeprefix("W/") in {etag, "*"} for part in if_none_match.split(","))


def _tight(css: str) -> str:
    """Without comments and indentation. Our own style sheet only: it has no strings with spaces in a row."""
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))).strip()


def _icon(theme: Theme) -> str:
    """A keyhole in the colours of the header."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="7" fill="{theme.light.brand}"/>'
        f'<path fill="{theme.light.on_brand}" d="M16 7a5 5 0 0 1 2.6 9.3L20.5 25h-9l1.9-8.7A5 5 0 0 1 16 7z"/></svg>'
    )
