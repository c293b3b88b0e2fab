"""`identity settings`: every setting with its default and its meaning, as the settings' file of a new deployment."""

import textwrap
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from config.settings import Settings

HEAD = """
Every setting with its default: keep this as identity.toml and take the # from what you change.
IDENTITY_SECTION__KEY in the environment outranks the file, IDENTITY_SECTION__KEY_FILE reads a value (a secret) from
another file, and --setting section.key=value outranks both. `identity doctor --settings identity.toml` says what is
wrong.
"""
ALONE = {
    "issuer": (
        "The https address of this service, without a slash at its end. It must be set.",
        "https://account.example.gov",
    ),
    "mode": ("`production`; `identity demo` and `identity simulate` set their own.", "production"),
}
TABLES = {
    "resource": """
        #[[resource]]
        #uri = "https://api.parks.example.gov"
        #name = {en = "City Parks", fr = "Parcs de la ville"}
        #scopes = {"parks.book" = {en = "Book places for you", fr = "Réserver des places pour vous"}}
        #introspected_by = "parks"
        #signing_algorithm = "ES256"
        """,
    "authorization_detail": """
        #[[authorization_detail]]
        #type = "payment"
        #name = {en = "A payment"}
        #fields = {amount = {en = "Amount"}, to = {en = "To"}}
        #required = ["amount"]
        #actions = {pay = {en = "Pay once"}}
        #every_time = true
        """,
}
"""Examples, as what may be there many times has no defaults."""


@click.command(short_help="Every setting, its default and its meaning.")
def settings() -> None:
    """Print every setting with its default and its meaning, as a file to begin with:

    identity settings > identity.toml
    """
    click.echo(page())


def page() -> str:
    """A settings file that sets nothing yet: `# ` stands before words, `#` before what can be set."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from _words(HEAD)
    for field in msgspec.structs.fields(Settings):
        yield ""
        if field.name in ALONE:
            words, value = ALONE[field.name]
            yield from _words(words)
            yield f"#{field.name} = {_toml(value)}"
        elif field.name in TABLES:
            yield from _words(field.type.__args__[0].__doc__)
            yield from textwrap.dedent(TABLES[field.name]).strip().splitlines()
        else:
            yield from _section(field.name, field.default)


def _section(name: str, section: Any) -> Iterator[str]:
    yield from _words(type(section).__doc__ or "")
    yield f"[{name}]"  # no comment, so that a key which loses its # is in its own section
    within = {field.name: field.default for field in msgspec.structs.fields(section)}
    for key, value in within.items():
        if not isinstance(value, msgspec.Struct):
            yield f"#{key} = {_toml(value)}"
    for key, value in within.items():  # last: what follows a table's head in TOML is the table's
        if isinstance(value, msgspec.Struct):
            yield ""
            yield from _section(f"{name}.{key}", value)


def _words(text: str) -> Iterator[str]:
    for line in textwrap.dedent("    " + text.strip()).splitlines():
        yield f"# {line.strip()}".rstrip()


def _toml(value: Any) -> str:
    """Texts, numbers, yes or no, and lists of texts are written in TOML as in JSON; an underscore helps to read."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}" if value >= 100_000 else str(value)
    return msgspec.json.encode(value).decode()
