"""The language of a page: what was chosen by hand, then what is wanted, then the browser's."""

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from config.site.languages import LANGUAGES, LOCALE, accepted, choose, say, supported


def catalog(tag: str) -> Catalog:
    with Path(LOCALE, tag, "LC_MESSAGES", "messages.po").open("rb") as source:
        return read_po(source, locale=tag)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("cy", ["cy"]),
        ("en;q=0.5, cy", ["cy", "en"]),
        ("fr-CA;q=0.8, es;q=0.9, en;q=0.8", ["es", "fr-CA", "en"]),
        ("de;q=0, ar", ["ar"]),
        ("*;q=0.1, fr ; q = 0.2", ["fr", "*"]),
        ("cy;q=2, fr;q=abc, ;;;, es", ["es"]),
        ("", []),
    ],
)
def test_accept_language_is_read_with_its_weights(header: str, expected: list[str]) -> None:
    """RFC 9110 section 12.5.4: by weight, then by position; zero means never, broken ranges are skipped."""
    assert accepted(header) == expected


def test_a_choice_by_hand_outranks_the_request_the_account_and_the_browser() -> None:
    """Product: `ui_locales`, then the account's language, then the browser's; what a citizen chose comes first."""
    assert choose(["cy"], ["fr", "es"], "ar") == "cy"
    assert choose([None, ""], ["fr", "es"], "ar") == "fr"
    assert choose([None], ["de", "es-MX"], "ar") == "es"
    assert choose([None], [], "de, ar-EG;q=0.7, en;q=0.5") == "ar"
    assert choose([None], [], "de", "fr") == "fr"
    assert choose([None], [], "de, *;q=0.5, es;q=0.1", "fr") == "fr"


@given(st.text(), st.lists(st.text()), st.text())
def test_no_value_of_a_stranger_is_an_error(explicit: str, wanted: list[str], header: str) -> None:
    """Unknown and malformed values lead to a language of ours."""
    assert choose([explicit], wanted, header) in LANGUAGES


def test_regions_and_underscores_find_their_language() -> None:
    assert supported("fr-CA") == supported("fr_CA") == supported("FR") == "fr"
    assert supported("frr") is None
    assert supported(None) is None


def test_a_text_without_translation_is_said_in_english() -> None:
    assert say("cy", "Nobody translated %(what)s", what="this") == "Nobody translated this"
    assert say("cy", "Continue") == "Parhau"
    assert say("en", "Continue") == "Continue"


@pytest.mark.parametrize("tag", [tag for tag in LANGUAGES if tag != "en"])
def test_translations_keep_their_placeholders(tag: str) -> None:
    """A lost or renamed placeholder would break the page in that language alone."""
    read = catalog(tag)
    for message in read:
        if message.id:
            assert not list(message.check(read)), message.id


@pytest.mark.parametrize("tag", [tag for tag in LANGUAGES if tag != "en"])
def test_every_catalog_has_the_plural_forms_of_its_language(tag: str) -> None:
    forms = {"es": 2, "fr": 2, "cy": 5, "ar": 6}
    assert catalog(tag).num_plurals == forms[tag]
