"""No input makes a parser or rule raise anything but `ProtocolError`: what strangers send is never a crash (R75)."""

import json
from base64 import b64encode, urlsafe_b64encode
from contextlib import suppress
from urllib.parse import urlencode

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from oidc.protocol.authorization import authorization_request_from, read_authorization_request
from oidc.protocol.authorization_details import narrow_details, read_authorization_details
from oidc.protocol.capabilities import Capabilities, DetailType
from oidc.protocol.ciba import read_backchannel_request, resolve_backchannel_request
from oidc.protocol.claims import claims_for_id_token, claims_for_userinfo, read_claims
from oidc.protocol.client import Client
from oidc.protocol.client_assertion import client_named_by, verify_client_assertion
from oidc.protocol.client_metadata import ClientMetadata, registration_of
from oidc.protocol.client_registration import READERS, read_client_metadata
from oidc.protocol.device import read_device_request, typed
from oidc.protocol.dpop import verify_proof
from oidc.protocol.end_session import asking_client, end_session, read_end_session_request
from oidc.protocol.errors import ProtocolError
from oidc.protocol.id_token_hint import verify_id_token_hint
from oidc.protocol.introspection import wants_jwt
from oidc.protocol.jwt import (
    JwtKind,
    require_current,
    require_jti,
    require_lifetime,
    verify_jwt,
    verify_with_embedded_key,
)
from oidc.protocol.keys import read_key_set, read_public_key
from oidc.protocol.parameters import Parameters, parameters_of, read_form, read_query
from oidc.protocol.pkce import read_code_challenge, verify_code_verifier
from oidc.protocol.request_object import read_unsigned, resolve_request_object
from oidc.protocol.resource import read_resources
from oidc.protocol.sector import require_listed_in_sector_document, sector_of
from oidc.protocol.token_exchange import read_exchange_request
from oidc.protocol.token_request import read_client_credentials, read_code_grant, read_refresh_grant
from oidc.protocol.uris import problem_of_redirect_uri, problem_of_web_uri

FORM = "application/x-www-form-urlencoded"
CALLBACK = "https://parks.example/callback"
PROVIDER = Capabilities(
    issuer="https://id.example", response_modes=("query", "form_post"), features=frozenset({"dpop"})
)
UNSIGNED = msgspec.structs.replace(PROVIDER, features=frozenset({"unsigned_request_objects"}))
CLIENT = Client("parks", ClientMetadata(redirect_uris=(CALLBACK,), require_pkce=False))
KIND = JwtKind(name="token", error="invalid_token", typ=frozenset({"jwt"}), algorithms=("ES256",), embeds_key=True)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(max_size=60)
PARAMETERS = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt", "max_age"),
    *("acr_values", "claims", "login_hint", "id_token_hint", "ui_locales", "display", "code_challenge", "resource"),
    *("code_challenge_method", "dpop_jkt", "request", "request_uri", "authorization_details", "logout_hint", "code"),
    *("post_logout_redirect_uri", "client_secret", "client_assertion", "client_assertion_type", "refresh_token"),
    *("grant_type", "code_verifier"),
)
LIKELY = st.sampled_from(
    ["parks", CALLBACK, "code", "query", "openid email", "none", "login", "0", "S256", "{}", "a.b.c", "A" * 43]
)
ASKED = st.dictionaries(st.sampled_from(PARAMETERS), LIKELY | TEXT, max_size=12)


@given(st.binary(max_size=300), st.sampled_from([FORM, None, "text/plain"]) | TEXT)
def test_reading_parameters(raw, content_type):
    """R12."""
    for read in (
        lambda: read_query(raw),
        lambda: read_query(raw, repeats="keep"),
        lambda: read_form(raw, content_type),
    ):
        with suppress(ProtocolError):
            read()


@given(st.lists(st.tuples(st.sampled_from(PARAMETERS), LIKELY | TEXT), max_size=10))
def test_reading_an_authorization_request(pairs):
    """Repeats, nonsense and good values in every mixture."""
    plain = [("client_id", "parks"), ("redirect_uri", CALLBACK), ("response_type", "code"), ("scope", "openid")]
    for query in (urlencode(pairs, errors="replace"), urlencode([*plain, *pairs], errors="replace")):
        with suppress(ProtocolError):
            parameters = read_query(query.encode(), repeats="keep")
            request = read_authorization_request(parameters, CLIENT, PROVIDER)
            assert request.redirect_uri == CALLBACK
            assert authorization_request_from(request.to_bytes()) == request


@given(ASKED, st.none() | TEXT | st.binary(max_size=40).map(lambda raw: "Basic " + b64encode(raw).decode()))
def test_reading_a_token_request(asked, authorization):
    """And the grants in it."""
    body = urlencode(asked, errors="replace").encode()
    for read in (
        lambda: read_client_credentials(read_form(body, FORM, max_bytes=16_384), authorization),
        lambda: read_client_credentials(parameters_of(asked), authorization),
        lambda: read_code_grant(parameters_of(asked)),
        lambda: read_refresh_grant(parameters_of(asked)),
        lambda: read_code_challenge(parameters_of(asked), required=False),
        lambda: read_end_session_request(parameters_of(asked)),
    ):
        with suppress(ProtocolError):
            read()


@given(ASKED)
def test_judging_a_logout(asked):
    """RP-Initiated Logout 1.0."""
    with suppress(ProtocolError):
        request = read_end_session_request(parameters_of(asked))
        asking_client(request, None)
        assert end_session(request, None, CLIENT, None).return_to is None


@given(st.none() | st.just("A" * 43), st.none() | TEXT | st.text("abc._~-", min_size=40, max_size=130))
def test_verifying_a_code_verifier(challenge, verifier):
    """RFC 7636."""
    with suppress(ProtocolError):
        verify_code_verifier(challenge, verifier)


@given(
    JSON | st.fixed_dictionaries({}, optional={"id_token": JSON, "userinfo": st.dictionaries(TEXT, JSON, max_size=4)}),
    JSON,
)
def test_reading_and_applying_claims(document, stored):
    """OpenID Connect Core section 5.5."""
    with suppress(ProtocolError):
        asked = read_claims(json.dumps(document))
        available = stored if isinstance(stored, dict) else {"email": stored}
        for select in (claims_for_id_token, claims_for_userinfo):
            released = select(available, asked, ("openid", "email"), ("name",))
            assert set(released) <= set(available)
        assert msgspec.json.decode(msgspec.json.encode(asked), type=type(asked)) == asked


@given(st.text(max_size=200))
def test_reading_claims_that_are_no_json(raw):
    """OpenID Connect Core section 5.5."""
    with suppress(ProtocolError):
        read_claims(raw)


FIELDS = st.sampled_from([*READERS, "client_name#fr", "tos_uri#", "#", "client_id"])
ADDRESSES = st.sampled_from(
    [CALLBACK, "http://127.0.0.1/", "https://[::1", "org.example:/x", "https://a.example:x/", "https://"]
)
VALUES = (
    JSON
    | st.lists(ADDRESSES | TEXT, max_size=3)
    | ADDRESSES
    | st.sampled_from(["native", "private_key_jwt", "ES256", "ping"])
)


@given(st.dictionaries(FIELDS | TEXT, VALUES, max_size=8))
@example({"redirect_uris": ["https://[::1/cb"]})
def test_reading_registration_metadata(mapping):
    """RFC 7591: anybody may send it where registration is open."""
    for changed in (mapping, {"redirect_uris": [CALLBACK], **mapping}):
        with suppress(ProtocolError):
            read = read_client_metadata(changed, PROVIDER)
            assert sector_of(read.metadata, "parks")
            stored = msgspec.json.encode(read.metadata)
            assert msgspec.json.decode(stored, type=ClientMetadata) == read.metadata
            # What we answer can be sent back as it is (RFC 7592 section 2.2).
            assert read_client_metadata(registration_of(read.metadata), PROVIDER).metadata == read.metadata


@given(TEXT | st.from_regex(r"(https?|[a-z.]+)://?[a-z\[\]:@.*0-9]{0,20}(/[a-z#?%]*)?", fullmatch=True))
def test_judging_an_address(uri):
    """R1: and one that is accepted is accepted again."""
    for _ in range(2):
        problem_of_redirect_uri(uri, "native", loopback_http=True)
        problem_of_web_uri(uri, loopback_http=True)


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_reading_a_sector_document(document):
    """OpenID Connect Registration section 5: fetched from strangers."""
    with suppress(ProtocolError):
        require_listed_in_sector_document(document, CLIENT.metadata)


KEY = st.fixed_dictionaries(
    {"kty": st.sampled_from(["EC", "OKP", "RSA", "oct"]) | JSON},
    optional={
        **dict.fromkeys(("x", "y", "n", "e", "kid", "alg", "use", "key_ops"), st.text("AQB-_", max_size=48) | JSON),
        "crv": st.sampled_from(["P-256", "Ed25519", "X25519", "Ed448"]) | JSON,
    },
)


@given(KEY | JSON)
def test_reading_keys(document):
    """RFC 7517: fetched from strangers."""
    read_public_key(document)
    read_key_set({"keys": [document]})
    read_key_set(document)


@given(data=st.data())
def test_verifying_a_jwt(data, sign, public_keys, now):
    """With headers and claims of every kind, rightly signed."""
    header = data.draw(st.dictionaries(st.sampled_from(["typ", "kid", "jwk", "crit"]), JSON | KEY, max_size=2))
    names = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "auth_time", "events"]
    claims = data.draw(st.dictionaries(st.sampled_from(names), JSON | st.just("parks"), max_size=6) | JSON)
    token = sign(claims, **header)
    for check in (
        lambda: verify_jwt(token, public_keys, KIND),
        lambda: verify_with_embedded_key(token, KIND),
        lambda: client_named_by(token),
        lambda: verify_client_assertion(token, CLIENT, public_keys, PROVIDER, now),
        lambda: verify_id_token_hint(token, public_keys, "https://id.example", ("ES256",)),
    ):
        with suppress(ProtocolError):
            check()
    if isinstance(claims, dict):
        for rule in (
            lambda: require_current(claims, KIND, now, required=("exp",)),
            lambda: require_lifetime(claims, KIND, now, now - now, since="nbf"),
            lambda: require_jti(claims, KIND),
        ):
            with suppress(ProtocolError):
                rule()


@given(st.text(max_size=100) | st.lists(st.text("ab-_", max_size=20), min_size=3, max_size=3).map(".".join))
def test_verifying_what_is_no_jwt(token):
    """RFC 7515."""
    with suppress(ProtocolError):
        verify_jwt(token, (), KIND)
    with suppress(ProtocolError):
        verify_with_embedded_key(token, KIND)


PAYMENT = DetailType(type="payment", required=("amount",))
DETAIL = st.dictionaries(st.sampled_from(["type", "amount", "actions", "locations", "x"]), JSON | st.just("payment"))


@given(JSON | st.lists(DETAIL | st.fixed_dictionaries({"type": st.just("payment"), "amount": JSON}), max_size=3))
def test_reading_authorization_details(document):
    """RFC 9396."""
    with suppress(ProtocolError):
        details = read_authorization_details(json.dumps(document), (PAYMENT,), CLIENT)
        assert tuple(details[place] for place in narrow_details(details, details)) == details


@given(ASKED, st.lists(TEXT | st.just("https://api.example"), max_size=3).map(tuple))
def test_reading_the_requests_of_other_grants(asked, resources):
    """RFC 8628, CIBA Core, RFC 8707, RFC 8693."""
    every = ("urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba")
    client = Client("parks", ClientMetadata(grant_types=every, backchannel_token_delivery_mode="ping"))
    parameters = parameters_of(asked)
    for read in (
        lambda: read_device_request(parameters, client, PROVIDER),
        lambda: read_backchannel_request(parameters, client, PROVIDER),
        lambda: read_resources(Parameters({"resource": resources}), resources),
        lambda: read_exchange_request(parameters),
    ):
        with suppress(ProtocolError):
            read()


@given(TEXT, TEXT)
def test_reading_what_people_type_and_callers_accept(typed_text, accept):
    """RFC 8628 section 6.1, RFC 9701 section 4."""
    assert typed(typed_text) is None or len(typed(typed_text)) == 8
    assert wants_jwt(accept) in (True, False)


@given(data=st.data(), fapi=st.booleans())
def test_verifying_proofs_and_request_objects(data, fapi, sign, keys, public_keys, now):
    """RFC 9449, RFC 9101, CIBA Core: rightly signed, with claims of every kind."""
    names = [
        "iss",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "htm",
        "htu",
        "ath",
        "nonce",
        "client_id",
        "claims",
        "resource",
        "state",
    ]
    moment = int(now.timestamp())
    likely = st.sampled_from(["parks", "https://id.example", moment, moment + 60, "POST", "https://id.example/token"])
    claims = data.draw(st.dictionaries(st.sampled_from(names), likely | JSON, max_size=10) | JSON)
    client = Client("parks", ClientMetadata(profile="fapi2" if fapi else "standard"))
    proof = sign(claims, typ="dpop+jwt", kid=None, jwk=keys["ec"].as_dict(private=False))
    plain = sign(claims)
    url = "https://id.example/token"
    for check in (
        lambda: verify_proof(proof, method="POST", urls=(url,), capabilities=PROVIDER, now=now, access_token="t"),
        lambda: verify_proof(proof, method="POST", urls=(url,), capabilities=PROVIDER, now=now, nonces={"parks": now}),
        lambda: verify_proof(plain, method="POST", urls=(url,), capabilities=PROVIDER, now=now, client=client),
        lambda: resolve_request_object(parameters_of({"request": plain}), client, public_keys, PROVIDER, now),
        lambda: resolve_backchannel_request(parameters_of({"request": plain}), client, public_keys, PROVIDER, now),
    ):
        with suppress(ProtocolError):
            check()


@given(JSON | st.dictionaries(st.sampled_from(PARAMETERS), JSON | TEXT, max_size=8))
def test_reading_an_unsigned_request_object(claims):
    """OpenID Connect Core section 6.1: anybody can write one."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    token = ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
    with suppress(ProtocolError):
        read_unsigned(token, CLIENT, UNSIGNED)
