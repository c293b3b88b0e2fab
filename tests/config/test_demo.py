"""`identity demo`: one command to the whole product, and it is all there again the next time."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from playwright.async_api import Browser, Page, expect
from simulated import IDENTITY, run
from simulated import Page as PlainPage

from config.demo.openid_client import LOGOUT_EVENT, OpenIdClient, Pending, SignInFailed

pytestmark = pytest.mark.anyio
PASSWORD = "one password for the demo"


class Demo:
    """A running demo."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, printed: str) -> None:
        self.process = process
        self.folder = folder
        self.printed = printed
        self.parks, self.taxes, self.account, self.inbox = re.findall(r"http://\S+", printed)[:4]
        self.issuer = self.account.removesuffix("/account")

    def code(self, who: str) -> str:
        """The present code, as a person asks for it."""
        return run("demo", f"--data={self.folder}", "code", who).stdout.strip()


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    """Start one, and end it afterwards."""
    with open(folder.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(
            [IDENTITY, "demo", f"--data={folder}", "--port=18000", *options],
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, folder.with_suffix(".log").read_text()
            printed += line
        yield Demo(process, folder, printed)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One that tests share."""
    with demo(tmp_path_factory.mktemp("demo") / "data") as shown:
        yield shown


@contextmanager
def sign_in(demo: Demo, handle: str) -> Iterator[tuple[httpx2.Client, httpx2.Response]]:
    """As far as the password, in a browser without JavaScript."""
    with httpx2.Client(follow_redirects=True, timeout=30) as http:
        yield http, _first_page(demo, http, handle)


def _first_page(demo: Demo, http: httpx2.Client, handle: str) -> httpx2.Response:
    page = PlainPage(http.get(f"{demo.issuer}/sign-in", params={"return_to": "/account"}))
    action, fields, _ = page.forms[0]
    typed = {**fields, "identifier": f"{handle}@example.org", "password": PASSWORD, "action": "continue"}
    return http.post(f"{demo.issuer}{action}", data=typed)


def second(demo: Demo, http: httpx2.Client, response: httpx2.Response, code: str) -> httpx2.Response:
    """The second factor."""
    action, fields, _ = PlainPage(response).forms[0]
    return http.post(f"{demo.issuer}{action}", data={**fields, "code": code, "action": "continue"})


def test_it_prints_the_addresses_the_people_and_what_to_do(running: Demo) -> None:
    assert running.parks.startswith("http://parks.localhost:")
    assert running.taxes.startswith("http://taxes.localhost:")
    for words in ("ada@example.org", "fatima@example.org", PASSWORD, "identity demo code ada", "Ctrl-C"):
        assert words in running.printed


@pytest.mark.parametrize(
    ("handle", "status", "page"),
    [
        ("ada", 200, "second-factor"),
        ("ben", 200, "enrol"),
        ("cara", 429, "sign-in"),
        ("eve", 200, "second-factor"),
    ],
)
def test_each_person_shows_what_is_said_of_them(running: Demo, handle: str, status: int, page: str) -> None:
    with sign_in(running, handle) as (_, response):
        assert response.status_code == status
        assert PlainPage(response).name == page


def test_dan_has_other_sessions_and_a_suspended_citizen_is_told(running: Demo) -> None:
    with sign_in(running, "dan") as (http, response):
        second(running, http, response, running.code("dan"))
        sessions = http.get(f"{running.issuer}/account/sessions").text
    for browser in ("Firefox", "Safari", "Chrome"):
        assert browser in sessions

    with sign_in(running, "eve") as (http, response):
        assert second(running, http, response, running.code("eve")).status_code == 403


def test_a_citizen_who_reads_arabic_is_shown_arabic(running: Demo) -> None:
    with sign_in(running, "fatima") as (http, response):
        account = second(running, http, response, running.code("fatima"))

    assert account.status_code == 200
    assert '<html lang="ar" dir="rtl"' in account.text


def test_a_code_is_printed_alone(running: Demo) -> None:
    by_handle, by_address = (run("demo", f"--data={running.folder}", "code", who) for who in ("ada", "Ada@Example.org"))
    nobody, without = (run("demo", f"--data={running.folder}", "code", who) for who in ("zoe", "ben"))

    assert re.fullmatch(r"\d{6}\n", by_handle.stdout)
    assert re.fullmatch(r"\d{6}\n", by_address.stdout)
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "nobody in the demo has this name" in nobody.stderr
    assert (without.returncode, without.stdout) == (1, "")


def test_the_inbox_shows_people_and_codes(running: Demo) -> None:
    shown = httpx2.get(running.inbox).text

    assert "Ada Lovelace" in shown
    assert len(re.findall(r'<span class="number">\d{6}</span>', shown)) == 5


def test_a_second_demo_in_the_same_folder_is_refused(running: Demo) -> None:
    done = run("demo", f"--data={running.folder}")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"identity: a demo runs in {running.folder} already")


def test_taken_ports_are_left_alone_and_told(running: Demo, tmp_path: Path) -> None:
    port = running.issuer.rpartition(":")[2]

    with demo(tmp_path / "data", f"--port={port}") as other:
        assert other.issuer != running.issuer
        assert "The usual ports are taken" in other.printed
        assert httpx2.get(f"{other.issuer}/.well-known/openid-configuration").json()["issuer"] == other.issuer


def test_it_is_all_there_again_and_begins_anew_only_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with demo(folder) as first:
        assert (folder.stat().st_mode & 0o777) == 0o700
        keys = {path.name: path.read_bytes() for path in (folder / "keys").iterdir()}
        jwks = httpx2.get(f"{first.issuer}/jwks").json()
        with socket.create_connection(("127.0.0.1", int(first.issuer.rpartition(":")[2]))):
            first.process.send_signal(signal.SIGINT)
            assert first.process.wait(5) == 0

    with demo(folder) as again:
        assert {path.name: path.read_bytes() for path in (folder / "keys").iterdir()} == keys
        assert httpx2.get(f"{again.issuer}/jwks").json() == jwks
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(5) == 0

    (folder / "keys" / "pepper.key").unlink()
    refused = run("demo", f"--data={folder}", "--port=18000")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "pepper.key: missing" in refused.stderr

    with demo(folder, "--fresh") as fresh:
        assert httpx2.get(f"{fresh.issuer}/jwks").json() != jwks


def test_it_asks_nothing_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "IDENTITY_SESSION__IDLE", "0")
    with demo(tmp_path / "data") as shown:
        assert shown.process.poll() is None


async def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        await page.fill(f"main form input[name={name}]", value)
    await page.click("main form button[name=action]")


@pytest.mark.journey
async def test_one_sign_in_two_services_and_a_sign_out_that_reaches_both(running: Demo, browser: Browser) -> None:
    """The main job, as a visitor of the demo does it; back-channel logout over loopback included (R14)."""
    context = await browser.new_context()
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    await page.goto(running.parks)
    await page.click("text=Sign in")
    await fill(page, identifier="ada@example.org", password=PASSWORD)
    await fill(page, code=running.code("ada"))
    await page.click("button[value=allow]")
    await expect(page.locator("h1")).to_have_text("Hello, Ada")
    await expect(page.locator("main")).to_contain_text("ada@example.org")
    assert page.url == running.parks + "/"

    await page.click("text=Go on to Taxes")
    await page.click("text=Sign in")
    await expect(page.locator("main")).to_have_attribute("data-page", "consent")
    await page.click("button[value=allow]")
    await expect(page.locator("main")).to_contain_text("12 St James’s Square")

    await page.goto(running.taxes + "/sign-in")
    assert page.url == running.taxes + "/", "the second time nothing is asked"

    other = await context.new_page()
    await other.goto(running.parks)
    await other.click("text=Sign out")
    await expect(other.locator("main")).to_have_attribute("data-page", "signed-out")
    deadline = time.monotonic() + 20
    while await page.locator("text=You were signed out here").count() == 0:
        assert time.monotonic() < deadline
        await page.goto(running.taxes)
    await other.reload()
    await expect(other.locator("main")).to_contain_text("Taxes")
    await other.click("text=Go back to City Parks")
    await expect(other.locator("h1")).to_have_text("You have signed out")
    assert said == []
    await context.close()


@pytest.mark.journey
async def test_a_new_citizen_finds_the_code_in_the_inbox(running: Demo, browser: Browser) -> None:
    context = await browser.new_context()
    page, inbox = await context.new_page(), await context.new_page()
    await inbox.goto(running.inbox)

    await page.goto(running.parks)
    await page.click("text=Create an account")
    await page.fill("main form input[type=email]", "newcomer@example.org")
    await page.click("main form button[name=action]")

    code = inbox.locator(".mail", has_text="newcomer@example.org").locator(".number").first
    await expect(code).to_have_text(re.compile(r"^\d{6}$"), timeout=15_000)  # it looks by itself
    await fill(page, code=await code.inner_text())
    await expect(page.locator("main input[type=password]")).to_be_visible()
    await context.close()


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PROVIDERS, STRANGERS = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")


class Offline(OpenIdClient):
    """The services' client, with a provider that is not asked over the network."""

    async def _read(self, address: str) -> dict[str, Any]:
        if address.endswith("openid-configuration"):
            return {"jwks_uri": "https://p.example/jwks"}
        return {"keys": [{**PROVIDERS.as_dict(private=False), "kid": "1"}]}


def offline() -> Offline:
    return Offline("https://p.example", "parks", "openid", "http://parks.localhost", lambda: NOW, secret="s")


def token(key: ECKey = PROVIDERS, typ: str = "logout+jwt", **changes: Any) -> str:
    claims: dict[str, Any] = {
        "iss": "https://p.example",
        "aud": "parks",
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(minutes=2)).timestamp()),
        "sid": "the session",
        "events": {LOGOUT_EVENT: {}},
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "ES256", "typ": typ, "kid": "1"}, claims, key)


async def test_a_logout_token_is_believed_when_it_is_one() -> None:
    assert await offline().read_logout_token(token()) == ("the session", None)


@pytest.mark.parametrize(
    "wrong",
    [
        token(STRANGERS),
        token(typ="JWT"),
        token(aud="taxes"),
        token(iss="https://evil.example"),
        token(exp=int((NOW - timedelta(minutes=2)).timestamp())),
        token(nonce="an ID token has one"),
        token(events={}),
        token(sid=None),
        token()[:-4],
        "",
    ],
    ids=["stranger", "type", "audience", "issuer", "expired", "nonce", "event", "nobody", "cut", "empty"],
)
async def test_what_is_no_logout_token_ends_nothing(wrong: str) -> None:
    """Back-Channel Logout section 2.6: the samples show how it is done, so they do it."""
    with pytest.raises(SignInFailed):
        await offline().read_logout_token(wrong)


@pytest.mark.parametrize(
    "answer",
    [
        {"code": "c", "state": "another", "iss": "https://p.example"},
        {"code": "c", "iss": "https://p.example"},
        {"code": "c", "state": "state", "iss": "https://evil.example"},
        {"code": "c", "state": "state"},
        {"error": "access_denied", "state": "state", "iss": "https://p.example"},
    ],
)
async def test_an_answer_that_is_not_ours_is_not_used(answer: dict[str, str]) -> None:
    """RFC 9207 and `state`."""
    with pytest.raises(SignInFailed):
        await offline().finish(Pending("state", "nonce", "verifier"), answer)


def test_the_key_set_shows_no_private_part() -> None:
    key = ECKey.generate_key("P-256")
    key.ensure_kid()

    shown = OpenIdClient("https://p.example", "parks", "openid", "h", lambda: NOW, key=key).public_keys

    assert KeySet.import_key_set(shown).keys[0].kid == key.kid  # type: ignore[arg-type]
    assert "d" not in shown["keys"][0]
