"""Settings: what is wrong or unsafe is named by its key, and nothing starts on it (R74)."""

import re
from pathlib import Path

import msgspec
import pytest

from config.commands.settings import page
from config.settings import Settings, SettingsError, read_settings

GOOD = {
    "IDENTITY_ISSUER": "https://account.example.gov",
    "IDENTITY_MAIL__URL": "smtps://mail.example.gov",
    "IDENTITY_MAIL__SENDER": "account@example.gov",
}
THROWAWAY = [("issuer", "http://localhost:8600"), ("mode", "simulator")]


def simulated(*pairs: tuple[str, str]) -> Settings:
    return read_settings(None, {}, [*THROWAWAY, *pairs])


def test_the_environment_outranks_the_file_and_the_command_line_both(tmp_path: Path) -> None:
    file = tmp_path / "identity.toml"
    file.write_text('issuer = "https://a.example"\n[session]\nidle = 60\nabsolute = 600\n[lifetime]\ncode = 10\n')

    read = read_settings(file, {**GOOD, "IDENTITY_SESSION__IDLE": "90", "IDENTITY_LIFETIME__CODE": "20"},
                         [("lifetime.code", "30")])  # fmt: skip

    assert (read.issuer, read.session.absolute, read.session.idle) == ("https://account.example.gov", 600, 90)
    assert read.lifetime.code == 30


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://identity:secret@db/identity\n")

    read = read_settings(None, {**GOOD, "IDENTITY_DATABASE__URL_FILE": str(tmp_path / "url")})

    assert read.database.url == "postgresql+psycopg://identity:secret@db/identity"


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("postgresql://u@h/n", "postgresql+psycopg://u@h/n"),
        ("postgres://u@h/n", "postgresql+psycopg://u@h/n"),
        ("sqlite:////data/x.sqlite", "sqlite+aiosqlite:////data/x.sqlite"),
        ("postgresql+psycopg://u@h/n", "postgresql+psycopg://u@h/n"),
    ],
)
def test_a_database_address_needs_no_driver(written: str, used: str) -> None:
    assert simulated(("database.url", written)).database.url == used


def test_every_setting_that_the_simulator_is_promised_can_be_set() -> None:
    """Issue text of `identity simulate`: these keys are its contract."""
    read = simulated(
        ("assurance.minimum", "aal1"), ("throttle.per_address", "100000"), ("lifetime.code", "5"),
        ("lifetime.access_token", "6"), ("lifetime.refresh_token", "7"), ("lifetime.id_token", "8"),
        ("session.idle", "9"), ("session.absolute", "10"),
    )  # fmt: skip

    assert read.assurance.minimum == "aal1"
    assert read.throttle.per_address == 100000
    assert (read.lifetime.code, read.lifetime.access_token, read.lifetime.refresh_token) == (5, 6, 7)
    assert (read.lifetime.id_token, read.session.idle, read.session.absolute) == (8, 9, 10)


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("lifetime.cod", "30")], "lifetime.cod: there is no such setting"),
        ([("lifetme.code", "30")], "lifetme: there is no such setting"),
        ([("lifetime.code", "soon")], "lifetime.code: "),
        ([("registration", "open")], "registration: a section, of which a key can be set (registration.KEY)"),
        ([("registration.mode", "on")], "registration.mode: one of off, open, initial_token, software_statement"),
        ([("resource", "https://api.example")], "resource: a [[resource]] table, which a settings file alone"),
        ([("lifetime.code", "61")], "lifetime.code: at most 60"),
        ([("lifetime.access_token", "0")], "lifetime.access_token: "),
        ([("session.idle", "-1")], "session.idle: "),
        ([("session.idle", "600"), ("session.absolute", "60")], "session.idle: must not be longer"),
        ([("assurance.minimum", "aal9")], "assurance.minimum: one of"),
        ([("assurance.levels", "a,b,c,c")], "assurance.levels: "),
        ([("throttle.per_address", "0")], "throttle.per_address: "),
        ([("throttle.per_prefix", "0")], "throttle.per_prefix: "),
        ([("throttle.everyone", "-1")], "throttle.everyone: "),
        ([("throttle.proof_from", "1.5")], "throttle.proof_from: "),
        ([("throttle.proof_from", "nan")], "throttle.proof_from: "),
        ([("throttle.proof_bits", "21")], "throttle.proof_bits: "),
        ([("ciba.per_person", "0")], "ciba.per_person: "),
        ([("database.url", "mysql://x")], "database.url: "),
        ([("store.url", "memcached://x")], "store.url: "),
        ([("listen.workers", "2")], "store.url: more than one worker needs a shared store"),
        ([("proxy.trusted", "10.0.0.0/8,nonsense")], "proxy.trusted: 'nonsense'"),
        ([("issuer", "http://account.example")], "issuer: must be https"),
        ([("issuer", "http://localhost:8600/")], "issuer: no slash"),
        ([("issuer", "localhost:8600")], "issuer: a URL"),
        ([("issuer.name", "x")], "issuer.name: issuer is a value"),
        ([("mail.url", "http://mail")], "mail.url: "),
        ([("passkey.related_origins", "https://a.example/")], "passkey.related_origins: 'https://a.example/'"),
        ([("passkey.attestation", "direct")], "passkey.roots: must be set"),
        ([("passkey.aaguids", "7")], "passkey.aaguids: '7'"),
        ([("passkey.roots", "roots.pem")], "passkey.attestation: "),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(pairs: list[tuple[str, str]], named: str) -> None:
    """R74."""
    with pytest.raises(SettingsError) as refused:
        simulated(*pairs)

    assert named in str(refused.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        simulated(("session.idle", "0"), ("throttle.per_address", "0"), ("store.url", "x"))

    assert len(str(refused.value).splitlines()) == 3


def test_production_wants_https_and_mail() -> None:
    """R74: plain http is for loopback in demo and simulator alone."""
    with pytest.raises(SettingsError) as refused:
        read_settings(None, {"IDENTITY_ISSUER": "http://localhost:8000"})

    assert "issuer: must be https" in str(refused.value)
    assert "mail.url, mail.sender: must be set" in str(refused.value)


def test_an_issuer_must_be_set() -> None:
    with pytest.raises(SettingsError, match="issuer: it must be set"):
        read_settings(None, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"issuer = ", "Invalid value"), (b"\xff\xfe", "utf-8")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "identity.toml"
    file.write_bytes(content)

    with pytest.raises(SettingsError) as refused:
        read_settings(file, {})

    assert str(file) in str(refused.value)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such settings file"):
        read_settings(tmp_path / "none.toml", {})
    with pytest.raises(SettingsError, match=r"database\.url: the file that IDENTITY_DATABASE__URL_FILE names"):
        read_settings(None, {"IDENTITY_DATABASE__URL_FILE": str(tmp_path / "none")})


def test_variables_that_only_begin_like_ours_are_left_alone() -> None:
    """Kubernetes makes these for a service named `identity`; a mistyped section is still named."""
    read = read_settings(None, {**GOOD, "IDENTITY_SERVICE_HOST": "10.0.0.1", "IDENTITY_PORT": "tcp://10.0.0.1:80",
                                "IDENTITY_SETTINGS": "/x"})  # fmt: skip

    assert read.issuer == GOOD["IDENTITY_ISSUER"]
    with pytest.raises(SettingsError, match="sesion: there is no such setting"):
        read_settings(None, {**GOOD, "IDENTITY_SESION__IDLE": "60"})


def test_the_page_of_all_settings_is_a_file_that_changes_nothing(tmp_path: Path) -> None:
    """What `identity settings` prints, with every `#` taken away, is read, names every key, and sets what was set."""
    (file := tmp_path / "identity.toml").write_text(re.sub(r"(?m)^#(?! |$)", "", page()))

    read = read_settings(file, GOOD)

    unset = read_settings(None, GOOD)
    assert msgspec.structs.replace(read, resource=(), authorization_detail=()) == unset
    assert read.resource
    assert read.authorization_detail
    for section in msgspec.structs.fields(Settings):
        for field in getattr(type(section.default), "__struct_fields__", ()):
            assert re.search(rf"(?m)^(#{field} =|\[{section.name}\.{field}\])", page()), f"{section.name}.{field}"


@pytest.mark.parametrize("document", ["README.md", "oidc/CONFORMANCE.md"])
def test_documents_name_only_settings_that_there_are(document: str) -> None:
    """A setting that was renamed leaves no stale advice behind."""
    sections = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    named = re.findall(r"`(\w+)\.(\w+)[`=]", Path(document).read_text("utf-8"))
    settings = [(section, key) for section, key in named if section in sections]
    assert settings
    assert [f"{section}.{key}" for section, key in settings if not hasattr(sections[section], key)] == []
