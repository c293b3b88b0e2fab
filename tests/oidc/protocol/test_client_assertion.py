"""`private_key_jwt` (RFC 7523 section 3, FAPI 2.0 Security Profile section 5.3.2.1, R6)."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from oidc.protocol.client_assertion import verify_client_assertion
from oidc.protocol.errors import ProtocolError

ISSUER, TOKEN, PAR = "https://id.example", "https://id.example/token", "https://id.example/par"


@pytest.fixture
def client(client_of, keys):
    """A client that signs."""
    jwks = {"keys": [keys["ec"].as_dict(private=False), keys["rsa"].as_dict(private=False)]}
    return client_of(token_endpoint_auth_method="private_key_jwt", jwks=jwks)


@pytest.fixture
def fapi(client):
    """The same, bound by FAPI 2.0."""
    return msgspec.structs.replace(client, metadata=msgspec.structs.replace(client.metadata, profile="fapi2"))


@pytest.fixture
def verify(sign, public_keys, capabilities, now):
    """Verify an assertion with changed claims (seconds from now for times; None takes one away)."""

    def check(client, header=None, **changes):
        claims = {"iss": "parks", "sub": "parks", "aud": ISSUER, "jti": "j", "exp": 60, "iat": 0} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        for name in {"exp", "iat", "nbf"} & set(claims):
            claims[name] = int(now.timestamp()) + claims[name]
        assertion = sign(claims, **(header or {}))
        return verify_client_assertion(assertion, client, public_keys, capabilities, now, endpoints=(TOKEN, PAR))

    return check


@pytest.fixture
def refused(verify):
    """The assertion is refused as the client's, whatever is wrong."""

    def check(client, header=None, **changes):
        with pytest.raises(ProtocolError) as error:
            verify(client, header, **changes)
        return error.value.code == "invalid_client"

    return check


def test_a_good_assertion_says_what_may_not_come_again(verify, client, fapi, now):
    """RFC 7523 section 3 item 7: the caller keeps `jti` until it has expired."""
    for either in (client, fapi):
        used = verify(either)
        assert (used.jti, used.issued_at, used.expires_at) == ("j", now, now + timedelta(seconds=60))


def test_in_fapi_an_assertion_is_short_lived(verify, refused, client, fapi):
    """R6: elsewhere an hour, in FAPI ten minutes."""
    assert verify(client, exp=3600)
    assert refused(client, exp=3700)
    assert verify(fapi, exp=600)
    assert refused(fapi, exp=700)


def test_without_iat_it_may_be_as_old_as_it_can_be(verify, client, now):
    """So that a store that forgot fails closed (architecture.md)."""
    assert verify(client, iat=None).issued_at == now + timedelta(seconds=60) - timedelta(hours=1)


def test_times_at_the_edge_of_the_calendar_are_no_crash(sign, public_keys, capabilities, client):
    """RFC 7519 section 2: any number of seconds."""
    early = datetime.fromtimestamp(100, UTC)
    assertion = sign({"iss": "parks", "sub": "parks", "aud": ISSUER, "jti": "j", "exp": 130})
    used = verify_client_assertion(assertion, client, public_keys, capabilities, early)
    assert used.issued_at == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize(
    "changes",
    [
        *({"iss": "taxes"}, {"sub": "taxes"}, {"iss": None}, {"sub": None}, {"iss": ["parks"]}, {"aud": None}),
        *({"jti": None}, {"exp": None}, {"exp": -300}, {"exp": 4000}, {"nbf": 60}, {"iat": 60}),
    ],
)
def test_every_claim_counts(refused, client, fapi, changes):
    """FAPI modules ...-with-no-sub-fails, -exp-is-5-minutes-in-past-fails, -nbf-over-60-seconds-in-the-future-fails."""
    assert refused(client, **changes)
    assert refused(fapi, **changes)


def test_clocks_may_differ_a_little(verify, client, fapi):
    """FAPI module par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted."""
    assert verify(client, nbf=8, iat=8)
    assert verify(fapi, nbf=8, iat=8)


@pytest.mark.parametrize(
    "audience", [[ISSUER], TOKEN, PAR, [TOKEN], [ISSUER, TOKEN], "https://id.example/", "https://evil.example", {}, 7]
)
def test_in_fapi_the_audience_is_our_issuer_as_one_string(refused, fapi, audience):
    """FAPI modules par-test-array-as-audience-fails, -par-endpoint-url-, -token-endpoint-url-as-audience-fails."""
    assert refused(fapi, aud=audience)


@pytest.mark.parametrize("audience", [ISSUER, [ISSUER], TOKEN, [TOKEN], PAR, [ISSUER, TOKEN], [PAR, TOKEN, ISSUER]])
def test_elsewhere_libraries_may_name_an_endpoint(verify, client, audience):
    """OpenID Connect Core section 9, RFC 9126 section 2."""
    assert verify(client, aud=audience)


def test_in_fapi_ciba_an_assertion_may_be_meant_for_an_endpoint(verify, refused, client):
    """CIBA Core section 7.1: issuer, token endpoint or the endpoint called; FAPI-CIBA section 7.10: ES256 or PS256."""
    metadata = msgspec.structs.replace(client.metadata, profile="fapi-ciba")
    bank = msgspec.structs.replace(client, metadata=metadata)

    assert all(verify(bank, aud=audience) for audience in (ISSUER, TOKEN, PAR))
    assert refused(bank, aud="https://evil.example")
    assert refused(bank, aud=[ISSUER, TOKEN])
    assert refused(bank, {"key": "rsa", "alg": "RS256"})
    assert verify(bank, {"key": "rsa", "alg": "PS256"})


@pytest.mark.parametrize(
    "audience",
    [*([ISSUER, "https://evil.example"], [ISSUER, 7], [], [["x"]]), "https://evil.example", ISSUER + "/", None, 7],
)
def test_an_audience_that_is_not_ours_alone_is_refused(refused, client, audience):
    """RFC 7523 section 3 item 3: an assertion for two servers can be replayed by either."""
    assert refused(client, aud=audience)


@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt", None])
def test_the_type_says_nothing_else(verify, client, typ):
    """R11."""
    assert verify(client, {"typ": typ})


def test_another_type_is_refused(refused, client):
    """R11."""
    assert refused(client, {"typ": "oauth-authz-req+jwt"})


def test_fapi_accepts_no_rs256(verify, refused, client, fapi):
    """FAPI module ensure-signed-client-assertion-with-RS256-fails."""
    rsa = {"key": "rsa", "alg": "RS256"}

    assert verify(client, rsa)
    assert refused(fapi, rsa)
    assert verify(fapi, {"key": "rsa", "alg": "PS256"})


def test_the_algorithm_that_was_registered_is_the_only_one(verify, refused, client):
    """OpenID Connect Registration section 2: token_endpoint_auth_signing_alg."""
    metadata = msgspec.structs.replace(client.metadata, token_endpoint_auth_signing_alg="PS256")
    client = msgspec.structs.replace(client, metadata=metadata)

    assert verify(client, {"key": "rsa", "alg": "PS256"})
    assert refused(client)


def test_another_clients_key_is_refused(refused, client):
    """RFC 7523 section 3 item 9."""
    assert refused(client, {"key": "other", "kid": "ec"})
