"""The grant types of requests that wait for a citizen elsewhere: device code (RFC 8628 section 3.4), CIBA (10.1)."""

from datetime import datetime

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.endpoints.grants.granted import Granted, wish_of
from oidc.protocol.parameters import Parameters
from oidc.provider import Provider
from oidc.sender import Sender
from oidc.waiting_redemption import redeem_waiting


async def exchange_device_code(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    parameters: Parameters,
    sender: Sender,
    now: datetime,
) -> Granted:
    """Poll, and redeem once the citizen has allowed it."""
    code = parameters.require("device_code")
    wish = wish_of(parameters, provider, client)
    redeemed = await redeem_waiting(db, vault, provider.policy, client, "device", code, now, sender, wish)
    return Granted(redeemed.grant, redeemed.tokens)


async def exchange_auth_req_id(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    parameters: Parameters,
    sender: Sender,
    now: datetime,
) -> Granted:
    """The same for CIBA, whether the client was pinged or just asks."""
    name = parameters.require("auth_req_id")
    wish = wish_of(parameters, provider, client)
    redeemed = await redeem_waiting(db, vault, provider.policy, client, "ciba", name, now, sender, wish)
    return Granted(redeemed.grant, redeemed.tokens)
