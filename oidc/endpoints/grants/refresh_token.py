"""The grant type `refresh_token` (RFC 6749 section 6, OpenID Connect Core section 12)."""

from datetime import datetime

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.endpoints.grants.granted import Granted, wish_of
from oidc.protocol.parameters import Parameters
from oidc.protocol.token_request import read_refresh_grant
from oidc.provider import Provider
from oidc.refresh_token import refresh
from oidc.sender import Sender


async def exchange(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    parameters: Parameters,
    sender: Sender,
    now: datetime,
) -> Granted:
    """Rotate the token. The ID token beside it speaks of the first sign-in and has no nonce (Core section 12.2)."""
    wish = wish_of(parameters, provider, client)
    refreshed = await refresh(db, vault, provider.policy, client, read_refresh_grant(parameters), now, sender, wish)
    return Granted(refreshed.grant, refreshed.tokens)
