"""What strangers sent, as a log or an answer may repeat it: short, in plain letters, and it opens nothing (R66)."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

MOST = 20
"""Values of a list that are repeated."""
HIDDEN = "(not shown)"
_WORD = re.compile(r"[A-Za-z0-9._:/~-]{1,100}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# Codes, tokens and cookies of ours have 43 such characters; so have names of keys, of which the beginning is enough.
_LONG = re.compile(r"[A-Za-z0-9_-]{40,}")
_NUMBER = re.compile(r"[0-9]{6,}")
_SHOWN_OF_LONG = 8


def legible(value: str) -> str:
    """A name, a scope, a method, a host: as it is. An address: without what its query says and without what may be a
    person's or a secret. Anything else is not repeated."""
    if ":/" in value or "?" in value:
        return _address(value)
    return _shortened(value) if _WORD.fullmatch(value) else HIDDEN


def all_legible(values: str | Iterable[str]) -> str | list[str]:
    """One value, or the first of many."""
    return legible(values) if isinstance(values, str) else [legible(value) for value in list(values)[:MOST]]


def _address(value: str) -> str:
    try:
        parts = urlsplit(value[:2048])
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return HIDDEN
    host = f"//{_or_hidden(parts.hostname)}{port}" if parts.hostname else ""
    path = "/".join(_segment(segment) for segment in parts.path.split("/"))
    names = dict.fromkeys(name if _NAME.fullmatch(name) else HIDDEN for name, _ in parse_qsl(parts.query, True)[:MOST])
    query = f"?{'&'.join(f'{_shortened(name)}=' for name in names)}" if parts.query else ""
    fragment = "#" if value.find("#") >= 0 else ""
    return f"{_or_hidden(parts.scheme)}:{host}{path}{query}{fragment}"


def _segment(segment: str) -> str:
    return "..." if _NUMBER.search(segment) else _or_hidden(segment)


def _or_hidden(part: str) -> str:
    return _shortened(part) if not part or _WORD.fullmatch(part) else "..."


def _shortened(word: str) -> str:
    return _LONG.sub(lambda run: f"{run[0][:_SHOWN_OF_LONG]}...", word)
