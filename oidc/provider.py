"""What every endpoint of the provider is handed: who we are, our policy, our keys, our clients."""

from datetime import timedelta

import msgspec

from accounts.vault import Vault
from oidc.client import ClientCache
from oidc.client_keys import ClientKeys
from oidc.document import Document, document_of
from oidc.fetcher import Fetcher
from oidc.key_ring import KeyRing
from oidc.protocol.capabilities import PAR, Capabilities
from oidc.protocol.metadata import Endpoints, discovery_document
from oidc.registration import RegistrationPolicy
from oidc.revision import Revisions


class ProviderPolicy(msgspec.Struct, frozen=True):
    """How long things live, and who may register. RFC 9700 and FAPI 2.0 section 5.3.2.1 ask for short-lived codes and
    access tokens."""

    code: timedelta = timedelta(seconds=60)
    """At most 60 s (R4)."""
    pushed_request: timedelta = timedelta(seconds=90)
    """How long a browser may take to come with it (FAPI 2.0 section 5.3.2.2: less than 600 s)."""
    access_token: timedelta = timedelta(minutes=10)
    id_token: timedelta = timedelta(minutes=10)
    refresh_token: timedelta = timedelta(days=30)
    """Without use; using it begins anew, up to `grant`."""
    refresh_grace: timedelta = timedelta(seconds=10)
    """How long a rotated refresh token still answers with the same successor; at most 10 s (R8)."""
    grant: timedelta = timedelta(days=365)
    """After this the citizen is asked again, however busy the service is."""
    registration: RegistrationPolicy = RegistrationPolicy()


class Provider(msgspec.Struct, frozen=True):
    """Held for the life of the process."""

    capabilities: Capabilities
    endpoints: Endpoints
    discovery: Document
    policy: ProviderPolicy
    clients: ClientCache
    client_keys: ClientKeys
    keys: KeyRing
    fetcher: Fetcher

    @property
    def issuer(self) -> str:
        """The one exact string (R9)."""
        return self.capabilities.issuer


def endpoints_of(capabilities: Capabilities, policy: ProviderPolicy) -> Endpoints:
    """Where our endpoints are: from the configured issuer, never from `Host` (R71)."""
    issuer = capabilities.issuer
    return Endpoints(
        authorization_endpoint=issuer + "/authorize",
        token_endpoint=issuer + "/token",
        userinfo_endpoint=issuer + "/userinfo",
        jwks_uri=issuer + "/jwks",
        end_session_endpoint=issuer + "/end-session",
        registration_endpoint=issuer + "/connect/register" if policy.registration.mode != "off" else None,
        revocation_endpoint=issuer + "/revoke",
        introspection_endpoint=issuer + "/introspect",
        pushed_authorization_request_endpoint=issuer + "/par" if capabilities.has(PAR) else None,
    )


def new_provider(capabilities: Capabilities, policy: ProviderPolicy, vault: Vault, fetcher: Fetcher) -> Provider:
    """A provider with empty caches."""
    revisions = Revisions()
    endpoints = endpoints_of(capabilities, policy)
    return Provider(
        capabilities=capabilities,
        endpoints=endpoints,
        discovery=document_of(discovery_document(capabilities, endpoints)),
        policy=policy,
        clients=ClientCache(revisions),
        client_keys=ClientKeys(fetcher),
        keys=KeyRing(vault, revisions),
        fetcher=fetcher,
    )
