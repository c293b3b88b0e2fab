"""Logout tokens: a session at the provider has ended (Back-Channel Logout 1.0 section 2.4)."""

from datetime import datetime, timedelta
from typing import Any

TYP = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Section 2.4 recommends at most two minutes; every attempt gets a token of its own.
LIFETIME = timedelta(minutes=2)


def logout_token_claims(
    *, issuer: str, client_id: str, sub: str, sid: str | None, jti: str, now: datetime
) -> dict[str, Any]:
    """`sid` names the one session; without it all of `sub`. There is never a `nonce` (section 2.4)."""
    issued = int(now.timestamp())
    members = {
        "iss": issuer,
        "aud": client_id,
        "iat": issued,
        "exp": issued + int(LIFETIME.total_seconds()),
        "jti": jti,
        "sub": sub,
        "sid": sid,
        "events": {EVENT: {}},
    }
    return {name: value for name, value in members.items() if value is not None}
