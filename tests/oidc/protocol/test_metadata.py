"""The discovery document says what is on, and nothing else (OpenID Connect Discovery section 3, RFC 8414)."""

import msgspec
import pytest

from oidc.protocol import capabilities as feature
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.metadata import Endpoints, discovery_document

ISSUER = "https://id.example"
ENDPOINTS = Endpoints(
    authorization_endpoint=f"{ISSUER}/authorize",
    token_endpoint=f"{ISSUER}/token",
    userinfo_endpoint=f"{ISSUER}/userinfo",
    jwks_uri=f"{ISSUER}/jwks",
    end_session_endpoint=f"{ISSUER}/end-session",
)


def test_the_required_members_are_there(capabilities):
    """OpenID Connect Discovery section 3; module oidcc-discovery-endpoint-verification."""
    document = discovery_document(capabilities, ENDPOINTS)

    assert document["issuer"] == ISSUER
    assert document["authorization_endpoint"] == f"{ISSUER}/authorize"
    assert document["response_types_supported"] == ["code"]
    assert document["subject_types_supported"] == ["pairwise", "public"]
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert "openid" in document["scopes_supported"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["claims_parameter_supported"] is True
    assert {"sub", "email", "birthdate"} <= set(document["claims_supported"])
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True


def test_request_uri_is_said_to_be_unsupported(capabilities):
    """Section 3: left out, it would mean true."""
    document = discovery_document(capabilities, ENDPOINTS)
    assert document["request_uri_parameter_supported"] is False
    assert document["request_parameter_supported"] is False


def test_what_is_off_is_not_mentioned(capabilities):
    """standards.md: advertise only what is on."""
    document = discovery_document(capabilities, ENDPOINTS)

    assert None not in document.values()
    said = " ".join(document)
    for word in (
        "dpop",
        "pushed",
        "registration",
        "ciba",
        "encryption",
        "frontchannel",
        "introspection",
        "mtls",
        "iframe",
    ):
        assert word not in said


@pytest.mark.parametrize(
    ("name", "member"),
    [
        (feature.DPOP, "dpop_signing_alg_values_supported"),
        (feature.JAR, "request_object_signing_alg_values_supported"),
        (feature.JARM, "authorization_signing_alg_values_supported"),
        (feature.PAR, "require_pushed_authorization_requests"),
        (feature.MTLS, "tls_client_certificate_bound_access_tokens"),
        (feature.CIBA, "backchannel_token_delivery_modes_supported"),
        (feature.ENCRYPTION, "id_token_encryption_alg_values_supported"),
        (feature.SIGNED_USERINFO, "userinfo_signing_alg_values_supported"),
        (feature.SIGNED_INTROSPECTION, "introspection_signing_alg_values_supported"),
        (feature.FRONTCHANNEL_LOGOUT, "frontchannel_logout_session_supported"),
    ],
)
def test_what_is_on_is_said(capabilities, name, member):
    """One switch, one line."""
    switched = msgspec.structs.replace(capabilities, features=frozenset({name}))
    assert member in discovery_document(switched, ENDPOINTS)


def test_endpoints_that_clients_authenticate_at_say_how(capabilities):
    """RFC 8414 section 2: `none` is no way to authenticate at introspection."""
    endpoints = msgspec.structs.replace(ENDPOINTS, introspection_endpoint=f"{ISSUER}/introspect")
    document = discovery_document(capabilities, endpoints)

    assert "private_key_jwt" in document["introspection_endpoint_auth_methods_supported"]
    assert "none" not in document["introspection_endpoint_auth_methods_supported"]
    assert "revocation_endpoint_auth_methods_supported" not in document


def test_types_of_authorization_details_are_named(capabilities):
    """RFC 9396 section 10."""
    payments = msgspec.structs.replace(capabilities, detail_types=(feature.DetailType(type="payment"),))
    assert discovery_document(payments, ENDPOINTS)["authorization_details_types_supported"] == ["payment"]


def test_a_minimum_that_is_no_level_is_found_at_start():
    """R74."""
    with pytest.raises(ValueError, match="minimum_acr"):
        Capabilities(issuer=ISSUER, minimum_acr="aal9")
