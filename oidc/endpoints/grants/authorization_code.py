"""The grant type `authorization_code` (RFC 6749 section 4.1.3, OpenID Connect Core section 3.1.3)."""

from datetime import datetime

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.authorization_code import redeem
from oidc.client import RegisteredClient
from oidc.endpoints.grants.granted import Granted, wish_of
from oidc.protocol.parameters import Parameters
from oidc.protocol.token_request import read_code_grant
from oidc.provider import Provider
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
    """Redeem the code. A refresh token goes to who is registered for that grant type."""
    wish = wish_of(parameters, provider, client)
    redeemed = await redeem(db, vault, provider.policy, client, read_code_grant(parameters), now, sender, wish)
    return Granted(redeemed.grant, redeemed.tokens, redeemed.nonce)
