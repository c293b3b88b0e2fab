"""`session_state` is for one client at one origin (Session Management 1.0 sections 2 and 3.2)."""

import hashlib

import pytest

from oidc.protocol.session_state import session_state
from oidc.protocol.uris import web_origin_of


def test_it_is_the_hash_that_section_3_2_writes_down():
    """A salted hash of client, origin and the browser's state; no space in it, for the message is split at one."""
    said = session_state("parks", "https://parks.example", "a-state", "salt")

    assert said == hashlib.sha256(b"parks https://parks.example a-state salt").hexdigest() + ".salt"


@pytest.mark.parametrize("other", [("taxes", "o", "s", "x"), ("parks", "p", "s", "x"), ("parks", "o", "", "x")])
def test_another_client_origin_or_state_has_another_hash(other):
    """Section 3.2: two services cannot compare what they were told."""
    assert session_state("parks", "o", "s", "x") != session_state(*other)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://Parks.example/callback?a=b", "https://parks.example"),
        ("https://parks.example:443/callback", "https://parks.example"),
        ("http://localhost:80/", "http://localhost"),
        ("http://[::1]:8080/callback", "http://[::1]:8080"),
        ("org.example.app:/callback", None),
        ("no address", None),
    ],
)
def test_an_origin_is_named_as_browsers_name_it(address, origin):
    """RFC 6454 sections 4 and 6.2: lower case, no default port; an app's own scheme has none that a frame could ask."""
    assert web_origin_of(address) == origin
