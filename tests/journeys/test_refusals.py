"""Each refusal in its own words, in the log without a secret, and with nothing lost; tried from outside."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
import pytest
from simulated import CALLBACK, SECRET, Outsider, Page, Simulator, browser_of, simulator

from oidc.protocol.pkce import s256

FORM = {"content-type": "application/x-www-form-urlencoded"}
VERIFIER = "a-verifier-that-is-long-enough-for-anybody-0123456789"


class Ledger:
    """A running product and its log."""

    def __init__(self, sim: Simulator, log: Path) -> None:
        self.sim, self._log, self._read = sim, log, 0

    def lines(self) -> list[dict[str, Any]]:
        """What was logged since this was last asked; every line is one JSON object."""
        text = self._log.read_text("utf-8")
        new, self._read = text[self._read :], len(text)
        return [json.loads(line) for line in new.splitlines()]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp("refusals")
    with simulator(folder, "--setting=throttle.per_address=100000") as sim:
        yield Ledger(sim, folder / "log")


@pytest.fixture(scope="module")
def citizen(ledger: Ledger) -> Outsider:
    """Ada, signed in to the service once."""
    outsider = browser_of(ledger.sim, "ada")
    outsider.sign_in()
    return outsider


def address(sim: Simulator, **changes: str | None) -> str:
    """A request to `/authorize`; None leaves a parameter out."""
    asked = {
        "client_id": "rp",
        "response_type": "code",
        "scope": "openid email",
        "redirect_uri": CALLBACK,
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{sim.issuer}/authorize?{urlencode({name: value for name, value in asked.items() if value is not None})}"


def heading(answer: httpx2.Response) -> str:
    """What the page says first."""
    found = re.search(r"<h1>(.*?)</h1>", answer.text, re.DOTALL)
    assert found, answer.text[:500]
    return re.sub(r"<.*?>", "", found[1])


@contextmanager
def logged(ledger: Ledger, event: str, **values: Any) -> Iterator[None]:
    """One line says it, with these values."""
    ledger.lines()
    yield
    lines = ledger.lines()
    found = [line for line in lines if line["event"] == event]
    assert len(found) == 1, lines
    assert values.items() <= found[0].items(), found


@pytest.mark.parametrize(
    ("changes", "words", "event"),
    [
        ({"client_id": "nobody"}, "We do not know this service", "invalid_request"),
        ({"client_id": None}, "We could not read this request", "invalid_request"),
        ({"redirect_uri": CALLBACK + "/"}, "We cannot send you back to Outside", "invalid_request"),
        ({"redirect_uri": "https://evil.example/callback"}, "We cannot send you back to Outside", "invalid_request"),
        ({"redirect_uri": None}, "We cannot send you back to Outside", "invalid_request"),
    ],
)
def test_what_cannot_be_told_to_a_service_is_told_to_the_citizen(
    ledger: Ledger, changes: dict[str, str | None], words: str, event: str
) -> None:
    """R1: unknown client, wrong redirect URI: a page, no redirect."""
    with logged(ledger, "authorization_refused", error=event):
        answer = httpx2.get(address(ledger.sim, **changes))

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert heading(answer) == words


@pytest.mark.parametrize(
    ("changes", "error", "names"),
    [
        ({"scope": "email"}, "invalid_scope", "openid"),
        ({"scope": 'openid "'}, "invalid_scope", "scope"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request", "code_challenge"),
        ({"code_challenge_method": "plain"}, "invalid_request", "S256"),
        ({"response_type": "token"}, "unsupported_response_type", "response_type"),
        ({"state": "one&state=two"}, "invalid_request", "state"),
    ],
)
def test_what_can_be_told_to_a_service_names_the_parameter(
    ledger: Ledger, changes: dict[str, str | None], error: str, names: str
) -> None:
    """RFC 6749 section 4.1.2.1: bad scope, missing PKCE, a repeated parameter: an error for the service, who is told
    which parameter it is; nobody had to sign in before."""
    with logged(ledger, "authorization_refused", error=error):
        answer = httpx2.get(address(ledger.sim, **changes).replace("%26state%3D", "&state="))

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    said = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert said["error"] == error
    assert names in said["error_description"]
    assert said["iss"] == ledger.sim.issuer


@pytest.mark.parametrize(
    ("wrong", "status", "error"),
    [
        ({"code_verifier": "b" * 50}, 400, "invalid_grant"),
        ({"code_verifier": None}, 400, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "/"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"code": "one&code=two"}, 400, "invalid_request"),
        ({"code": "unknown"}, 400, "invalid_grant"),
    ],
)
def test_a_code_that_is_offered_wrongly_gives_nothing(
    ledger: Ledger, citizen: Outsider, wrong: dict[str, str | None], status: int, error: str
) -> None:
    """RFC 6749 section 5.2, R4: wrong or missing verifier, wrong redirect URI, a repeated parameter. The citizen's
    session is not lost by it."""
    answer, verifier = citizen.authorize()
    asked = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
        **wrong,
    }
    content = urlencode({name: value for name, value in asked.items() if value is not None})
    with logged(ledger, "refused", path="/token", error=error):
        refused = httpx2.post(
            f"{ledger.sim.issuer}/token",
            content=content.replace("%26code%3D", "&code="),
            headers=FORM,
            auth=("rp", SECRET),
        )

    assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert refused.json()["error_description"]
    assert "no-store" in refused.headers["cache-control"]
    citizen.seen.clear()
    assert "code" in citizen.authorize()[0]
    assert citizen.seen == []


def test_a_code_is_too_old_after_a_minute(ledger: Ledger, citizen: Outsider) -> None:
    """R4."""
    answer, verifier = citizen.authorize()
    ledger.sim.ask("POST", "/clock/advance", {"seconds": 61})

    with logged(ledger, "refused", path="/token", error="invalid_grant"):
        late = citizen.redeem(answer["code"], verifier)

    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("secret", ["wrong", ""])
def test_a_wrong_client_secret_is_refused(ledger: Ledger, secret: str) -> None:
    """RFC 6749 section 5.2: 401, and how to authenticate."""
    asked = {"grant_type": "authorization_code", "code": "any", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    with logged(ledger, "refused", path="/token", error="invalid_client"):
        answer = httpx2.post(f"{ledger.sim.issuer}/token", data=asked, auth=("rp", secret))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")


MEGABYTE = b"a=" + b"b" * 1_000_000
BROKEN = b"grant_type=authorization_code&code=%ff%fe&identifier=%ff%fe"


@pytest.mark.parametrize("path", ["/authorize", "/end-session", "/register", "/token", "/userinfo"])
def test_a_megabyte_is_not_read(ledger: Ledger, path: str) -> None:
    """R73: 413 in the form that its asker reads, and one line in the log."""
    is_for_programs = path in ("/token", "/userinfo")
    http = httpx2.Client(base_url=ledger.sim.issuer)
    http.get("/sign-in")  # with cookies: who has none is refused before the form is read
    with logged(ledger, "refused" if is_for_programs else "not_served", path=path):
        answer = http.post(path, content=MEGABYTE, headers=FORM)
    http.close()

    assert answer.status_code == 413
    if is_for_programs:
        assert answer.json()["error"] == "invalid_request"
    else:
        assert heading(answer) == "That was too much to send"


@pytest.mark.parametrize("path", ["/token", "/authorize", "/end-session"])
@pytest.mark.parametrize("body", [BROKEN, b"client_id=\xff\xfe", b"client_id=1&client_id=2"])
def test_broken_text_is_refused_as_such(ledger: Ledger, path: str, body: bytes) -> None:
    """R12, R73: broken UTF-8 and a repeated parameter are 400 on protocol endpoints, never a 500."""
    ledger.lines()
    answer = httpx2.post(ledger.sim.issuer + path, content=body, headers=FORM, auth=("rp", SECRET))

    assert answer.status_code == 400, answer.text
    lines = [line for line in ledger.lines() if line["event"].endswith("refused")]
    assert len(lines) == 1, lines


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"csrf_token": "wrong"}, 403, "This page was open for too long"),
        ({"csrf_token": ""}, 403, "This page was open for too long"),
        ({"identifier": "one", "again": "identifier=two"}, 400, "We could not read that form"),
        ({"again": "x=%ff"}, 400, "We could not read that form"),
    ],
)
def test_a_form_of_ours_that_was_changed_is_refused(
    ledger: Ledger, change: dict[str, str], status: int, words: str
) -> None:
    """R77, R12: a wrong form token, a field twice, broken UTF-8: a page; the sign-in it belongs to goes on."""
    http = httpx2.Client(base_url=ledger.sim.issuer)
    page = Page(http.get(http.get("/sign-in").headers["location"]))
    action, fields, _ = page.forms[0]
    again = change.pop("again", "")
    content = urlencode({**fields, **change, "action": "continue"}) + (f"&{again}" if again else "")
    with logged(ledger, "refused"):
        answer = http.post(urljoin(page.address, action), content=content, headers=FORM)

    assert (answer.status_code, heading(answer)) == (status, words)
    assert Page(http.get(page.address)).name == "sign-in"
    http.close()
