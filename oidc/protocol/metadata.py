"""Provider metadata: what is on, and nothing else (OpenID Connect Discovery section 3, RFC 8414 section 2)."""

from typing import Any

import msgspec

from oidc.protocol.capabilities import (
    BACKCHANNEL_LOGOUT,
    CIBA,
    DPOP,
    ENCRYPTION,
    FRONTCHANNEL_LOGOUT,
    JAR,
    JARM,
    MTLS,
    PAR,
    SIGNED_INTROSPECTION,
    SIGNED_USERINFO,
    UNSIGNED_JAR,
    Capabilities,
)
from oidc.protocol.claims import SCOPE_CLAIMS


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The full addresses of the endpoints; None where there is none. Fields are named as the metadata names them."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    end_session_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    backchannel_authentication_endpoint: str | None = None
    check_session_iframe: str | None = None
    service_documentation: str | None = None
    op_policy_uri: str | None = None
    op_tos_uri: str | None = None
    # RFC 8705 section 5: the same endpoints where a client certificate is asked for.
    mtls_endpoint_aliases: dict[str, str] | None = None


def discovery_document(capabilities: Capabilities, endpoints: Endpoints) -> dict[str, Any]:
    """The document at both well-known addresses; the same bytes serve OpenID Connect and plain OAuth 2.0."""
    methods = [name for name in capabilities.client_authentication_methods if name != "none"]
    signing = list(capabilities.client_assertion_algorithms)
    document: dict[str, Any] = {"issuer": capabilities.issuer, **msgspec.to_builtins(endpoints)}
    document |= {
        "scopes_supported": [*capabilities.scopes, *capabilities.service_scopes],
        "response_types_supported": ["code"],
        "response_modes_supported": list(capabilities.response_modes),
        "grant_types_supported": list(capabilities.grant_types),
        "acr_values_supported": list(capabilities.acr_names),
        "subject_types_supported": ["pairwise", "public"],
        "id_token_signing_alg_values_supported": list(capabilities.signing_algorithms),
        "token_endpoint_auth_methods_supported": list(capabilities.client_authentication_methods),
        "token_endpoint_auth_signing_alg_values_supported": signing,
        "display_values_supported": ["page", "popup"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*SIGN_IN_CLAIMS, *(name for names in SCOPE_CLAIMS.values() for name in names)],
        "ui_locales_supported": list(capabilities.ui_locales),
        "prompt_values_supported": list(capabilities.prompt_values),
        "code_challenge_methods_supported": ["S256"],
        "claims_parameter_supported": True,
        "request_parameter_supported": capabilities.has(JAR),
        # Left out it would mean true (section 3).
        "request_uri_parameter_supported": capabilities.has(JAR),
        "authorization_response_iss_parameter_supported": True,
    }
    for endpoint in ("revocation", "introspection"):
        if getattr(endpoints, f"{endpoint}_endpoint"):
            document[f"{endpoint}_endpoint_auth_methods_supported"] = methods
            document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = signing
    for feature, members in features(capabilities).items():
        if capabilities.has(feature):
            document |= members
    if capabilities.trustmark:
        document["claims_supported"] += ["vot", "vtm"]
    if capabilities.authorization_details_types:
        document["authorization_details_types_supported"] = list(capabilities.authorization_details_types)
    return {name: value for name, value in document.items() if value is not None}


SIGN_IN_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid")


def features(capabilities: Capabilities) -> dict[str, dict[str, Any]]:
    """The members that each feature brings, by the feature."""
    requests, signing = list(capabilities.request_object_algorithms), list(capabilities.signing_algorithms)
    unsigned = ["none"] if capabilities.has(UNSIGNED_JAR) else []
    algorithms, contents = list(capabilities.encryption_algorithms), list(capabilities.content_encryption_algorithms)
    return {
        BACKCHANNEL_LOGOUT: {"backchannel_logout_supported": True, "backchannel_logout_session_supported": True},
        FRONTCHANNEL_LOGOUT: {"frontchannel_logout_supported": True, "frontchannel_logout_session_supported": True},
        PAR: {"require_pushed_authorization_requests": False},
        JAR: {
            "require_request_uri_registration": True,
            "request_object_signing_alg_values_supported": requests + unsigned,
            "require_signed_request_object": False,
        },
        JARM: {"authorization_signing_alg_values_supported": signing},
        SIGNED_USERINFO: {"userinfo_signing_alg_values_supported": signing},
        SIGNED_INTROSPECTION: {"introspection_signing_alg_values_supported": signing},
        DPOP: {"dpop_signing_alg_values_supported": list(capabilities.dpop_algorithms)},
        MTLS: {"tls_client_certificate_bound_access_tokens": True},
        CIBA: {
            "backchannel_token_delivery_modes_supported": ["poll", "ping"],
            "backchannel_authentication_request_signing_alg_values_supported": requests,
            "backchannel_user_code_parameter_supported": False,
        },
        ENCRYPTION: {
            f"{what}_encryption_{kind}_values_supported": values
            for what in ("id_token", "userinfo", "authorization", "introspection")
            for kind, values in (("alg", algorithms), ("enc", contents))
        },
    }
