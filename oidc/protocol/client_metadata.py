"""What a relying party registers about itself: OpenID Connect Registration, RFC 7591, and the extensions we honour."""

from typing import Any

import msgspec

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"
CLIENT_CREDENTIALS = "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
CIBA_GRANT = "urn:openid:params:grant-type:ciba"
TOKEN_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"

PRIVATE_KEY_JWT = "private_key_jwt"
SECRET_BASIC, SECRET_POST = "client_secret_basic", "client_secret_post"
TLS_CLIENT_AUTH, SELF_SIGNED_TLS = "tls_client_auth", "self_signed_tls_client_auth"
NO_AUTHENTICATION = "none"


class ClientMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Registered metadata after every rule has passed; fields are named as they are registered.

    Lists are tuples. `localized` holds the `field#language` forms: {"client_name": {"fr": "Parcs"}}.
    `purpose`, `require_pkce`, `profile`, `response_modes` and the `_lifetime` of tokens are extras of ours.
    Kept as JSON with `msgspec.to_builtins(metadata)` and read back, unjudged, with `msgspec.convert`: a
    rule that became stricter since must not take a running service off the air.
    """

    # OpenID Connect Dynamic Client Registration 1.0 section 2, RFC 7591 section 2
    redirect_uris: tuple[str, ...] = ()
    response_types: tuple[str, ...] = ("code",)
    grant_types: tuple[str, ...] = (AUTHORIZATION_CODE,)
    application_type: str = "web"
    contacts: tuple[str, ...] = ()
    client_name: str | None = None
    logo_uri: str | None = None
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    localized: dict[str, dict[str, str]] = {}
    jwks_uri: str | None = None
    jwks: dict[str, Any] | None = None
    sector_identifier_uri: str | None = None
    subject_type: str = "pairwise"
    id_token_signed_response_alg: str = "RS256"
    id_token_encrypted_response_alg: str | None = None
    id_token_encrypted_response_enc: str | None = None
    userinfo_signed_response_alg: str | None = None
    userinfo_encrypted_response_alg: str | None = None
    userinfo_encrypted_response_enc: str | None = None
    request_object_signing_alg: str | None = None
    request_object_encryption_alg: str | None = None
    request_object_encryption_enc: str | None = None
    token_endpoint_auth_method: str = SECRET_BASIC
    token_endpoint_auth_signing_alg: str | None = None
    default_max_age: int | None = None
    require_auth_time: bool = False
    default_acr_values: tuple[str, ...] = ()
    initiate_login_uri: str | None = None
    request_uris: tuple[str, ...] = ()
    # None: every scope of this provider
    scope: tuple[str, ...] | None = None
    software_id: str | None = None
    software_version: str | None = None
    software_statement: str | None = None
    # RP-Initiated, Back-Channel and Front-Channel Logout 1.0
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: str | None = None
    frontchannel_logout_session_required: bool = False
    # RFC 9126, RFC 9101, JARM, RFC 9449, RFC 8705, RFC 9701, RFC 9396
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    authorization_signed_response_alg: str | None = None
    authorization_encrypted_response_alg: str | None = None
    authorization_encrypted_response_enc: str | None = None
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    introspection_signed_response_alg: str | None = None
    introspection_encrypted_response_alg: str | None = None
    introspection_encrypted_response_enc: str | None = None
    authorization_details_types: tuple[str, ...] = ()
    # CIBA Core 1.0 section 4
    backchannel_token_delivery_mode: str | None = None
    backchannel_client_notification_endpoint: str | None = None
    backchannel_authentication_request_signing_alg: str | None = None
    backchannel_user_code_parameter: bool = False
    # ours
    response_modes: tuple[str, ...] = ()
    # Why the service asks for what it asks for: one sentence, shown at consent and kept with it
    purpose: str | None = None
    require_pkce: bool = True
    profile: str = "standard"
    # Seconds; None: as long as the provider's policy says
    access_token_lifetime: int | None = None
    id_token_lifetime: int | None = None
    refresh_token_lifetime: int | None = None

    @property
    def is_public(self) -> bool:
        """Whether the client cannot keep a secret (RFC 6749 section 2.1)."""
        return self.token_endpoint_auth_method == NO_AUTHENTICATION

    @property
    def uses_secret(self) -> bool:
        """Whether the client authenticates with a shared secret."""
        return self.token_endpoint_auth_method in {SECRET_BASIC, SECRET_POST}


def registration_of(metadata: ClientMetadata) -> dict[str, Any]:
    """The metadata in its registered form: scope as one string, `field#language` members, null members left out."""
    members: dict[str, Any] = {
        name: value for name in metadata.__struct_fields__ if (value := getattr(metadata, name)) not in (None, (), {})
    }
    if metadata.scope is not None:
        members["scope"] = " ".join(metadata.scope)
    for name, texts in members.pop("localized", {}).items():
        members |= {f"{name}#{language}": text for language, text in texts.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in members.items()}
