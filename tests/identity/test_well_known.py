"""Addresses that password managers know (W3C well-known URLs)."""

import pytest
from services import Backend
from town import new_town

pytestmark = pytest.mark.anyio


async def test_password_managers_find_where_to_change_and_where_passkeys_are(empty_backend: Backend) -> None:
    """A Well-Known URL for Changing Passwords; passkey-endpoints: on our own origin (WebAuthn Level 3)."""
    async with new_town(empty_backend.database_url) as town:
        change = await town.wire.get("/.well-known/change-password")
        passkeys = await town.wire.get("/.well-known/passkey-endpoints")
        nothing = await town.wire.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200")

    assert (change.status_code, change.headers["location"]) == (303, "/account/security/password")
    assert passkeys.headers["content-type"].startswith("application/json")
    assert passkeys.json() == {
        "enroll": "https://account.example.gov/account/security/passkey",
        "manage": "https://account.example.gov/account/security",
    }
    assert nothing.status_code == 404
