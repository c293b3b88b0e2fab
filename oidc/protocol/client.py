"""A relying party as the rules see it."""

from datetime import timedelta

import msgspec

from oidc.protocol.capabilities import STANDARD
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.errors import UNAUTHORIZED_CLIENT, Detail, ProtocolError
from oidc.protocol.lifetimes import Lifetimes
from oidc.protocol.sector import sector_of
from oidc.protocol.uris import host_of, is_loopback


class Client(msgspec.Struct, frozen=True):
    """One registered client: its identifier, what it registered, whether a secret of it is stored, whether an operator
    or the client itself registered it."""

    client_id: str
    metadata: ClientMetadata
    has_secret: bool = False
    registered_itself: bool = False

    @property
    def profile(self) -> str:
        """`standard`, `fapi2`, `fapi2-message-signing` or `fapi-ciba`."""
        return self.metadata.profile

    @property
    def is_fapi(self) -> bool:
        """Whether one of the FAPI profiles binds it."""
        return self.metadata.profile != STANDARD

    @property
    def require_pkce(self) -> bool:
        """R3."""
        return self.metadata.require_pkce or self.is_fapi

    @property
    def sector(self) -> str:
        """Whose pairwise `sub` it sees (OpenID Connect Core section 8.1)."""
        return sector_of(self.metadata, self.client_id)

    def uses(self, grant_type: str) -> bool:
        """Whether it is registered for the grant type."""
        return grant_type in self.metadata.grant_types

    def name_in(self, *languages: str) -> str:
        """The service's name in the first language it has one in, then its plain name, then its host."""
        return self.text_in("client_name", *languages) or self.host or self.client_id

    def text_in(self, field: str, *languages: str) -> str | None:
        """A localisable field (`client_name`, `logo_uri`, `tos_uri`, `purpose`, ...) in a language."""
        texts = {tag.lower(): text for tag, text in self.metadata.localized.get(field, {}).items()}
        for language in languages:
            tag = language.lower()
            if text := texts.get(tag) or texts.get(tag.split("-")[0]):
                return text
        plain: str | None = getattr(self.metadata, field)
        return plain or next(iter(texts.values()), None)

    @property
    def host(self) -> str:
        """Where the citizen comes back to, for people to read; "" where that is no host."""
        native = self.metadata.application_type == "native"
        hosts = (host_of(uri) for uri in self.metadata.redirect_uris)
        return next((host for host in hosts if host and not (native and is_loopback(host))), "")


def require_grant_type(client: Client, grant_type: str) -> None:
    """RFC 6749 section 5.2: a client uses the grant types it registered for."""
    if not client.uses(grant_type):
        detail = Detail("grant type not registered", grant_type, client.metadata.grant_types)
        raise ProtocolError(UNAUTHORIZED_CLIENT, "The client is not registered for this grant type.", detail=detail)


def lifetimes_of(client: Client, default: Lifetimes) -> Lifetimes:
    """How long this client's tokens live: as it is registered, and else by `default`, the provider's policy. One that
    registered itself has no more than that, however much it was when it registered."""

    def lifetime(own: int | None, usual: timedelta) -> timedelta:
        if own is None:
            return usual
        wanted = timedelta(seconds=own)
        return min(wanted, usual) if client.registered_itself else wanted

    metadata = client.metadata
    return Lifetimes(
        access_token=lifetime(metadata.access_token_lifetime, default.access_token),
        id_token=lifetime(metadata.id_token_lifetime, default.id_token),
        refresh_token=lifetime(metadata.refresh_token_lifetime, default.refresh_token),
        grant=default.grant,
    )
