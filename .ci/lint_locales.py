"""Locale lint: every text in every language. `--update` brings the translators' files along."""

import re
import sys
from collections.abc import Iterator
from gettext import c2py
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from config.site.languages import DEFAULT, LANGUAGES, LOCALE

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "identity", "oidc", "config")
NOT_TRANSLATED = "config/demo/"  # the sample services and the inbox are for developers
METHODS = [("**/templates/**", "jinja2.ext:babel_extract"), ("**.py", "python")]
OPTIONS = {"**/templates/**": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None, "say": (2,)}
SHOWN = 25  # of each language
PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]")
TAG = re.compile(r"<[^>]+>")
# Dates and versions would change at every run; who translated is in the history of the repository.
HEADER_NOISE = re.compile(
    r'^"(POT-Creation-Date|PO-Revision-Date|Generated-By|Report-Msgid-Bugs-To|Last-Translator|Language-Team): .*\n',
    re.M,
)


def extract() -> Catalog:
    """Every text that a citizen can meet."""
    catalog = Catalog(domain="messages", project="identity", charset="utf-8")
    for package in PACKAGES:
        found = extract_from_dir(
            ROOT / package, METHODS, OPTIONS, KEYWORDS, comment_tags=["NOTE:"], strip_comment_tags=True
        )
        for name, _, message, comments, context in found:
            place = f"{package}/{name}"
            if not place.startswith(NOT_TRANSLATED):
                catalog.add(message, None, [(place, 0)], auto_comments=comments, context=context)
    return catalog


def faults_of(texts: Catalog, translated: Catalog) -> Iterator[str]:
    """What is missing, left over or not alike between the texts and one language."""
    for text in texts:
        if not text.id:
            continue
        name = f"{shortened(text)}"
        translation = translated.get(text.id, text.context)
        if translation is None:
            yield f"{name}: missing"
        elif translation.fuzzy:
            yield f"{name}: fuzzy"
        else:
            yield from (f"{name}: {fault}" for fault in differences(text, translation, translated.num_plurals))
    for message in translated:
        if message.id and texts.get(message.id, message.context) is None:
            yield f"{shortened(message)}: no text of ours any more"
    for message in translated.obsolete.values():
        yield f"{shortened(message)}: a commented-out leftover"


def differences(text: Message, translation: Message, plurals: int) -> Iterator[str]:
    """Compare one text with its translation: forms, placeholders, tags."""
    originals = text.id if isinstance(text.id, (tuple, list)) else (text.id,)
    forms = translation.string if isinstance(translation.string, (tuple, list)) else (translation.string,)
    wanted = plurals if text.pluralizable else 1
    if len(forms) != wanted or not all(forms):
        yield f"{sum(map(bool, forms))} of {wanted} forms are written" if wanted > 1 else "empty"
        return
    named, tags = names_in(*originals), sorted(TAG.findall(originals[-1]))
    for form in forms:
        if text.pluralizable and not names_in(form) <= named:
            yield f"unknown placeholders {sorted(names_in(form) - named)}"
        elif not text.pluralizable and names_in(form) != named:
            yield f"placeholders {sorted(names_in(form))} instead of {sorted(named)}"
        if sorted(TAG.findall(form)) != tags:
            yield f"tags {TAG.findall(form)} instead of {tags}"


def names_in(*texts: str) -> set[str]:
    return {name for text in texts for name in PLACEHOLDER.findall(text)}


def shortened(message: Message) -> str:
    text = message.id[0] if isinstance(message.id, (tuple, list)) else message.id
    return repr(text if len(text) <= 60 else text[:57] + "...")


def path_of(tag: str) -> Path:
    return LOCALE / tag / "LC_MESSAGES" / "messages.po"


def read(tag: str) -> Catalog:
    if not path_of(tag).exists():
        return Catalog(locale=tag, project="identity", charset="utf-8", fuzzy=False)
    with path_of(tag).open("rb") as source:
        return read_po(source, locale=tag)


def update(texts: Catalog) -> None:
    """New texts come in empty, unused ones go, nothing is guessed; what is translated stays as it is."""
    for tag in wanted_languages():
        catalog = read(tag)
        catalog.update(texts, no_fuzzy_matching=True, update_header_comment=False)
        catalog.obsolete.clear()
        catalog.header_comment = header_of(tag, catalog)
        path_of(tag).parent.mkdir(parents=True, exist_ok=True)
        with path_of(tag).open("wb") as target:
            write_po(target, catalog, width=120, include_lineno=False, sort_output=True, ignore_obsolete=True)
        path_of(tag).write_text(HEADER_NOISE.sub("", path_of(tag).read_text()))
        empty = sum(1 for message in catalog if message.id and not any(message.string or ()))
        print(f"{path_of(tag).relative_to(ROOT)}: {len(catalog)} texts, {empty} to translate")


def header_of(tag: str, catalog: Catalog) -> str:
    """Who reads the file is told what each plural form is for."""
    form_of = c2py(catalog.plural_expr)
    forms = [[n for n in range(200) if form_of(n) == form][:5] for form in range(catalog.num_plurals)]
    return "\n".join(
        [
            f"# {LANGUAGES[tag].name}. `python3 .ci/setup.py messages` brings new texts in and takes old ones out.",
            *(f"# msgstr[{form}] is for {', '.join(map(str, numbers))} ..." for form, numbers in enumerate(forms)),
        ]
    )


def wanted_languages() -> list[str]:
    return [tag for tag in LANGUAGES if tag != DEFAULT]


def main() -> int:
    texts = extract()
    if "--update" in sys.argv[1:]:
        update(texts)
        return 0
    count = 0
    for tag in wanted_languages():
        if not path_of(tag).exists():
            print(f"{path_of(tag).relative_to(ROOT)}: missing; `python3 .ci/setup.py messages` makes it")
            count += 1
            continue
        faults = list(faults_of(texts, read(tag)))
        count += len(faults)
        for fault in faults[:SHOWN]:
            print(f"{tag}: {fault}")
        if len(faults) > SHOWN:
            print(f"{tag}: ... and {len(faults) - SHOWN} more")
    print(f"{len(texts)} texts, {len(wanted_languages())} languages, {count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
