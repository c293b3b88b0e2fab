"""What README and oidc/LIBRARIES.md tell relying-party teams is what they get."""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
from party import Visitor
from relying_parties import APACHE, JAVASCRIPT, PYTHON, ROOT, served
from simulated import IDENTITY, Simulator, free_port

from accounts.profile import Claims
from config.demo.people import STATES, Person, read_people
from config.site.languages import LANGUAGES

SECTION = (ROOT / "README.md").read_text("utf-8").split("\n## Relying-party teams\n")[1].split("\n## ")[0]
COMMAND, CLIENTS, PEOPLE = (body.strip() for body in re.findall(r"```\w*\n(.*?)```", SECTION, re.DOTALL)[:3])
LIBRARIES = (ROOT / "oidc" / "LIBRARIES.md").read_text("utf-8")
AT_RUN_TIME = {"phone_number_verified", "updated_at"}
"""Fields of a person that stand among the claims in the file."""


@contextmanager
def readmes_own(folder: Path, ports: dict[str, int]) -> Iterator[Simulator]:
    """README's command with README's files. Only its ports are others, because tests run side by side."""
    command, clients = COMMAND, CLIENTS
    for said, port in ports.items():
        command, clients = command.replace(said, str(port)), clients.replace(said, str(port))
    (folder / "clients.json").write_text(clients)
    (folder / "people.toml").write_text(PEOPLE)
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/identity"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([IDENTITY, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    running = Simulator(process, f"http://localhost:{ports['8600']}", f"http://127.0.0.1:{ports['8601']}")
    try:
        assert process.stdout is not None
        assert f"ready {running.issuer}\n" in iter(process.stdout.readline, ""), (folder / "log").read_text()
        yield running
    finally:
        for browser in running.browsers:
            browser.close()
        process.terminate()
        process.wait(20)
        process.stdout.close()


def test_flask_and_authlib_sign_in_at_readmes_own_addresses(tmp_path: Path) -> None:
    """Flask keeps its state in a cookie named `session` on localhost, where cookies know no ports: none of ours has
    that name. Then each call that README shows of the control listener is answered."""
    ports = {"8600": free_port(), "8601": free_port(), "9000": free_port()}
    with readmes_own(tmp_path, ports) as running:
        [client], [ada] = json.loads(CLIENTS), tomllib.loads(PEOPLE)["people"]
        told = {"ISSUER": running.issuer, "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"]}
        visitor = Visitor(running, ada["handle"], ada["totp"], ada["password"])
        with served("flask_authlib.py", ports["9000"], **told) as service:
            found = service.found(visitor.browse(service.address + "/login"))
            assert (found["name"], found["email"]) == (ada["claims"]["name"], ada["email"])
            assert service.found(visitor.http.get(service.address)) == found, "Flask's own session lasts"

        for method, path, body in re.findall(r"`(GET|POST) (/\S+?)(?: (\{.*?\}))?`", SECTION):
            answer = httpx2.request(method, running.control + path, content=body or None)
            assert answer.is_success, (method, path, answer.text)


def test_readme_shows_every_key_of_a_person() -> None:
    """And nothing that the simulator does not read."""
    [ada] = read_people(PEOPLE, "README.md")
    [written] = tomllib.loads(PEOPLE)["people"]

    assert {*written} == {*Person.__struct_fields__} - AT_RUN_TIME
    assert msgspec.structs.asdict(ada.claims)["name"] == "Ada Lovelace"
    assert {*written["claims"]} <= {*Claims.__struct_fields__}
    for comment, words in (("locale", LANGUAGES), ("state", STATES)):
        [line] = [line for line in PEOPLE.splitlines() if line.startswith(f"{comment} =")]
        assert {*re.findall(r"[a-z]+", line.removeprefix(comment))} >= {*words}, comment


def test_readmes_secret_is_long_enough() -> None:
    """The first thing that a team copies starts without a warning."""
    assert all(len(client["client_secret"]) >= 32 for client in json.loads(CLIENTS))


@pytest.mark.parametrize(
    "block", re.findall(r"\]\(\.\./(tests/\S+?)\)((?:(?!\n## ).)*?)```\w+\n(.*?)```", LIBRARIES, re.DOTALL)
)
def test_each_line_of_a_librarys_block_stands_in_its_file(block: tuple[str, str, str]) -> None:
    """So that what is read is what was run."""
    path, _, lines = block
    there = {line.strip() for line in (ROOT / path).read_text("utf-8").splitlines()}

    assert {line.strip() for line in lines.splitlines()} <= there


def test_every_library_that_is_tested_is_on_the_page() -> None:
    """With a link to its file."""
    files = {*JAVASCRIPT.glob("*.mjs"), *PYTHON.glob("*.py"), *APACHE.glob("*.conf")}

    linked = {ROOT / path for path in re.findall(r"\]\(\.\./(tests/\S+?)\)", LIBRARIES)}

    assert {file for file in files if file.stem != "talk"} <= linked
    assert all(file.exists() for file in linked)
