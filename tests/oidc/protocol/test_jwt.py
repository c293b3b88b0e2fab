"""One place verifies every JWT, one kind at a time (RFC 7515, RFC 8725, R11)."""

import json
from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey

from oidc.protocol.errors import ProtocolError
from oidc.protocol.jwt import (
    JwtKind,
    UnknownKey,
    parse_jwt,
    read_instant,
    require_current,
    require_jti,
    require_lifetime,
    verify_jwt,
    verify_with_embedded_key,
)
from oidc.protocol.keys import read_key_set, read_public_key, thumbprint

KIND = JwtKind(
    name="token",
    error="invalid_token",
    typ=frozenset({"jwt", None}),
    algorithms=("ES256", "PS256", "RS256", "Ed25519", "EdDSA"),
)
PROOF = JwtKind(
    name="proof", error="invalid_dpop_proof", typ=frozenset({"dpop+jwt"}), algorithms=("ES256",), embeds_key=True
)


def b64(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("key", "alg"), [("ec", "ES256"), ("rsa", "PS256"), ("rsa", "RS256"), ("okp", "Ed25519"), ("okp", "EdDSA")]
)
def test_a_signature_by_a_known_key_holds(sign, public_keys, key, alg):
    """RFC 7518 section 3.1, RFC 9864."""
    jwt = verify_jwt(sign({"a": 1}, key=key, alg=alg), public_keys, KIND)

    assert jwt.claims == {"a": 1}
    assert (jwt.kid, jwt.algorithm) == (key, alg)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/JWT", None])
def test_typ_has_no_case_and_a_short_form(sign, public_keys, typ):
    """RFC 7515 section 4.1.9."""
    assert verify_jwt(sign({}, typ=typ), public_keys, KIND)


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "logout+jwt", "", 7, ["JWT"], {}])
def test_another_kind_of_artefact_is_refused(sign, public_keys, typ):
    """R11: no artefact of one kind where another is expected."""
    with pytest.raises(ProtocolError, match="wrong typ") as refused:
        verify_jwt(sign({}, typ=typ), public_keys, KIND)
    assert refused.value.code == "invalid_token"


@pytest.mark.parametrize("name", ["crit", "jku", "jwk", "x5u", "x5c", "zip", "b64", "enc"])
def test_headers_that_change_the_rules_are_refused(sign, public_keys, name):
    """R11, RFC 8725 section 3.10."""
    with pytest.raises(ProtocolError, match=f"holds {name}"):
        verify_jwt(sign({}, **{name: ["x"]}), public_keys, KIND)


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "ES256K", "", None, 7, ["ES256"]])
def test_the_algorithm_is_ours_to_choose(public_keys, alg):
    """RFC 8725 section 3.1."""
    with pytest.raises(ProtocolError, match="algorithm"):
        verify_jwt(f"{b64({'alg': alg, 'typ': 'JWT'})}.{b64({})}.", public_keys, KIND)


def test_a_public_key_is_never_a_secret(public_keys):
    """RFC 8725 section 2.1: HS256 keyed with the text of a public key."""
    kind = JwtKind(name="token", error="invalid_token", typ=frozenset({None}), algorithms=("HS256",))
    with pytest.raises(UnknownKey):
        verify_jwt(f"{b64({'alg': 'HS256'})}.{b64({})}.{b64(b'x')}", public_keys, kind)


def test_a_changed_token_is_refused(sign, public_keys):
    """RFC 7515 section 5.2."""
    header, _, signature = sign({"sub": "ada"}).split(".")
    for forged in (f"{header}.{b64({'sub': 'bob'})}.{signature}", f"{header}.{b64({'sub': 'ada'})}.{b64(b'x' * 64)}",
                   f"{header}.{b64({'sub': 'ada'})}."):  # fmt: skip
        with pytest.raises(ProtocolError, match="signature of the token is not valid"):
            verify_jwt(forged, public_keys, KIND)


def test_a_key_that_is_not_known_is_worth_another_look(sign, public_keys):
    """OpenID Connect Core section 10.1.1: the client may have rotated its keys."""
    with pytest.raises(UnknownKey):
        verify_jwt(sign({}, key="other"), public_keys, KIND)
    with pytest.raises(UnknownKey):
        verify_jwt(sign({}, kid="elsewhere"), public_keys, KIND)
    with pytest.raises(UnknownKey):
        verify_jwt(sign({}), (), KIND)


def test_a_key_of_the_same_name_must_still_have_signed(sign, public_keys):
    """RFC 7515 section 4.1.4: kid is a hint."""
    with pytest.raises(ProtocolError, match="signature"):
        verify_jwt(sign({}, key="other", kid="ec"), public_keys, KIND)


def test_without_a_kid_the_few_keys_that_fit_are_tried(sign, public_keys, keys):
    """OpenID Connect Core section 10.1: kid may be left out where one key fits."""
    spare = [ECKey.generate_key("P-256") for _ in range(3)]

    assert verify_jwt(sign({}, kid=None), public_keys, KIND)
    assert verify_jwt(sign({}, kid=None), (*spare, *public_keys), KIND)
    with pytest.raises(ProtocolError, match="signature"):
        verify_jwt(sign({}, kid=None), (*spare, spare[0], *public_keys), KIND)
    with pytest.raises(ProtocolError, match="kid"):
        verify_jwt(sign({}, kid=7), public_keys, KIND)


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": "verify"},
        {"alg": "ES384"},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign"], "use": "sig"},
    ],
)
def test_a_key_serves_its_own_purpose_alone(sign, keys, change):
    """R11: its own key use; RFC 7517 sections 4.2 to 4.4."""
    found = read_key_set({"keys": [keys["ec"].as_dict(private=False) | change]})
    with pytest.raises(UnknownKey):
        verify_jwt(sign({}), found, KIND)


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e", "é.é.é", "e30.e30.e", "e30.e30.=", "e30=.e30.", "bm8.e30."),
        *("e30.W10.", "e30.e30.a\n", " e30.e30.", "e30.e30.a b", f"{b64([])}.{b64({})}."),
        f"{b64({'alg': 'ES256'})}.{b64(b'{')}.",
        f"{b64({'alg': 'ES256'})}.{b64(b'[' * 9000)}.",
        f"{b64(b'{}')}.{b64(bytes([255]))}.",
    ],
)
def test_what_is_no_compact_jws_is_refused(public_keys, token):
    """RFC 7515 section 7.1; a JWE has five parts."""
    with pytest.raises(ProtocolError) as refused:
        verify_jwt(token, public_keys, KIND)
    assert refused.value.code == "invalid_token"


def test_claims_are_an_object(sign, public_keys):
    """RFC 7519 section 7.2: a signature over anything else makes no JWT."""
    for claims in ([], "x", 7, None):
        with pytest.raises(ProtocolError, match="is not a signed JWT"):
            verify_jwt(sign(claims), public_keys, KIND)


def test_a_token_is_at_most_16_kb(sign, public_keys):
    """R11."""
    assert verify_jwt(sign({"pad": "x" * 11_000}), public_keys, KIND)
    with pytest.raises(ProtocolError, match="too long"):
        verify_jwt(sign({"pad": "x" * 13_000}), public_keys, KIND)


def test_parts_can_be_read_before_they_are_verified(sign):
    """To find out whose keys to look at, and for no more."""
    assert parse_jwt(sign({"sub": "parks"}, kid=None), KIND).claims == {"sub": "parks"}
    assert parse_jwt(sign({}, kid=None), KIND).kid is None


def test_an_embedded_key_proves_that_its_holder_signed(sign, keys):
    """RFC 9449 section 4.2."""
    public = keys["ec"].as_dict(private=False)
    jwt, key = verify_with_embedded_key(sign({"a": 1}, typ="dpop+jwt", kid=None, jwk=public), PROOF)

    assert jwt.claims == {"a": 1}
    assert thumbprint(key) == keys["ec"].thumbprint()


@pytest.mark.parametrize("header", [{"crit": ["x"]}, {"jku": "https://evil.example"}, {"typ": "jwt"}, {"alg": "none"}])
def test_an_embedded_key_changes_no_other_rule(sign, keys, header):
    """R11: `jwk` is accepted there, and nothing else that is not accepted elsewhere."""
    whole = {"typ": "dpop+jwt", "kid": None, "jwk": keys["ec"].as_dict(private=False)}
    with pytest.raises(ProtocolError):
        verify_with_embedded_key(sign({}, **whole | header), PROOF)


@pytest.mark.parametrize("name", ["private", "missing", "other", "rsa", "text", "symmetric"])
def test_an_embedded_key_is_public_and_made_the_signature(sign, keys, name):
    """RFC 9449 section 4.3, checks 5 to 7; FAPI module dpop-negative-tests."""
    key = {
        "private": keys["ec"].as_dict(private=True),
        "missing": None,
        "other": keys["other"].as_dict(private=False),
        "rsa": keys["rsa"].as_dict(private=False),
        "text": "ec",
        "symmetric": {"kty": "oct", "k": "AAAA"},
    }[name]
    with pytest.raises(ProtocolError) as refused:
        verify_with_embedded_key(sign({}, typ="dpop+jwt", kid=None, jwk=key), PROOF)
    assert refused.value.code == "invalid_dpop_proof"


# --- keys


def test_keys_of_other_kinds_are_passed_over(keys):
    """RFC 7517 section 5: implementations SHOULD ignore JWKs they do not understand."""
    public = keys["ec"].as_dict(private=False)
    document = {
        "keys": [{"kty": "AKP", "x": 1}, public, "x", None, {"kty": "oct", "k": "AAAA"}, {**public, "crv": "P-1"}]
    }

    assert [key.kid for key in read_key_set(document)] == ["ec"]
    for nonsense in (None, [], "x", {}, {"keys": {}}, {"keys": None}):
        assert read_key_set(nonsense) == ()


def test_weak_and_monstrous_keys_are_no_keys(keys):
    """RFC 7518 section 3.3: 2048 bits or more; and no key that costs us a second to try."""
    good = keys["rsa"].as_dict(private=False)

    assert read_public_key(good) is not None
    for modulus in ("A" * 20_000, good["n"][:171], "A" * 200 + good["n"][:171], "", "é", 7, None):
        assert read_public_key(good | {"n": modulus}) is None


@pytest.mark.parametrize(
    "change",
    [
        *({"kid": 7}, {"alg": ["ES256"]}, {"use": 7}, {"key_ops": 7}, {"use": "x", "key_ops": ["verify"]}),
        *({"x": 7}, {"x": "é"}, {"y": ""}, {"crv": ["P-256"]}, {"kty": ["EC"]}, {"x": {"a": {"b": {"c": 1}}}}),
    ],
)
def test_a_malformed_key_is_no_key(keys, change):
    """Fed by strangers: nothing in it may crash us."""
    key = read_public_key(keys["ec"].as_dict(private=False) | change)
    assert key is None or change == {"use": 7}  # a use nobody knows, so it fits nothing


def test_private_and_symmetric_keys_are_never_read(keys):
    """A private key in a public set is a leak, not a key."""
    assert read_public_key(keys["ec"].as_dict(private=True)) is None
    assert read_public_key(OctKey.generate_key(256).as_dict()) is None
    assert read_public_key(OKPKey.generate_key("X25519").as_dict(private=False)) is not None


@pytest.mark.parametrize(
    "change", [{"use": "sig"}, {"alg": "ES256"}, {"key_ops": ["verify"]}, {"use": "sig", "alg": "ES256"}]
)
def test_a_key_that_says_what_it_is_for_is_used_for_that(sign, keys, change):
    """RFC 7517 sections 4.2 to 4.4."""
    assert verify_jwt(sign({}), read_key_set({"keys": [keys["ec"].as_dict(private=False) | change]}), KIND)


@pytest.mark.parametrize(("label", "alg"), [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA"), ("EdDSA", "EdDSA")])
def test_the_old_and_the_new_name_of_ed25519_are_one(sign, keys, label, alg):
    """RFC 9864."""
    found = read_key_set({"keys": [keys["okp"].as_dict(private=False) | {"alg": label}]})
    assert verify_jwt(sign({}, key="okp", alg=alg), found, KIND)


# --- times


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": 60}, True),
        ({"exp": -9}, True),
        ({"exp": -10}, False),
        ({"exp": -300}, False),
        ({"nbf": 8}, True),
        ({"nbf": 10}, True),
        ({"nbf": 11}, False),
        ({"nbf": 60}, False),
        ({"iat": 10}, True),
        ({"iat": 60}, False),
        ({"iat": -3600}, True),
        ({}, True),
    ],
)
def test_clocks_may_differ_by_ten_seconds(now, claims, good):
    """FAPI 2.0 Security Profile section 5.3.2.1: 8 s ahead pass, 60 s do not."""
    moment = {name: int(now.timestamp()) + seconds for name, seconds in claims.items()}
    if good:
        require_current(moment, KIND, now)
    else:
        with pytest.raises(ProtocolError):
            require_current(moment, KIND, now)


def test_a_time_that_must_be_there_is_missed(now):
    """RFC 7519 section 4.1."""
    with pytest.raises(ProtocolError, match="has no exp"):
        require_current({"iat": 0}, KIND, now, required=("iat", "exp"))


@pytest.mark.parametrize("value", [True, "1", -1, 2**40, 1e300, [], {}])
def test_what_is_no_time_is_refused(now, value):
    """RFC 7519 section 2: NumericDate."""
    with pytest.raises(ProtocolError, match="is no time"):
        read_instant({"exp": value}, "exp", KIND)


def test_a_fraction_of_a_second_is_a_time():
    """RFC 7519 section 2: non-integer values can be represented."""
    assert read_instant({"exp": 1.5}, "exp", KIND) == 1.5
    assert read_instant({}, "exp", KIND) is None


def test_a_lifetime_is_bounded(now):
    """R6: a short `exp`."""
    moment = int(now.timestamp())
    hour = timedelta(hours=1)

    require_lifetime({"exp": moment + 3610}, KIND, now, hour)
    require_lifetime({}, KIND, now, hour)
    require_lifetime({"exp": moment + 3600, "nbf": moment}, KIND, now, hour, since="nbf")
    require_lifetime({"exp": moment + 3600}, KIND, now, hour, since="nbf")
    with pytest.raises(ProtocolError, match="too long"):
        require_lifetime({"exp": moment + 3611}, KIND, now, hour)
    with pytest.raises(ProtocolError, match="too long"):
        require_lifetime({"exp": moment, "nbf": moment - 4200}, KIND, now, hour, since="nbf")


@pytest.mark.parametrize("jti", [None, "", 7, "x" * 513])
def test_a_jti_is_a_text_of_sensible_length(jti):
    """RFC 7519 section 4.1.7."""
    assert require_jti({"jti": "x" * 512}, KIND) == "x" * 512
    with pytest.raises(ProtocolError, match="jti"):
        require_jti({"jti": jti}, KIND)
