"""Addresses that password managers and browsers know: where to change a password, where to add and manage passkeys."""

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

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


handlers = [change_password, passkey_endpoints]
