"""What a request shows to hold, beside what it asks: a key by a DPoP proof, a certificate by its connection."""

from datetime import datetime
from typing import Any

from litestar import Request

from accounts.store import Store
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.dpop import new_nonce, verified_proof
from oidc.endpoints.certificate import certificate_of
from oidc.endpoints.errors import HEADERS
from oidc.protocol.capabilities import DPOP
from oidc.provider import Provider
from oidc.sender import ANYONE, Sender


async def shown_sender(
    request: Request[Any, Any, Any],
    store: Store,
    vault: Vault,
    provider: Provider,
    now: datetime,
    *,
    client: RegisteredClient | None = None,
    access_token: str | None = None,
) -> Sender:
    """Most requests show nothing, and cost nothing here. Raises `invalid_dpop_proof`, `use_dpop_nonce`."""
    certificate = certificate_of(request, provider)
    proof = None
    if "dpop" in request.headers and provider.capabilities.has(DPOP):
        # Whatever becomes of the proof, the answer brings the nonce for the next one (RFC 9449 section 8.2).
        request.state[HEADERS] = {"DPoP-Nonce": new_nonce(vault, now)}
        proof = await verified_proof(
            store,
            vault,
            provider,
            request.headers.getall("dpop"),
            method=request.method,
            urls=provider.addresses(request.url.path),
            now=now,
            client=client,
            access_token=access_token,
        )
    if proof is None and certificate is None:
        return ANYONE
    return Sender(proof, certificate.thumbprint if certificate else None)
