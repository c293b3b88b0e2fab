"""The deployment's own keys: three files that are never in the database, and never replaced behind its back."""

import base64
import binascii
import os
import secrets
from pathlib import Path

from accounts.vault import VaultKeys
from config.settings import SettingsError

FILES = WRAPPING, BLIND_INDEX, PEPPER = "wrapping.key", "blind_index.key", "pepper.key"
LENGTH = 32


def make_keys(directory: Path) -> None:
    """Make the three key files (0600) where there are none yet; files that exist stay as they are."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in FILES:
        key = base64.b64encode(secrets.token_bytes(LENGTH)).decode()
        try:
            with open(directory / name, "x", opener=_private) as file:
                file.write(f"1 {key}\n" if name == WRAPPING else f"{key}\n")
        except FileExistsError:
            continue


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read_keys(directory: Path) -> VaultKeys:
    """Read the key files. Raises `SettingsError` naming the file and what is wrong with it.

    `wrapping.key` holds a line `NUMBER BASE64` a key; the first line's key seals, the others only open.
    """
    wrapping: dict[int, bytes] = {}
    current: int | None = None
    for line in _text(directory / WRAPPING).splitlines():
        if not line.strip():
            continue
        number, _, encoded = line.strip().partition(" ")
        if not number.isdigit() or int(number) > 255:
            raise SettingsError(f"{directory / WRAPPING}: each line is a number from 0 to 255, a space, a base64 key")
        wrapping[int(number)] = _key(directory / WRAPPING, encoded)
        current = int(number) if current is None else current
    if current is None:
        raise SettingsError(f"{directory / WRAPPING}: holds no key")
    return VaultKeys(
        wrapping=wrapping,
        current=current,
        blind_index=_key(directory / BLIND_INDEX, _text(directory / BLIND_INDEX)),
        pepper=_key(directory / PEPPER, _text(directory / PEPPER)),
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path}: others can read it; run: chmod 600 {path}")
        return path.read_text("ascii")
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: missing. Bring back the file that belongs to this database; "
            "only for a new deployment make keys with: identity keys create"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__})") from None


def _key(path: Path, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise SettingsError(f"{path}: not base64") from None
    if len(key) != LENGTH:
        raise SettingsError(f"{path}: a key is {LENGTH} bytes, this one has {len(key)}")
    return key
