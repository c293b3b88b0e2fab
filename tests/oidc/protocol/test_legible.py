"""What of a stranger's words may be repeated (R66)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidc.protocol.legible import all_legible, legible

TOKEN = "V2hhdCBhIHRva2VuIGxvb2tzIGxpa2UsIGluIDQzIGNo"


@pytest.mark.parametrize(
    "name", ["parks", "offline_access", "client_secret_post", "https://api.example/v1", "com.a:/cb"]
)
def test_names_and_addresses_are_repeated_as_they_are(name):
    assert legible(name) == name


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ada:pw@parks.example:8443/cb?code=c&state=s", "https://parks.example:8443/cb?code=&state="),
        (f"https://parks.example/{TOKEN}", "https://parks.example/V2hhdCBh..."),
        ("https://parks.example/ada@example.org/1815121000", "https://parks.example/.../..."),
        ("https://parks.example/cb#access_token=t", "https://parks.example/cb#"),
    ],
)
def test_an_address_is_repeated_without_what_it_says_of_anybody(address, shown):
    assert legible(address) == shown


@pytest.mark.parametrize("value", ["ada@example.org", "a b", 'a","level":"error', "a\nb", "\x1b[31m", "‮", "x" * 101])
def test_what_may_be_a_person_or_forge_a_line_is_not_repeated(value):
    assert legible(value) in {"(not shown)", "xxxxxxxx..."}


@given(st.text() | st.from_regex(r"https?://.{0,80}", fullmatch=True))
def test_nothing_breaks_it(value):
    assert all(" " < letter <= "~" for letter in legible(value).replace("(not shown)", ""))
    assert TOKEN not in legible(value + TOKEN)


def test_a_list_is_cut():
    assert len(all_legible(["a"] * 1000)) == 20
