"""Who calls an endpoint that clients alone may call: the form is read once, the client authenticated in one place."""

from datetime import datetime
from typing import Any

from litestar import Request

from accounts.database import Transaction
from accounts.store import Store
from oidc.client import RegisteredClient
from oidc.client_authentication import authenticate
from oidc.endpoints.certificate import certificate_of
from oidc.endpoints.errors import CLAIMED, CLIENT
from oidc.protocol.errors import INVALID_CLIENT, ProtocolError
from oidc.protocol.parameters import Parameters, read_form
from oidc.protocol.token_request import read_client_credentials
from oidc.provider import Provider

MAX_BODY = 16_384
"""Bytes (R73)."""


async def calling_client(
    request: Request[Any, Any, Any],
    db: Transaction,
    store: Store,
    provider: Provider,
    now: datetime,
    *,
    may_be_public: bool = True,
    max_bytes: int = MAX_BODY,
) -> tuple[RegisteredClient, Parameters]:
    """The authenticated client and the form it sent. Raises `ProtocolError` (RFC 6749 sections 2.3 and 5.2)."""
    headers = request.headers
    parameters = read_form(await request.body(), headers.get("content-type"), max_bytes=max_bytes)
    request.state[CLAIMED] = parameters.get("client_id")
    credentials = read_client_credentials(parameters, headers.get("authorization"))
    request.state[CLAIMED] = credentials.client_id
    here = provider.audiences(request.url.path)
    client = await authenticate(
        db, store, provider, credentials, now, endpoints=here, certificate=certificate_of(request, provider)
    )
    if not client.metadata.is_public:  # that one has given its name and proved nothing
        request.state[CLIENT] = client.client_id
    if not may_be_public and client.metadata.is_public:
        raise ProtocolError(INVALID_CLIENT, "This endpoint is for clients that authenticate.")
    return client, parameters
