"""Languages: which one a page speaks, and its catalog of texts."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

import msgspec
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE = Path(__file__).with_name("locale")
COOKIE = "identity_lang"
"""Holds what the citizen chose by hand."""
PARAMETER = "lang"
"""Of the query: `?lang=cy` chooses by hand."""

LONGEST_HEADER = 500
"""Characters of Accept-Language that are read; no browser sends more."""


class Language(msgspec.Struct, frozen=True):
    """A language of the pages, named in itself; `direction` is `ltr` or `rtl`."""

    tag: str
    name: str
    direction: str = "ltr"


LANGUAGES: Mapping[str, Language] = {
    language.tag: language
    for language in (
        Language("en", "English"),
        Language("es", "Español"),
        Language("fr", "Français"),
        Language("cy", "Cymraeg"),
        Language("ar", "العربية", "rtl"),
    )
}
DEFAULT = "en"

_TAG = r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*"
_WEIGHT = r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?"
_RANGE = re.compile(rf"\s*({_TAG})\s*(?:;\s*q\s*=\s*({_WEIGHT})\s*)?", re.ASCII)


def supported(value: str | None) -> str | None:
    """The tag of ours that serves this one (`fr-CA` is served by `fr`), or None. Never an error."""
    primary = re.split("[-_]", value or "", maxsplit=1)[0].lower()
    return primary if primary in LANGUAGES else None


def accepted(header: str) -> list[str]:
    """The ranges of an Accept-Language header, the dearest first (RFC 9110 section 12.5.4); broken ones are skipped."""
    weighed = []
    for part in header[:LONGEST_HEADER].split(","):
        if (found := _RANGE.fullmatch(part)) and (weight := float(found[2] or 1)) > 0:
            weighed.append((weight, found[1]))
    return [tag for _, tag in sorted(weighed, key=lambda pair: -pair[0])]


def choose(explicit: Iterable[str | None], wanted: Iterable[str], header: str, default: str = DEFAULT) -> str:
    """What the citizen chose by hand, else what the request or account wants, else the browser's, else the default."""
    for value in (*explicit, *wanted):
        if tag := supported(value):
            return tag
    for value in accepted(header):
        if value == "*":
            return default
        if tag := supported(value):
            return tag
    return default


@cache
def catalog_of(tag: str) -> NullTranslations:
    """The texts of a language, read once a process from its `.po` file; English is the source and needs none."""
    path = LOCALE / tag / "LC_MESSAGES" / "messages.po"
    if tag == "en" or not path.exists():
        return NullTranslations()
    compiled = BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=tag))
    compiled.seek(0)
    return GNUTranslations(compiled)


def say(tag: str, message: str, **values: object) -> str:
    """One text in a language, for Python code (mail, messages). `%(name)s` is a value, `%%` a percent sign."""
    return catalog_of(tag).gettext(message) % values


def quantity(tag: str, number: int, unit: str) -> str:
    """`3 minutes` in a language. Our own texts, because the CLDR data Babel carries lacks days in Welsh and Arabic.

    `unit`: second, minute, hour, day, week, month or year; a KeyError for another.
    """
    ngettext = catalog_of(tag).ngettext
    texts = {
        "second": ngettext("%(num)s second", "%(num)s seconds", number),
        "minute": ngettext("%(num)s minute", "%(num)s minutes", number),
        "hour": ngettext("%(num)s hour", "%(num)s hours", number),
        "day": ngettext("%(num)s day", "%(num)s days", number),
        "week": ngettext("%(num)s week", "%(num)s weeks", number),
        "month": ngettext("%(num)s month", "%(num)s months", number),
        "year": ngettext("%(num)s year", "%(num)s years", number),
    }
    return texts[unit] % {"num": number}
