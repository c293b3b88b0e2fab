"""ID tokens: what they say (OpenID Connect Core sections 2 and 3.1.3.6, R10)."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

# The hash of each signature algorithm (section 3.1.3.6); Ed25519 uses SHA-512 inside (RFC 8032).
HASHES = {
    "256": hashlib.sha256,
    "384": hashlib.sha384,
    "512": hashlib.sha512,
    "519": hashlib.sha512,
    "DSA": hashlib.sha512,
}
# A claim about the person can never stand in for one about the token.
RESERVED = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "sid",
                      "at_hash", "c_hash", "s_hash", "vot", "vtm"})  # fmt: skip


def id_token_claims(
    *,
    issuer: str,
    sub: str,
    client_id: str,
    now: datetime,
    lifetime: timedelta,
    auth_time: datetime,
    acr: str | None,
    amr: Sequence[str] = (),
    nonce: str | None = None,
    sid: str | None = None,
    jti: str | None = None,
    at_hash: str | None = None,
    vot: str | None = None,
    vtm: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The claims of an ID token for one audience; `azp` is left out, because it would only repeat `aud`.

    `auth_time` is always there: `max_age`, `require_auth_time` and an essential claim demand it (section 2), and it
    tells nothing that `iat` does not nearly tell. After a refresh it is still the time of the sign-in (section 12.2),
    and `nonce` is left out then. `claims` are the person's, selected already.
    """
    issued = int(now.timestamp())
    members = {
        "iss": issuer,
        "sub": sub,
        "aud": client_id,
        "exp": issued + int(lifetime.total_seconds()),
        "iat": issued,
        "jti": jti,
        "auth_time": int(auth_time.timestamp()),
        "acr": acr,
        "amr": list(amr) or None,
        "nonce": nonce,
        "sid": sid,
        "at_hash": at_hash,
        "vot": vot,
        "vtm": vtm,
    }
    about_the_person = {name: value for name, value in (claims or {}).items() if name not in RESERVED}
    return {name: value for name, value in members.items() if value is not None} | about_the_person


def half_hash(value: str, algorithm: str) -> str:
    """`at_hash`, `c_hash` and `s_hash`: the left half of the hash the signature algorithm uses (section 3.1.3.6)."""
    digest = HASHES[algorithm[-3:]](value.encode("ascii", "replace")).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
