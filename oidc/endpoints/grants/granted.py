"""What a grant type hands back to the token endpoint, and how it is called."""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.grant import GrantView
from oidc.issuance import NewTokens, Wish
from oidc.protocol.authorization_details import read_authorization_details
from oidc.protocol.capabilities import RESOURCES
from oidc.protocol.parameters import Parameters
from oidc.protocol.resource import read_resources
from oidc.provider import Provider
from oidc.sender import Sender


class Granted(msgspec.Struct, frozen=True):
    """The grant that was used (None where no citizen stands behind it), tokens that are written down, and what the
    answer says besides."""

    grant: GrantView | None
    tokens: NewTokens
    nonce: str | None = None
    more: dict[str, Any] = {}


def wish_of(parameters: Parameters, provider: Provider, client: RegisteredClient) -> Wish:
    """What a token request is narrowed to. Raises `invalid_target`, `invalid_authorization_details`."""
    capabilities = provider.capabilities
    resources = read_resources(parameters, capabilities.resources) if capabilities.has(RESOURCES) else ()
    raw = parameters.get("authorization_details") if capabilities.detail_types else None
    return Wish(resources, read_authorization_details(raw, capabilities.detail_types, client))


class Exchange(Protocol):
    """One grant type. The client is authenticated and may use it."""

    async def __call__(
        self,
        db: Transaction,
        vault: Vault,
        provider: Provider,
        client: RegisteredClient,
        parameters: Parameters,
        sender: Sender,
        now: datetime,
    ) -> Granted:
        """Exchange what was presented for tokens bound to `sender`, or raise `ProtocolError`."""
