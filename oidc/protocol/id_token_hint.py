"""An ID token of ours coming back as `id_token_hint` (OpenID Connect Core 3.1.2.1, RP-Initiated Logout section 2)."""

from collections.abc import Sequence

import msgspec
from joserfc.jwk import Key

from oidc.protocol.errors import INVALID_REQUEST, ProtocolError
from oidc.protocol.jwt import JwtKind, read_instant, verify_jwt


class Hint(msgspec.Struct, frozen=True):
    """Whom an ID token of ours was about: `client_id` got it, `sub` and `sid` are as that client sees them."""

    client_id: str
    sub: str
    sid: str | None = None


def verify_id_token_hint(token: str, keys: Sequence[Key], issuer: str, algorithms: Sequence[str]) -> Hint:
    """Ours, for one client, and complete; it may have expired long ago (RP-Initiated Logout section 4).

    `keys` are our own public keys, retired ones too. Raises `invalid_request`. What only an ID token carries is asked
    for, so that no other JWT of ours passes for one (R11).
    """
    kind = JwtKind(
        name="id_token_hint", error=INVALID_REQUEST, typ=frozenset({None, "jwt"}), algorithms=tuple(algorithms)
    )
    claims = verify_jwt(token, keys, kind).claims
    for name in ("exp", "iat", "auth_time"):
        if read_instant(claims, name, kind) is None:
            raise ProtocolError(INVALID_REQUEST, "The id_token_hint is not an ID token.")
    sub, audience, sid = claims.get("sub"), claims.get("aud"), claims.get("sid")
    if claims.get("iss") != issuer or "events" in claims:
        raise ProtocolError(INVALID_REQUEST, "The id_token_hint was not issued here.")
    if not isinstance(sub, str) or not isinstance(audience, str) or not isinstance(sid, str | None):
        raise ProtocolError(INVALID_REQUEST, "The id_token_hint is not an ID token.")
    return Hint(audience, sub, sid)


def hinted_sub(hint: Hint | None, client_id: str) -> str | None:
    """The `sub` to expect at `/authorize`. A hint that was issued to another client says nothing to this one."""
    if hint is None:
        return None
    if hint.client_id != client_id:
        raise ProtocolError(INVALID_REQUEST, "The id_token_hint was issued to another client.")
    return hint.sub
