"""Software statements: metadata that a trusted issuer has signed (RFC 7591 sections 2.3 and 3.1.1)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidc.protocol.errors import ProtocolError
from oidc.protocol.software_statement import with_statement

REGISTRY = "https://registry.example"


@pytest.fixture
def register(sign, public_keys, now):
    """The metadata of a registration with a statement; times in seconds from now."""

    def run(claims, beside=None, **header):
        for name in {"exp", "nbf", "iat"} & set(claims):
            claims[name] += int(now.timestamp())
        given = {"software_statement": sign(claims, **header), **(beside or {})}
        return with_statement(given, REGISTRY, public_keys, now)

    return run


def test_what_is_signed_outranks_what_stands_beside_it(register):
    """RFC 7591 section 3.1.1; what the JWT says of itself is no metadata."""
    claims = {"iss": REGISTRY, "iat": 0, "exp": 60, "jti": "j", "client_name": "Parks"}
    found = register(claims, {"client_name": "Evil", "contacts": ["a@b.example"]})

    assert found.pop("software_statement")
    assert found == {"client_name": "Parks", "contacts": ["a@b.example"]}


@pytest.mark.parametrize("given", [{}, {"software_statement": None}, {"software_statement": 7}])
def test_a_statement_that_is_asked_for_must_be_there(public_keys, now, given):
    """RFC 7591 section 3.2.2."""
    with pytest.raises(ProtocolError) as refused:
        with_statement(given, REGISTRY, public_keys, now)
    assert refused.value.code == "unapproved_software_statement"


@pytest.mark.parametrize("issuer", [None, "https://evil.example", REGISTRY + "/", [REGISTRY]])
def test_another_issuers_word_does_not_count(register, issuer):
    """RFC 7591 section 3.2.2: unapproved_software_statement."""
    with pytest.raises(ProtocolError) as refused:
        register({"iss": issuer})
    assert refused.value.code == "unapproved_software_statement"


@pytest.mark.parametrize(
    ("claims", "header"),
    [({"exp": -60}, {}), ({"nbf": 60}, {}), ({}, {"key": "other", "kid": "ec"}), ({}, {"typ": "at+jwt"})],
)
def test_a_statement_is_current_and_signed_by_its_issuer(register, claims, header):
    """RFC 7591 section 3.2.2: invalid_software_statement."""
    with pytest.raises(ProtocolError) as refused:
        register({"iss": REGISTRY} | claims, **header)
    assert refused.value.code == "invalid_software_statement"


@given(st.text() | st.lists(st.text("ab-_", max_size=20), min_size=3, max_size=3).map(".".join))
def test_no_text_is_a_crash(public_keys, now, text):
    """R75: anybody may send it."""
    with suppress(ProtocolError):
        with_statement({"software_statement": text}, REGISTRY, public_keys, now)
