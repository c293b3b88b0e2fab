"""Sectors: which clients see the same pairwise `sub` (OpenID Connect Core section 8.1)."""

from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.errors import INVALID_CLIENT_METADATA, ProtocolError
from oidc.protocol.strict_json import json_value
from oidc.protocol.uris import host_of, is_loopback, scheme_of

WEB = {"http", "https"}


def sector_hosts(metadata: ClientMetadata) -> frozenset[str]:
    """The hosts that the redirect URIs name. A citizen's own machine and a private-use scheme name nobody."""
    return frozenset(
        host
        for uri in metadata.redirect_uris
        if scheme_of(uri) in WEB
        and (host := host_of(uri))
        and not (metadata.application_type == "native" and is_loopback(host))
    )


def sector_of(metadata: ClientMetadata, client_id: str) -> str:
    """The sector identifier: a host, or the client itself where its addresses name no host.

    Native apps on loopback or a private-use scheme, and clients without redirect URI, are each a sector of their own:
    else every app of every maker would see one `sub`.
    """
    if metadata.sector_identifier_uri:
        return host_of(metadata.sector_identifier_uri)
    if hosts := sector_hosts(metadata):
        return min(hosts)
    # CIBA Core section 4: without redirect URI, the host of the key set.
    if metadata.jwks_uri and not metadata.redirect_uris:
        return host_of(metadata.jwks_uri)
    return f"client:{client_id}"


def require_listed_in_sector_document(document: bytes, metadata: ClientMetadata) -> None:
    """OpenID Connect Registration section 5: a JSON array that lists every redirect URI (or, without any, the key set).

    `document` is what `sector_identifier_uri` answered. Raises `invalid_client_metadata`.
    """
    listed = json_value(document)
    if not isinstance(listed, list) or not all(isinstance(uri, str) for uri in listed):
        raise ProtocolError(INVALID_CLIENT_METADATA, "sector_identifier_uri: must answer a JSON array of addresses.")
    wanted = metadata.redirect_uris or (metadata.jwks_uri,)
    if any(uri is not None and uri not in listed for uri in wanted):
        raise ProtocolError(INVALID_CLIENT_METADATA, "sector_identifier_uri: must list every one of redirect_uris.")
