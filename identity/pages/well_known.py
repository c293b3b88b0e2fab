"""Addresses that browsers and password managers know: for a password's change, and for passkeys."""

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from accounts.errors import Refusal
from accounts.pages.page import see_other
from identity.policy import IdentityPolicy

SECURITY = "/account/security"


@get("/.well-known/change-password")
async def change_password() -> Response[bytes]:
    """A Well-Known URL for Changing Passwords (W3C): a redirect to the page, which asks for a sign-in itself."""
    return see_other(f"{SECURITY}/password")


@get("/.well-known/passkey-endpoints")
async def passkey_endpoints(identity_policy: NamedDependency[IdentityPolicy]) -> Response[bytes]:
    """A Well-Known URL for Relying Party Passkey Endpoints (W3C), on our own origin."""
    origin = identity_policy.passkey.origins[0]
    addresses = {"enroll": f"{origin}{SECURITY}/passkey", "manage": f"{origin}{SECURITY}"}
    headers = {"cache-control": "public, max-age=3600"}
    return Response(msgspec.json.encode(addresses), headers=headers, media_type="application/json")


@get("/.well-known/webauthn")
async def related_origins(identity_policy: NamedDependency[IdentityPolicy]) -> Response[bytes]:
    """Other origins that may use our passkeys (WebAuthn Level 3 section 5.11). Browsers look for the exact type, and
    for five names of different owners at most."""
    related = identity_policy.passkey.origins[1:]
    if not related:
        raise Refusal("not_found", status=404)
    headers = {"cache-control": "public, max-age=3600"}
    return Response(msgspec.json.encode({"origins": related}), headers=headers, media_type="application/json")


handlers = [change_password, passkey_endpoints, related_origins]
