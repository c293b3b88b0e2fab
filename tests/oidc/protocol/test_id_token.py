"""What our tokens say: ID token, logout token, token answer; and an ID token coming back as a hint."""

from datetime import timedelta

import pytest

from oidc.protocol.errors import ProtocolError
from oidc.protocol.id_token import half_hash, id_token_claims
from oidc.protocol.id_token_hint import Hint, hinted_sub, verify_id_token_hint
from oidc.protocol.logout_token import TYP, logout_token_claims
from oidc.protocol.token_response import token_response

ISSUER = "https://id.example"


@pytest.fixture
def id_token(now):
    """The claims of an ID token, with changes."""

    def make(**changes):
        facts = {
            "issuer": ISSUER,
            "sub": "ada-at-parks",
            "client_id": "parks",
            "now": now,
            "lifetime": timedelta(minutes=5),
            "auth_time": now - timedelta(hours=1),
            "acr": "aal2",
        }
        return id_token_claims(**facts | changes)

    return make


def test_an_id_token_says_who_when_and_how(id_token, now):
    """OpenID Connect Core section 2, R10: one audience as a string, times as numbers, amr as a list."""
    moment = int(now.timestamp())

    assert id_token(amr=("pwd", "otp"), nonce="n", sid="s", jti="j", at_hash="h") == {
        "iss": ISSUER,
        "sub": "ada-at-parks",
        "aud": "parks",
        "exp": moment + 300,
        "iat": moment,
        "jti": "j",
        "auth_time": moment - 3600,
        "acr": "aal2",
        "amr": ["pwd", "otp"],
        "nonce": "n",
        "sid": "s",
        "at_hash": "h",
    }


def test_what_was_not_asked_or_is_not_known_is_left_out(id_token):
    """OpenID Connect Core section 2: no null, and no `azp` beside a single audience."""
    assert set(id_token(acr=None)) == {"iss", "sub", "aud", "exp", "iat", "auth_time"}


def test_a_claim_about_the_person_never_replaces_one_about_the_token(id_token):
    """R10: whatever the store of claims holds."""
    forged = id_token(claims={"sub": "bob", "acr": "aal3", "aud": "taxes", "nonce": "x", "name": "Ada"})

    assert (forged["sub"], forged["acr"], forged["aud"], forged["name"]) == ("ada-at-parks", "aal2", "parks", "Ada")
    assert "nonce" not in forged


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("RS256", "77QmUPtjPfzWtF2AnpK9RQ"),
        ("ES256", "77QmUPtjPfzWtF2AnpK9RQ"),
        ("PS384", "N60YVgmkLLMvNKXj5W8lBTxjHpNdk5xv"),
        ("Ed25519", "NbMO4UZGhA4XCLHcMJBUbMGB7T1MKEZKXHYVw_vCnOw"),
    ],
)
def test_the_access_token_is_tied_to_the_id_token(algorithm, expected):
    """OpenID Connect Core section 3.1.3.6; the example is of section A.3."""
    found = half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", algorithm)
    assert len(found) == len(expected)
    if algorithm.endswith("256"):
        assert found == expected


def test_a_logout_token_names_one_session(now):
    """Back-Channel Logout 1.0 section 2.4: events, jti, no nonce, two minutes."""
    moment = int(now.timestamp())
    claims = logout_token_claims(issuer=ISSUER, client_id="parks", sub="ada-at-parks", sid="s", jti="j", now=now)

    assert claims == {
        "iss": ISSUER,
        "aud": "parks",
        "iat": moment,
        "exp": moment + 120,
        "jti": "j",
        "sub": "ada-at-parks",
        "sid": "s",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    everywhere = logout_token_claims(issuer=ISSUER, client_id="parks", sub="ada-at-parks", sid=None, jti="j", now=now)
    assert "sid" not in everywhere
    assert TYP == "logout+jwt"


def test_a_token_answer_says_what_was_granted():
    """RFC 6749 section 5.1: always the scope, never a null."""
    answer = token_response(access_token="a", expires_in=timedelta(minutes=10), scope=("openid", "email"))
    assert answer == {"access_token": "a", "token_type": "Bearer", "expires_in": 600, "scope": "openid email"}
    whole = token_response(
        access_token="a",
        expires_in=timedelta(minutes=10),
        scope=(),
        token_type="DPoP",
        id_token="i",
        refresh_token="r",
        more={"authorization_details": []},
    )
    assert whole == {
        "access_token": "a",
        "token_type": "DPoP",
        "expires_in": 600,
        "id_token": "i",
        "refresh_token": "r",
        "authorization_details": [],
    }


# --- the hint


@pytest.fixture
def hint_of(sign, public_keys):
    """The hint that claims make, signed as ours."""

    def read(claims, **header):
        return verify_id_token_hint(sign(claims, **header), public_keys, ISSUER, ("ES256", "RS256"))

    return read


def test_an_id_token_is_a_hint_long_after_it_expired(hint_of, id_token, now):
    """RP-Initiated Logout section 4: the OP accepts it when the session is current or was recent."""
    old = id_token(now=now - timedelta(days=400), sid="s")

    assert hint_of(old) == Hint("parks", "ada-at-parks", "s")
    assert hint_of(id_token(), typ=None) == Hint("parks", "ada-at-parks")
    assert hint_of(id_token(), key="rsa", alg="RS256")


@pytest.mark.parametrize(
    "change",
    [{"iss": "https://evil.example"}, {"aud": ["parks"]}, {"aud": None}, {"sub": None}, {"sub": 7}, {"sid": 7},
     {"exp": None}, {"iat": None}, {"auth_time": None}, {"auth_time": "x"}, {"events": {}}],
)  # fmt: skip
def test_nothing_but_an_id_token_of_ours_is_a_hint(hint_of, id_token, change):
    """R11: no logout token, userinfo or authorization response passes for one."""
    claims = {name: value for name, value in (id_token() | change).items() if value is not None}
    with pytest.raises(ProtocolError) as refused:
        hint_of(claims)
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize("header", [{"typ": "logout+jwt"}, {"typ": "at+jwt"}, {"key": "other", "kid": "ec"}])
def test_a_hint_is_signed_by_us_as_an_id_token(hint_of, id_token, header):
    """Modules oidcc-rp-initiated-logout-bad-id-token-hint and -modified-id-token-hint."""
    with pytest.raises(ProtocolError):
        hint_of(id_token(), **header)


def test_a_hint_for_another_client_says_nothing_here():
    """OpenID Connect Core section 8: a `sub` of another sector names nobody we could compare."""
    assert hinted_sub(None, "parks") is None
    assert hinted_sub(Hint("parks", "ada-at-parks"), "parks") == "ada-at-parks"
    with pytest.raises(ProtocolError, match="another client"):
        hinted_sub(Hint("taxes", "ada-at-taxes"), "parks")
