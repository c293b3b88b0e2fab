"""Services whose callback leads on, in a real browser: to another port, another host, an app (R82).

Browsers hold the `form-action` of a page against the whole chain of redirects that its form begins. Each kind of page
from which a citizen goes to a service is left here by its own button, with and without scripts, by query and form_post;
what a page's policy would not let through is a complaint of the browser, which fails the visit.
"""

import asyncio
import base64
import hashlib
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
import pytest
from playwright.async_api import Browser
from simulated import SECRET, simulator
from street import PASSWORD, RECOVERY_CODES, Look, Resident, Street, StreetClock, Visitor, _people, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

LOOKS = (Look("en", 1280), Look("ar", 320, scripts=False))
APP = "com.example.app:/home"


class Callbacks:
    """A service: every callback leads on, and says when it was reached."""

    def __init__(self) -> None:
        self.reached: dict[str, dict[str, str]] = {}
        """What came, by its `state`."""
        self._news = threading.Condition()
        callbacks = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path not in callbacks.onward:
                    self.send_response(200)
                    self.send_header("content-type", "text/html")
                    self.end_headers()
                    self.wfile.write(b'<!doctype html><title>Home</title><main data-page="home"></main>')
                else:
                    self._lead_on(parts.path, dict(parse_qsl(parts.query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._lead_on(self.path, dict(parse_qsl(body)))

            def _lead_on(self, path: str, came: dict[str, str]) -> None:
                self.send_response(302)
                self.send_header("location", callbacks.onward[path])
                self.end_headers()
                with callbacks._news:
                    came["referer"] = self.headers.get("referer", "")
                    callbacks.reached[came.get("state", "")] = came
                    callbacks._news.notify_all()

            def log_message(self, *_: Any) -> None:
                pass

        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        here, there = (server.server_address[1] for server in self.servers)
        self.home = f"http://localhost:{here}"
        self.onward = {
            "/port": f"http://localhost:{there}/home",
            "/host": f"http://elsewhere.localhost:{here}/home",
            "/app": APP,
        }

    def wait_for(self, state: str) -> dict[str, str]:
        """What came with this `state`; fails when nothing does."""
        with self._news:
            assert self._news.wait_for(lambda: state in self.reached, 20), "the service was not reached"
            return self.reached[state]


class Way(Street):
    """The product, and a service that leads on; no service of the demo."""

    callbacks: Callbacks

    def request(self, kind: str, **parameters: str) -> tuple[str, str]:
        """An address of `/authorize` whose callback leads on to this kind of place, and its `state`."""
        state = secrets.token_hex(8)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": "way",
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": f"{self.callbacks.home}/{kind}",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **parameters,
        }
        return f"/authorize?{urlencode(asked)}", state


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    folder, callbacks = tmp_path_factory.mktemp("way"), Callbacks()
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in callbacks.servers]
    for thread in threads:
        thread.start()
    uris = [f"{callbacks.home}{path}" for path in callbacks.onward]
    client = {
        "client_id": "way",
        "client_secret": SECRET,
        "client_name": "Way",
        "redirect_uris": uris,
        "post_logout_redirect_uris": uris,
        "scope": "openid email",
    }
    people = [Resident(f"resident{n}", pyotp.random_base32()) for n in range(12)]
    with simulator(
        folder, "--setting=throttle.per_address=100000", people=_people(people), clients=[client]
    ) as running:
        opened = Way(running, Path(folder), StreetClock())
        opened.callbacks, opened._residents = callbacks, iter(people)
        yield opened
    for server in callbacks.servers:
        server.shutdown()
        server.server_close()


async def arrives(visitor: Visitor, way: Way, kind: str, state: str) -> dict[str, str]:
    """See that the service was reached and led its citizen on; what it was told."""
    came = await asyncio.to_thread(way.callbacks.wait_for, state)
    assert came["referer"] == "", "the service is not told which page of ours it was"
    if kind != "app":  # nothing on this machine opens an app's address; that the browser tried is all there is to see
        await visitor.page.wait_for_url(way.callbacks.onward[f"/{kind}"])
    visitor.complaints = [one for one in visitor.complaints if APP not in one or "violates" in one]
    return came


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_from_each_page_of_a_returning_citizen(browser: Browser, way: Way, look: Look, mode: str) -> None:
    """Second factor, consent, refusal, choosing an account; to a port, a host and an app."""
    somebody = way.resident()

    async def leave(visitor: Visitor, kind: str, state: str) -> dict[str, str]:
        if mode == "form_post" and not look.scripts:
            await visitor.at("form-post")
            await visitor.page.locator("main button").click()
        return await arrives(visitor, way, kind, state)

    async with visiting(browser, way, look) as visitor:
        address, state = way.request("port", response_mode=mode, ui_locales=look.language)
        await visitor.open(address)
        await visitor.sign_in(somebody)
        await visitor.agree()
        assert "code" in await leave(visitor, "port", state)
        address, state = way.request("host", response_mode=mode, prompt="login")
        await visitor.open(address)
        await visitor.give_password(somebody.email)
        await visitor.give_code(somebody.seed)
        way.later(31)
        assert "code" in await leave(visitor, "host", state)
        address, state = way.request("port", response_mode=mode, prompt="consent")
        await visitor.open(address)
        await visitor.at("consent")
        await visitor.main.locator('button[value="refuse"]').click()
        assert (await leave(visitor, "port", state))["error"] == "access_denied"
        # The last one: where an app would open, Chromium asks in a window that takes every later click.
        address, state = way.request("app", response_mode=mode, prompt="select_account")
        await visitor.open(address)
        await visitor.at("select-account")
        await visitor.main.locator('button[value="continue"]').click()
        assert "code" in await leave(visitor, "app", state)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_from_a_registration(browser: Browser, way: Way, look: Look) -> None:
    """Its last page before the service is the consent page; the form before it is that of the recovery codes."""
    async with visiting(browser, way, look) as visitor:
        address, state = way.request("host", prompt="create", ui_locales=look.language)
        await visitor.open(address)
        await visitor.confirm_address(way.newcomer())
        await visitor.write(password=PASSWORD)
        await visitor.press()
        await visitor.set_up_app()
        await visitor.keep_codes()
        await visitor.at("consent")
        await visitor.main.locator('button[value="allow"]').click()
        assert "code" in await arrives(visitor, way, "host", state)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_from_a_sign_in_with_a_recovery_code_and_from_signing_out(browser: Browser, way: Way, look: Look) -> None:
    """A recovery code, agreed to before; then the question whether to sign out."""
    somebody = way.resident()
    async with visiting(browser, way, look) as visitor:
        address, state = way.request("port", ui_locales=look.language)
        await visitor.open(address)
        await visitor.sign_in(somebody)
        await visitor.agree()
        await arrives(visitor, way, "port", state)
        address, state = way.request("host", prompt="login", ui_locales=look.language)
        await visitor.open(address)
        await visitor.give_password(somebody.email)
        await visitor.at("second-factor")
        await visitor.follow("use=recovery-code")
        await visitor.write(code=RECOVERY_CODES[0])
        await visitor.main.locator('button[value="continue"]').first.click()
        assert "code" in await arrives(visitor, way, "host", state)

        bye = {"client_id": "way", "post_logout_redirect_uri": f"{way.callbacks.home}/port", "state": "bye" + state}
        await visitor.open(f"/end-session?{urlencode({**bye, 'ui_locales': look.language})}")
        await visitor.at("sign-out")
        await visitor.main.locator('button[value="continue"]').click()
        await visitor.at("signed-out")
        await visitor.main.locator(f'a[href^="{way.callbacks.home}/port"]').click()
        await visitor.page.wait_for_url(way.callbacks.onward["/port"])


async def test_nothing_of_the_answer_stays_in_the_browsers_history(browser: Browser, way: Way) -> None:
    """The page that leads on is replaced by what it leads to: going back is going to the page before."""
    somebody, look = way.resident(), Look("en")
    async with visiting(browser, way, look) as visitor:
        address, state = way.request("port")
        await visitor.open(address)
        await visitor.sign_in(somebody)
        await visitor.agree()
        await arrives(visitor, way, "port", state)
        devtools = await visitor.page.context.new_cdp_session(visitor.page)
        history = (await devtools.send("Page.getNavigationHistory"))["entries"]
        assert not [entry["url"] for entry in history if "code=" in entry["url"] or "interaction=" in entry["url"]][1:]
        assert history[-1]["url"] == way.callbacks.onward["/port"]
