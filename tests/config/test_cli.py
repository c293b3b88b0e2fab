"""The command line: help one can act on, plain errors with status 2, and what each command leaves behind."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from simulated import CLIENTS, run

from config.cli import COMMANDS, main

Run = Callable[..., Result]
PARKS = """
[[client]]
client_id = "parks"
client_name = "City Parks"
redirect_uris = ["https://parks.example.gov/callback"]
token_endpoint_auth_method = "private_key_jwt"
jwks_uri = "https://parks.example.gov/jwks.json"
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of a deployment that has nothing yet."""
    folder = tmp_path_factory.mktemp("deployment")
    return {
        "IDENTITY_ISSUER": "https://account.example.gov",
        "IDENTITY_MAIL__URL": "smtps://mail.example.gov",
        "IDENTITY_MAIL__SENDER": "account@example.gov",
        "IDENTITY_DATABASE__URL": f"sqlite+aiosqlite:///{folder / 'identity.sqlite'}",
        "IDENTITY_KEYS__DIRECTORY": str(folder / "keys"),
    }


def runner(environment: dict[str, str]) -> Run:
    kept = {name: None for name in os.environ if name.startswith("IDENTITY_")}

    def identity(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(main, arguments, env={**kept, **environment, **more})

    return identity


@pytest.fixture(scope="module")
def identity(empty: dict[str, str]) -> Run:
    """`identity` on a deployment with keys and tables."""
    command = runner(empty)
    for arguments in (("keys", "create"), ("migrate",)):
        done = command(*arguments)
        assert done.exit_code == 0, done.output
    return command


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "work"])
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"])

    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) > 5
    assert command in CliRunner().invoke(main, ["--help"]).output


def test_the_hidden_command_is_hidden() -> None:
    assert "work " not in CliRunner().invoke(main, ["--help"]).output.replace("worker", "")


@pytest.mark.parametrize("arguments", [("serv",), ("client", "aply"), ("migrate", "--chek"), ("client", "apply")])
def test_a_mistyped_command_is_named_with_status_2(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, arguments)

    assert done.exit_code == 2
    assert "Usage: " in done.stderr


def test_asking_for_help_imports_nothing_heavy() -> None:
    """It answers at once."""
    program = "import sys, config.cli as c; c.main(['simulate', '--help'], standalone_mode=False); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert "config.commands.simulate" in loaded
    assert not {"litestar", "sqlalchemy", "uvicorn", "config.house"} & set(loaded.split())


def test_keys_are_made_once_and_never_beside_others(tmp_path: Path) -> None:
    """A missing key beside existing data is a refusal, never a new key."""
    folder = tmp_path / "keys"

    made = runner({})("keys", "create", "--directory", str(folder))
    again = runner({})("keys", "create", "--directory", str(folder))
    (folder / "pepper.key").unlink()
    beside = runner({})("keys", "create", "--directory", str(folder))

    assert (made.exit_code, made.output.count("made  ")) == (0, 3)
    assert (again.exit_code, again.output.count("kept  ")) == (0, 3)
    assert (beside.exit_code, beside.stdout) == (2, "")
    assert beside.stderr.startswith(f"identity: {folder}: pepper.key missing beside other keys")


def test_migrate_names_what_is_pending_and_does_it(tmp_path: Path, empty: dict[str, str], identity: Run) -> None:
    command = runner({**empty, "IDENTITY_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'new.sqlite'}"})

    checked = command("migrate", "--check")
    refused = command("worker")
    done = command("migrate")
    again = command("migrate", "--check")

    assert checked.exit_code == 1
    assert checked.output.startswith("pending  ")
    assert (refused.exit_code, "run: identity migrate" in refused.stderr) == (2, True)
    assert done.exit_code == 0
    assert done.output == checked.output.replace("pending", "done")
    assert (again.exit_code, again.output) == (0, "The database is up to date.\n")


def test_the_previous_release_starts_on_a_database_of_the_next_one(
    tmp_path: Path, empty: dict[str, str], identity: Run
) -> None:
    """A roll-out migrates first; what runs until then may have to start again."""
    file = tmp_path / "newer.sqlite"
    command = runner({**empty, "IDENTITY_DATABASE__URL": f"sqlite:///{file}"})
    assert command("migrate").exit_code == 0
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'written_next_year'")

    assert command("migrate", "--check").exit_code == 0
    assert command("migrate").exit_code == 0
    assert command("client", "list").exit_code == 0


def test_a_client_is_applied_listed_and_shown(identity: Run, tmp_path: Path) -> None:
    file = tmp_path / "parks.toml"
    file.write_text(PARKS)

    first, second = identity("client", "apply", str(file)), identity("client", "apply", str(file))
    listed, shown = identity("client", "list"), identity("client", "show", "parks")

    assert (first.exit_code, first.stdout.splitlines()[-1]) == (0, "created  parks")
    assert second.stdout == "unchanged  parks\n    ID tokens: ES256\nunchanged  parks\n"
    assert any(line.split()[:3] == ["parks", "City", "Parks"] for line in listed.stdout.splitlines())
    registered = json.loads(shown.stdout)
    assert registered["client_id"] == "parks"
    assert registered["redirect_uris"] == ["https://parks.example.gov/callback"]
    assert registered["id_token_signed_response_alg"] == "ES256"


def test_a_wrong_line_is_named_and_nothing_is_written(identity: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(PARKS.replace('"parks"', '"wrong"').replace("https://parks.example.gov/callback", "http://x/cb"))

    done = identity("client", "apply", str(file))

    assert (done.exit_code, done.stdout) == (2, "")
    assert "line 5" in done.stderr
    assert "redirect_uris" in done.stderr
    assert identity("client", "show", "wrong").exit_code == 2


def test_the_simulators_file_can_be_imported(identity: Run, tmp_path: Path) -> None:
    file = tmp_path / "clients.json"
    file.write_text(json.dumps([{**CLIENTS[0], "redirect_uris": ["https://rp.example/cb"]}]))

    done = identity("client", "import", str(file))

    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "created  rp"), done.stderr
    assert "ID tokens: RS256, the standard's default" in done.stdout
    assert '"has_secret": true' in identity("client", "show", "rp").stdout
    assert CLIENTS[0]["client_secret"] not in identity("client", "show", "rp").stdout


def test_a_client_without_pkce_is_warned_about(identity: Run, tmp_path: Path) -> None:
    """R3."""
    file = tmp_path / "parks.toml"
    file.write_text(PARKS.replace('"parks"', '"old"') + "require_pkce = false\n")

    done = identity("client", "apply", str(file))

    assert done.exit_code == 0
    assert done.stderr.startswith("warning: ")
    assert "require_pkce" in done.stderr


def test_apply_says_what_it_changes_before_it_writes_and_a_dry_run_only_says(identity: Run, tmp_path: Path) -> None:
    """Redirect URIs, keys and secrets are marked; neither a secret nor its digest is shown."""
    file, first, other = tmp_path / "books.toml", "a" * 64, "b" * 64
    method = '"client_secret_basic"'
    text = PARKS.replace('"parks"', '"books"').replace('"private_key_jwt"', method).replace("jwks_uri", "policy_uri")
    file.write_text(text + f'client_secret_sha256 = "{first}"\n')
    assert identity("client", "apply", str(file)).exit_code == 0
    file.write_text(text.replace("/callback", "/back") + f'client_secret_sha256 = "{other}"\n')

    dry = identity("client", "apply", "--dry-run", str(file))
    before = identity("client", "show", "books").stdout
    done = identity("client", "apply", str(file))

    address = "https://parks.example.gov"
    assert dry.stdout.splitlines() == [
        "changed  books",
        f'  ! redirect_uris: ["{address}/callback"] -> ["{address}/back"]',
        "  ! client_secret: changed",
        "    ID tokens: ES256",
    ]
    assert "/callback" in before
    assert done.stdout == dry.stdout + "changed  books\n"
    assert "/back" in identity("client", "show", "books").stdout


def test_check_judges_toml_and_json_without_a_deployment(tmp_path: Path) -> None:
    toml, metadata = tmp_path / "parks.toml", tmp_path / "clients.json"
    toml.write_text(PARKS.replace("https://parks.example.gov/callback", "http://parks.example.gov/cb"))
    metadata.write_text(json.dumps([{**CLIENTS[0], "redirect_uris": ["https://rp.example/cb"]}]))

    done = runner({})("client", "check", str(toml), str(metadata))

    assert done.exit_code == 2
    assert f"{toml}: line 5, client parks, redirect_uris" in done.stderr
    assert done.stdout == f"good  {metadata}  rp  ID tokens: RS256, the standard's default\n"
    assert runner({})("client", "check", str(metadata)).exit_code == 0


def test_the_sample_file_is_accepted_with_the_one_change_it_states(identity: Run, tmp_path: Path) -> None:
    sample, file = Path("config/demo/parks.toml"), tmp_path / "sample.toml"
    file.write_text(sample.read_text("utf-8").replace("http://parks.localhost:8001", "https://parks.example.gov"))

    checked, applied = runner({})("client", "check", str(file)), identity("client", "apply", str(file))

    assert runner({})("client", "check", str(sample)).exit_code == 2
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert (applied.exit_code, applied.stderr) == (0, "")


def test_an_unknown_client_is_plainly_unknown(identity: Run) -> None:
    done = identity("client", "show", "nobody")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "identity: nobody: no such client; `identity client list` shows all\n"


def test_signing_keys_rotate_with_overlap(identity: Run) -> None:
    """R61: what begins to sign was announced before; what ends stays published."""
    before = {tuple(line.split()[:3]) for line in identity("keys", "list").stdout.splitlines()[1:]}

    too_early = identity("keys", "rotate", "--algorithm", "ES256")
    rotated = identity("keys", "rotate", "--algorithm", "ES256", "--at-once")

    after = {tuple(line.split()[:3]) for line in identity("keys", "list").stdout.splitlines()[1:]}
    (was_next,) = [kid for kid, algorithm, state in before if (algorithm, state) == ("ES256", "next")]
    (was_current,) = [kid for kid, algorithm, state in before if (algorithm, state) == ("ES256", "current")]
    assert (too_early.exit_code, rotated.exit_code) == (2, 0)
    assert "announced less than an hour ago" in too_early.output
    assert {(was_next, "ES256", "current"), (was_current, "ES256", "retired")} <= after
    assert {entry for entry in before if entry[1] == "RS256"} <= after
    assert identity("keys", "rotate", "--algorithm", "HS256").exit_code == 2


def test_doctor_finds_a_well_deployment_well(identity: Run) -> None:
    done = identity("doctor")

    assert done.exit_code == 0, done.output
    assert "WRONG" not in done.output
    for word in ("settings", "issuer", "keys", "database", "tables", "signing", "store", "mail", "theme", "passwords"):
        assert f"ok     {word}" in done.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"IDENTITY_ISSUER": "http://account.example.gov"}, "WRONG  settings  issuer: must be https"),
        ({"IDENTITY_KEYS__DIRECTORY": "/nowhere"}, "WRONG  keys      /nowhere/wrapping.key: missing"),
        ({"IDENTITY_DATABASE__URL": "postgresql://u:secret@127.0.0.1:1/n"}, "127.0.0.1:1/n: does not answer"),
        ({"IDENTITY_DATABASE__URL": "sqlite:////nowhere/x.sqlite"}, "no such file yet; run: identity migrate"),
        ({"IDENTITY_STORE__URL": "redis://127.0.0.1:1/0"}, "WRONG  store     redis://127.0.0.1:1/0: does not answer"),
        ({"IDENTITY_SITE__THEME": "/nowhere/theme.toml"}, "WRONG  theme     site.theme: "),
        (
            {f"IDENTITY_KEYS__PKCS11_{name}": "/nowhere.so" for name in ("MODULE", "TOKEN", "PIN")},
            "WRONG  token     keys.pkcs11_module: cannot be loaded",
        ),
        ({"IDENTITY_KEYS__PKCS11_MODULE": "/nowhere.so"}, "keys.pkcs11_pin: must be set"),
        ({"IDENTITY_LIFETIME__ID_TOKEN": "86401"}, "lifetime.id_token: at most a day"),
        ({"IDENTITY_PASSWORD__BREACHED_FILE": "/nowhere"}, "WRONG  passwords password.breached_file: "),
    ],
)
def test_doctor_says_what_is_wrong(empty: dict[str, str], identity: Run, changes: dict[str, str], said: str) -> None:
    done = runner({**empty, **changes})("doctor")

    assert done.exit_code == 1
    assert said in done.output
    assert "secret" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("command", [("serve",), ("migrate",), ("client", "list"), ("keys", "list")], ids=" ".join)
def test_a_database_that_is_away_is_told_in_one_line(empty: dict[str, str], command: tuple[str, ...]) -> None:
    """R81: which setting, what the database says; no traceback, and no password of it."""
    done = runner({**empty, "IDENTITY_DATABASE__URL": "postgresql://u:secret@127.0.0.1:1/n"})(*command)

    assert done.exit_code == 2
    assert done.stderr.startswith("identity: database.url: the database does not answer (")
    assert len([line for line in done.stderr.splitlines() if not line.startswith("{")]) == 1
    assert "secret" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_a_setting_can_be_given_on_the_command_line(identity: Run) -> None:
    done = identity("doctor", "--setting", "session.idle=0")

    assert (done.exit_code, "session.idle: a number of seconds above 0" in done.output) == (1, True)
    assert "write it as key=value" in identity("migrate", "--setting", "session.idle").stderr


def test_a_database_of_another_shape_is_told_plainly(empty: dict[str, str], identity: Run, tmp_path: Path) -> None:
    (tmp_path / "other.sqlite").touch()

    done = runner({**empty, "IDENTITY_DATABASE__URL": f"sqlite:///{tmp_path / 'other.sqlite'}"})("client", "list")

    assert done.exit_code == 2
    assert "identity migrate" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_command_itself_says_its_errors_plainly(tmp_path: Path) -> None:
    """As a person meets it: one line, status 2, no traceback."""
    done = run("serve", f"--settings={tmp_path / 'none.toml'}")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"identity: {tmp_path / 'none.toml'}: no such settings file\n"


def test_a_client_is_suspended_resumed_and_removed_each_as_often_as_one_likes(identity: Run, tmp_path: Path) -> None:
    """What was done is said, and so is that nothing was; who is not there is named with who may be meant."""
    file = tmp_path / "woods.toml"
    file.write_text(PARKS.replace("parks", "woods"), "utf-8")
    assert identity("client", "apply", str(file)).exit_code == 0

    said = [
        identity("client", *verb.split(), "woods").stdout for verb in ("suspend", "suspend", "resume", "remove --yes")
    ]

    assert said == [
        "woods: suspended\n",
        "woods: was suspended already, nothing changed\n",
        "woods: active\n",
        "woods: suspended, and the agreements of 0 citizens ended\n",
    ]
    asked = identity("client", "remove", "woods")
    assert (asked.exit_code, "cannot be undone" in asked.output) == (1, True), "nobody answers: nothing is done"
    for verb in ("suspend", "remove"):
        wrong = identity("client", verb, "wodos")
        assert (wrong.exit_code, "is woods meant?" in wrong.stderr) == (2, True)
