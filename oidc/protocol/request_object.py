"""Request objects: an authorization request as a JWT, by value or where the client said it stands (RFC 9101,
OpenID Connect Core section 6)."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from joserfc.jwk import Key

from oidc.protocol.capabilities import UNSIGNED_JAR, Capabilities
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_REQUEST, INVALID_REQUEST_OBJECT, INVALID_REQUEST_URI, ProtocolError
from oidc.protocol.jwt import (
    JwtKind,
    parse_jwt,
    require_current,
    require_header,
    require_lifetime,
    verify_jwt,
    wrong_audience,
)
from oidc.protocol.parameters import KNOWN, Parameters, require_plain_characters
from oidc.protocol.profile import algorithms_for, require_signed
from oidc.protocol.strict_json import is_shallow

# Message Signing section 5.3.1: `exp` lies at most 60 minutes after `nbf`; so `nbf` is no older while it lasts.
LONGEST = timedelta(minutes=60)
KIND = JwtKind(
    name="request object",
    error=INVALID_REQUEST_OBJECT,
    typ=frozenset({None, "jwt", "oauth-authz-req+jwt"}),
    algorithms=(),
)
UNSIGNED = "none"
# What the JWT says about itself is no parameter of the request.
ENVELOPE = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "sub"})


class ResolvedRequest(msgspec.Struct, frozen=True):
    """The parameters to judge, and whether the client signed them."""

    parameters: Parameters
    signed: bool


def resolve_request_object(
    parameters: Parameters, client: Client, keys: Sequence[Key], capabilities: Capabilities, now: datetime
) -> ResolvedRequest:
    """The parameters that count: those of the request object where there is one, else those that came.

    In a signed object's presence all others are ignored (RFC 9101 section 6.3); an unsigned one is no more than another
    way to write parameters, so those beside it fill what it leaves out (OpenID Connect Core section 6.1).
    Raises `invalid_request_object`, or `invalid_request` where the client must sign and did not.
    """
    token = parameters.get("request")
    if token is None:
        require_signed(client, signed=False)
        return ResolvedRequest(parameters, signed=False)
    if parse_jwt(token, KIND).header.get("alg") == UNSIGNED:
        require_signed(client, signed=False)
        return ResolvedRequest(beside(parameters, read_unsigned(token, client, capabilities)), signed=False)
    claims = verify_request_object(token, client, keys, capabilities, now)
    return ResolvedRequest(parameters_in(claims, client.client_id), signed=True)


def registered_reference(parameters: Parameters, client: Client) -> str | None:
    """OpenID Connect Core section 6.2, R72: an object is fetched only from an address that the client registered, byte
    for byte. None where there is no such reference; clients that must push their requests have none."""
    reference = parameters.get("request_uri")
    if reference is not None and "request" in parameters:
        # RFC 9101 section 5: never together; else the one that is not read would look as if it had been.
        raise ProtocolError(INVALID_REQUEST, "The parameters request and request_uri cannot stand together.")
    if client.is_fapi or reference not in client.metadata.request_uris:
        return None
    return reference


def by_value(parameters: Parameters, reference: str, document: bytes) -> Parameters:
    """The parameters with what stood at the reference in its place. A fragment is the SHA-256 of what must stand there
    (OpenID Connect Core section 6.2)."""
    digest = reference.partition("#")[2]
    if digest and digest.rstrip("=") != urlsafe_b64encode(sha256(document).digest()).decode().rstrip("="):
        raise ProtocolError(INVALID_REQUEST_URI, "What stands at the request_uri is not what was registered.")
    try:
        token = document.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise ProtocolError(INVALID_REQUEST_OBJECT, "What stands at the request_uri is not a JWT.") from error
    others = {name: values for name, values in parameters.values.items() if name != "request_uri"}
    return Parameters(others | {"request": (token,)})


def verify_request_object(
    token: str, client: Client, keys: Sequence[Key], capabilities: Capabilities, now: datetime
) -> dict[str, Any]:
    """RFC 9101 section 6.2 and Message Signing section 5.3.1: whose it is, for whom, and when."""
    registered = client.metadata.request_object_signing_alg
    algorithms = algorithms_for(client, capabilities.request_object_algorithms, registered)
    kind = msgspec.structs.replace(KIND, algorithms=algorithms)
    claims = verify_jwt(token, keys, kind).claims
    require_current(claims, kind, now, required=("exp", "nbf") if client.is_fapi else ())
    if client.is_fapi:
        require_lifetime(claims, kind, now, LONGEST, since="nbf")
    if claims.get("iss") not in ((client.client_id,) if client.is_fapi else (client.client_id, None)):
        raise ProtocolError(INVALID_REQUEST_OBJECT, "The iss of the request object must be the client_id.")
    require_audience(claims.get("aud"), capabilities.issuer, required=client.is_fapi)
    # RFC 9101 section 10.8: so that it can never be used as a client assertion.
    if claims.get("sub") == client.client_id:
        raise ProtocolError(INVALID_REQUEST_OBJECT, "The sub of the request object must not be the client_id.")
    return claims


def require_audience(audience: object, issuer: str, *, required: bool, error: str = INVALID_REQUEST_OBJECT) -> None:
    """RFC 9101 section 5.2.1: our issuer, alone or among others."""
    audiences = audience if isinstance(audience, list) else [audience] if audience is not None else []
    if issuer not in audiences and (required or audiences):
        raise wrong_audience(msgspec.structs.replace(KIND, error=error), audience, (issuer,))


def read_unsigned(token: str, client: Client, capabilities: Capabilities) -> Parameters:
    """OpenID Connect Core section 6.1: allowed to a client that did not register to sign, where the deployment allows
    it at all. A browser could be sent here with one that anybody wrote (RFC 9101 section 4 wants every one signed)."""
    if not capabilities.has(UNSIGNED_JAR):
        raise ProtocolError(INVALID_REQUEST_OBJECT, "Request objects that are not signed (alg none) are not accepted.")
    if client.metadata.request_object_signing_alg not in {None, UNSIGNED}:
        raise ProtocolError(INVALID_REQUEST_OBJECT, "The request object is not signed.")
    jwt = parse_jwt(token, KIND)
    require_header(jwt, msgspec.structs.replace(KIND, algorithms=(UNSIGNED,)))
    if jwt.signature:
        raise ProtocolError(INVALID_REQUEST_OBJECT, "The request object is unsigned and has a signature.")
    return parameters_in(jwt.claims, client.client_id)


def beside(outer: Parameters, inner: Parameters) -> Parameters:
    """What the unsigned object says, and where it is silent what came beside it."""
    return Parameters({name: values for name, values in outer.values.items() if name != "request"} | inner.values)


def parameters_in(claims: Mapping[str, Any], client_id: str, *, error: str = INVALID_REQUEST_OBJECT) -> Parameters:
    """RFC 9101 section 4: each parameter is a claim; numbers and JSON stand as themselves. No object in an object.
    What we do not know is ignored, whatever it is."""
    if "request" in claims or "request_uri" in claims:
        raise ProtocolError(error, "A request object must not hold request or request_uri.")
    if claims.get("client_id", client_id) != client_id:
        raise ProtocolError(error, "The client_id of the request object is another client's.")
    members = {name: value for name, value in claims.items() if name in KNOWN and name not in ENVELOPE}
    found: dict[str, tuple[str, ...]] = {"client_id": (client_id,)}
    for name, value in members.items():
        texts = texts_of(name, value, error)
        for text in texts:
            require_plain_characters(name, text)
        if texts:
            found[name] = texts
    return Parameters(found)


def texts_of(name: str, value: object, error: str) -> tuple[str, ...]:
    """A claim's value as a parameter writes it; a `resource` may be several (RFC 8707 section 2)."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    if name in {"resource", "audience"} and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if name in {"claims", "authorization_details"} and isinstance(value, dict | list) and is_shallow(value):
        return (msgspec.json.encode(value).decode(),)
    raise ProtocolError(error, "A parameter in the request object has the wrong type.", detail=name)
