"""Request objects (RFC 9101, OpenID Connect Core section 6.1, FAPI 2.0 Message Signing section 5.3)."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import msgspec
import pytest

from oidc.protocol.authorization import read_authorization_request
from oidc.protocol.capabilities import JAR, RESOURCES, UNSIGNED_JAR
from oidc.protocol.errors import INVALID_REQUEST_OBJECT, INVALID_REQUEST_URI, ProtocolError
from oidc.protocol.parameters import parameters_of
from oidc.protocol.request_object import by_value, registered_reference, resolve_request_object

ISSUER, CALLBACK = "https://id.example", "https://parks.example/callback"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def unsigned(claims, **header):
    """A request object with `alg` none."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"} | header, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


@pytest.fixture
def provider(capabilities):
    """With request objects switched on."""
    return msgspec.structs.replace(
        capabilities, features=frozenset({JAR, UNSIGNED_JAR, RESOURCES}), resources=("https://api.example",)
    )


@pytest.fixture
def client(client_of):
    """A plain client."""
    return client_of()


@pytest.fixture
def signing(client):
    """A client of the message signing profile."""
    return msgspec.structs.replace(
        client, metadata=msgspec.structs.replace(client.metadata, profile="fapi2-message-signing")
    )


@pytest.fixture
def said(now):
    """The claims of a good request object, with changes (times in seconds from now; None takes one away)."""

    def make(**changes):
        claims = {
            "iss": "parks",
            "aud": ISSUER,
            "nbf": 0,
            "exp": 300,
            "client_id": "parks",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "inside",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes
        for name in {"nbf", "exp", "iat"} & set(claims):
            claims[name] = claims[name] if claims[name] is None else int(now.timestamp()) + claims[name]
        return {name: value for name, value in claims.items() if value is not None}

    return make


@pytest.fixture
def resolve(public_keys, provider, now):
    """Resolve a request object that came with other parameters."""

    def run(token, client, **outer):
        parameters = parameters_of({"client_id": "parks", "request": token, **outer})
        return resolve_request_object(parameters, client, public_keys, provider, now)

    return run


@pytest.fixture
def refusal(resolve):
    """The code of the refusal."""

    def run(token, client, **outer):
        with pytest.raises(ProtocolError) as refused:
            resolve(token, client, **outer)
        return refused.value.code

    return run


def test_in_a_signed_object_only_what_was_signed_counts(resolve, sign, said, signing, client):
    """RFC 9101 section 6.3; modules different-state-inside-and-outside-, state-only-outside-request-object-not-used."""
    for either in (signing, client):
        found = resolve(sign(said()), either, state="outside", nonce="outside", prompt="login")
        assert found.signed
        assert found.parameters.get("state") == "inside"
        assert "nonce" not in found.parameters
        assert "prompt" not in found.parameters
        assert "iss" not in found.parameters
    assert "state" not in resolve(sign(said(state=None)), signing, state="outside").parameters


def test_what_was_signed_is_judged_like_any_request(resolve, sign, said, client, provider):
    """Numbers, JSON and several resources stand as themselves in a JWT (RFC 9101 section 4)."""
    claims = said(
        max_age=600,
        claims={"id_token": {"email": None}},
        resource=["https://api.example"],
        nonce="",
    ) | {"prompt": None}
    parameters = resolve(sign(claims), client).parameters
    request = read_authorization_request(parameters, client, provider)

    assert request.max_age == 600
    assert list(request.claims.id_token) == ["email"]
    assert request.resource == ("https://api.example",)
    assert request.nonce is None


@pytest.mark.parametrize(
    "changes",
    [{"exp": None}, {"nbf": None}, {"exp": -60}, {"exp": 3700}, {"nbf": -3700, "exp": 60}, {"nbf": -4200, "exp": -600},
     {"nbf": 60}, {"aud": None}, {"aud": "https://evil.example"}, {"aud": []}, {"iss": None}, {"iss": "taxes"}],
)  # fmt: skip
def test_a_signing_client_says_who_for_whom_and_when(refusal, sign, said, signing, changes):
    """Message Signing section 5.3.1; modules ...-without-exp-, -without-nbf-, -bad-aud-, -exp-over-60-fails."""
    assert refusal(sign(said(**changes)), signing) == "invalid_request_object"


@pytest.mark.parametrize("changes", [{"nbf": 8}, {"aud": [ISSUER, "https://other.example"]}, {"nbf": -3500, "exp": 90}])
def test_what_the_profile_allows_is_accepted(resolve, sign, said, signing, changes):
    """Modules ...-with-nbf-8-seconds-in-the-future-is-accepted, -with-multiple-aud-succeeds."""
    assert resolve(sign(said(**changes)), signing).signed


def test_elsewhere_less_may_be_said_but_nothing_false(resolve, refusal, sign, said, client):
    """RFC 9101 section 5.2.1: iss, aud SHOULD be there."""
    assert resolve(sign(said(iss=None, aud=None, exp=None, nbf=None)), client).signed
    assert resolve(sign(said(nbf=-90000, exp=90000)), client).signed
    for changes in ({"iss": "taxes"}, {"aud": "https://evil.example"}, {"exp": -60}, {"nbf": 60}, {"aud": 7}):
        assert refusal(sign(said(**changes)), client) == "invalid_request_object"


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "taxes"}, {"client_id": 7}, {"request": "a.b.c"}, {"request_uri": "urn:x"}, {"sub": "parks"}],
)
def test_an_object_is_one_clients_and_holds_no_other(refusal, sign, said, client, signing, changes):
    """RFC 9101 sections 4, 5 and 10.8: so that it is no client assertion either."""
    assert refusal(sign(said(**changes)), client) == "invalid_request_object"
    assert refusal(sign(said(**changes)), signing) == "invalid_request_object"


@pytest.mark.parametrize(
    "changes",
    [
        {"max_age": 1.5},
        {"max_age": True},
        {"state": {}},
        {"state": ["a"]},
        {"resource": [7]},
        {"resource": {"a": 1}},
        {"claims": 1.5},
        {"claims": {"a": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}},
        {"prompt": ["login"]},
    ],
)
def test_a_claim_of_a_wrong_type_is_refused(refusal, sign, said, client, changes):
    """RFC 9101 section 4: each parameter in its own form."""
    assert refusal(sign(said(**changes)), client) == "invalid_request_object"


def test_claims_of_a_request_object_that_nobody_knows_are_ignored(resolve, sign, said, client):
    """RFC 6749 section 3.1 on this path too: however many and of whatever kind."""
    odd = {"utm": ["x"], "caf\n": {"deep": [1.5]}, **{f"p{number}": "x" for number in range(65)}}
    assert set(resolve(sign(said(**odd)), client).parameters.values) == set(
        resolve(sign(said()), client).parameters.values
    )


def test_what_no_parameter_may_hold_no_claim_may_hold(refusal, sign, said, client):
    """R12, R73 on this path too."""
    assert refusal(sign(said(state="a\nb")), client) == "invalid_request"


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": None}, {"typ": "oauth-authz-req+jwt"}])
def test_the_type_may_be_said(resolve, sign, said, signing, header):
    """RFC 9101 section 10.8."""
    assert resolve(sign(said(), **header), signing).signed


def test_no_other_jwt_is_a_request_object(refusal, sign, said, signing):
    """R11."""
    for typ in ("client-authentication+jwt", "dpop+jwt", "at+jwt"):
        assert refusal(sign(said(), typ=typ), signing) == "invalid_request_object"


def test_the_signature_is_the_clients_and_of_an_accepted_algorithm(resolve, refusal, sign, said, client, signing):
    """Modules ensure-matching-key-, -invalid-signature-fails, -signed-request-object-with-RS256-fails."""
    rsa = {"key": "rsa", "alg": "RS256"}

    assert refusal(sign(said(), key="other", kid="ec"), signing) == "invalid_request_object"
    assert refusal(sign(said(), **rsa), signing) == "invalid_request_object"
    assert resolve(sign(said(), **rsa), client).signed
    metadata = msgspec.structs.replace(client.metadata, request_object_signing_alg="RS256")
    registered = msgspec.structs.replace(client, metadata=metadata)
    assert resolve(sign(said(), **rsa), registered).signed
    assert refusal(sign(said()), registered) == "invalid_request_object"
    assert refusal(unsigned(said()), registered) == "invalid_request_object"


def test_a_client_that_must_sign_is_not_heard_unsigned(refusal, said, client, signing, public_keys, provider, now):
    """Modules ensure-unsigned-request-at-par-endpoint-fails, request-object-signature-algorithm-is-not-none."""
    asked = msgspec.structs.replace(
        client, metadata=msgspec.structs.replace(client.metadata, require_signed_request_object=True)
    )
    for must in (signing, asked):
        assert refusal(unsigned(said()), must) == "invalid_request"
        with pytest.raises(ProtocolError) as refused:
            resolve_request_object(parameters_of({"client_id": "parks"}), must, public_keys, provider, now)
        assert refused.value.code == "invalid_request"


def test_an_unsigned_object_is_another_way_to_write_parameters(resolve, refusal, said, client):
    """OpenID Connect Core section 6.1; what is beside it fills what it leaves out."""
    found = resolve(unsigned(said(nonce=None)), client, nonce="outside", state="outside")

    assert not found.signed
    assert found.parameters.get("nonce") == "outside"
    assert found.parameters.get("state") == "inside"
    assert "request" not in found.parameters
    assert refusal(unsigned(said(client_id="taxes")), client) == "invalid_request_object"
    assert refusal(unsigned(said()) + "AAAA", client) == "invalid_request_object"
    assert refusal(unsigned(said(), jku="https://evil.example"), client) == "invalid_request_object"


def test_an_unsigned_object_is_refused_unless_a_setting_allows_it(said, client, provider, now):
    """RFC 9101 section 4: it is signed, unless the deployment says otherwise."""
    strict = msgspec.structs.replace(provider, features=provider.features - {UNSIGNED_JAR})
    asked = parameters_of({"client_id": "parks", "request": unsigned(said())})
    with pytest.raises(ProtocolError) as refused:
        resolve_request_object(asked, client, (), strict, now)
    assert refused.value.code == "invalid_request_object"
    assert "not signed" in refused.value.description


@pytest.mark.parametrize("value", [[{"type": "payment"}], {"type": "payment"}])
def test_details_and_audiences_may_be_written_as_json(resolve, sign, said, client, value):
    """RFC 9101 section 4, RFC 9396 section 3: in an object they need not be text within text."""
    signed = sign(said(authorization_details=value, audience=["https://a.example", "https://b.example"]))
    found = resolve(signed, client).parameters

    assert json.loads(found.get("authorization_details")) == value
    assert found.all("audience") == ("https://a.example", "https://b.example")
    assert found.get("client_id") == "parks"


def test_without_an_object_the_parameters_are_what_came(client, public_keys, provider, now):
    """The common case."""
    parameters = parameters_of({"client_id": "parks", "state": "s"})
    found = resolve_request_object(parameters, client, public_keys, provider, now)
    assert (found.parameters, found.signed) == (parameters, False)


def test_an_object_is_fetched_only_from_a_registered_address(client):
    """OpenID Connect Core section 6.2, R72: byte for byte, and never for clients that must push their requests."""
    registered = "https://parks.example/request.jwt#digest"
    metadata = msgspec.structs.replace(client.metadata, request_uris=(registered,))
    client = msgspec.structs.replace(client, metadata=metadata)
    pushing = msgspec.structs.replace(client, metadata=msgspec.structs.replace(metadata, profile="fapi2"))

    assert registered_reference(parameters_of({"request_uri": registered}), client) == registered
    for other in (registered.partition("#")[0], registered + "x", "https://elsewhere.example/request.jwt"):
        assert registered_reference(parameters_of({"request_uri": other}), client) is None
    assert registered_reference(parameters_of({"request_uri": registered}), pushing) is None


@pytest.mark.parametrize("reference", ["https://parks.example/request.jwt", "https://elsewhere.example/request.jwt"])
def test_an_object_and_a_reference_never_stand_together(client, reference):
    """RFC 9101 section 5: nothing is fetched, and nothing passed over."""
    with pytest.raises(ProtocolError) as refused:
        registered_reference(parameters_of({"request_uri": reference, "request": "x.y.z"}), client)
    assert refused.value.code == "invalid_request"


def test_what_is_fetched_is_what_the_fragment_says():
    """OpenID Connect Core section 6.2: the fragment is the SHA-256 of the document."""
    document = b"x.y.z"
    digest = urlsafe_b64encode(sha256(document).digest()).decode().rstrip("=")
    asked = parameters_of({"request_uri": "...", "state": "s"})

    found = by_value(asked, f"https://parks.example/r#{digest}", document)
    assert by_value(asked, f"https://parks.example/r#{digest}=", document) == found

    assert (found.get("request"), found.get("state"), "request_uri" in found) == ("x.y.z", "s", False)
    with pytest.raises(ProtocolError) as refused:
        by_value(asked, f"https://parks.example/r#{digest}", document + b"!")
    assert refused.value.code == INVALID_REQUEST_URI
    with pytest.raises(ProtocolError) as unreadable:
        by_value(asked, "https://parks.example/r", b"\xff")
    assert unreadable.value.code == INVALID_REQUEST_OBJECT
