"""The pushed authorization request endpoint: a request handed in and judged before any citizen sees it (RFC 9126)."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, post, route
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from accounts.database import Transaction
from accounts.store import Store
from accounts.vault import Vault
from oidc.authorization_request import read_request
from oidc.endpoints.caller import calling_client
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import ERRORS, HEADERS, json_response
from oidc.endpoints.shown import shown_sender
from oidc.protocol.dpop import require_same_key_as_announced
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError
from oidc.protocol.parameters import MAX_BYTES, Parameters
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.pushed_request import push


@post("/par", status_code=201, opt={"csrf": False}, exception_handlers=ERRORS)
async def pushed_authorization(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """Section 2: the client authenticates as at the token endpoint, then the rules of `/authorize` judge."""
    client, parameters = await calling_client(request, db, store, provider, now, max_bytes=MAX_BYTES)
    if "request_uri" in parameters:
        raise ProtocolError(INVALID_REQUEST, "A request_uri cannot be pushed.")
    # Who authenticates by other means may leave its name out of the form.
    named = Parameters({"client_id": (client.client_id,)} | parameters.values)
    asked = await read_request(db, provider, client, named, now)
    shown = await shown_sender(request, store, vault, provider, now, client=client)
    jkt = require_same_key_as_announced(shown.proof, asked.dpop_jkt)
    asked = msgspec.structs.replace(asked, dpop_jkt=jkt)
    lifetime = provider.policy.pushed_request
    request_uri = await push(db, vault, client.client_id, asked.to_bytes(), lifetime, now)
    answer = {"request_uri": request_uri, "expires_in": int(lifetime.total_seconds())}
    return json_response(answer, {**NO_STORE, **ANYONE, **request.state.get(HEADERS, {})}, 201)


@route("/par", http_method=["OPTIONS"], opt={"csrf": False})
async def pushed_authorization_preflight() -> Response[bytes]:
    """A browser asks before it posts."""
    return preflight("POST")


handlers = (pushed_authorization_preflight, pushed_authorization)
