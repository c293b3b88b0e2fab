"""Client authentication by a signed assertion: `private_key_jwt` (RFC 7523 section 3, R6)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from joserfc.jwk import Key

from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_CLIENT, ProtocolError
from oidc.protocol.jwt import (
    JwtKind,
    parse_jwt,
    read_instant,
    require_current,
    require_instant,
    require_jti,
    require_lifetime,
    verify_jwt,
    wrong_audience,
)
from oidc.protocol.profile import algorithms_for, rules_of

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST, LONGEST_IN_FAPI = timedelta(hours=1), timedelta(minutes=10)

KIND = JwtKind(
    name="client assertion",
    error=INVALID_CLIENT,
    # The last is what the revision of RFC 7523 asks for.
    typ=frozenset({None, "jwt", "client-authentication+jwt"}),
    algorithms=(),
)


class UsedAssertion(msgspec.Struct, frozen=True):
    """What remains to be done once: `jti` must be new for this client until `expires_at`, and `SKEW` longer.

    `issued_at` is the earliest instant it can have been made.
    """

    jti: str
    issued_at: datetime
    expires_at: datetime


def client_named_by(assertion: str) -> str:
    """The `sub` the assertion claims, unverified: whose keys to judge it by (RFC 7521 section 4.2)."""
    subject = parse_jwt(assertion, KIND).claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise ProtocolError(INVALID_CLIENT, "The client assertion has no sub.")
    return subject


def verify_client_assertion(
    assertion: str,
    client: Client,
    keys: Sequence[Key],
    capabilities: Capabilities,
    now: datetime,
    *,
    endpoints: Sequence[str] = (),
) -> UsedAssertion:
    """Every rule but the last: the caller must refuse a `jti` it has seen (RFC 7523 section 3, item 7).

    `endpoints` are further audiences that a client outside of FAPI 2.0 may name: the token endpoint's URL and the URL
    being called. Raises `invalid_client`.
    """
    registered = client.metadata.token_endpoint_auth_signing_alg
    algorithms = algorithms_for(client, capabilities.client_assertion_algorithms, registered)
    kind = msgspec.structs.replace(KIND, algorithms=algorithms)
    claims = verify_jwt(assertion, keys, kind).claims
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise ProtocolError(INVALID_CLIENT, "The iss and sub of the client assertion must be the client_id.")
    require_audience(claims.get("aud"), client, capabilities.issuer, endpoints)
    require_current(claims, kind, now, required=("exp",))
    require_lifetime(claims, kind, now, longest := LONGEST_IN_FAPI if client.is_fapi else LONGEST)
    jti = require_jti(claims, kind)
    expires, issued = require_instant(claims, "exp", kind), read_instant(claims, "iat", kind)
    if issued is None:
        # It may have been made as early as its longest lifetime allows.
        issued = expires - longest.total_seconds()
    return UsedAssertion(jti, datetime.fromtimestamp(max(issued, 0.0), UTC), datetime.fromtimestamp(expires, UTC))


def require_audience(audience: object, client: Client, issuer: str, endpoints: Sequence[str]) -> None:
    """FAPI 2.0 section 5.3.2.1: our issuer as one string. Elsewhere libraries send endpoints, and lists: a list does
    where every member is ours, because then nobody else can use the assertion (RFC 7523 section 3)."""
    ours = (issuer,) if rules_of(client).issuer_is_the_audience else tuple(dict.fromkeys((issuer, *endpoints)))
    named = audience if isinstance(audience, list) and not rules_of(client).issuer_is_the_audience else [audience]
    if not named or (client.is_fapi and len(named) > 1) or not all(name in ours for name in named):
        raise wrong_audience(KIND, audience, ours)
