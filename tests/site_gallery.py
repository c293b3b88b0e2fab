"""Every part of the site frame on sample pages: for axe, for screenshots, and to look at while changing the style.

.venv/bin/python tests/site_gallery.py                        serve it and print the address
.venv/bin/python tests/site_gallery.py --shots FOLDER         write screenshots of all pages
"""

import argparse
import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import machine
import segno
import uvicorn
from litestar import Litestar, Request, get
from litestar.exceptions import HTTPException
from litestar.response import Template
from litestar.types import ASGIApp

from accounts.pages.page import N_, Problem, page
from config.site import pages
from config.site.errors import error_page
from config.site.frame import Frame, Link, template_config
from config.site.headers import HeaderPolicy, with_headers
from config.site.static import read_assets, static_handler
from config.site.theme import read_theme

FOLDER = Path(__file__).with_name("gallery")
PAGES = (
    *("/sign-in", "/sign-in?wrong", "/code", "/parts", "/parts?wrong", "/account", "/codes"),
    *("/help", "/accessibility", "/privacy", "/missing", "/failure", "/wait"),
)

Sample = Request[Any, Any, Any]


@get("/sign-in", sync_to_thread=False)
def sign_in(request: Sample) -> Template:
    wrong = [Problem("identifier", N_("Email address")), Problem("password", N_("Password"))]
    typed = {"identifier": "ada@example.test"}
    return page(
        request,
        "gallery_sign_in.html",
        problems=wrong if "wrong" in request.url.query else (),
        typed=typed if "wrong" in request.url.query else {},
        keeps_opener=True,
    )


@get("/code", sync_to_thread=False)
def code(request: Sample) -> Template:
    return page(request, "gallery_code.html")


@get("/parts", sync_to_thread=False)
def parts(request: Sample) -> Template:
    fields = (
        ("given_name", "birthdate", "language", "reach", "topics", "agree", "code")
        if "wrong" in str(request.url)
        else ()
    )
    return page(request, "gallery_parts.html", problems=[Problem(field, N_("There is a problem")) for field in fields])


@get("/account", sync_to_thread=False)
def account(request: Sample) -> Template:
    return page(
        request,
        "gallery_account.html",
        when=datetime(2026, 11, 22, 9, 5, tzinfo=UTC),
        day=date(1985, 3, 27),
    )


@get("/codes", sync_to_thread=False)
def codes(request: Sample) -> Template:
    drawing = segno.make("otpauth://totp/Citizen:ada@example.test?secret=JBSWY3DPEHPK3PXP").svg_inline(
        border=4, omitsize=True
    )
    return page(request, "gallery_codes.html", codes=[f"k7fm-2qxp-{n}h4w" for n in range(10)], drawing=drawing)


@get("/failure", sync_to_thread=False)
def failure() -> None:
    raise RuntimeError("a sample failure")


@get("/wait", sync_to_thread=False)
def wait() -> None:
    raise HTTPException(status_code=429)


def refused(request: Sample, error: Exception) -> Any:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return error_page(
        request, status, retry_after=170 if status == 429 else None, error=error if status == 500 else None
    )


async def give_csrf_token(request: Sample) -> None:
    request.state.csrf_token = lambda: "sample"


def gallery_app(theme_file: Path | None = None) -> ASGIApp:
    """The sample pages in the real frame, with the real headers."""
    theme = read_theme(theme_file)
    assets = read_assets(theme)
    navigation = (Link("/account", N_("Your account")), Link("/privacy", N_("Privacy")), Link("/help", N_("Help")))
    app = Litestar(
        [sign_in, code, parts, account, codes, failure, wait, static_handler(assets), *pages.handlers],
        template_config=template_config(Frame(theme, assets, navigation=navigation), [FOLDER], development=True),
        exception_handlers={Exception: refused, HTTPException: refused},
        before_request=give_csrf_token,
        openapi_config=None,
    )
    return with_headers(app, HeaderPolicy(https=False))


@contextlib.contextmanager
def served(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The application on a free port of loopback, in a thread of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(5)


def shoot(folder: Path, only: str = "") -> None:
    """A screenshot of each page: English and Arabic, narrow and wide, light and dark."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with served(gallery_app()) as address, sync_playwright() as playwright:
        flags = ["--disable-gpu", "--disable-quic", "--no-first-run", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=machine.find("Chromium"), args=flags)
        for language in ("en", "ar"):
            for width in (320, 1280):
                for scheme in ("light", "dark"):
                    context = browser.new_context(
                        viewport={"width": width, "height": 720}, color_scheme=scheme, locale=language
                    )
                    tab = context.new_page()
                    for path in PAGES:
                        name = path.strip("/").replace("?", "-")
                        if only and only not in f"{name}-{language}-{width}-{scheme}":
                            continue
                        tab.goto(address + path)
                        tab.screenshot(path=folder / f"{name}-{language}-{width}-{scheme}.png", full_page=True)
                    context.close()
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.shots:
        shoot(chosen.shots, chosen.only)
    else:
        with served(gallery_app(), chosen.port) as address, contextlib.suppress(KeyboardInterrupt):
            print(address, flush=True)
            threading.Event().wait()
