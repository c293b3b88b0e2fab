"""Token requests: who is asking, for what grant type (RFC 6749 sections 2.3, 3.2, 4.1.3 and 6)."""

import re
from base64 import b64decode
from collections.abc import Iterable

import msgspec

from oidc.protocol.authorization_rules import OFFLINE
from oidc.protocol.client import Client
from oidc.protocol.client_assertion import ASSERTION_TYPE, client_named_by
from oidc.protocol.client_metadata import (
    NO_AUTHENTICATION,
    PRIVATE_KEY_JWT,
    SECRET_BASIC,
    SECRET_POST,
    SELF_SIGNED_TLS,
    TLS_CLIENT_AUTH,
)
from oidc.protocol.errors import INVALID_CLIENT, INVALID_GRANT, INVALID_REQUEST, INVALID_SCOPE, Detail, ProtocolError
from oidc.protocol.legible import all_legible
from oidc.protocol.parameters import Parameters, decode_text, split_scope

BASIC = re.compile(r"basic +([A-Za-z0-9+/=]{1,4096})", re.IGNORECASE)


class ClientCredentials(msgspec.Struct, frozen=True):
    """How a client presented itself; nothing of it is proved yet.

    `client_id` and `secret` are what the Basic header says once the form encoding is undone. Many libraries never
    encode, so `raw_client_id` and `raw_secret` are what stands there, where that is something else.

    `method` is `client_secret_basic`, `client_secret_post`, `private_key_jwt`, or `none` where it gave its name alone
    (a public client, or one that a certificate speaks for).
    """

    client_id: str
    method: str
    secret: str | None = None
    assertion: str | None = None
    raw_client_id: str | None = None
    raw_secret: str | None = None

    @property
    def client_ids(self) -> tuple[str, ...]:
        """Who it may be. A later one counts only where no client has an earlier one."""
        return tuple(name for name in (self.client_id, self.raw_client_id) if name is not None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What it may have shown as its secret: empty where it shows none."""
        return tuple(secret for secret in (self.secret, self.raw_secret) if secret is not None)


class CodeGrant(msgspec.Struct, frozen=True):
    """RFC 6749 section 4.1.3."""

    code: str
    redirect_uri: str | None
    code_verifier: str | None


class RefreshGrant(msgspec.Struct, frozen=True):
    """RFC 6749 section 6; an empty scope means all that was granted."""

    refresh_token: str
    scope: tuple[str, ...]


def read_client_credentials(parameters: Parameters, authorization: str | None) -> ClientCredentials:
    """RFC 6749 section 2.3: one method, not more (R12). Also for PAR, introspection, revocation, device and CIBA."""
    basic = authorization is not None and authorization.lower().startswith("basic")
    given = [basic, "client_secret" in parameters, "client_assertion" in parameters]
    if sum(given) > 1:
        raise ProtocolError(INVALID_REQUEST, "The client authenticates in more than one way.")
    if basic:
        credentials = read_basic(authorization or "")
    elif "client_assertion" in parameters:
        credentials = read_assertion(parameters)
    elif "client_assertion_type" in parameters:
        raise ProtocolError(INVALID_REQUEST, "The parameter client_assertion is missing.")
    else:
        secret, client_id = parameters.get("client_secret"), parameters.get("client_id")
        if client_id is None:
            raise ProtocolError(INVALID_CLIENT, "The client does not authenticate.")
        credentials = ClientCredentials(client_id, SECRET_POST if secret else NO_AUTHENTICATION, secret)
    named = parameters.get("client_id")
    if named is None:
        return credentials
    if named not in credentials.client_ids:
        raise ProtocolError(INVALID_CLIENT, "The client_id is not the one that authenticates.")
    return msgspec.structs.replace(credentials, client_id=named, raw_client_id=None)


def read_basic(header: str) -> ClientCredentials:
    """RFC 6749 section 2.3.1: both parts are form-encoded before they are joined. Many libraries leave that out, so
    each part may be meant as it stands. An empty password is none: the client gives its name alone."""
    refused = ProtocolError(INVALID_CLIENT, "The Authorization header is not valid.")
    match = BASIC.fullmatch(header.strip())
    if match is None:
        raise refused
    try:
        name, colon, password = b64decode(match[1], validate=True).decode().partition(":")
    except ValueError as error:
        raise refused from error
    if not name or not colon:
        raise refused
    client_id, *raw_id = readings(name)
    if not password:
        return ClientCredentials(client_id, NO_AUTHENTICATION, raw_client_id=next(iter(raw_id), None))
    secret, *raw_secret = readings(password)
    return ClientCredentials(
        client_id,
        SECRET_BASIC,
        secret,
        raw_client_id=next(iter(raw_id), None),
        raw_secret=next(iter(raw_secret), None),
    )


def readings(text: str) -> tuple[str, ...]:
    """What a part of the Basic header may mean, each once: the form encoding undone where it is one, and as it is."""
    try:
        decoded = decode_text(text.encode())
    except ProtocolError:
        return (text,)
    return tuple(dict.fromkeys((decoded, text)))


def read_assertion(parameters: Parameters) -> ClientCredentials:
    """RFC 7521 section 4.2: the assertion names the client; `client_id` may be left out."""
    if parameters.get("client_assertion_type") != ASSERTION_TYPE:
        raise ProtocolError(INVALID_CLIENT, f"The client_assertion_type must be {ASSERTION_TYPE}.")
    assertion = parameters.require("client_assertion")
    return ClientCredentials(client_named_by(assertion), PRIVATE_KEY_JWT, assertion=assertion)


def require_registered_method(credentials: ClientCredentials, client: Client) -> None:
    """OpenID Connect Registration section 2: a client authenticates as it registered, and in no weaker way.

    The header and the body are one way: the same secret proves the same, and libraries choose by themselves.
    """
    registered = client.metadata.token_endpoint_auth_method
    by_name = credentials.method == NO_AUTHENTICATION and registered in {TLS_CLIENT_AUTH, SELF_SIGNED_TLS}
    by_secret = {credentials.method, registered} <= {SECRET_BASIC, SECRET_POST} and not client.is_fapi
    if credentials.method != registered and not by_name and not by_secret:
        text = f"The client is not registered for this way to authenticate: {credentials.method}."
        detail = Detail("another authentication method", credentials.method, registered)
        raise ProtocolError(INVALID_CLIENT, text, detail=detail)


def read_code_grant(parameters: Parameters) -> CodeGrant:
    """RFC 6749 section 4.1.3, RFC 7636 section 4.5."""
    return CodeGrant(parameters.require("code"), parameters.get("redirect_uri"), parameters.get("code_verifier"))


def require_same_redirect_uri(asked: str | None, given: str) -> None:
    """RFC 6749 section 4.1.3: `redirect_uri` is the one the code was asked with (R4)."""
    if asked is None:
        raise ProtocolError(INVALID_REQUEST, "The parameter redirect_uri is missing.")
    if asked != given:
        detail = Detail("another redirect_uri", asked, given)
        raise ProtocolError(
            INVALID_GRANT, "The redirect_uri is not the one of the authorization request.", detail=detail
        )


def read_refresh_grant(parameters: Parameters) -> RefreshGrant:
    """RFC 6749 section 6."""
    return RefreshGrant(parameters.require("refresh_token"), split_scope(parameters.get("scope")))


def narrow_scope(granted: Iterable[str], asked: tuple[str, ...]) -> tuple[str, ...]:
    """RFC 6749 section 6: less than was granted, never more; all of it where nothing is asked.

    `offline_access` that was not granted is ignored as it was before: who adds it to every request adds it here too.
    """
    allowed = tuple(granted)
    kept = tuple(scope for scope in asked if scope != OFFLINE or scope in allowed)
    more = tuple(scope for scope in kept or asked if scope not in allowed)
    if more:
        named = " ".join(all_legible(more))
        detail = Detail("scope not granted", asked, allowed)
        raise ProtocolError(INVALID_SCOPE, f"The scope is more than was granted: {named}.", detail=detail)
    return kept or allowed
