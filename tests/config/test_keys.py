"""The deployment's own keys: private files, made once, never replaced behind the back of data."""

import base64
import stat
from pathlib import Path

import pytest

from config.keys import FILES, make_keys, read_keys
from config.settings import SettingsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_new_keys_are_private_and_different(folder: Path) -> None:
    keys = read_keys(folder)

    assert len({keys.wrapping[1], keys.blind_index, keys.pepper}) == 3
    assert {len(key) for key in (keys.wrapping[1], keys.blind_index, keys.pepper)} == {32}
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in FILES} == {0o600}


def test_keys_that_exist_stay_as_they_are(folder: Path) -> None:
    before = read_keys(folder)

    make_keys(folder)

    assert read_keys(folder) == before


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_and_not_replaced(folder: Path, name: str) -> None:
    """A missing key beside existing data is a refusal, never a new key."""
    (folder / name).unlink()

    with pytest.raises(SettingsError) as refused:
        read_keys(folder)

    assert str(folder / name) in str(refused.value)
    assert not (folder / name).exists()


def test_a_file_that_others_can_read_is_refused(folder: Path) -> None:
    """R74."""
    (folder / "pepper.key").chmod(0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        read_keys(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pepper.key", "not base 64!", "not base64"),
        ("pepper.key", base64.b64encode(b"x" * 16).decode(), "this one has 16"),
        ("blind_index.key", "", "this one has 0"),
        ("wrapping.key", "", "holds no key"),
        ("wrapping.key", "one " + base64.b64encode(b"x" * 32).decode(), "a number from 0 to 255"),
        ("wrapping.key", "256 " + base64.b64encode(b"x" * 32).decode(), "a number from 0 to 255"),
    ],
)
def test_a_file_that_holds_no_key_is_named(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)

    with pytest.raises(SettingsError) as refused:
        read_keys(folder)

    assert name in str(refused.value)
    assert said in str(refused.value)
    assert base64.b64encode(b"x" * 16).decode() not in str(refused.value)


def test_the_first_wrapping_key_seals_and_the_others_open(folder: Path) -> None:
    """R60: the wrapping key rotates while the service runs."""
    old, new = ("1 " + base64.b64encode(b"o" * 32).decode(), "2 " + base64.b64encode(b"n" * 32).decode())
    (folder / "wrapping.key").write_text(f"{new}\n\n{old}\n")

    keys = read_keys(folder)

    assert keys.current == 2
    assert keys.wrapping == {1: b"o" * 32, 2: b"n" * 32}
