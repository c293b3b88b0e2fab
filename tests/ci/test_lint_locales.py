"""The locale lint names every text that a citizen would meet untranslated or broken."""

from io import BytesIO

import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po
from lint_locales import faults_of

TEXTS = Catalog()
TEXTS.add("Hello")
TEXTS.add("Dear %(name)s, <b>read</b> this")
TEXTS.add(("%(num)s day", "%(num)s days"))

COMPLETE = """
msgid "Hello"
msgstr "Bonjour"

msgid "Dear %(name)s, <b>read</b> this"
msgstr "<b>Lisez</b> ceci, %(name)s"

msgid "%(num)s day"
msgid_plural "%(num)s days"
msgstr[0] "un jour"
msgstr[1] "%(num)s jours"
"""


def faults(po: str) -> list[str]:
    return list(faults_of(TEXTS, read_po(BytesIO(po.encode()), locale="fr")))


def test_a_complete_catalog_has_no_fault() -> None:
    """A plural form may leave the number out."""
    assert faults(COMPLETE) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('msgid "Hello"\nmsgstr "Bonjour"', "", "missing"),
        ("Bonjour", "", "empty"),
        ('msgid "Hello"', '#, fuzzy\nmsgid "Hello"', "fuzzy"),
        ("ceci, %(name)s", "ceci, %(nom)s", "placeholders"),
        ("<b>Lisez</b>", "Lisez", "tags"),
        ("%(num)s jours", "", "1 of 2 forms"),
        ("un jour", "%(n)s jour", "unknown placeholders"),
        ('msgid "Hello"', 'msgid "Bye"\nmsgstr "Adieu"\n\nmsgid "Hello"', "no text of ours"),
        ('msgid "Hello"', '#~ msgid "Bye"\n#~ msgstr "Adieu"\n\nmsgid "Hello"', "leftover"),
    ],
)
def test_each_fault_is_named(before: str, after: str, fault: str) -> None:
    """One thing broken at a time."""
    assert before in COMPLETE
    found = faults(COMPLETE.replace(before, after))
    assert len(found) == 1
    assert fault in found[0]
