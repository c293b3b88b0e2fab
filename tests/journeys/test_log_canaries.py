"""No secret and no address of a citizen in the log (R66): values that nobody else has are planted, and looked for."""

import base64
import json
import re
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx2
import pyotp
from simulated import CALLBACK, SECRET, Outsider, Page, simulator

PASSWORD = "canary-password-kestrel"
WRONG = "canary-mistyped-password"
CLIENT_SECRET = "canary-client-secret-0123456789"
CLIENT = {"client_id": "rp", "client_secret": CLIENT_SECRET, "redirect_uris": [CALLBACK],
          "grant_types": ["authorization_code", "refresh_token"], "post_logout_redirect_uris": [CALLBACK],
          "scope": "openid profile email phone address"}  # fmt: skip
SEED = pyotp.random_base32()
RECOVERY_CODE = "CANA-RYCO-DE01-2345"
PHONE = "+442079469999"
PEOPLE = f"""
[[people]]
handle = "canary-handle"
email = "canary-handle@example.org"
password = "{PASSWORD}"
totp = "{SEED}"
recovery_codes = ["{RECOVERY_CODE}"]
phone_number = "{PHONE}"
[people.claims]
name = "Canary Surname"
"""


class Witness(Outsider):
    """A browser that remembers every secret it was ever given."""

    secrets: set[str]

    def watch(self) -> None:
        self.secrets = set()
        self.http.event_hooks["response"].append(self._remember)

    def _remember(self, response: httpx2.Response) -> None:
        for header in response.headers.get_list("set-cookie"):
            if value := header.partition(";")[0].partition("=")[2]:
                self.secrets.add(value)
        location = response.headers.get("location", "")
        self.secrets |= set(re.findall(r"[?&]code=([^&]+)", location)) | set(
            re.findall(r"/signed-out/([\w-]+)", location)
        )

    def post(self, response: httpx2.Response, **typed: str) -> httpx2.Response:
        """Send the page's main form."""
        page = Page(response)
        action, fields, _ = page.forms[0]
        self.secrets.add(fields["csrf_token"])
        return self.http.post(urljoin(page.address, action), data={**fields, **typed, "action": "continue"})

    def go(self, response: httpx2.Response) -> httpx2.Response:
        """To where redirects of ours lead."""
        while response.is_redirect and not response.headers["location"].startswith(CALLBACK):
            response = self.http.get(urljoin(str(response.url), response.headers["location"]))
        return response

    def token(self, **fields: str) -> dict[str, Any]:
        """The token endpoint's answer, remembered."""
        answered: dict[str, Any] = self.http.post(
            f"{self.simulator.issuer}/token", data=fields, auth=("rp", CLIENT_SECRET)
        ).json()
        self.secrets |= {value for name, value in answered.items() if name.endswith("_token")}
        return answered


def test_nothing_that_was_planted_is_in_the_log_not_even_after_a_crash(tmp_path: Path) -> None:
    """R66: password, code, token, cookie, seed, e-mail, phone, client secret; with every mistake made and the database
    broken under the running service, which must log a great deal then."""
    database = tmp_path / "identity.sqlite"
    options = ("--setting=throttle.per_address=100000", f"--database=sqlite:///{database}")
    with simulator(tmp_path, *options, people=PEOPLE, clients=[CLIENT]) as sim:
        issuer = sim.issuer
        citizen = Witness(sim, "canary-handle", PASSWORD, SEED)
        citizen.watch()
        sign_in = citizen.go(citizen.http.get(f"{issuer}/account"))
        citizen.post(sign_in, identifier="canary-handle@example.org", password=WRONG)
        second = citizen.go(citizen.post(sign_in, identifier="canary-handle@example.org", password=PASSWORD))
        citizen.post(second, code="135790")
        citizen.go(citizen.post(second, code=citizen.code()))
        answer, verifier = citizen.authorize(login_hint="canary-handle@example.org")
        citizen.secrets.add(answer["code"])
        exchange = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": CALLBACK}
        tokens = citizen.token(**exchange, code_verifier=verifier)
        access, hint = tokens["access_token"], tokens["id_token"]
        citizen.userinfo(access)
        citizen.http.get(f"{issuer}/userinfo?access_token={access}")
        citizen.http.get(f"{issuer}/nowhere/{access}")
        citizen.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        citizen.token(grant_type="refresh_token", refresh_token=access)
        citizen.token(**exchange, code_verifier=verifier)  # a replay, which revokes
        citizen.http.post(f"{issuer}/token", data=exchange, auth=("rp", "canary-client-secret-wrong"))
        citizen.http.post(f"{issuer}/token", data=exchange, auth=(CLIENT_SECRET, "rp"))  # in each other's place
        citizen.http.post(f"{issuer}/par", data={"scope": access}, auth=(access, "canary-client-secret-wrong"))
        citizen.http.get(f"{issuer}/authorize", params={"client_id": "canary-handle@example.org", "state": access})
        citizen.http.get(f"{issuer}/authorize", params={"client_id": "rp", "redirect_uri": f"{CALLBACK}/{access}"})

        newcomer = Witness(sim, "canary-newcomer", PASSWORD)
        newcomer.watch()
        register = newcomer.go(newcomer.http.get(f"{issuer}/register"))
        confirm = newcomer.go(newcomer.post(register, identifier="canary-newcomer@example.org"))
        code = sim.ask("GET", "/inbox?to=canary-newcomer@example.org")[0]["code"]
        choose = newcomer.go(newcomer.post(confirm, code=code))
        enrol = newcomer.go(newcomer.post(choose, password=PASSWORD))
        found = re.search(r"secret=([A-Z2-7]+)", enrol.text)
        assert found
        codes = newcomer.go(
            newcomer.post(enrol, code=pyotp.TOTP(found[1]).at(datetime.fromisoformat(sim.ask("GET", "/health")["now"])))
        )
        newcomer.secrets |= {found[1], *re.findall(r"<li><code>([^<]+)", codes.text)}
        assert len(newcomer.secrets) > 12

        before = (tmp_path / "log").read_text("utf-8")
        with sqlite3.connect(database) as broken:
            for table in ("session", "throttle", "authorization_code", "sign_in"):
                broken.execute(f'ALTER TABLE "{table}" RENAME TO "gone_{table}"')
        crashed = [
            citizen.http.get(f"{issuer}/account"),
            citizen.post(sign_in, identifier="canary-handle@example.org", password=PASSWORD),
            citizen.http.post(
                f"{issuer}/token", data={**exchange, "code_verifier": verifier}, auth=("rp", CLIENT_SECRET)
            ),
            citizen.http.get(f"{issuer}/end-session", params={"id_token_hint": hint}),
        ]
        assert sim.end()[0] == 0
    log = (tmp_path / "log").read_text("utf-8")
    for response in crashed:
        assert response.status_code == 500
        assert "gone_" not in response.text
        assert "Traceback" not in response.text
    assert len(log) > len(before) + 2000, "the crashes are in the log"
    lines = [json.loads(line) for line in log.splitlines() if not line.startswith("warning: ")]
    assert {line["event"] for line in lines} >= {
        "refused",
        "replayed",
        "authorization_refused",
        "form_refused",
        "failed",
        "error_page",
    }
    planted = {PASSWORD, WRONG, CLIENT_SECRET, "canary-client-secret-wrong", SEED, RECOVERY_CODE, PHONE, verifier, code,
               "canary-handle", "canary-newcomer", "Canary Surname", *citizen.secrets, *newcomer.secrets}  # fmt: skip
    leaked = {secret for secret in planted for form in _spellings(secret) if form in log}
    assert not leaked
    assert "canary" not in log.lower()


def _spellings(secret: str) -> set[str]:
    """As it is, as part of an address, as base64 of itself, as somebody types it."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), encoded, secret.replace("-", ""), secret.partition(".")[2] or secret}


EVIL = 'x\r\n{"event": "forged"}\x1b[2J\u202egnp'


def test_a_strangers_words_do_not_come_into_the_log(tmp_path: Path) -> None:
    """R66: not by names of parameters, values, paths or headers."""
    with simulator(tmp_path) as sim:
        for path in ("/authorize?client_id=rp", "/end-session?client_id=rp"):
            known = f"redirect_uri={quote(EVIL)}&post_logout_redirect_uri={quote(EVIL)}"
            httpx2.get(f"{sim.issuer}{path}&{known}&{quote(EVIL)}=1&{quote(EVIL)}=2")
        httpx2.get(f"{sim.issuer}/authorize", params={"client_id": EVIL})
        for form in ({"grant_type": EVIL}, {"grant_type": "refresh_token", "refresh_token": EVIL, "scope": EVIL}):
            httpx2.post(f"{sim.issuer}/token", data=form, auth=("rp", SECRET))
        httpx2.post(f"{sim.issuer}/not-me/{quote(EVIL)}", headers={"user-agent": "forged", "origin": "forged"})
        httpx2.put(f"{sim.issuer}/not-me/{quote(EVIL)}")
    log = (tmp_path / "log").read_text("utf-8")
    assert len(log.splitlines()) == 7
    assert "forged" not in log


def test_a_line_of_the_log_cannot_be_forged() -> None:
    """R66: should they come into it after all, line ends, escapes and marks that turn the text around are escaped."""
    program = (
        "import logging, sys; from config.logging import configure_logging, logger; configure_logging();"
        "logger('x').info('said', detail=sys.argv[1]); logging.getLogger('y').warning(sys.argv[1])"
    )
    ended = subprocess.run([sys.executable, "-c", program, EVIL], capture_output=True, text=True, check=True)

    assert [json.loads(line).get("detail") for line in ended.stderr.splitlines()] == [EVIL, None]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\uffff]", ended.stderr)
