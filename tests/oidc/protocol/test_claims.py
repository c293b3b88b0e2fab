"""Scopes, the `claims` parameter and agreement decide what leaves the house (OpenID Connect Core section 5)."""

import json

import pytest

from oidc.protocol.claims import (
    NO_CLAIMS,
    PERSONAL_CLAIMS,
    ClaimAsked,
    ClaimsAsked,
    claims_beyond_scopes,
    claims_for_id_token,
    claims_for_userinfo,
    claims_of_scopes,
    read_claims,
)
from oidc.protocol.errors import ProtocolError

ADA = {
    "name": "Ada Lovelace",
    "name#fr": "Ada de Lovelace",
    "given_name": "Ada",
    "family_name": "",
    "address": {},
    "email": "ada@example.org",
    "email_verified": False,
    "phone_number": None,
    "updated_at": 0,
    "national_id": "42",
}


def claims(**sections):
    return read_claims(json.dumps(sections))


def test_a_scope_releases_its_claims_at_userinfo_only():
    """Section 5.4: with a code, scopes speak of userinfo; the ID token stays small."""
    scopes = ("openid", "profile", "email")

    assert claims_for_userinfo(ADA, NO_CLAIMS, scopes) == {
        "name": "Ada Lovelace",
        "given_name": "Ada",
        "updated_at": 0,
        "email": "ada@example.org",
        "email_verified": False,
    }
    assert claims_for_id_token(ADA, NO_CLAIMS, scopes) == {}


def test_nothing_is_released_that_was_not_granted():
    """R10: only the claims asked for, and agreed to."""
    asked = claims(id_token={"email": None}, userinfo={"email": {"essential": True}})

    assert claims_for_userinfo(ADA, NO_CLAIMS, ("openid",)) == {}
    assert claims_for_userinfo(ADA, asked, ("openid",)) == {}
    assert claims_for_id_token(ADA, asked, ("openid",)) == {}


def test_claims_for_the_id_token_and_for_userinfo_are_apart():
    """Section 5.5."""
    asked = claims(id_token={"email": {"essential": True}}, userinfo={"given_name": None})
    agreed = ("email", "given_name")

    assert claims_for_id_token(ADA, asked, ("openid",), agreed) == {"email": "ada@example.org"}
    assert claims_for_userinfo(ADA, asked, ("openid",), agreed) == {"given_name": "Ada"}


def test_a_claim_that_is_not_there_is_left_out():
    """Section 5.3.2: not null and not empty; false and zero are values."""
    released = claims_for_userinfo(ADA, NO_CLAIMS, ("profile", "email", "phone", "address"))

    assert not {"family_name", "phone_number", "address", "nickname"} & set(released)
    assert released["email_verified"] is False
    assert released["updated_at"] == 0


@pytest.mark.parametrize(
    ("how", "released"),
    [
        ({"value": "ada@example.org"}, True),
        ({"value": "bob@example.org"}, False),
        ({"values": ["bob@example.org", "ada@example.org"]}, True),
        ({"values": ["bob@example.org"], "essential": True}, False),
        ({"values": []}, True),
        ({"value": {"nested": True}}, True),
    ],
)
def test_a_claim_asked_for_with_a_value_is_that_or_left_out(how, released):
    """Section 5.5.1: another value is not an error, and not an answer."""
    asked = claims(userinfo={"email": how})
    assert ("email" in claims_for_userinfo(ADA, asked, ("openid", "email"))) is released


def test_a_claim_that_does_not_leave_hides_no_claim_after_it():
    """Section 5.5.1."""
    asked = claims(userinfo={"email": {"value": "another@example.org"}, "name": None})
    assert "name" in claims_for_userinfo(ADA, asked, ("openid", "email", "profile"))
    unknown_first = claims(id_token={"made_up": None, "name": None})
    assert "name" in claims_for_id_token(ADA, unknown_first, ("openid", "profile"), ("name",))


def test_true_is_not_one():
    """Section 5.5.1: values are compared as JSON has them."""
    assert ClaimAsked(values=(False,)).accepts(False)
    assert not ClaimAsked(values=(0,)).accepts(False)
    assert not ClaimAsked(values=("0",)).accepts(0)


def test_a_claim_in_a_language_comes_in_it_or_without_tag():
    """Section 5.2."""
    asked = claims(userinfo={"name#fr": None, "given_name#ar": None, "name#": None})
    assert claims_for_userinfo(ADA, asked, ("openid",), ("name", "given_name")) == {
        "name#fr": "Ada de Lovelace",
        "given_name": "Ada",
        "name": "Ada Lovelace",
    }


def test_what_is_no_standard_claim_never_leaves():
    """R10: also where the store holds it and somebody asks."""
    asked = claims(userinfo={"national_id": {"essential": True}, "sub": None})

    assert claims_for_userinfo(ADA, asked, ("openid", "profile"), ("national_id",)).get("national_id") is None
    assert asked.names == ()


def test_claims_beyond_the_scopes_need_an_agreement_of_their_own():
    """R13."""
    asked = claims(id_token={"email": None, "acr": None, "name#fr": None}, userinfo={"birthdate": {"essential": True}})

    assert claims_beyond_scopes(asked, ("openid", "email")) == ("name", "birthdate")
    assert claims_beyond_scopes(asked, ("openid", "email", "profile")) == ()
    assert asked.essential == {"birthdate"}


def test_each_scope_releases_what_the_specification_lists():
    """Section 5.4."""
    assert claims_of_scopes(["email"]) == {"email", "email_verified"}
    assert claims_of_scopes(["phone"]) == {"phone_number", "phone_number_verified"}
    assert claims_of_scopes(["address"]) == {"address"}
    assert len(claims_of_scopes(["profile"])) == 14
    assert claims_of_scopes(["openid", "offline_access", "fly"]) == frozenset()
    assert len(PERSONAL_CLAIMS) == 19


def test_members_we_do_not_know_are_ignored():
    """Section 5.5: other members MUST be ignored."""
    assert claims(access_token={"x": 1}, id_token={"x": {"purpose": "y"}}) == ClaimsAsked(id_token={"x": ClaimAsked()})
    assert claims(id_token=None) == NO_CLAIMS
    assert claims(userinfo={"a b": None, "": None, "é": None}) == NO_CLAIMS
    assert read_claims(None) == NO_CLAIMS


@pytest.mark.parametrize(
    "raw",
    [
        *("", "{", "[]", "null", "7", '"x"', '{"id_token": []}', '{"id_token": "x"}', '{"userinfo": {"email": true}}'),
        '{"userinfo": {"email": {"essential": "yes"}}}',
        '{"userinfo": {"email": {"values": "x"}}}',
        json.dumps({"userinfo": {f"c{number}": None for number in range(65)}}),
        json.dumps({"userinfo": {"email": {"values": [1] * 65}}}),
        '{"id_token": {"sub": {"value": "a"}}, "userinfo": {"sub": {"value": "b"}}}',
        '{"id_token": {"sub": {"values": ["a", "b"]}}}',
        '{"x": ' * 2000 + "1" + "}" * 2000,
        '{"x": ' + "[" * 20 + "]" * 20 + "}",
        '{"x": "\\ud800"}',
    ],
)
def test_malformed_claims_are_refused(raw):
    """Section 5.5: it is JSON, of a known shape."""
    with pytest.raises(ProtocolError) as refused:
        read_claims(raw)
    assert refused.value.code == "invalid_request"


def test_a_request_can_be_about_one_person():
    """Section 5.5.1: `sub` with a value."""
    assert claims(id_token={"sub": {"value": "a"}}).subject == "a"
    assert claims(userinfo={"sub": {"values": ["a"]}}, id_token={"sub": None}).subject == "a"
    assert NO_CLAIMS.subject is None
