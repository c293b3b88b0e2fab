"""DPoP proofs as they come in: verified by the rules, used once, and the nonces we give out for them (RFC 9449, R7)."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from accounts.store import Store
from accounts.vault import Vault
from oidc.protocol.client import Client
from oidc.protocol.dpop import KIND, Proof, one_proof, verify_proof
from oidc.protocol.errors import INVALID_DPOP_PROOF, USE_DPOP_NONCE, ProtocolError
from oidc.protocol.jwt import parse_jwt
from oidc.provider import Provider

NONCE_LIFE = timedelta(minutes=5)
"""How long a nonce is a good one where it is asked for."""
STAMP, MAC = 6, 16
"""Bytes of a nonce: the millisecond it was made, and our keyed hash of it. Nothing is kept."""


async def verified_proof(
    store: Store,
    vault: Vault,
    provider: Provider,
    headers: Sequence[str],
    *,
    method: str,
    urls: Sequence[str],
    now: datetime,
    client: Client | None = None,
    access_token: str | None = None,
) -> Proof | None:
    """The proof of a request's DPoP headers, once every check holds; None where there is none.

    Raises `invalid_dpop_proof`, `use_dpop_nonce`. A nonce is offered with each answer; where it is not asked for, a
    proof may come without, is judged by its `iat`, and what it holds as nonce must still be one of ours.
    """
    proof = one_proof(headers)
    if proof is None:
        return None
    demanded = provider.policy.dpop_nonce
    given = parse_jwt(proof, KIND).claims.get("nonce")
    made_at = nonce_made_at(vault, given) if isinstance(given, str) else None
    if given is not None and made_at is None:
        raise ProtocolError(USE_DPOP_NONCE, "The nonce of the DPoP proof is not one of ours.")
    is_good = made_at is not None and timedelta(0) <= now - made_at <= NONCE_LIFE
    nonces = {given: made_at} if isinstance(given, str) and made_at is not None and is_good else {}
    verified = verify_proof(
        proof,
        method=method,
        urls=urls,
        capabilities=provider.capabilities,
        now=now,
        client=client,
        access_token=access_token,
        nonces=nonces if demanded else None,
    )
    # A proof with a nonce can be shown for as long as the nonce is good: so long its jti is kept.
    last = max(verified.expires_at, now + NONCE_LIFE) if demanded else verified.expires_at
    name = hashlib.sha256(f"{verified.jkt}{verified.jti}".encode()).hexdigest()
    if not await store.first_use(f"dpop:{name}", verified.issued_at, int((last - now).total_seconds()) + 1, now):
        raise ProtocolError(INVALID_DPOP_PROOF, "The DPoP proof was used before.", detail="jti seen or too old")
    return verified


def new_nonce(vault: Vault, now: datetime) -> str:
    """A nonce (section 8): it says by itself when we made it."""
    stamp = int(now.timestamp() * 1000).to_bytes(STAMP, "big")
    return urlsafe_b64encode(stamp + vault.mac("dpop.nonce", stamp)[:MAC]).rstrip(b"=").decode()


def nonce_made_at(vault: Vault, nonce: str) -> datetime | None:
    """When we made it; None where we did not."""
    try:
        raw = urlsafe_b64decode(nonce.encode("ascii") + b"=" * (-len(nonce) % 4))
    except (Error, ValueError):
        return None
    stamp, mac = raw[:STAMP], raw[STAMP:]
    if not hmac.compare_digest(mac, vault.mac("dpop.nonce", stamp)[:MAC]):
        return None
    return datetime.fromtimestamp(int.from_bytes(stamp, "big") / 1000, UTC)
