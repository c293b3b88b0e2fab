"""DPoP proofs, check by check (RFC 9449 section 4.3, R7)."""

import hashlib
from base64 import urlsafe_b64encode
from datetime import timedelta

import msgspec
import pytest

from oidc.protocol.dpop import (
    Proof,
    normalized,
    one_proof,
    require_bound_key,
    require_same_key_as_announced,
    require_scheme_of_binding,
    verify_proof,
)
from oidc.protocol.errors import ProtocolError

URL = "https://id.example/token"
TOKEN = "t0k3n"
ATH = urlsafe_b64encode(hashlib.sha256(TOKEN.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def prove(sign, keys, capabilities, now):
    """Verify a proof with changed claims (`iat` in seconds from now; None takes one away) and header."""

    def check(claims=None, header=None, *, url=URL, method="POST", **context):
        said = {"jti": "j", "htm": "POST", "htu": URL, "iat": 0} | (claims or {})
        said = {name: value for name, value in said.items() if value is not None}
        for name in {"iat", "exp", "nbf"} & set(said):
            said[name] = int(now.timestamp()) + said[name]
        head = {"typ": "dpop+jwt", "kid": None, "jwk": keys["ec"].as_dict(private=False)} | (header or {})
        return verify_proof(
            sign(said, **head), method=method, urls=(url,), capabilities=capabilities, now=now, **context
        )

    return check


@pytest.fixture
def refusal(prove):
    """The code of the refusal."""

    def check(*args, **context):
        with pytest.raises(ProtocolError) as refused:
            prove(*args, **context)
        return refused.value.code

    return check


def test_a_good_proof_names_its_key(prove, keys, now):
    """Section 6.1: the thumbprint is what tokens are bound to."""
    proof = prove()
    assert (proof.jkt, proof.jti, proof.issued_at) == (keys["ec"].thumbprint(), "j", now)
    assert proof.expires_at == now + timedelta(seconds=70), "as long as it would be accepted, and the skew"


def test_there_is_one_proof_or_none():
    """Check 1."""
    assert one_proof([]) is None
    assert one_proof(["a.b.c"]) == "a.b.c"
    with pytest.raises(ProtocolError, match="more than one"):
        one_proof(["a.b.c", "d.e.f"])


@pytest.mark.parametrize("name", ["jti", "htm", "htu", "iat"])
def test_every_claim_is_needed(refusal, name):
    """Check 3."""
    assert refusal({name: None}) == "invalid_dpop_proof"


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "dpop", "dpop+jwt2"])
def test_no_other_jwt_is_a_proof(refusal, typ):
    """Check 4, R11."""
    assert refusal(None, {"typ": typ}) == "invalid_dpop_proof"


def test_the_type_has_no_case(prove):
    """RFC 7515 section 4.1.9."""
    assert prove(None, {"typ": "DPoP+JWT"})


def test_fapi_accepts_no_rs256(prove, refusal, client_of, keys):
    """FAPI 2.0 Security Profile section 5.4."""
    rsa = {"key": "rsa", "alg": "RS256", "kid": None, "jwk": keys["rsa"].as_dict(private=False)}
    client = client_of()
    metadata = msgspec.structs.replace(client.metadata, profile="fapi2")
    fapi = msgspec.structs.replace(client, metadata=metadata)

    assert prove(None, rsa, client=client)
    assert refusal(None, rsa, client=fapi) == "invalid_dpop_proof"
    assert prove(None, rsa | {"alg": "PS256"}, client=fapi)


def test_the_proof_is_for_this_method(refusal):
    """Check 8; methods have case (RFC 9110 section 9.1)."""
    assert refusal({"htm": "GET"}) == "invalid_dpop_proof"
    assert refusal({"htm": "post"}) == "invalid_dpop_proof"


@pytest.mark.parametrize(
    "htu", [URL, URL + "?a=b", URL + "#c", URL + "?a#c", "HTTPS://ID.example/token", "https://id.example:443/%74oken"]
)
def test_the_address_is_compared_without_query_and_normalised(prove, htu):
    """Check 9, RFC 3986 sections 6.2.2 and 6.2.3."""
    assert prove({"htu": htu})
    assert prove({"htu": htu}, url=URL + "?x=y")


@pytest.mark.parametrize(
    "htu",
    [
        *(
            "http://id.example/token",
            "https://id.example/Token",
            "https://id.example/token/",
            "https://evil.example/token",
        ),
        *("https://id.example:8443/token", "https://id.example/%54oken", "https://ada@id.example/token"),
        *("/token", "", 7, None, "x"),
    ],
)
def test_the_proof_is_for_this_address(refusal, htu):
    """Check 9."""
    assert refusal({"htu": htu}) == "invalid_dpop_proof"


def test_escapes_are_compared_as_what_they_mean():
    """RFC 3986 section 6.2.2: case of the digits, and letters that need no escape."""
    assert normalized("https://a.example/%7ex%2f") == normalized("https://A.example:443/~x%2F")
    assert normalized("https://a.example/%c3%aA") == "https://a.example:443/%C3%AA"
    assert normalized("https://a.example") == normalized("https://a.example/")
    assert normalized("https://a.example/%2f") != normalized("https://a.example//")


@pytest.mark.parametrize(
    ("seconds", "good"),
    [(10, True), (11, False), (3600, False), (-10, True), (-60, True), (-61, False), (-3600, False)],
)
def test_a_proof_was_made_a_moment_ago(prove, refusal, seconds, good):
    """Check 11; FAPI modules dpopproof-with-iat-10seconds-before- and -after-succeeds."""
    if good:
        assert prove({"iat": seconds})
    else:
        assert refusal({"iat": seconds}) == "invalid_dpop_proof"


def test_a_proof_may_say_how_long_it_lasts(prove, refusal):
    """FAPI module check-dpop-proof-nbf-exp: accepted, and believed."""
    assert prove({"nbf": 0, "exp": 300})
    assert refusal({"exp": -300}) == "invalid_dpop_proof"


def test_a_proof_beside_a_token_is_for_that_token(prove, refusal):
    """Check 12."""
    assert prove({"ath": ATH}, access_token=TOKEN)
    for ath in (None, "x", 7, ATH + "x", "é"):
        assert refusal({"ath": ath}, access_token=TOKEN) == "invalid_dpop_proof"
    assert prove()


def test_a_nonce_of_ours_says_when_the_proof_was_made(prove, refusal, now):
    """Section 8: better than the client's clock, so `iat` is not judged then."""
    nonces = {"n-2": now, "n-1": now - timedelta(seconds=50)}

    proof = prove({"nonce": "n-1", "iat": -3600}, nonces=nonces)
    assert proof.issued_at == now - timedelta(seconds=50)
    assert (proof.jkt, proof.jti) == (prove().jkt, "j")
    assert proof.expires_at > now
    for nonce in (None, "n-0", 7, ["n-1"]):
        assert refusal({"nonce": nonce}, nonces=nonces) == "use_dpop_nonce"
    assert refusal({"nonce": "n-1", "iat": None}, nonces=nonces) == "invalid_dpop_proof"


def test_what_is_bound_to_a_key_is_used_with_that_key(prove, now):
    """Sections 5, 7.1, 10: code, refresh token, access token (R7)."""
    proof = Proof("key-1", "j", now, now)

    require_bound_key(None, None)
    require_bound_key(proof, None)
    require_bound_key(proof, "key-1")
    for other in (None, Proof("key-2", "j", now, now)):
        with pytest.raises(ProtocolError) as refused:
            require_bound_key(other, "key-1")
        assert refused.value.code == "invalid_grant"
    with pytest.raises(ProtocolError) as refused:
        require_bound_key(None, "key-1", error="invalid_token")
    assert refused.value.status == 401


def test_a_bound_token_is_no_bearer_token():
    """Section 7.1; FAPI module access-token-type-header-case-sensitivity."""
    require_scheme_of_binding("DPoP", "key-1")
    require_scheme_of_binding("dpop", "key-1")
    require_scheme_of_binding("Bearer", None)
    for scheme, jkt in (("Bearer", "key-1"), ("bearer", "key-1"), ("DPoP", None)):
        with pytest.raises(ProtocolError) as refused:
            require_scheme_of_binding(scheme, jkt)
        assert refused.value.code == "invalid_token"


def test_header_and_parameter_name_the_same_key(now):
    """Section 10.1; FAPI modules ensure-mismatched-dpop-jkt-fails, dpopproof-at-par-endpoint-binding-success."""
    proof = Proof("key-1", "j", now, now)

    assert require_same_key_as_announced(None, None) is None
    assert require_same_key_as_announced(None, "key-1") == "key-1"
    assert require_same_key_as_announced(proof, None) == "key-1"
    assert require_same_key_as_announced(proof, "key-1") == "key-1"
    with pytest.raises(ProtocolError) as refused:
        require_same_key_as_announced(proof, "key-2")
    assert refused.value.code == "invalid_dpop_proof"
