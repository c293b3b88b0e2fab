"""Token introspection: what is said about a token, to whom (RFC 7662, RFC 9701)."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

INACTIVE: dict[str, Any] = {"active": False}
MEDIA_TYPE = "application/token-introspection+jwt"
TYP = "token-introspection+jwt"


class TokenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A live token. `sub` is as the asking party's sector sees it; nothing in here is an identifier of our own."""

    client_id: str
    scope: tuple[str, ...]
    token_type: str
    issued_at: datetime
    expires_at: datetime
    sub: str | None = None
    audience: tuple[str, ...] = ()
    auth_time: datetime | None = None
    acr: str | None = None
    cnf: dict[str, str] = {}
    act: dict[str, Any] = {}
    authorization_details: tuple[dict[str, Any], ...] = ()


def may_see(asking_client_id: str, resources_of_asking: Collection[str], token: TokenFacts) -> bool:
    """RFC 7662 section 4: who got the token, and the API it is meant for. To all others it is inactive."""
    return asking_client_id == token.client_id or bool(set(resources_of_asking) & set(token.audience))


def introspection_response(token: TokenFacts, issuer: str) -> dict[str, Any]:
    """RFC 7662 section 2.2, RFC 9470 section 6.2 (`acr`, `auth_time`), RFC 9449 section 6.2 (`cnf`)."""
    members: dict[str, Any] = {
        "active": True,
        "iss": issuer,
        "client_id": token.client_id,
        "sub": token.sub,
        "scope": " ".join(token.scope) or None,
        "token_type": token.token_type,
        "iat": int(token.issued_at.timestamp()),
        "exp": int(token.expires_at.timestamp()),
        "aud": one_or_list(token.audience),
        "auth_time": int(token.auth_time.timestamp()) if token.auth_time else None,
        "acr": token.acr,
        "cnf": token.cnf or None,
        "act": token.act or None,
        "authorization_details": list(token.authorization_details) or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def one_or_list(audience: Sequence[str]) -> str | list[str] | None:
    """RFC 7519 section 4.1.3: one audience is a string."""
    return list(audience) if len(audience) > 1 else audience[0] if audience else None


def signed_introspection_claims(
    answer: dict[str, Any], *, issuer: str, asking_client_id: str, now: datetime
) -> dict[str, Any]:
    """RFC 9701 section 5: the answer inside a JWT of its own type; neither `sub` nor `exp` at the top."""
    issued = int(now.timestamp())
    return {"iss": issuer, "aud": asking_client_id, "iat": issued, "token_introspection": answer}


def wants_jwt(accept: str | None) -> bool:
    """RFC 9701 section 4: the caller asks for it by its media type."""
    kinds: Iterable[str] = (accept or "").split(",")
    return any(kind.partition(";")[0].strip().lower() == MEDIA_TYPE for kind in kinds)
