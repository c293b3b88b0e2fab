"""What a service may have, in a citizen's words: a name for each claim and scope, and a value one can read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from accounts.pages.page import N_
from oidc.protocol.claims import claims_of_scopes

CLAIM_WORDS: dict[str, str] = {
    "name": N_("Full name"),
    "given_name": N_("First names"),
    "family_name": N_("Family name"),
    "middle_name": N_("Middle names"),
    "nickname": N_("Nickname"),
    "preferred_username": N_("Preferred username"),
    "profile": N_("Profile page"),
    "picture": N_("Picture"),
    "website": N_("Website"),
    "gender": N_("Gender"),
    "birthdate": N_("Date of birth"),
    "zoneinfo": N_("Time zone"),
    "locale": N_("Language"),
    "email": N_("Email address"),
    "address": N_("Address"),
    "phone_number": N_("Phone number"),
}
"""In the order in which they are shown. What is not named here says something about its neighbour
(`email_verified`) or about the record (`updated_at`), and nothing a person would ask about."""

LASTING = N_("Access after you have signed out, until you withdraw it")


class Detail(msgspec.Struct, frozen=True):
    """One thing that is shared: its name (msgid), and its value; None where the citizen's record does not have it."""

    name: str
    value: str | None


def words_of(claims: Iterable[str]) -> list[str]:
    """The names (msgids) of the claims a person would ask about, in the order in which they are shown."""
    held = set(claims)
    return [words for claim, words in CLAIM_WORDS.items() if claim in held]


def details_of(claims: Collection[str], available: Mapping[str, Any]) -> list[Detail]:
    """The claims a person would ask about, with the citizen's own values."""
    return [Detail(words, readable(available.get(claim))) for claim, words in CLAIM_WORDS.items() if claim in claims]


def all_claims(scopes: Iterable[str], claims: Iterable[str]) -> list[str]:
    """Every claim that scopes and further claims release, each once, in a steady order."""
    return sorted({*claims_of_scopes(scopes), *claims})


def readable(value: object) -> str | None:
    """A claim's value on one line; an address is its formatted form, or its parts."""
    if isinstance(value, Mapping):
        parts: Sequence[str] = [value["formatted"]] if value.get("formatted") else [str(v) for v in value.values() if v]
        return ", ".join(line for part in parts for line in part.splitlines()) or None
    return str(value) if value not in (None, "") else None
