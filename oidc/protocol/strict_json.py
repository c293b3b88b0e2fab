"""JSON from strangers: an object or nothing, never a crash."""

from collections.abc import Mapping
from typing import Any

import msgspec

MAX_DEPTH = 16


def json_object(raw: bytes | str) -> dict[str, Any] | None:
    """The object `raw` spells, or None where it is malformed, no object, or nested deeper than anything we know."""
    value = json_value(raw)
    return value if isinstance(value, dict) else None


def json_value(raw: bytes | str) -> object:
    """The value `raw` spells, or None where it is malformed (which a JSON `null` is, for every use of ours)."""
    try:
        # A lone surrogate is a str in Python but no Unicode text: it could not be stored or sent.
        value = msgspec.json.decode(raw.encode() if isinstance(raw, str) else raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if is_shallow(value) else None


def is_shallow(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether nothing in the value lies deeper than `depth` (so that no later walk runs out of stack)."""
    if isinstance(value, Mapping):
        return depth > 0 and all(is_shallow(member, depth - 1) for member in value.values())
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_shallow(member, depth - 1) for member in value)
    return True


def is_text(value: object) -> bool:
    """Whether it is a string with something in it, free of control characters."""
    return isinstance(value, str) and value != "" and value.isprintable()
