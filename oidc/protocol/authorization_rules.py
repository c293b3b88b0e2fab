"""The single rules of the authorization endpoint."""

import re

from oidc.protocol.capabilities import DPOP, FAPI2_MESSAGE_SIGNING, Capabilities
from oidc.protocol.client import Client
from oidc.protocol.client_metadata import REFRESH_TOKEN
from oidc.protocol.errors import (
    INVALID_REQUEST,
    INVALID_SCOPE,
    REGISTRATION_NOT_SUPPORTED,
    REQUEST_NOT_SUPPORTED,
    REQUEST_URI_NOT_SUPPORTED,
    UNSUPPORTED_RESPONSE_TYPE,
    Detail,
    ProtocolError,
)
from oidc.protocol.parameters import Parameters, require_at_most, split_scope, split_words
from oidc.protocol.uris import split_uri

MAX_WORDS = 20
OFFLINE = "offline_access"
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
DISPLAYS = {"page", "popup", "touch", "wap"}
# Host, port, and the rest as it is written: parsing would forget an empty fragment.
LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{1,5})?((?:[/?].*)?)")
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


def require_exact_redirect_uri(asked: str | None, client: Client) -> str:
    """OpenID Connect Core section 3.1.2.1, RFC 9700 section 2.1, R1: byte for byte one of the registered ones.

    It is never guessed, not even where one alone is registered.
    """
    if asked is None:
        raise ProtocolError(INVALID_REQUEST, "The parameter redirect_uri is missing.")
    registered = client.metadata.redirect_uris
    if asked in registered:
        return asked
    if client.metadata.application_type == "native" and any(differs_in_port(asked, uri) for uri in registered):
        return asked
    detail = Detail("redirect_uri not registered", asked, registered)
    raise ProtocolError(INVALID_REQUEST, "The redirect_uri is not registered for this client.", detail=detail)


def differs_in_port(asked: str, registered: str) -> bool:
    """RFC 8252 section 7.3, RFC 9700 section 4.1.3: a native app on loopback chooses its port when it starts."""
    a, b = LOOPBACK.fullmatch(asked), LOOPBACK.fullmatch(registered)
    return a is not None and b is not None and split_uri(asked) is not None and a.group(1, 3) == b.group(1, 3)


def refuse_what_is_not_supported(parameters: Parameters) -> None:
    """OpenID Connect Core sections 6 and 7.2.1. A request object is resolved into parameters before these rules run."""
    if "request" in parameters:
        raise ProtocolError(REQUEST_NOT_SUPPORTED, "Request objects are not supported.")
    if "request_uri" in parameters:
        raise ProtocolError(REQUEST_URI_NOT_SUPPORTED, "This request_uri is not supported.")
    if "registration" in parameters:
        raise ProtocolError(REGISTRATION_NOT_SUPPORTED, "The parameter registration is not supported.")


def require_code_response(parameters: Parameters) -> None:
    """RFC 6749 section 3.1.1, R2: `code` and nothing else."""
    response_type = parameters.require("response_type")
    if response_type != "code":
        detail = Detail("wrong response_type", tuple(response_type.split()), "code")
        raise ProtocolError(UNSUPPORTED_RESPONSE_TYPE, "The response_type must be code.", detail=detail)


def require_allowed_response_mode(asked: str | None, client: Client, capabilities: Capabilities) -> str:
    """OAuth 2.0 Multiple Response Types section 2.1, R2: one that is on, and that the client may use."""
    signing = client.profile == FAPI2_MESSAGE_SIGNING
    if asked is None:
        return "jwt" if signing else "query"
    allowed = client.metadata.response_modes or capabilities.response_modes
    if asked not in allowed or asked not in capabilities.response_modes:
        detail = Detail("response_mode not allowed", asked, tuple(allowed))
        raise ProtocolError(INVALID_REQUEST, "The response_mode is not supported.", detail=detail)
    if signing and not asked.endswith("jwt"):
        raise ProtocolError(INVALID_REQUEST, "This client must ask for a signed response.")
    return asked


def read_scope(
    parameters: Parameters, client: Client, capabilities: Capabilities, *, is_needed: bool = True
) -> tuple[str, ...]:
    """RFC 6749 section 3.3, OpenID Connect Core section 3.1.2.1: unknown scopes are ignored, forbidden ones refused.
    `offline_access` is ignored where the client may not have it (section 11): libraries add it to every request.

    Without `openid` it is plain OAuth 2.0: no ID token, and nothing about the person. It may be left out where
    authorization details say what is asked (RFC 9396 section 3).
    """
    asked = split_scope(parameters.get("scope"))
    if not asked and not is_needed:
        return ()
    if not asked:
        raise ProtocolError(INVALID_SCOPE, "The parameter scope is missing.")
    known = tuple(scope for scope in asked if scope in capabilities.scopes)
    allowed = client.metadata.scope
    if not client.uses(REFRESH_TOKEN) or (allowed is not None and OFFLINE not in allowed):
        known = tuple(scope for scope in known if scope != OFFLINE)
    refused = () if allowed is None else tuple(scope for scope in known if scope not in {*allowed, "openid"})
    if refused:
        text = f"The client is not registered for the scope {' '.join(refused)}."
        raise ProtocolError(INVALID_SCOPE, text, detail=Detail("scope not registered", refused, tuple(allowed or ())))
    if "openid" not in known:
        about_the_person = {"profile", "email", "phone", "address", OFFLINE}
        known = tuple(scope for scope in known if scope not in about_the_person)
    if not known:
        raise ProtocolError(INVALID_SCOPE, "The scope holds nothing that can be granted. Is openid missing?")
    return known


def read_prompt(parameters: Parameters, capabilities: Capabilities) -> tuple[str, ...]:
    """OpenID Connect Core section 3.1.2.1; an unknown value is `invalid_request` (Initiating User Registration 1.0)."""
    prompt = split_words(parameters.get("prompt"))
    if not set(prompt) <= set(capabilities.prompt_values):
        raise ProtocolError(INVALID_REQUEST, "The parameter prompt has a value that is not supported.")
    if "none" in prompt and len(prompt) > 1:
        raise ProtocolError(INVALID_REQUEST, "The prompt none cannot stand with another value.")
    return prompt


def read_acr_values(parameters: Parameters) -> tuple[str, ...]:
    """In the order of preference; values we do not know are voluntary and judged later (section 3.1.2.1)."""
    return split_words(require_at_most(parameters, "acr_values", 2048))[:MAX_WORDS]


def read_locales(parameters: Parameters, name: str) -> tuple[str, ...]:
    """A wish, never an error (section 3.1.2.1): what is no language tag is passed over. Many programs write `fr_CA`."""
    tags = (tag.replace("_", "-") for tag in split_words(parameters.get(name)))
    return tuple(tag for tag in tags if LOCALE.fullmatch(tag) and len(tag) <= 35)[:MAX_WORDS]


def read_display(parameters: Parameters) -> str | None:
    """A wish as well."""
    display = parameters.get("display")
    return display if display in DISPLAYS else None


def read_dpop_thumbprint(parameters: Parameters, capabilities: Capabilities) -> str | None:
    """RFC 9449 section 10: the key that the code will be bound to."""
    thumbprint = parameters.get("dpop_jkt")
    if thumbprint is None or not capabilities.has(DPOP):
        return None
    if not THUMBPRINT.fullmatch(thumbprint):
        raise ProtocolError(INVALID_REQUEST, "The parameter dpop_jkt is not a key thumbprint.")
    return thumbprint
