"""What every endpoint of the provider is handed: who we are, our policy, our keys, our clients."""

from datetime import timedelta

import msgspec

from accounts.vault import Vault
from oidc.client import ClientCache
from oidc.fetcher import Fetcher
from oidc.key_ring import KeyRing
from oidc.protocol.capabilities import Capabilities
from oidc.revision import Revisions


class ProviderPolicy(msgspec.Struct, frozen=True):
    """How long things live. RFC 9700 and FAPI 2.0 section 5.3.2.1 ask for short-lived codes and access tokens."""

    code: timedelta = timedelta(seconds=60)
    """At most 60 s (R4)."""
    access_token: timedelta = timedelta(minutes=10)
    id_token: timedelta = timedelta(minutes=10)
    refresh_token: timedelta = timedelta(days=30)
    """Without use; using it begins anew, up to `grant`."""
    refresh_grace: timedelta = timedelta(seconds=10)
    """How long a rotated refresh token still answers with the same successor; at most 10 s (R8)."""
    grant: timedelta = timedelta(days=365)
    """After this the citizen is asked again, however busy the service is."""


class Provider(msgspec.Struct, frozen=True):
    """Held for the life of the process."""

    capabilities: Capabilities
    policy: ProviderPolicy
    clients: ClientCache
    keys: KeyRing
    fetcher: Fetcher

    @property
    def issuer(self) -> str:
        """The one exact string (R9)."""
        return self.capabilities.issuer


def new_provider(capabilities: Capabilities, policy: ProviderPolicy, vault: Vault, fetcher: Fetcher) -> Provider:
    """A provider with empty caches."""
    revisions = Revisions()
    return Provider(capabilities, policy, ClientCache(revisions), KeyRing(vault, revisions), fetcher)
