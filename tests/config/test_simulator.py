"""`identity simulate`, as its users run it: a process, two files, plain HTML forms, a control listener."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import pytest
from services import Backend
from simulated import (
    CALLBACK,
    CLIENTS,
    IDENTITY,
    PEOPLE,
    SEED,
    Outsider,
    Page,
    Simulator,
    browser_of,
    claims_of,
    free_port,
    header_of,
    refused,
    simulator,
)

from config.settings import SettingsError, read_settings


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One that tests share: each has people of its own, or leaves them as they were."""
    with simulator(tmp_path_factory.mktemp("simulator"), "--setting", "throttle.per_address=100000") as running:
        yield running


def test_it_answers_on_both_loopback_addresses(sim: Simulator) -> None:
    """Clients differ in what `localhost` is to them."""
    port = sim.issuer.rpartition(":")[2]

    for host in ("localhost", "127.0.0.1", "[::1]"):
        document = httpx2.get(f"http://{host}:{port}/.well-known/openid-configuration").json()
        assert document["issuer"] == sim.issuer, "the issuer is configured, not taken from Host (R71)"


def test_a_citizen_signs_in_through_plain_forms_and_the_second_time_is_asked_nothing(sim: Simulator) -> None:
    browser = browser_of(sim, "ada")
    browser.http.get(f"{sim.issuer}/help?lang=en")

    tokens = browser.sign_in(scope="openid profile email phone address")

    assert set(browser.http.cookies) == {"identity_browser", "identity_lang", "identity_session"}, "no other's name"
    assert browser.seen == ["sign-in", "second-factor", "consent"]
    claims = claims_of(tokens["id_token"])
    assert (claims["iss"], claims["aud"], claims["nonce"], claims["acr"]) == (sim.issuer, "rp", "the-nonce", "aal2")
    assert header_of(tokens["id_token"])["alg"] == "RS256", "registration metadata that names no algorithm"
    userinfo = browser.userinfo(tokens["access_token"]).json()
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["name"] == "Ada Lovelace"
    assert userinfo["birthdate"] == "1985-12-10"
    assert (userinfo["email"], userinfo["email_verified"]) == ("ada@example.org", True)
    assert (userinfo["phone_number"], userinfo["phone_number_verified"]) == ("+442079460123", True)
    assert userinfo["address"]["locality"] == "London"

    browser.seen = []
    again = browser.sign_in(scope="openid profile email phone address")
    assert browser.seen == []
    assert claims_of(again["id_token"])["sub"] == claims["sub"]


def test_a_refusal_reaches_the_service(sim: Simulator) -> None:
    answer, _ = browser_of(sim, "carl").authorize("refuse")

    assert answer["error"] == "access_denied"
    assert (answer["state"], answer["iss"]) == ("the-state", sim.issuer)


def test_without_a_second_authenticator_one_is_set_up_first(sim: Simulator) -> None:
    """R20: the least that is issued is aal2, unless `assurance.minimum` says otherwise."""
    browser = browser_of(sim, "ben")
    browser.until = "enrol"

    browser.authorize()

    assert browser.seen == ["sign-in", "enrol"]


@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_suspending_and_closing_end_what_was_given_and_the_service_is_told(sim: Simulator, state: str) -> None:
    """A suspended citizen learns it only after having signed in, and the service gets `access_denied`; who has closed
    their account cannot sign in at all."""
    browser = browser_of(sim, "carl")
    tokens = browser.sign_in()
    try:
        assert sim.ask("POST", "/people/carl/state", {"state": state}) == {"handle": "carl", "state": state}
        assert httpx2.post(f"{sim.control}/people/carl/sign-in").status_code == 400, "nor by the control listener"

        assert browser.userinfo(tokens["access_token"]).status_code == 401
        assert browser.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        if state == "suspended":
            another = browser_of(sim, "carl")
            answer, _ = another.authorize()
            assert another.seen[:2] == ["sign-in", "second-factor"]
            assert answer["error"] == "access_denied"
    finally:
        sim.ask("POST", "/people/carl/state", {"state": "active"})

    assert "code" in browser_of(sim, "carl").authorize()[0]
    assert browser.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant", "what was dead stays dead"


def test_people_can_begin_suspended_and_recovery_codes_are_theirs(sim: Simulator) -> None:
    sim.ask("POST", "/people/dora/state", {"state": "active"})
    browser = browser_of(sim, "dora")
    browser.recovery_code = "DORA'S FIRST  CODE"

    tokens = browser.sign_in()

    assert claims_of(tokens["id_token"])["acr"] == "aal2"


def test_the_clock_moves_everything_together(sim: Simulator) -> None:
    browser = browser_of(sim, "ada")
    answer, verifier = browser.authorize()
    late, verifier_of_late = browser.authorize()
    tokens = browser.redeem(answer["code"], verifier).json()
    before = time.time()

    sim.ask("POST", "/clock/advance", {"seconds": 61})

    assert browser.redeem(late["code"], verifier_of_late).json()["error"] == "invalid_grant"
    assert browser.userinfo(tokens["access_token"]).status_code == 200
    fresh = browser.refresh(tokens["refresh_token"]).json()
    assert claims_of(fresh["id_token"])["iat"] >= before + 60
    sim.ask("POST", "/clock/advance", {"seconds": 601})
    assert browser.userinfo(tokens["access_token"]).status_code == 401
    sim.ask("POST", "/clock/advance", {"seconds": 86400})
    browser.seen = []
    assert "code" in browser.authorize()[0]
    assert browser.seen == ["sign-in", "second-factor"], "the session has run out, the consent has not"


def test_what_is_signed_after_a_rotation_is_signed_with_the_next_keys(sim: Simulator) -> None:
    """R61: with overlap, so that services notice nothing."""
    browser = browser_of(sim, "ada")
    old = header_of(browser.sign_in()["id_token"])["kid"]
    announced = {key["kid"] for key in httpx2.get(f"{sim.issuer}/jwks").json()["keys"]}

    rotated = sim.ask("POST", "/keys/rotate")["rotated"]

    new = header_of(browser.sign_in()["id_token"])["kid"]
    assert new != old
    assert new in announced, "a key is announced before it signs"
    assert old in {key["kid"] for key in httpx2.get(f"{sim.issuer}/jwks").json()["keys"]}
    assert {entry["algorithm"] for entry in rotated} >= {"ES256", "RS256"}


def test_the_inbox_has_what_was_sent_newest_first(sim: Simulator) -> None:
    browser = Outsider(sim, "new", "unused")
    for address in ("new+1@example.org", "new+2@example.org", "new+1@example.org"):
        response = browser.http.get(f"{sim.issuer}/register", follow_redirects=True)
        page = Page(response)
        action, fields, _ = page.forms[0]
        typed = {
            name: address if name not in ("csrf_token",) and not value else value for name, value in fields.items()
        }
        browser.http.post(f"{sim.issuer}{action}", data={**typed, "action": "continue"})

    everything = sim.ask("GET", "/inbox")
    mine = sim.ask("GET", "/inbox?to=NEW%2B1@example.org")

    assert [message["to"] for message in everything[:3]] == [
        "new+1@example.org", "new+2@example.org", "new+1@example.org",
    ]  # fmt: skip
    assert [message["to"] for message in mine] == ["new+1@example.org"] * 2
    assert set(mine[0]) == {"id", "channel", "to", "subject", "text", "code", "sent_at"}
    assert mine[0]["channel"] == "email"
    assert len(mine[0]["code"]) == 6
    assert mine[0]["code"] in mine[0]["text"]
    assert mine[0]["sent_at"] > mine[1]["sent_at"]
    assert sim.ask("GET", "/inbox?to=new+1@example.org") == mine, "an unescaped plus sign is forgiven"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/clock/advance", {"seconds": -1}, 400),
        ("POST", "/clock/advance", {"seconds": "soon"}, 400),
        ("POST", "/clock/advance", {}, 400),
        ("POST", "/clock/advance", ["seconds"], 400),
        ("GET", "/clock/advance", None, 405),
        ("POST", "/people/nobody/state", {"state": "active"}, 404),
        ("POST", "/people/ada/state", {"state": "happy"}, 400),
        ("POST", "/people/ada/state", None, 400),
        ("POST", "/people/ada/sign-in", {"acr": ["aal2"]}, 400),
        ("POST", "/people/ada/sign-in", {"acr": "aal9"}, 400),
        ("POST", "/people/ada/sign-in", {"arc": "aal2"}, 400),
        ("POST", "/people/ada/sign-in", ["aal2"], 400),
        ("POST", "/people", {"handle": "eve"}, 400),
        ("PUT", "/clients", {"client_id": "rp"}, 400),
        ("GET", "/nothing", None, 404),
        ("DELETE", "/inbox", None, 405),
    ],
)
def test_a_wrong_call_of_the_control_listener_says_what_is_wrong(
    sim: Simulator, method: str, path: str, body: Any, status: int
) -> None:
    with pytest.raises(httpx2.HTTPStatusError) as refusal:
        sim.ask(method, path, body)

    assert refusal.value.response.status_code == status
    assert refusal.value.response.json()["error"]


def test_a_page_in_somebodys_browser_cannot_move_the_clock(sim: Simulator) -> None:
    before = sim.ask("GET", "/health")["now"]

    answer = httpx2.post(
        sim.control + "/clock/advance", json={"seconds": 86400}, headers={"origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert sim.ask("GET", "/health")["now"][:13] == before[:13]


def test_a_level_below_the_usual_can_be_allowed_and_lifetimes_set(tmp_path: Path) -> None:
    settings = ("assurance.minimum=aal1", "lifetime.access_token=77", "lifetime.id_token=88")
    with simulator(tmp_path, *(f"--setting={pair}" for pair in settings)) as sim:
        browser = browser_of(sim, "ben")

        tokens = browser.sign_in()

        claims = claims_of(tokens["id_token"])
        assert browser.seen == ["sign-in", "consent"]
        assert (claims["acr"], tokens["expires_in"], claims["exp"] - claims["iat"]) == ("aal1", 77, 88)


def test_a_settings_file_gives_what_no_option_can_and_ours_outranks_it(tmp_path: Path) -> None:
    """An API is a table; and who tries a deployment's own file reaches neither its database nor its keys."""
    file = tmp_path / "identity.toml"
    file.write_text(
        'issuer = "https://account.example.gov"\n[database]\nurl = "postgresql://nowhere/identity"\n'
        '[keys]\npkcs11_module = "/no/such.so"\npkcs11_token = "house"\npkcs11_pin = "1234"\n'
        '[[resource]]\nuri = "https://api.example.gov"\nname.en = "An API"\nscopes = {"books.read" = {en = "Read"}}\n'
    )
    with simulator(tmp_path, f"--settings={file}") as sim:
        document = httpx2.get(f"{sim.issuer}/.well-known/openid-configuration").json()

    assert document["issuer"].startswith("http://localhost:")
    assert "books.read" in document["scopes_supported"]


def test_sigterm_ends_it_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 5 s, with status 0; standard output has carried the two addresses alone."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with simulator(tmp_path) as sim:
        browser_of(sim, "ada").sign_in()
        assert list((tmp_path / "temporary").iterdir())

        with socket.create_connection(("127.0.0.1", int(sim.issuer.rpartition(":")[2]))):  # one that says nothing
            status, seconds = sim.end()

        assert (status, seconds < 5) == (0, True)
        assert sim.process.stdout is not None
        assert sim.process.stdout.read() == f"control {sim.control}\n"
        assert list((tmp_path / "temporary").iterdir()) == []


def test_sigterm_during_the_start_is_an_end_too(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [IDENTITY, "simulate", f"--port={free_port()}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )  # fmt: skip
    while process.poll() is None and not list((tmp_path / "temporary").iterdir()):
        time.sleep(0.005)

    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)

    assert (process.returncode, output) == (0, b""), errors.decode()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_metadata_that_cannot_be_honoured_is_refused_by_client_and_field(tmp_path: Path) -> None:
    """All of it at once, and nothing starts."""
    wrong = {
        "userinfo_encrypted_response_alg": "RSA-OAEP",
        "response_types": ["code id_token"],
        "redirect_uris": ["http://rp.example/cb"],
        "token_endpoint_auth_method": "client_secret_jwt",
    }
    clients = [{**CLIENTS[0], "client_id": f"rp{number}", name: value} for number, (name, value) in enumerate(wrong.items())]  # fmt: skip # noqa: E501

    status, output, errors = refused(tmp_path, clients=json.dumps(clients))

    assert (status, output) == (2, "")
    for number, name in enumerate(wrong):
        assert any(f"client rp{number}, {name}: " in line for line in errors.splitlines())
    assert "Traceback" not in errors


def test_mistakes_in_the_people_file_are_named(tmp_path: Path) -> None:
    """test_people.py has them all."""
    status, output, errors = refused(tmp_path, people=PEOPLE.replace('handle = "ada"', 'handel = "ada"'))

    assert (status, output) == (2, "")
    assert "person 1: handel: unknown" in errors
    assert "person 1: handle: must be a text" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--workers=2"], "store.url: more than one worker needs a shared store"),
        (["--setting=lifetime.cod=3"], "lifetime.cod: there is no such setting"),
        (["--setting=issuer=http://localhost:1"], "issuer: the simulator sets it itself"),
        (["--database=postgresql://nobody@127.0.0.1:1/none"], "database.url: the database does not answer"),
    ],
)
def test_what_it_cannot_start_with_is_one_plain_line(tmp_path: Path, options: list[str], named: str) -> None:
    status, output, errors = refused(tmp_path, *options)

    assert (status, output) == (2, "")
    assert named in errors
    assert "Traceback" not in errors


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        for option in (f"--port={port}", f"--control={port}"):
            status, output, errors = refused(tmp_path, option)
            assert (status, output) == (2, "")
            assert f"port {port} is taken" in errors


def test_a_database_that_holds_something_is_refused_by_a_table_of_it(backend: Backend, tmp_path: Path) -> None:
    status, output, errors = refused(tmp_path, f"--database={backend.database_url}")

    assert (status, output) == (2, "")
    assert "needs an empty database, and this one has the table access_token" in errors


@pytest.mark.services
@pytest.mark.parametrize("empty_backend", ["postgres-redis"], indirect=True)
def test_several_workers_serve_one_journey_and_share_one_clock(empty_backend: Backend, tmp_path: Path) -> None:
    """Requests go to whichever process accepts them; PostgreSQL and Redis hold what they share."""
    options = (f"--database={empty_backend.database_url}", f"--store={empty_backend.store_url}", "--workers=2")
    with simulator(tmp_path, *options) as sim:
        for _ in range(3):
            browser = browser_of(sim, "ada")
            tokens = browser.sign_in()
            statuses = {browser.userinfo(tokens["access_token"]).status_code for _ in range(10)}
            assert statuses == {200}
            sim.ask("POST", "/clock/advance", {"seconds": 601})
            statuses = {browser.userinfo(tokens["access_token"]).status_code for _ in range(10)}
            assert statuses == {401}, "one clock"
        status, seconds = sim.end()

    assert (status, seconds < 5) == (0, True)


@pytest.mark.services
def test_a_worker_that_dies_ends_the_simulator(redis_url: str, tmp_path: Path) -> None:
    """`serve` replaces it; a test would rather know."""
    with simulator(tmp_path, f"--store={redis_url}", "--workers=2") as sim:
        children = Path(f"/proc/{sim.process.pid}/task/{sim.process.pid}/children").read_text().split()
        assert len(children) == 2

        os.kill(int(children[0]), signal.SIGKILL)

        assert sim.process.wait(20) == 2
        assert "a worker process ended" in (tmp_path / "log").read_text()
        assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_its_pages_can_be_read_at_the_fixed_addresses(sim: Simulator) -> None:
    """The page contract: `<main data-page>`, fields by name, the main button first."""
    page = Page(httpx2.get(f"{sim.issuer}/sign-in", follow_redirects=True))

    action, fields, buttons = page.forms[0]
    assert page.name == "sign-in"
    assert {"identifier", "password"} <= set(fields)
    assert buttons[0] == ("action", "continue")
    assert action


def test_an_unregistered_address_is_never_redirected_to(sim: Simulator) -> None:
    """R1."""
    answer = httpx2.get(
        f"{sim.issuer}/authorize",
        params={"client_id": "rp", "response_type": "code", "redirect_uri": CALLBACK + "/", "scope": "openid"},
    )

    assert answer.status_code == 400
    assert Page(answer).name == "error"


def test_the_same_code_lets_a_person_in_again_and_the_clock_can_stand(sim: Simulator) -> None:
    """A relying party's tests sign in twice; a clock that had to be moved would run ahead of the services'."""
    now = datetime.fromisoformat(sim.ask("GET", "/health")["now"])
    for _ in range(2):
        browser = browser_of(sim, "carl")
        browser.recovery_code = pyotp.TOTP(SEED).at(now)
        assert "id_token" in browser.sign_in()


def test_a_code_is_accepted_again_in_the_simulator_alone() -> None:
    """R24: no deployment can be set so."""
    mail = [("mail.url", "smtps://m.example"), ("mail.sender", "a@b.example")]
    required = [("issuer", "https://account.example.gov"), *mail]
    with pytest.raises(SettingsError, match=r"assurance\.repeat_codes"):
        read_settings(None, {}, [*required, ("assurance.repeat_codes", "true")])


@pytest.mark.parametrize(
    ("acr", "amr"), [("aal1", ["pwd"]), ("aal2", ["mfa", "otp", "pwd"]), ("aal2-phr", ["mfa", "pop", "user"])]
)
def test_a_person_is_signed_in_without_a_form_at_any_level(sim: Simulator, acr: str, amr: list[str]) -> None:
    """What the control listener gives is a session that says how it came about."""
    given = sim.ask("POST", "/people/carl/sign-in", {"acr": acr})
    browser = browser_of(sim, "carl")
    for cookie in given["cookies"]:
        browser.http.cookies.set(cookie["name"], cookie["value"], domain="localhost.local")
    assert (given["acr"], given["amr"]) == (acr, amr)
    if acr == "aal1":
        return  # less than this provider asks for: it goes on to ask

    claims = claims_of(browser.sign_in()["id_token"])

    assert (claims["acr"], claims["amr"]) == (acr, amr)
    assert set(browser.seen) <= {"consent", "onward"}


def test_people_clients_and_consents_change_while_it_runs(sim: Simulator) -> None:
    """A person more, with other claims; a client more; what was agreed to is asked again."""
    person = {"handle": "eve", "email": "eve@example.org", "password": "correct horse battery staple", "totp": SEED}
    assert httpx2.post(f"{sim.control}/people", json=person).status_code == 201
    assert "email" in httpx2.post(f"{sim.control}/people", json=person).json()["error"]
    sim.ask("PUT", "/people/eve/claims", {"name": "Eve King"})
    browser = browser_of(sim, "eve")
    assert browser.userinfo(browser.sign_in()["access_token"]).json()["name"] == "Eve King"
    assert sim.ask("DELETE", "/people/eve/consents") == {"ended": 1}
    browser.seen = []
    browser.sign_in()
    assert "consent" in browser.seen
    wrong = httpx2.put(f"{sim.control}/people/eve/claims", json={"nmae": "Eve"})
    assert (wrong.status_code, "nmae" in wrong.json()["error"]) == (400, True)

    sim.ask("PUT", "/clients", [{**CLIENTS[0], "client_id": "more"}])
    answer, verifier = browser.authorize(client_id="more")
    assert "code" in answer, verifier


def test_a_person_has_the_same_sub_at_each_start(sim: Simulator, tmp_path: Path) -> None:
    with simulator(tmp_path) as another:
        one, two = (claims_of(browser_of(where, "ada").sign_in()["id_token"]) for where in (sim, another))
    assert one["sub"] == two["sub"]
    assert one["sub"] != claims_of(browser_of(sim, "carl").sign_in()["id_token"])["sub"]


def test_it_has_the_name_and_place_that_a_container_needs(tmp_path: Path) -> None:
    """Called by a name of the private network, listening everywhere there; never by a public name."""
    port = free_port()
    options = (f"--issuer=http://identity.test:{port}", "--listen=127.0.0.1")
    with simulator(tmp_path, *options, port=port, issuer=f"http://identity.test:{port}"):
        found = httpx2.get(f"http://127.0.0.1:{port}/.well-known/openid-configuration").json()
    assert found["issuer"] == f"http://identity.test:{port}"
    status, _, said = refused(tmp_path, "--issuer=http://account.example.gov")
    assert (status != 0, "--issuer" in said) == (True, True)
