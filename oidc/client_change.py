"""What registering a client again would change, in lines for who decides about it."""

import json
from collections.abc import Iterator
from typing import Any

from oidc.client import RegisteredClient
from oidc.protocol.client_metadata import ClientMetadata, registration_of

MARKED = frozenset(
    {
        "client_secret",
        "jwks",
        "jwks_uri",
        "post_logout_redirect_uris",
        "redirect_uris",
        "request_uris",
        "sector_identifier_uri",
        "tls_client_auth_san_dns",
        "tls_client_auth_san_email",
        "tls_client_auth_san_ip",
        "tls_client_auth_san_uri",
        "tls_client_auth_subject_dn",
        "token_endpoint_auth_method",
    }
)
"""Who may change these can be the client."""


def changes(was: RegisteredClient | None, metadata: ClientMetadata, secret_digest: bytes | None) -> tuple[str, ...]:
    """`field: before -> after` for each field that differs, the dangerous ones marked `!`. Of a new client, what is not
    the default. A secret is never in it, and of keys only their `kid`."""
    before = registration_of(ClientMetadata() if was is None else was.metadata)
    after = registration_of(metadata)
    lines = [
        _line(name, "-" if was is None else _shown(name, before.get(name)), _shown(name, after.get(name)))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return (*lines, *_secret_lines(None if was is None else was.secret_digest, secret_digest))


def _secret_lines(before: bytes | None, after: bytes | None) -> Iterator[str]:
    if before == after:
        return
    if before is not None and after is not None:
        yield "! client_secret: changed"
    else:
        yield _line("client_secret", "-" if before is None else "set", "-" if after is None else "set")


def _line(name: str, before: str, after: str) -> str:
    mark = "!" if name in MARKED else " "
    return f"{mark} {name}: {before} -> {after}" + (" (keys differ)" if before == after else "")


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "jwks":
        return ", ".join(f"kid {_printable(str(key.get('kid', 'unnamed')))}" for key in value["keys"]) or "no keys"
    if name == "software_statement":
        return "set"
    return _printable(json.dumps(value, ensure_ascii=False))


def _printable(text: str) -> str:
    """No control character reaches the terminal."""
    return text if text.isprintable() else ascii(text)


def algorithm_line(metadata: ClientMetadata, *, was_given: bool) -> str:
    """With which algorithm its ID tokens are signed: our files and JSON have different defaults."""
    algorithm = metadata.id_token_signed_response_alg
    is_default = algorithm == "RS256" and not was_given
    return f"ID tokens: {algorithm}" + (", the standard's default" if is_default else "")
