"""The rules of registration: one function each, naming the field that breaks it."""

from collections.abc import Callable, Iterator
from typing import Any

from oidc.protocol.capabilities import (
    CIBA,
    DPOP,
    FAPI2_ALGORITHMS,
    FAPI2_MESSAGE_SIGNING,
    FAPI_CIBA,
    JAR,
    JARM,
    MTLS,
    PAR,
    PROFILES,
    STANDARD,
    UNSIGNED_JAR,
    Capabilities,
)
from oidc.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CIBA_GRANT,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
    SELF_SIGNED_TLS,
    TLS_CLIENT_AUTH,
    TOKEN_EXCHANGE_GRANT,
    ClientMetadata,
)
from oidc.protocol.errors import Problem
from oidc.protocol.keys import fits, keys_to_encrypt_with, problem_of_key_set, read_key_set
from oidc.protocol.profile import RULES_OF_PROFILE
from oidc.protocol.sector import sector_hosts
from oidc.protocol.uris import origin_of, problem_of_redirect_uri, problem_of_web_uri, scheme_of

Problems = Iterator[Problem]
Rule = Callable[[ClientMetadata, Capabilities], Problems]


def default_response_types(known: dict[str, Any], capabilities: Capabilities, algorithm: str) -> None:
    """A client that never visits `/authorize` has no response type (RFC 7591 section 2.1)."""
    if AUTHORIZATION_CODE not in known.get("grant_types", (AUTHORIZATION_CODE,)):
        known.setdefault("response_types", ())


def default_subject_type(known: dict[str, Any], capabilities: Capabilities, algorithm: str) -> None:
    """OpenID Connect Core section 8: pairwise, unless the deployment says otherwise."""
    known.setdefault("subject_type", capabilities.default_subject_type)


def default_signing_algorithm(known: dict[str, Any], capabilities: Capabilities, algorithm: str) -> None:
    """RS256 where the metadata names none (OpenID Connect Registration section 2); never so in FAPI 2.0."""
    if known.get("profile", STANDARD) != STANDARD and algorithm not in FAPI2_ALGORITHMS:
        algorithm = "ES256"
    known.setdefault("id_token_signed_response_alg", algorithm)


DEFAULTS = (default_response_types, default_subject_type, default_signing_algorithm)


def redirect_uris_are_exact(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """R1: what is registered is compared byte for byte later, so it must be a whole address now."""
    if AUTHORIZATION_CODE in metadata.grant_types and not metadata.redirect_uris:
        yield Problem("redirect_uris", "must list at least one address.")
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(metadata, field):
            problem = problem_of_redirect_uri(uri, metadata.application_type, loopback_http=capabilities.loopback_http)
            if problem:
                yield Problem(field, f"{uri[:200]} {problem}")


def addresses_use_https(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """R72 and OpenID Connect Registration section 2: what is fetched, linked to or called."""
    single = (
        *("jwks_uri", "sector_identifier_uri", "initiate_login_uri", "client_uri", "logo_uri", "policy_uri", "tos_uri"),
        *("backchannel_logout_uri", "frontchannel_logout_uri", "backchannel_client_notification_endpoint"),
    )
    named = [(field, uri) for field in single if (uri := getattr(metadata, field))]
    named += [
        (f"{field}#{language}", text)
        for field, texts in metadata.localized.items()
        if field.endswith("_uri")
        for language, text in texts.items()
    ]
    for field, uri in named:
        problem = problem_of_web_uri(uri, loopback_http=capabilities.loopback_http)
        if problem:
            yield Problem(field, problem)
    for uri in metadata.request_uris:
        # The fragment is the digest of what stands there (OpenID Connect Core section 6.2).
        problem = problem_of_web_uri(uri.partition("#")[0], loopback_http=capabilities.loopback_http)
        if problem:
            yield Problem("request_uris", f"{uri[:200]} {problem}")


def grant_types_are_offered(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """R2: no implicit, no password grant; and only what is switched on. Without client authentication, whoever finds a
    token could turn it into others (RFC 8693 section 2.1)."""
    for grant_type in metadata.grant_types:
        if grant_type not in capabilities.grant_types:
            yield Problem("grant_types", f"{grant_type[:100]} is not offered.")
    begins = {AUTHORIZATION_CODE, DEVICE_CODE, CIBA_GRANT} & set(metadata.grant_types)
    if REFRESH_TOKEN in metadata.grant_types and not begins:
        yield Problem("grant_types", "refresh_token needs a grant type that a citizen takes part in.")
    if metadata.is_public and {CLIENT_CREDENTIALS, CIBA_GRANT, TOKEN_EXCHANGE_GRANT} & set(metadata.grant_types):
        yield Problem("grant_types", "a client without credentials cannot act without a citizen.")


def response_types_are_code(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """R2, RFC 7591 section 2.1: `code` alone, and only together with its grant type."""
    if any(response_type != "code" for response_type in metadata.response_types):
        yield Problem("response_types", "must be code and nothing else.")
    elif bool(metadata.response_types) != (AUTHORIZATION_CODE in metadata.grant_types):
        yield Problem("response_types", "code and the grant type authorization_code belong together.")
    if not set(metadata.response_modes) <= set(capabilities.response_modes):
        yield Problem("response_modes", f"must be among {', '.join(capabilities.response_modes)}.")


def choices_are_known(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """Fields with a closed list of values."""
    choices = (
        ("application_type", ("web", "native")),
        ("subject_type", ("pairwise", "public")),
        ("profile", PROFILES),
        ("backchannel_token_delivery_mode", ("poll", "ping")),
        ("token_endpoint_auth_method", capabilities.client_authentication_methods),
        ("token_endpoint_auth_signing_alg", capabilities.client_assertion_algorithms),
        ("id_token_signed_response_alg", capabilities.signing_algorithms),
        ("userinfo_signed_response_alg", capabilities.signing_algorithms),
        ("authorization_signed_response_alg", capabilities.signing_algorithms),
        ("introspection_signed_response_alg", capabilities.signing_algorithms),
        # "none" is a client saying that it sends unsigned request objects (OpenID Connect Registration section 2).
        (
            "request_object_signing_alg",
            (*capabilities.request_object_algorithms, *(["none"] if capabilities.has(UNSIGNED_JAR) else [])),
        ),
        ("backchannel_authentication_request_signing_alg", capabilities.request_object_algorithms),
    )
    for field, allowed in choices:
        value = getattr(metadata, field)
        if value is not None and value not in allowed:
            yield Problem(field, f"must be one of {', '.join(allowed)}.")
    for what in ("id_token_encrypted_response", "userinfo_encrypted_response", "request_object_encryption"):
        yield from encryption_is_known(what, metadata, capabilities)
    for what in ("authorization_encrypted_response", "introspection_encrypted_response"):
        yield from encryption_is_known(what, metadata, capabilities)


def encryption_is_known(what: str, metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """OpenID Connect Registration section 2: an `enc` never comes without its `alg`."""
    algorithm, content = getattr(metadata, f"{what}_alg"), getattr(metadata, f"{what}_enc")
    if content and not algorithm:
        yield Problem(f"{what}_enc", f"needs {what}_alg.")
    if algorithm and algorithm not in capabilities.encryption_algorithms:
        yield Problem(
            f"{what}_alg", f"must be one of {', '.join(capabilities.encryption_algorithms) or 'none at all'}."
        )
    if content and content not in capabilities.content_encryption_algorithms:
        yield Problem(f"{what}_enc", f"must be one of {', '.join(capabilities.content_encryption_algorithms)}.")


def keys_are_there_when_needed(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """`jwks` and `jwks_uri` exclude each other; who signs or is encrypted for must have one (RFC 7591 section 2)."""
    if metadata.jwks is not None and metadata.jwks_uri is not None:
        yield Problem("jwks", "and jwks_uri exclude each other.")
    problem = problem_of_key_set(metadata.jwks) if metadata.jwks is not None else None
    if problem:
        yield Problem("jwks", problem)
    if metadata.jwks is None and metadata.jwks_uri is None:
        for field in needs_keys(metadata):
            yield Problem(field, "needs jwks or jwks_uri.")
    algorithm = metadata.token_endpoint_auth_signing_alg
    if metadata.jwks and not problem and algorithm and not any(fits(k, algorithm) for k in read_key_set(metadata.jwks)):
        yield Problem("jwks", f"holds no key for {algorithm[:20]}.")
    for what in ("id_token", "userinfo", "authorization", "introspection"):
        wanted = getattr(metadata, f"{what}_encrypted_response_alg")
        can = wanted not in capabilities.encryption_algorithms or keys_to_encrypt_with(
            read_key_set(metadata.jwks), wanted
        )
        if metadata.jwks and not problem and not can:
            yield Problem("jwks", f"holds no key for {wanted[:20]}.")


def needs_keys(metadata: ClientMetadata) -> Iterator[str]:
    """The fields that make no sense without the client's public keys."""
    if metadata.token_endpoint_auth_method in {PRIVATE_KEY_JWT, SELF_SIGNED_TLS}:
        yield "token_endpoint_auth_method"
    if metadata.require_signed_request_object or metadata.request_object_signing_alg not in {None, "none"}:
        yield (
            "require_signed_request_object" if metadata.require_signed_request_object else "request_object_signing_alg"
        )
    for what in ("id_token", "userinfo", "authorization", "introspection"):
        if getattr(metadata, f"{what}_encrypted_response_alg"):
            yield f"{what}_encrypted_response_alg"
    if metadata.backchannel_authentication_request_signing_alg:
        yield "backchannel_authentication_request_signing_alg"


def certificate_is_named_once(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """RFC 8705 section 2.1.2: a PKI client says which certificate is its own, in exactly one way."""
    names = [f"tls_client_auth_{name}" for name in ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")]
    given = [name for name in names if getattr(metadata, name)]
    if metadata.token_endpoint_auth_method == TLS_CLIENT_AUTH and len(given) != 1:
        yield Problem("token_endpoint_auth_method", "tls_client_auth needs exactly one tls_client_auth_... field.")


def sector_is_one(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """OpenID Connect Core section 8.1: redirect URIs on several hosts need a document that binds them together."""
    if metadata.subject_type == "pairwise" and not metadata.sector_identifier_uri and len(sector_hosts(metadata)) > 1:
        yield Problem("sector_identifier_uri", "is needed, because redirect_uris name several hosts.")


def logout_belongs_to_the_service(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """Front-Channel Logout 1.0 section 2: the address shares its origin with a redirect URI."""
    if metadata.backchannel_logout_session_required and not metadata.backchannel_logout_uri:
        yield Problem("backchannel_logout_session_required", "needs backchannel_logout_uri.")
    if metadata.frontchannel_logout_session_required and not metadata.frontchannel_logout_uri:
        yield Problem("frontchannel_logout_session_required", "needs frontchannel_logout_uri.")
    uri = metadata.frontchannel_logout_uri
    if uri and origin_of(uri) not in {origin_of(registered) for registered in metadata.redirect_uris}:
        yield Problem("frontchannel_logout_uri", "must have scheme, host and port of one of redirect_uris.")


def values_are_known(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """Scopes, levels and types that this provider has; a misspelt one would fail at the first citizen instead."""
    lists = (
        ("scope", metadata.scope or (), (*capabilities.scopes, *capabilities.service_scopes)),
        ("default_acr_values", metadata.default_acr_values, capabilities.acr_names),
        ("authorization_details_types", metadata.authorization_details_types, capabilities.authorization_details_types),
    )
    for field, values, allowed in lists:
        for value in values:
            if value not in allowed:
                yield Problem(field, f"{value[:100]} is not known here.")


def ciba_has_its_address(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """CIBA Core section 4: a delivery mode with the grant type; a notification endpoint when it pings."""
    if CIBA_GRANT in metadata.grant_types and not metadata.backchannel_token_delivery_mode:
        yield Problem("backchannel_token_delivery_mode", "is needed for CIBA.")
    if metadata.backchannel_token_delivery_mode == "ping" and not metadata.backchannel_client_notification_endpoint:
        yield Problem("backchannel_client_notification_endpoint", "is needed for the delivery mode ping.")


def pkce_is_waived_rarely(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """R3: only a confidential client of the `standard` profile, and only where the deployment allows it."""
    if metadata.require_pkce:
        return
    if not capabilities.pkce_may_be_waived or metadata.is_public or metadata.profile != STANDARD:
        yield Problem("require_pkce", "must be true for this client.")


def lifetimes_are_in_reach(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """RFC 9700 section 2.2: a token that is found is worth something for as long as it lives."""
    for kind in ("access_token", "id_token", "refresh_token"):
        seconds = getattr(metadata, f"{kind}_lifetime")
        longest = int(getattr(capabilities.longest, kind).total_seconds())
        if seconds is not None and not 0 < seconds <= longest:
            yield Problem(f"{kind}_lifetime", f"must be 1 to {longest} seconds.")


def profile_can_be_kept(metadata: ClientMetadata, capabilities: Capabilities) -> Problems:
    """FAPI 2.0 Security Profile 5.3.2, Message Signing 5, FAPI-CIBA 5.2.2: all of it is enforced, or refused."""
    if metadata.profile == STANDARD or metadata.profile not in PROFILES:
        return
    more = {FAPI2_MESSAGE_SIGNING: (JAR, JARM), FAPI_CIBA: (JAR, CIBA)}.get(metadata.profile, ())
    missing = [name for name in (PAR, *more) if not capabilities.has(name)]
    if missing or not (capabilities.has(DPOP) or capabilities.has(MTLS)):
        yield Problem("profile", "cannot be honoured by this release.")
    allowed = RULES_OF_PROFILE[metadata.profile].algorithms or ()
    if metadata.token_endpoint_auth_method not in {PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, SELF_SIGNED_TLS}:
        yield Problem("token_endpoint_auth_method", "must be private_key_jwt or mutual TLS in this profile.")
    for field in (
        *(f"{what}_signed_response_alg" for what in ("id_token", "userinfo", "authorization", "introspection")),
        "token_endpoint_auth_signing_alg",
        "request_object_signing_alg",
        "backchannel_authentication_request_signing_alg",
    ):
        value = getattr(metadata, field)
        if value is not None and value not in allowed:
            yield Problem(field, f"must be one of {', '.join(allowed)} in this profile.")
    for uri in metadata.redirect_uris:
        if scheme_of(uri) not in {"https", "http"}:
            yield Problem("redirect_uris", f"{uri[:200]} must use https in this profile.")


RULES: tuple[Rule, ...] = (
    redirect_uris_are_exact,
    addresses_use_https,
    grant_types_are_offered,
    response_types_are_code,
    choices_are_known,
    keys_are_there_when_needed,
    certificate_is_named_once,
    sector_is_one,
    logout_belongs_to_the_service,
    values_are_known,
    ciba_has_its_address,
    pkce_is_waived_rarely,
    lifetimes_are_in_reach,
    profile_can_be_kept,
)
