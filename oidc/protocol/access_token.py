"""JWT access tokens for one API (RFC 9068), and how a key is named in tokens (RFC 7800, 8705, 9449)."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

TYP = "at+jwt"


def access_token_claims(
    *,
    issuer: str,
    audience: str,
    sub: str,
    client_id: str,
    jti: str,
    now: datetime,
    lifetime: timedelta,
    scope: Iterable[str],
    auth_time: datetime | None = None,
    acr: str | None = None,
    amr: Sequence[str] = (),
    cnf: dict[str, str] | None = None,
    act: dict[str, Any] | None = None,
    authorization_details: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """RFC 9068 section 2.2. `sub` is pairwise for the API's sector, or the client_id where no citizen takes part."""
    issued = int(now.timestamp())
    members = {
        "iss": issuer,
        "aud": audience,
        "sub": sub,
        "client_id": client_id,
        "jti": jti,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
        "scope": " ".join(scope) or None,
        "auth_time": int(auth_time.timestamp()) if auth_time else None,
        "acr": acr,
        "amr": list(amr) or None,
        "cnf": cnf or None,
        "act": act or None,
        "authorization_details": list(authorization_details) or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def confirmation(*, jkt: str | None = None, certificate: str | None = None) -> dict[str, str]:
    """`cnf`: the DPoP key's thumbprint (RFC 9449 section 6), the certificate's (RFC 8705 section 3.1)."""
    members = {"jkt": jkt, "x5t#S256": certificate}
    return {name: value for name, value in members.items() if value is not None}
