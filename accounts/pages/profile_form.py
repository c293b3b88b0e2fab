"""What a citizen may write into their profile: names of the world, true dates, addresses of any country."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

from accounts.pages.page import N_, Problem
from accounts.profile import Address

LONGEST = 200
"""Characters of a field; the longest names and address lines known are shorter."""

NAMES = ("name", "given_name", "middle_name", "family_name", "nickname")
ADDRESS = ("street_address", "locality", "region", "postal_code", "country")
BIRTHDATE = ("birthdate-day", "birthdate-month", "birthdate-year")
FIELDS: dict[str, str] = {
    "name": N_("Full name"),
    "given_name": N_("First names"),
    "middle_name": N_("Middle names"),
    "family_name": N_("Family name"),
    "nickname": N_("Nickname"),
    "street_address": N_("Street and number"),
    "locality": N_("Town or city"),
    "region": N_("Region"),
    "postal_code": N_("Postcode"),
    "country": N_("Country"),
}
LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")

Changes = tuple[dict[str, Any], list[Problem]]
"""The claims to change, and what is wrong with the form; where anything is wrong nothing is changed."""


def tidy(written: str) -> str | None:
    """One line of text in one form (NFC), without control characters and doubled spaces; None when empty.
    Any script stays as it is: there is no list of letters that names are made of."""
    visible = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in written)
    return " ".join(unicodedata.normalize("NFC", visible).split()) or None


def names_of(form: Mapping[str, str]) -> Changes:
    """Name parts. The full name alone is required: people with one name have no family name to give."""
    names, problems = _lines(form, NAMES)
    if names["name"] is None:
        problems.append(Problem("name", N_("Enter your full name")))
    return names, problems


def address_of(form: Mapping[str, str]) -> Changes:
    """An address (OpenID Connect Core section 5.1.1), in the lines in which it is written; all empty removes it."""
    lines, problems = _lines(form, ADDRESS)
    if not any(lines.values()):
        return {"address": None}, problems
    return {"address": Address(formatted="\n".join(address_lines(Address(**lines))), **lines)}, problems


def address_lines(address: Address | None) -> list[str]:
    """The address in the lines in which it is written; the citizen's own order where it came as a whole."""
    if address is None:
        return []
    if address.formatted:
        return address.formatted.splitlines()
    town = " ".join(part for part in (address.postal_code, address.locality) if part)
    return [part for part in (address.street_address, town, address.region, address.country) if part]


def birthdate_of(form: Mapping[str, str], today: date) -> Changes:
    """A date that was (ISO 8601, OpenID Connect Core section 5.1); all empty removes it."""
    parts = [form.get(f"birthdate-{part}", "").strip() for part in ("year", "month", "day")]
    if not any(parts):
        return {"birthdate": None}, []
    wrong = Problem("birthdate", N_("Enter a real date, for example 27 3 1985"))
    try:
        born = date(*(int(part) for part in parts))
    except (ValueError, OverflowError):
        return {}, [wrong]
    if born > today:
        return {}, [Problem("birthdate", N_("Your date of birth must be in the past"))]
    if born.year < 1000:  # 85 is not meant as the year 85
        return {}, [Problem("birthdate", N_("Enter the year with four digits, for example 1985"))]
    return {"birthdate": born.isoformat()}, []


def language_of(form: Mapping[str, str]) -> tuple[str, list[Problem]]:
    """A language tag (RFC 5646)."""
    tag = form.get("language", "")
    return tag, [] if LANGUAGE_TAG.match(tag) else [Problem("language", N_("Choose a language"))]


def _lines(form: Mapping[str, str], fields: tuple[str, ...]) -> tuple[dict[str, str | None], list[Problem]]:
    lines = {name: tidy(form.get(name, "")) for name in fields}
    problems = [
        Problem(name, N_("This must be %(longest)s characters or fewer"), {"longest": str(LONGEST)})
        for name, line in lines.items()
        if line is not None and len(line) > LONGEST
    ]
    return lines, problems
