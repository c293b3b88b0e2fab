"""What is accepted of a client in a file and deserves a second look. None of it stops anything."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client_metadata import AUTHORIZATION_CODE, REFRESH_TOKEN, ClientMetadata


def advice_on(metadata: ClientMetadata, capabilities: Capabilities) -> Iterator[tuple[str, str]]:
    """Field and remark. What citizens never see (a client without the code flow) needs no name and no languages."""
    scope = metadata.scope
    if scope is not None and "offline_access" in scope and REFRESH_TOKEN not in metadata.grant_types:
        yield "scope", "has offline_access, but grant_types lacks refresh_token: the client gets no refresh token."
    if AUTHORIZATION_CODE not in metadata.grant_types:
        return
    if scope is not None and "openid" not in scope:
        yield "scope", "lacks openid: the client gets no ID token."
    for field in ("client_name", "purpose"):
        yield from _on_text(metadata, field, capabilities.ui_locales)
    yield from _on_hosts(metadata)


def _on_text(metadata: ClientMetadata, field: str, languages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    texts = metadata.localized.get(field, {})
    has_plain = getattr(metadata, field) is not None
    if not has_plain and not texts:
        yield field, "is missing: citizens read it before they agree."
        return
    # The text without a tag is the English one.
    has = {tag.lower().partition("-")[0] for tag in texts} | ({"en"} if has_plain else set())
    missing = [language for language in languages if language not in has]
    if missing:
        yield field, f"has no text for: {', '.join(missing)}."


def _on_hosts(metadata: ClientMetadata) -> Iterator[tuple[str, str]]:
    hosts = [urlsplit(uri).hostname or "" for uri in metadata.redirect_uris]
    usual = max(hosts, key=hosts.count, default="")
    for other in dict.fromkeys(host for host in hosts if host and host != usual):
        yield "redirect_uris", f"the host {other} differs from {usual}: do both belong to this client?"
