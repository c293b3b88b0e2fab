"""One-time codes as people type them: spaces, dashes, full-width and other digits all mean the same (R24)."""

import unicodedata

MAX_TYPED = 128
"""Nothing longer is a code; it is not looked at further."""


def plain_code(typed: str) -> str:
    """The code without spaces, dashes and invisible characters, in upper case, any script's digits as ASCII ones."""
    if len(typed) > MAX_TYPED:
        return ""
    return "".join(map(_plain, unicodedata.normalize("NFKC", typed))).upper()


def _plain(character: str) -> str:
    # Spaces and line ends; dashes of every length and the minus sign; marks that only steer direction or joining.
    if character.isspace() or character == "\u2212" or unicodedata.category(character) in ("Pd", "Cf", "Cc"):
        return ""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
