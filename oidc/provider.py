"""What every endpoint of the provider is handed: who we are, our policy, our keys, our clients."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from accounts.vault import Vault
from oidc.browser_state import BrowserStates
from oidc.client import ClientCache
from oidc.client_keys import ClientKeys
from oidc.detail import DetailKind
from oidc.document import Document, document_of
from oidc.fetcher import Fetcher
from oidc.key_holder import KeyHolder
from oidc.key_ring import KeyRing
from oidc.mutual_tls import MutualTls
from oidc.protocol.capabilities import CIBA, DEVICE, PAR, SESSION_MANAGEMENT, Capabilities
from oidc.protocol.lifetimes import LONGEST, Lifetimes
from oidc.protocol.metadata import Endpoints, discovery_document
from oidc.registration import RegistrationPolicy
from oidc.resource import Resource
from oidc.revision import Revisions


class ProviderPolicy(msgspec.Struct, frozen=True):
    """How long things live, and who may register. RFC 9700 and FAPI 2.0 section 5.3.2.1 ask for short-lived codes and
    access tokens."""

    code: timedelta = timedelta(seconds=60)
    """At most 60 s (R4)."""
    pushed_request: timedelta = timedelta(seconds=90)
    """How long a browser may take to come with it (FAPI 2.0 section 5.3.2.2: less than 600 s)."""
    dpop_nonce: bool = False
    """Whether a DPoP proof must hold a nonce of ours. Offered it is always (RFC 9449 section 8)."""
    access_token: timedelta = timedelta(minutes=10)
    id_token: timedelta = timedelta(minutes=10)
    refresh_token: timedelta = timedelta(days=30)
    """Without use; using it begins anew, up to `grant`."""
    refresh_grace: timedelta = timedelta(seconds=10)
    """How long a rotated refresh token still answers with the same successor; at most 10 s (R8)."""
    grant: timedelta = LONGEST.grant
    """After this the citizen is asked again, however busy the service is."""
    waiting: timedelta = timedelta(minutes=10)
    """How long a citizen may take to answer a request from another device (RFC 8628 section 3.2, CIBA Core 7.3)."""
    asked: int = 10
    """Requests of one service for one person in ten minutes (CIBA): nobody is worn down until they press "Allow"."""
    registration: RegistrationPolicy = RegistrationPolicy()

    @property
    def lifetimes(self) -> Lifetimes:
        """Of the tokens of a client that is registered with none of its own."""
        return Lifetimes(self.access_token, self.id_token, self.refresh_token, self.grant)


ALIASED = (
    "token_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
    "backchannel_authentication_endpoint",
)
"""What services call from server to server."""


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
    mutual_tls: MutualTls | None = None
    resources: dict[str, Resource] = {}
    """By their address."""
    detail_kinds: dict[str, DetailKind] = {}
    """By their type."""
    browser_states: BrowserStates | None = None
    """Where session management is on."""

    @property
    def issuer(self) -> str:
        """The one exact string (R9)."""
        return self.capabilities.issuer

    def audiences(self, path: str) -> tuple[str, ...]:
        """What a client assertion may be meant for besides our issuer: the token endpoint and the endpoint at `path`,
        each at both its addresses (CIBA Core section 7.1, RFC 8705 section 5)."""
        return tuple(address for name in ("/token", path) for address in self.addresses(name))

    def addresses(self, path: str) -> tuple[str, ...]:
        """Where the endpoint at `path` can be reached: at our issuer's address, and where a certificate is asked for
        (RFC 8705 section 5)."""
        alias = self.mutual_tls.address if self.mutual_tls else ""
        return (self.issuer + path, *((alias + path,) if alias else ()))


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
        device_authorization_endpoint=issuer + "/device_authorization" if capabilities.has(DEVICE) else None,
        backchannel_authentication_endpoint=issuer + "/backchannel-authentication" if capabilities.has(CIBA) else None,
        revocation_endpoint=issuer + "/revoke",
        introspection_endpoint=issuer + "/introspect",
        pushed_authorization_request_endpoint=issuer + "/par" if capabilities.has(PAR) else None,
        check_session_iframe=issuer + "/check-session" if capabilities.has(SESSION_MANAGEMENT) else None,
    )


def with_aliases(endpoints: Endpoints, issuer: str, address: str) -> Endpoints:
    """The same endpoints where a certificate is asked for (RFC 8705 section 5)."""
    aliases = {name: endpoint.replace(issuer, address, 1) for name in ALIASED if (endpoint := getattr(endpoints, name))}
    return msgspec.structs.replace(endpoints, mtls_endpoint_aliases=aliases)


def new_provider(
    capabilities: Capabilities,
    policy: ProviderPolicy,
    vault: Vault,
    holder: KeyHolder,
    fetcher: Fetcher,
    mutual_tls: MutualTls | None = None,
    resources: Sequence[Resource] = (),
    detail_kinds: Sequence[DetailKind] = (),
) -> Provider:
    """A provider with empty caches."""
    revisions = Revisions()
    endpoints = endpoints_of(capabilities, policy)
    watches = capabilities.has(SESSION_MANAGEMENT)
    if mutual_tls is not None and mutual_tls.address:
        endpoints = with_aliases(endpoints, capabilities.issuer, mutual_tls.address)
    return Provider(
        capabilities=capabilities,
        endpoints=endpoints,
        discovery=document_of(discovery_document(capabilities, endpoints)),
        policy=policy,
        clients=ClientCache(revisions),
        client_keys=ClientKeys(fetcher),
        keys=KeyRing(holder, revisions),
        fetcher=fetcher,
        mutual_tls=mutual_tls,
        resources={resource.uri: resource for resource in resources},
        detail_kinds={kind.type: kind for kind in detail_kinds},
        browser_states=BrowserStates(vault, capabilities.issuer.startswith("https:")) if watches else None,
    )
