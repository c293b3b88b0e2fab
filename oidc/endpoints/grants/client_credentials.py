"""The grant type `client_credentials` (RFC 6749 section 4.4): a service calls an API in its own name."""

from datetime import datetime

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.endpoints.grants.granted import Granted
from oidc.issuance import new_access_token
from oidc.protocol.client import lifetimes_of
from oidc.protocol.client_credentials import service_scope
from oidc.protocol.parameters import Parameters
from oidc.provider import Provider
from oidc.sender import Sender
from oidc.service_token import keep_service_token


async def exchange(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    parameters: Parameters,
    sender: Sender,
    now: datetime,
) -> Granted:
    """One row, and never a refresh token (section 4.4.3)."""
    scopes = service_scope(parameters, client, provider.capabilities)
    tokens = new_access_token(lifetimes_of(client, provider.policy.lifetimes), scopes, now, sender)
    await keep_service_token(
        db,
        tokens.access_token,
        client.client_id,
        scopes=tokens.scopes,
        dpop_jkt=sender.jkt,
        certificate_thumbprint=sender.certificate,
        now=now,
        expires_at=tokens.access_expires_at,
    )
    return Granted(None, tokens)
