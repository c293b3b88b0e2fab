"""The revocation endpoint: a service that needs its tokens no more gives them back (RFC 7009)."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, post, route
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from accounts.database import Transaction
from accounts.store import Store
from oidc.access_token import revoke_access_token
from oidc.endpoints.caller import calling_client
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import ERRORS
from oidc.protocol.errors import UNSUPPORTED_TOKEN_TYPE, ProtocolError
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.refresh_token import revoke_by_refresh_token
from oidc.resource_token import is_resource_token
from oidc.service_token import revoke_service_token


@post("/revoke", status_code=200, opt={"csrf": False}, exception_handlers=ERRORS)
async def revocation(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """A refresh token takes its whole grant along, an access token ends alone (section 2.1). A token that is unknown,
    or another client's, is answered alike and left as it is (section 2.2); a wrong hint costs nothing."""
    client, parameters = await calling_client(request, db, store, provider, now)
    token = parameters.require("token")
    if is_resource_token(token):
        # It is judged by whoever holds our keys, without asking us: to promise its end would be a lie (section 2.2.1).
        raise ProtocolError(UNSUPPORTED_TOKEN_TYPE, "A JWT access token ends by itself, or with its refresh token.")
    for revoke in (revoke_by_refresh_token, revoke_access_token, revoke_service_token):
        if await revoke(db, token, client.client_id, now):
            break
    return Response(b"", status_code=200, headers={**NO_STORE, **ANYONE}, media_type="application/json")


@route("/revoke", http_method=["OPTIONS"], opt={"csrf": False})
async def revocation_preflight() -> Response[bytes]:
    """A browser asks before it posts."""
    return preflight("POST")


handlers = (revocation_preflight, revocation)
