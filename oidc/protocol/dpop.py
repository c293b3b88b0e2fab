"""DPoP proofs: whoever uses a token shows that it holds the token's key (RFC 9449, R7)."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import msgspec

from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_DPOP_PROOF, INVALID_GRANT, INVALID_TOKEN, USE_DPOP_NONCE, ProtocolError
from oidc.protocol.jwt import SKEW, JwtKind, require_current, require_instant, require_jti, verify_with_embedded_key
from oidc.protocol.keys import thumbprint
from oidc.protocol.profile import algorithms_for
from oidc.protocol.uris import split_uri

# How old a proof may be; ten seconds ahead are fine (FAPI 2.0 Security Profile section 5.3.2.1).
LONGEST = timedelta(seconds=60)
KIND = JwtKind(name="DPoP proof", error=INVALID_DPOP_PROOF, typ=frozenset({"dpop+jwt"}), algorithms=(), embeds_key=True)
DEFAULT_PORTS = {"http": 80, "https": 443}
UNRESERVED_ESCAPE = re.compile(r"%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|3[0-9]|2[DE]|5F|7E)", re.IGNORECASE)


class Proof(msgspec.Struct, frozen=True):
    """A proof that holds. The caller must refuse a `jti` it has seen for this key until `expires_at`; a proof judged by
    its nonce, for as long as that nonce is a good one.

    `jkt` is the key's thumbprint. `issued_at` is the earliest instant the proof can have been made.
    """

    jkt: str
    jti: str
    issued_at: datetime
    expires_at: datetime


def one_proof(headers: Sequence[str]) -> str | None:
    """RFC 9449 section 4.3, check 1: there is not more than one DPoP header."""
    if len(headers) > 1:
        raise ProtocolError(INVALID_DPOP_PROOF, "There is more than one DPoP header.")
    return headers[0] if headers else None


def verify_proof(
    proof: str,
    *,
    method: str,
    urls: Sequence[str],
    capabilities: Capabilities,
    now: datetime,
    client: Client | None = None,
    access_token: str | None = None,
    nonces: Mapping[str, datetime] | None = None,
) -> Proof:
    """RFC 9449 section 4.3, every check but that `jti` is new.

    `urls` are the endpoint's own addresses, from configuration (R71, RFC 8705 section 5). `access_token` where one is
    presented: `ath` is its hash. `nonces` are the values we would accept now, with the instant each was first given
    out; None asks for none.
    Raises `invalid_dpop_proof`, `use_dpop_nonce`.
    """
    kind = msgspec.structs.replace(KIND, algorithms=algorithms_for(client, capabilities.dpop_algorithms))
    jwt, key = verify_with_embedded_key(proof, kind)
    claims = jwt.claims
    jti = require_jti(claims, kind)
    if claims.get("htm") != method:
        raise ProtocolError(INVALID_DPOP_PROOF, "The DPoP proof is for another method.")
    require_same_address(claims.get("htu"), urls)
    if access_token is not None:
        require_token_hash(claims.get("ath"), access_token)
    if nonces is not None:
        # The nonce says when it was made, better than a clock that is not ours (section 8).
        issued = require_nonce(claims.get("nonce"), nonces)
        require_instant(claims, "iat", kind)
        return Proof(thumbprint(key), jti, issued, now + LONGEST)
    issued = require_recent(claims, kind, now)
    return Proof(thumbprint(key), jti, issued, issued + LONGEST + SKEW)


def require_recent(claims: Mapping[str, object], kind: JwtKind, now: datetime) -> datetime:
    """Section 11.1: made a moment ago."""
    require_current(claims, kind, now)
    issued = require_instant(claims, "iat", kind)
    if issued < (now - LONGEST).timestamp():
        raise ProtocolError(INVALID_DPOP_PROOF, "The DPoP proof is too old.")
    return datetime.fromtimestamp(issued, UTC)


def require_nonce(nonce: object, nonces: Mapping[str, datetime]) -> datetime:
    """Section 8: a nonce of ours, and still a good one; the answer that refuses carries the next."""
    if not isinstance(nonce, str) or nonce not in nonces:
        raise ProtocolError(USE_DPOP_NONCE, "The DPoP proof needs the nonce of the DPoP-Nonce header.")
    return nonces[nonce]


def require_same_address(htu: object, urls: Sequence[str]) -> None:
    """Section 4.3, check 9: without query and fragment, normalised (RFC 3986 sections 6.2.2 and 6.2.3)."""
    if normalized(htu) is None or normalized(htu) not in {normalized(url) for url in urls}:
        raise ProtocolError(INVALID_DPOP_PROOF, "The DPoP proof is for another address.")


def normalized(url: object) -> str | None:
    """Scheme, host, port and path as they compare; None where it is no address."""
    parts = split_uri(url)
    if parts is None or "@" in parts.netloc:
        return None
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    path = UNRESERVED_ESCAPE.sub(lambda escape: unquote(escape[0]), parts.path or "/")
    path = re.sub("%[0-9a-fA-F]{2}", lambda escape: escape[0].upper(), path)
    return f"{parts.scheme}://{parts.hostname}:{port}{path}"


def require_token_hash(ath: object, access_token: str) -> None:
    """Section 4.2, `ath`: the proof was made for this token."""
    digest = hashlib.sha256(access_token.encode("ascii", "replace")).digest()
    expected = urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    if not isinstance(ath, str) or not hmac.compare_digest(ath.encode(), expected.encode()):
        raise ProtocolError(INVALID_DPOP_PROOF, "The DPoP proof is for another access token.")


def require_bound_key(proof: Proof | None, jkt: str | None, *, error: str = INVALID_GRANT) -> None:
    """Sections 5 and 10: what is bound to a key is used with that key; what is not bound may be used with any.

    `error` is `invalid_grant` for codes and refresh tokens, `invalid_token` for access tokens.
    """
    if jkt is not None and (proof is None or not hmac.compare_digest(proof.jkt, jkt)):
        raise ProtocolError(error, "The proof of the key is missing, or is of another key.", detail="jkt mismatch")


def require_scheme_of_binding(scheme: str, jkt: str | None) -> None:
    """Section 7.1: a bound token is never taken as a Bearer token, nor the other way round. Schemes have no case."""
    if (scheme.lower() == "dpop") != (jkt is not None):
        raise ProtocolError(INVALID_TOKEN, "The access token was presented with the wrong scheme.")


def require_same_key_as_announced(proof: Proof | None, dpop_jkt: str | None) -> str | None:
    """Section 10.1: at PAR the header and `dpop_jkt` both bind the code, so they must agree. The key to bind it to."""
    if proof is None:
        return dpop_jkt
    if dpop_jkt is not None and dpop_jkt != proof.jkt:
        raise ProtocolError(INVALID_DPOP_PROOF, "The dpop_jkt is not the key of the DPoP proof.")
    return proof.jkt
