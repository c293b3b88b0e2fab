"""What a service may have, in a citizen's words: a name for each claim and scope, and a value one can read."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

import msgspec
from babel import Locale, UnknownLocaleError

from accounts.pages.page import N_
from oidc.protocol.claims import claims_of_scopes

FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d")
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

LASTING = N_("Access after you have signed out, until you stop it")


class SharedValues(msgspec.Struct, frozen=True):
    """What is shared: by name (msgid) with the citizen's own value; by name alone what their record does not have;
    and of those the ones that the service says it needs."""

    there: list[tuple[str, str | date]]
    missing: list[str]
    needed: list[str]


def words_of(claims: Iterable[str]) -> list[str]:
    """The names (msgids) of the claims a person would ask about, in the order in which they are shown."""
    held = set(claims)
    return [words for claim, words in CLAIM_WORDS.items() if claim in held]


def shared_values(
    claims: Collection[str], values: Mapping[str, Any], language: str, essential: Collection[str] = ()
) -> SharedValues:
    """The claims a person would ask about, with the citizen's own values."""
    there = {claim: value for claim in claims if (value := readable(claim, values.get(claim), language)) is not None}
    missing = [claim for claim in claims if claim not in there]
    return SharedValues(
        [(words, there[claim]) for claim, words in CLAIM_WORDS.items() if claim in there],
        words_of(missing),
        words_of(claim for claim in missing if claim in essential),
    )


def all_claims(scopes: Iterable[str], claims: Iterable[str]) -> list[str]:
    """Every claim that scopes and further claims release, each once, in a steady order."""
    return sorted({*claims_of_scopes(scopes), *claims})


def readable(claim: str, value: object, language: str) -> str | date | None:
    """A claim's value as a person reads it; None where there is none."""
    if value in (None, "", {}):
        return None
    if isinstance(value, Mapping):
        # An address is its formatted form, or its parts in the order in which they are kept.
        lines = str(value.get("formatted") or "\n".join(str(part) for part in value.values() if part)).splitlines()
        return ", ".join(line.strip() for line in lines if line.strip()) or None
    if claim == "birthdate" and FULL_DATE.fullmatch(str(value)):
        try:
            return date.fromisoformat(str(value))
        except ValueError:  # the specification allows the year 0000 for a birthday without its year
            return str(value)
    if claim == "locale":
        return _language_name(str(value), language)
    return str(value)


def _language_name(tag: str, language: str) -> str:
    try:
        return Locale.parse(tag, sep="-").get_display_name(language) or tag
    except (UnknownLocaleError, ValueError):
        return tag
