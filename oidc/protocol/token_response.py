"""The successful answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3)."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

# RFC 6749 section 5.1
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def token_response(
    *,
    access_token: str,
    expires_in: timedelta,
    scope: Iterable[str],
    token_type: str = "Bearer",
    id_token: str | None = None,
    refresh_token: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`scope` is always said: it may be less than was asked. `more`: `authorization_details`, `issued_token_type`."""
    members = {
        "access_token": access_token,
        "token_type": token_type,
        "expires_in": int(expires_in.total_seconds()),
        "scope": " ".join(scope) or None,
        "id_token": id_token,
        "refresh_token": refresh_token,
        **(more or {}),
    }
    return {name: value for name, value in members.items() if value is not None}
