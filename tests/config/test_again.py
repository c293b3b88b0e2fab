"""The same request once more: which of its fields may stand in a page."""

import re
from pathlib import Path

import pytest

from config.house import TEMPLATE_FOLDERS
from config.site.again import is_secret

SECRET = re.compile(r"(?:password|code)_field\((?:name=)?\"(\w+)\"|type=\"password\"[^>]*name=\"(\w+)\"")
TEXTS = [path.read_text() for folder in TEMPLATE_FOLDERS for path in Path(folder).glob("*.html")]


def test_no_field_of_a_password_or_code_is_shown() -> None:
    """Of all fields that a template of ours has."""
    names = {name for text in TEXTS for found in SECRET.findall(text) for name in found if name}
    assert {"password", "code"} <= names
    assert {name for name in names if not is_secret(name)} == set()


@pytest.mark.parametrize("name", ["user_code", "credential", "proof", "csrf_token", "client_secret", "id_token_hint"])
def test_nor_is_anything_else_that_is_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["identifier", "given_name", "postal_code", "phone", "interaction", "code_challenge"])
def test_what_a_person_typed_is(name: str) -> None:
    assert not is_secret(name)
