"""Reading registration metadata: every problem found and named by its field (OpenID Connect Registration, RFC 7591)."""

import re
from collections.abc import Callable, Mapping
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
    REQUEST_ENCRYPTION,
    SIGNED_INTROSPECTION,
    SIGNED_USERINFO,
    Capabilities,
)
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.client_rules import DEFAULTS, RULES
from oidc.protocol.errors import MetadataError, Problem
from oidc.protocol.parameters import SCOPE_TOKEN, split_words
from oidc.protocol.strict_json import is_shallow, is_text

MAX_TEXT = 2048
MAX_ITEMS = 100
# RFC 5646 in outline
LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
LOCALIZABLE = ("client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri", "purpose")

# What a field asks of the provider. With the feature off the field is refused by name instead of being forgotten.
FEATURE_OF = {
    "backchannel_logout_uri": BACKCHANNEL_LOGOUT,
    "frontchannel_logout_uri": FRONTCHANNEL_LOGOUT,
    "require_pushed_authorization_requests": PAR,
    "request_object_signing_alg": JAR,
    "require_signed_request_object": JAR,
    "authorization_signed_response_alg": JARM,
    "dpop_bound_access_tokens": DPOP,
    "tls_client_certificate_bound_access_tokens": MTLS,
    "userinfo_signed_response_alg": SIGNED_USERINFO,
    "introspection_signed_response_alg": SIGNED_INTROSPECTION,
    "backchannel_token_delivery_mode": CIBA,
    "backchannel_client_notification_endpoint": CIBA,
    "backchannel_authentication_request_signing_alg": CIBA,
    "backchannel_user_code_parameter": CIBA,
    **{f"tls_client_auth_{name}": MTLS for name in ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")},
    **{
        f"{what}_{kind}": ENCRYPTION
        for what in ("id_token_encrypted_response", "userinfo_encrypted_response")
        for kind in ("alg", "enc")
    },
    "request_object_encryption_alg": REQUEST_ENCRYPTION,
    "request_object_encryption_enc": REQUEST_ENCRYPTION,
    **{
        f"{what}_encrypted_response_{kind}": ENCRYPTION
        for what in ("authorization", "introspection")
        for kind in ("alg", "enc")
    },
}


class ReadMetadata(msgspec.Struct, frozen=True):
    """Accepted metadata, and what the person who wrote it should know."""

    metadata: ClientMetadata
    warnings: tuple[Problem, ...] = ()


def read_client_metadata(
    mapping: Mapping[str, Any], capabilities: Capabilities, *, default_signing_algorithm: str = "RS256"
) -> ReadMetadata:
    """Every rule on one client's metadata. Raises `MetadataError` with all the problems.

    Unknown fields are ignored and named in the warnings (RFC 7591 section 2). `client_id`, `client_secret` and what
    else a registration answers are not metadata: the caller has taken them.
    """
    problems: list[Problem] = []
    known, warnings = read_members(mapping, problems)
    for name, value in known.items():
        if value is not False and name in FEATURE_OF and not capabilities.has(FEATURE_OF[name]):
            problems.append(Problem(name, "cannot be honoured by this release."))
    # What is wrong already needs no second complaint, which would only mislead.
    named = {problem.field for problem in problems}
    for fill in DEFAULTS:
        fill(known, capabilities, default_signing_algorithm)
    metadata = ClientMetadata(**known)
    for rule in RULES:
        problems.extend(problem for problem in rule(metadata, capabilities) if problem.field not in named)
    if problems:
        # One field may break two rules in the same words.
        raise MetadataError(tuple(dict.fromkeys(problems)))
    return ReadMetadata(metadata, (*warnings, *warnings_of(metadata)))


def warnings_of(metadata: ClientMetadata) -> tuple[Problem, ...]:
    """What is accepted and should not stay so."""
    if metadata.require_pkce:
        return ()
    return (Problem("require_pkce", "is off: an authorization code that leaks can be used by who finds it (R3)."),)


def read_members(mapping: Mapping[str, Any], problems: list[Problem]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The fields we know, in the types they are kept in. Null and empty count as omitted (RFC 7591 section 2)."""
    known: dict[str, Any] = {}
    localized: dict[str, dict[str, str]] = {}
    warnings = []
    for field, value in mapping.items():
        name, _, language = str(field).partition("#")
        if language and name in LOCALIZABLE:
            if is_text(value) and len(value) <= MAX_TEXT and LANGUAGE.fullmatch(language):
                localized.setdefault(name, {})[language] = value
            else:
                problems.append(Problem(str(field)[:100], "must be a text, and its language tag one of RFC 5646."))
        elif name not in READERS or language:
            warnings.append(Problem(str(field)[:100], "is not known and was ignored."))
        elif value not in (None, "", [], {}):
            read, problem = READERS[name](value)
            if problem:
                problems.append(Problem(name, problem))
            else:
                known[name] = read
    return known | ({"localized": localized} if localized else {}), tuple(warnings)


type_of_reader = Callable[[object], tuple[Any, str | None]]


def read_text(value: object) -> tuple[Any, str | None]:
    """A line of text."""
    good = isinstance(value, str) and is_text(value) and len(value) <= MAX_TEXT
    return value, None if good else f"must be a text of at most {MAX_TEXT} characters."


def read_texts(value: object) -> tuple[Any, str | None]:
    """A list of texts, each once."""
    if not isinstance(value, list | tuple) or len(value) > MAX_ITEMS or any(read_text(item)[1] for item in value):
        return None, f"must be a list of at most {MAX_ITEMS} texts."
    return tuple(dict.fromkeys(value)), None


def read_flag(value: object) -> tuple[Any, str | None]:
    """True or false; the words are tolerated, because many libraries send them."""
    if value in ("true", "false"):
        return value == "true", None
    return value, None if isinstance(value, bool) else "must be true or false."


def read_duration(value: object) -> tuple[Any, str | None]:
    """Whole seconds."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9
    return value, None if good else "must be a whole number of seconds."


def read_scope(value: object) -> tuple[Any, str | None]:
    """Scopes in one string, separated by spaces."""
    scopes = split_words(value) if isinstance(value, str) and len(value) <= MAX_TEXT else ()
    good = scopes and all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes)
    return scopes, None if good else "must be scopes in one text, separated by spaces."


def read_object(value: object) -> tuple[Any, str | None]:
    """A JSON object."""
    good = isinstance(value, Mapping) and is_shallow(value, 6)
    return dict(value) if isinstance(value, Mapping) else value, None if good else "must be a JSON object."


def reader_for(field: msgspec.structs.FieldInfo) -> type_of_reader:
    """How a field is read follows from how it is kept."""
    if field.name in {"scope", "jwks"}:
        return read_scope if field.name == "scope" else read_object
    if field.type is bool:
        return read_flag
    if field.type in (str, str | None):
        return read_text
    return read_duration if field.type == int | None else read_texts


READERS = {
    field.name: reader_for(field) for field in msgspec.structs.fields(ClientMetadata) if field.name != "localized"
}
