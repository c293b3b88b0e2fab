"""Software statements: metadata that a trusted issuer has signed, part of a registration (RFC 7591 section 2.3)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from joserfc.jwk import Key

from oidc.protocol.capabilities import ASYMMETRIC_ALGORITHMS
from oidc.protocol.errors import INVALID_SOFTWARE_STATEMENT, UNAPPROVED_SOFTWARE_STATEMENT, ProtocolError
from oidc.protocol.jwt import JwtKind, parse_jwt, require_current, verify_jwt

KIND = JwtKind(
    name="software_statement",
    error=INVALID_SOFTWARE_STATEMENT,
    typ=frozenset({None, "jwt", "software-statement+jwt"}),
    algorithms=ASYMMETRIC_ALGORITHMS,
)
REGISTERED_CLAIMS = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


def with_statement(given: Mapping[str, Any], issuer: str, keys: Sequence[Key], now: datetime) -> dict[str, Any]:
    """RFC 7591 section 3.1.1: what the statement says outranks what stands beside it.

    Raises `invalid_software_statement`, and `unapproved_software_statement` for another issuer's.
    """
    statement = given.get("software_statement")
    if not isinstance(statement, str):
        raise ProtocolError(UNAPPROVED_SOFTWARE_STATEMENT, "A software_statement is needed.")
    if parse_jwt(statement, KIND).claims.get("iss") != issuer:
        raise ProtocolError(UNAPPROVED_SOFTWARE_STATEMENT, "The issuer of the software_statement is not trusted.")
    claims = verify_jwt(statement, keys, KIND).claims
    require_current(claims, KIND, now)
    said = {name: value for name, value in claims.items() if name not in REGISTERED_CLAIMS}
    return {**given, **said}
