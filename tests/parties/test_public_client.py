"""A public client in a real browser: npm's oidc-client-ts on a page of another origin."""

import functools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from party import BY_ITSELF, provider, registered, walk
from playwright.async_api import Browser, Page
from servers import missing

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

CLIENTS = Path(__file__).parents[1] / "clients_js"
LIBRARY = CLIENTS / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"


class Files(SimpleHTTPRequestHandler):
    """The page's folder, and the library as npm brought it."""

    def translate_path(self, path: str) -> str:
        return str(LIBRARY) if path.startswith("/oidc-client-ts") else super().translate_path(path)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def page_served() -> Iterator[str]:
    """The static page; its origin."""
    if not LIBRARY.exists():
        missing("the JavaScript clients")
    handler = functools.partial(Files, directory=str(CLIENTS / "public"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


async def found(page: Page, state: str) -> Any:
    """What the page shows once it is in this state."""
    await page.locator("#state", has_text=re.compile(f"^{state}$")).wait_for(timeout=20_000)
    return json.loads(await page.locator("#found").text_content() or "null")


async def leave_for(page: Page, call: str) -> None:
    """Call a function of the page that goes elsewhere."""
    async with page.expect_navigation(wait_until="load"):
        await page.evaluate(f"() => {{ {call} }}")


async def test_oidc_client_ts_signs_in_and_the_second_visit_is_silent(browser: Browser, tmp_path: Path) -> None:
    """Code and PKCE from another origin, CORS included; then `prompt=none`, by redirect and in a frame; refresh by
    rotation; sign-out comes back."""
    with page_served() as origin:
        home = f"{origin}/index.html"
        client = registered(
            "in-the-browser",
            token_endpoint_auth_method="none",
            redirect_uris=[home],
            post_logout_redirect_uris=[home],
        )
        with provider(tmp_path, BY_ITSELF, [client]) as (running, [visitor, *_]):
            context = await browser.new_context()
            page = await context.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"{home}#authority={running.issuer}")
            await found(page, "out")

            await leave_for(page, "enter({ prompt: 'none' })")
            assert (await found(page, "refused"))["error"] == "login_required", "nobody has signed in yet"

            await leave_for(page, "enter()")
            assert await walk(page, visitor, origin) == ["sign-in", "second-factor", "consent"]
            first = await found(page, "in")
            assert first["profile"]["email"] == f"{visitor.handle}@example.org"
            assert first["type"].lower() == "bearer"

            refreshed = await page.evaluate("refresh()")
            assert refreshed["profile"]["sub"] == first["profile"]["sub"]

            another = await context.new_page()  # a new tab: its session storage is empty
            await another.goto(home)
            await found(another, "out")
            await leave_for(another, "enter({ prompt: 'none' })")
            second = await found(another, "in")
            assert second["profile"]["sub"] == first["profile"]["sub"]
            assert second["profile"]["sid"] == first["profile"]["sid"], "one sign-in for both"
            in_a_frame = await another.evaluate("silently()")
            assert in_a_frame["profile"]["sub"] == first["profile"]["sub"]

            await leave_for(another, "leave()")
            assert await walk(another, visitor, origin) == []
            await leave_for(another, "enter({ prompt: 'none' })")
            assert (await found(another, "refused"))["error"] == "login_required"
            assert not complaints
            await context.close()


async def test_oidc_client_ts_notices_that_its_citizen_has_signed_out_elsewhere(
    browser: Browser, tmp_path: Path
) -> None:
    """Session Management 1.0 as the library has it: its own frame asks ours each second, and what it hears when another
    tab signs out is enough."""
    with page_served() as origin:
        home = f"{origin}/index.html"
        client = registered("in-the-browser", token_endpoint_auth_method="none", redirect_uris=[home])
        on = "--setting=logout.session_management=true"
        with provider(tmp_path, BY_ITSELF, [client], on) as (running, [visitor, *_]):
            context = await browser.new_context()
            page = await context.new_page()
            await page.goto(f"{home}#authority={running.issuer}")
            await found(page, "out")
            await leave_for(page, "enter()")
            await walk(page, visitor, origin)
            await found(page, "in")
            await page.wait_for_timeout(1500)
            assert await page.locator("#state").text_content() == "in", "nothing has happened yet"

            another = await context.new_page()
            await another.goto(f"{running.issuer}/end-session")
            await another.click('button[value="continue"]')

            await found(page, "signed out elsewhere")
            await context.close()
