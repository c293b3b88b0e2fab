"""`identity simulate` as its user runs it, and somebody outside who signs in through its plain HTML forms."""

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pyotp
from leading import led_to

IDENTITY = str(Path(sys.executable).with_name("identity"))
SECRET = "a secret of the simulator's first client"
CALLBACK = "http://localhost:9/callback"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PEOPLE = f"""
[[people]]
handle = "ada"
email = "ada@example.org"
password = "correct horse battery staple"
totp = "{SEED}"
recovery_codes = ["first-code", "second-code"]
phone_number = "+44 20 7946 0123"
locale = "en"
[people.claims]
name = "Ada Lovelace"
birthdate = 1985-12-10
address = {{ locality = "London", country = "United Kingdom" }}

[[people]]
handle = "ben"
email = "ben@example.org"
password = "only a password for ben"

[[people]]
handle = "carl"
email = "carl@example.org"
password = "correct horse battery staple"
totp = "{SEED}"

[[people]]
handle = "dora"
email = "dora@example.org"
password = "correct horse battery staple"
totp = "{SEED}"
recovery_codes = ["dora's first code", "dora's other code"]
state = "suspended"
"""
CLIENTS = [
    {"client_id": "rp", "client_secret": SECRET, "redirect_uris": [CALLBACK], "client_name": "Outside",
     "grant_types": ["authorization_code", "refresh_token"], "scope": "openid profile email phone address"},
]  # fmt: skip


class Simulator:
    """A running simulator."""

    def __init__(self, process: "subprocess.Popen[str]", issuer: str, control: str) -> None:
        self.process = process
        self.issuer = issuer
        self.control = control
        self.browsers: list[httpx2.Client] = []

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the control listener answers; raises for anything but 200."""
        return httpx2.request(method, self.control + path, json=body).raise_for_status().json()

    def end(self) -> tuple[int, float]:
        """SIGTERM: the exit status, and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20), time.monotonic() - began


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def simulator(
    folder: Path,
    *options: str,
    people: str = PEOPLE,
    clients: Sequence[Mapping[str, Any]] = CLIENTS,
    port: int = 0,
    issuer: str = "",
) -> Iterator[Simulator]:
    """Start one, and end it afterwards. `issuer` is how it calls itself where the options say so."""
    (folder / "people.toml").write_text(people, "utf-8")
    (folder / "clients.json").write_text(json.dumps(clients), "utf-8")
    port, control = port or free_port(), free_port()
    issuer = issuer or f"http://localhost:{port}"
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [IDENTITY, "simulate", f"--port={port}", f"--control={control}", f"--people={folder / 'people.toml'}",
             f"--clients={folder / 'clients.json'}", *options],
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    running = Simulator(process, issuer, f"http://127.0.0.1:{control}")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == f"ready {issuer}\n", (folder / "log").read_text()[-2000:]
        yield running
    finally:
        for browser in running.browsers:
            browser.close()
        if process.poll() is None:
            process.kill()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


class Page(HTMLParser):
    """One page: the name of its `<main>`, and its forms with their fields as they came."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__()
        self.address = str(response.url)
        self.name = ""
        self.forms: list[tuple[str, dict[str, str], list[tuple[str, str]]]] = []
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "main":
            self.name = attributes.get("data-page", "")
        elif tag == "form":
            self.forms.append((attributes.get("action", ""), {}, []))
        elif tag == "input" and self.forms and attributes.get("name"):
            self.forms[-1][1][attributes["name"]] = attributes.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1][2].append((attributes.get("name", ""), attributes.get("value", "")))


class Outsider:
    """A browser without JavaScript that knows the page contract and nothing else."""

    def __init__(self, simulator: Simulator, handle: str, password: str, seed: str | None = None) -> None:
        self.simulator = simulator
        self.http = httpx2.Client(follow_redirects=False, timeout=30)
        simulator.browsers.append(self.http)
        self.handle = handle
        self.password = password
        self.seed = seed
        self.recovery_code: str | None = None
        self.until: str | None = None
        self.seen: list[str] = []

    def code(self) -> str:
        """The code of a step that nobody has used yet, or the recovery code that was set."""
        if self.recovery_code:
            return self.recovery_code
        now = datetime.fromisoformat(self.simulator.ask("POST", "/clock/advance", {"seconds": 31})["now"])
        return str(pyotp.TOTP(self.seed or "").at(now))

    def authorize(self, choice: str = "allow", **parameters: str) -> tuple[dict[str, str], str]:
        """Go to `/authorize` and through every page: what came to the redirect URI, and the PKCE verifier."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": "rp",
            "response_type": "code",
            "scope": "openid profile email",
            "redirect_uri": CALLBACK,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **parameters,
        }
        return self.walk(self.http.get(f"{self.simulator.issuer}/authorize", params=asked), choice), verifier

    def walk(self, response: httpx2.Response, choice: str) -> dict[str, str]:
        """Follow redirects and fill in forms until an address outside the provider is reached, or the page `until`."""
        for _ in range(30):
            if led := led_to(response):
                there = urljoin(str(response.url), led)
                if there.startswith(CALLBACK):
                    return {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
                response = self.http.get(there)
                continue
            page = Page(response)
            self.seen.append(page.name)
            if page.name == self.until:
                return {}
            response = self.fill(page, choice)
        raise AssertionError(f"no end: {self.seen}")

    def fill(self, page: Page, choice: str) -> httpx2.Response:
        """Send the form that has this page's main button, its hidden fields as they came."""
        main = choice if page.name == "consent" else "continue"
        for action, fields, buttons in page.forms:
            if ("action", main) in buttons:
                known = {"identifier": f"{self.handle}@example.org", "password": self.password}
                typed = {name: known.get(name, value) for name, value in fields.items()}
                if "code" in typed:
                    typed["code"] = self.code()
                return self.http.post(urljoin(page.address, action), data={**typed, "action": main})
        raise AssertionError(f"page {page.name!r} at {page.address} has no button {main}; seen: {self.seen}")

    def redeem(self, code: str, verifier: str) -> httpx2.Response:
        """The token endpoint's answer to a code."""
        return self.http.post(
            f"{self.simulator.issuer}/token",
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
                  "code_verifier": verifier},
            auth=("rp", SECRET),
        )  # fmt: skip

    def sign_in(self, **parameters: str) -> dict[str, Any]:
        """The tokens of a whole sign-in."""
        answer, verifier = self.authorize(**parameters)
        assert "code" in answer, (answer, self.seen)
        tokens: dict[str, Any] = self.redeem(answer["code"], verifier).raise_for_status().json()
        return tokens

    def refresh(self, refresh_token: str) -> httpx2.Response:
        """The token endpoint's answer to a refresh token."""
        data = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.http.post(f"{self.simulator.issuer}/token", data=data, auth=("rp", SECRET))

    def userinfo(self, access_token: str) -> httpx2.Response:
        """What userinfo answers."""
        return self.http.get(f"{self.simulator.issuer}/userinfo", headers={"authorization": f"Bearer {access_token}"})


def browser_of(simulator: Simulator, handle: str) -> Outsider:
    """A new browser of one of `PEOPLE`."""
    password = "only a password for ben" if handle == "ben" else "correct horse battery staple"
    return Outsider(simulator, handle, password, SEED)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, not verified."""
    body = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


def header_of(token: str) -> dict[str, Any]:
    """The header of a JWT."""
    head = token.split(".")[0]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    return read


def refused(folder: Path, *options: str, people: str | None = None, clients: str | None = None) -> tuple[int, str, str]:
    """Run a simulator that must not start: status, standard output, standard error."""
    arguments = list(options)
    for name, text, file in (("people", people, "people.toml"), ("clients", clients, "clients.json")):
        if text is not None:
            (folder / file).write_text(text, "utf-8")
            arguments.append(f"--{name}={folder / file}")
    ended = run("simulate", f"--port={free_port()}", *arguments)
    return ended.returncode, ended.stdout, ended.stderr


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end."""
    return subprocess.run(
        [IDENTITY, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**_plain_environment(), **environment},
    )  # fmt: skip


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("IDENTITY_")}
