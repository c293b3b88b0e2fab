"""What independent relying parties have in common: a provider to talk to, people who walk through its pages, an ear for
logout tokens."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urljoin

import httpx2
import pyotp
from leading import led_to
from playwright.async_api import Page as PageInBrowser
from playwright.async_api import TimeoutError
from services import SQLITE, Backend
from simulated import CALLBACK, Outsider, Page, Simulator, simulator

PASSWORD = "four plain words walking"
BY_ITSELF = Backend(SQLITE, "", "")
"""SQLite and memory, for what a library sees: where things are kept is shown by Authlib's flow and by two workers."""
BYE = "http://localhost:9/callback/signed-out"
"""Begins like the redirect URI, so that the same walk ends at both."""


class Visitor(Outsider):
    """Somebody with a browser without scripts and an authenticator app that shows the time's own code."""

    def __init__(self, simulator: Simulator, handle: str, seed: str, password: str = PASSWORD) -> None:
        super().__init__(simulator, handle, password, seed)
        self.landed = ""

    def code(self) -> str:
        return self.recovery_code or pyotp.TOTP(self.seed or "").at(
            datetime.fromisoformat(self.simulator.ask("GET", "/health")["now"])
        )

    def follow(self, address: str, choice: str = "allow") -> str:
        """Open an address of the provider and go through every page; the address outside at which it ends."""
        assert address.startswith(self.simulator.issuer), address
        response = self.http.get(address)
        for _ in range(30):
            if led := led_to(response):
                there = str(response.url.join(led))
                if there.startswith(CALLBACK):
                    return there
                response = self.http.get(there)
                continue
            page = Page(response)
            self.seen.append(page.name)
            response = self.fill(page, choice)
        raise AssertionError(f"no end: {self.seen}")

    def browse(self, address: str, method: str = "GET", choice: str = "allow") -> httpx2.Response:
        """Begin at an address of a service and go wherever a browser would; the service's page at which it ends."""
        response = self.http.request(method, address)
        for _ in range(30):
            if led := led_to(response):
                response = self.http.get(urljoin(str(response.url), led))
                continue
            if not str(response.url).startswith(self.simulator.issuer):
                return response
            page = Page(response)
            self.seen.append(page.name)
            if page.name == "form-post":
                [(action, fields, _)] = page.forms
                response = self.http.post(action, data=fields)
                continue
            response = self.fill(page, choice)
        raise AssertionError(f"no end: {self.seen}")

    async def visit(self, address: str) -> str:
        """`follow` beside a running loop."""
        return await asyncio.to_thread(self.follow, address)


async def walk(page: PageInBrowser, visitor: Outsider, origin: str) -> list[str]:
    """Through the provider's pages in a real browser, back to this origin; the pages' names."""
    seen: list[str] = []
    while True:
        await page.wait_for_load_state("load")
        if page.url.startswith(origin):
            return seen
        try:
            name = await page.locator("main").get_attribute("data-page", timeout=1000) or ""
        except TimeoutError:
            continue  # a page of ours that moves on by itself has done so
        seen.append(name)
        if name == "onward":
            await page.wait_for_url(f"{origin}**")
            return seen
        if name == "sign-in":
            await page.fill('[name="identifier"]', f"{visitor.handle}@example.org")
            await page.fill('[name="password"]', PASSWORD)
        elif name == "second-factor":
            await page.fill('[name="code"]', visitor.code())
        async with page.expect_navigation(wait_until="load"):
            await page.click(f'button[value="{"allow" if name == "consent" else "continue"}"] >> nth=0')


class Heard(NamedTuple):
    """What was posted to a service: under which name, with which headers (in small letters)."""

    name: str
    headers: dict[str, str]
    body: str


class Ear:
    """A small listener of a service: keeps what is posted to it. `answers` are status, headers and body by name."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self._heard: list[Heard] = []
        self._news = threading.Condition()
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                name = self.path.removeprefix("/")
                status, headers, answer = ear.answers.get(name, (200, {}, b""))
                self.send_response(status)
                for header, value in {**headers, "content-length": str(len(answer))}.items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(answer)
                with ear._news:
                    ear._heard.append(Heard(name, {key.lower(): value for key, value in self.headers.items()}, body))
                    ear._news.notify_all()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def address(self, name: str) -> str:
        """Where one service is told."""
        return f"http://localhost:{self._server.server_address[1]}/{name}"

    def token(self, name: str, seconds: float = 10) -> str:
        """The logout token of this service; waits for it."""
        return parse_qs(self.told(name, "logout_token", seconds)[-1].body)["logout_token"][0]

    def told(self, name: str, words: str, seconds: float = 10) -> list[Heard]:
        """Everything with these words that was posted to this service; waits until there is something."""
        with self._news:
            assert self._news.wait_for(lambda: self.heard(name, words), seconds), f"{name} was not told"
            return self.heard(name, words)

    def heard(self, name: str, words: str = "") -> list[Heard]:
        """The same, up to now."""
        return [one for one in self._heard if one.name == name and words in one.body]

    def __enter__(self) -> "Ear":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def options_of(backend: Backend) -> list[str]:
    """The simulator's options for where it keeps its data; without any it is SQLite and memory."""
    if backend.name == SQLITE:
        return []
    return [f"--database={backend.database_url}", f"--store={backend.store_url}"]


@contextmanager
def provider(
    folder: Path, backend: Backend, clients: Sequence[Mapping[str, Any]], *options: str, people: int = 4
) -> Iterator[tuple[Simulator, list[Visitor]]]:
    """The simulator with these clients, and people with a browser each."""
    seeds, text = people_of(people)
    options = ("--setting=throttle.per_address=100000", *options_of(backend), *options)
    with simulator(folder, *options, people=text, clients=clients) as running:
        yield running, [Visitor(running, f"person{n}", seed) for n, seed in enumerate(seeds)]


def people_of(count: int) -> tuple[list[str], str]:
    """The seeds of `person0`, `person1`, ... and the text of their people.toml."""
    seeds = [pyotp.random_base32() for _ in range(count)]
    text = "\n".join(
        f'[[people]]\nhandle = "person{n}"\nemail = "person{n}@example.org"\npassword = "{PASSWORD}"\n'
        f'totp = "{seed}"\nrecovery_codes = ["code-one-of-{n}", "code-two-of-{n}"]\n[people.claims]\n'
        'name = "Ada Lovelace"\n'
        for n, seed in enumerate(seeds)
    )
    return seeds, text


def registered(client_id: str, secret: str | None = None, **metadata: Any) -> dict[str, Any]:
    """A client as registration metadata, with what every party of ours needs."""
    return {
        "client_id": client_id,
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [BYE],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid profile email",
        **({} if secret is None else {"client_secret": secret}),
        **metadata,
    }
