"""Addresses that password managers know (W3C well-known URLs)."""

import pytest
from residents import answer, options_on, resident, sign_in
from services import Backend
from soft_passkey import SoftPasskey
from town import new_town

pytestmark = pytest.mark.anyio


async def test_password_managers_find_where_to_change_and_where_passkeys_are(backend: Backend) -> None:
    """A Well-Known URL for Changing Passwords; passkey-endpoints: on our own origin (WebAuthn Level 3)."""
    async with new_town(backend.database_url) as town:
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


async def test_related_origins_are_told_to_browsers_and_believed_by_us(backend: Backend) -> None:
    """WebAuthn Level 3 section 5.11: another origin of the deployment uses the same passkeys; a stranger does not."""
    settings = {"passkey": {"related_origins": ["https://tax.example.org"]}}
    async with new_town(backend.database_url, settings) as town:
        told = await town.wire.get("/.well-known/webauthn")
        ada, browser = await resident(town), town.browser()
        await sign_in(town, browser, ada)
        seen = []
        for origin in ("https://tax.example.org", "https://tax.example.org.evil.example"):
            device = SoftPasskey(origin=origin, rp_id="account.example.gov")
            page = await browser.see("/account/security/passkey")
            seen.append((await answer(browser, page, device.create(options_on(page)))).status_code)

    assert (told.status_code, told.headers["content-type"].split(";")[0]) == (200, "application/json")
    assert told.json() == {"origins": ["https://tax.example.org"]}
    assert seen == [303, 400]


async def test_without_related_origins_there_is_no_such_document(backend: Backend) -> None:
    """Nothing is announced that is not on."""
    async with new_town(backend.database_url) as town:
        assert (await town.wire.get("/.well-known/webauthn")).status_code == 404
