"""Passwords that everyone tries first: a shipped list, the patterns behind it, and an operator's larger list."""

import functools
import hashlib
import mmap
import re
import unicodedata
from pathlib import Path

_SHIPPED = Path(__file__).with_name("data") / "common_passwords.txt"
_LEET = [str.maketrans("@403!$57" + "1", "aaoeisst" + one) for one in "il"]
_RUNS = (
    "1234567890" * 13,
    "abcdefghijklmnopqrstuvwxyz" * 5,
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "!@#$%^&*()_+",
)
_SHORTEST = 8
_HASH_LINE = re.compile(rb"[0-9A-F]{40}(:\d+)?\s*\Z")


@functools.cache
def _shipped() -> frozenset[str]:
    lines = _SHIPPED.read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def is_common(password: str) -> bool:
    """Whether a password is on the shipped list, one of its entries in disguise (case, digits and signs around it,
    signs for letters), one unit over and over, or a walk along the keyboard."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    spellings = {folded, _core(folded)}
    spellings |= {spelling.translate(table) for spelling in spellings for table in _LEET}
    spellings |= {_unit(_core(spelling)) for spelling in spellings} | {_unit(spelling) for spelling in spellings}
    return (
        not spellings.isdisjoint(_shipped())
        or len(_unit(folded)) < min(_SHORTEST, len(folded))
        or any(folded in run or folded[::-1] in run for run in _RUNS)
    )


def _core(password: str) -> str:
    """Without the digits and signs around it: "password2026!" is "password"."""
    return password.strip("".join({c for c in password if not c.isalpha()}))


def _unit(text: str) -> str:
    """The shortest text that, repeated, makes this one; the text itself when there is none."""
    return text[: (text + text).find(text, 1)] if text else text


class BreachedList:
    """A large list on disk, searched by halving: lines of upper-case SHA-1 in hex, sorted, `:count` optional."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            first = file.readline(200)
            if not _HASH_LINE.match(first):
                raise ValueError(f"{path} does not begin with an upper-case SHA-1 in hex")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __contains__(self, password: str) -> bool:
        wanted = hashlib.sha1(password.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest().upper()
        return self._has(wanted.encode())

    def _has(self, wanted: bytes) -> bool:
        low, high = 0, len(self._map)
        while low < high:
            # `low` is always the beginning of a line, `high` the end of one or of the file.
            middle = self._map.rfind(b"\n", low, (low + high) // 2) + 1 or low
            found = self._map[middle : middle + 40]
            if found == wanted:
                return True
            if found < wanted:
                end = self._map.find(b"\n", middle)
                low = len(self._map) if end < 0 else end + 1
            else:
                high = middle
        return False


@functools.cache
def breached_list(path: str) -> BreachedList:
    """The list at a path, opened once. Raises OSError or ValueError, which names the file: open it at start."""
    return BreachedList(path)
