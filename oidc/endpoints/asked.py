"""What a visit to `/authorize` asks for: parameters in the address or a form, a request object, or a pushed request."""

from datetime import datetime

import msgspec

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.authorization_request import read_request
from oidc.client import RegisteredClient
from oidc.endpoints.authorization_response import InteractionOver, Unanswerable, unknown_client
from oidc.protocol.authorization import (
    AuthorizationRequest,
    authorization_request_from,
    readable_reply,
    require_client_id,
)
from oidc.protocol.authorization_rules import require_exact_redirect_uri
from oidc.protocol.capabilities import PAR, Capabilities
from oidc.protocol.errors import (
    INVALID_REQUEST_OBJECT,
    INVALID_REQUEST_URI,
    AuthorizationError,
    ProtocolError,
    ReplyTo,
    may_travel,
)
from oidc.protocol.parameters import Parameters
from oidc.protocol.profile import require_pushed
from oidc.provider import Provider
from oidc.pushed_request import PREFIX, find_pushed


class Asked(msgspec.Struct, frozen=True):
    """A judged request; `pushed` names it where it came by `/par`."""

    client: RegisteredClient
    request: AuthorizationRequest
    pushed: bytes | None = None


async def asked_for(db: Transaction, vault: Vault, provider: Provider, parameters: Parameters, now: datetime) -> Asked:
    """The rules of the endpoint. What cannot be told to the service is `Unanswerable`, for a page."""
    try:
        client_id, request_uri = require_client_id(parameters), parameters.get("request_uri")
    except ProtocolError as error:
        raise Unanswerable("request", error) from error
    client = await provider.clients.find(db, client_id, now)
    if client is None:
        raise unknown_client(client_id)
    if request_uri is not None and request_uri.startswith(PREFIX) and provider.capabilities.has(PAR):
        return await _pushed(db, vault, client, request_uri, now)
    return Asked(client, await _direct(db, provider, client, parameters, now))


async def _direct(
    db: Transaction, provider: Provider, client: RegisteredClient, parameters: Parameters, now: datetime
) -> AuthorizationRequest:
    try:
        asked = await read_request(db, provider, client, parameters, now)
    except AuthorizationError:
        raise
    except ProtocolError as error:
        raise _addressed(error, parameters, client, provider.capabilities) from error
    try:
        require_pushed(client, pushed=False)
    except ProtocolError as error:
        raise may_travel(error, asked.reply_to) from error
    return asked


def _addressed(
    error: ProtocolError, parameters: Parameters, client: RegisteredClient, capabilities: Capabilities
) -> ProtocolError:
    """An object that cannot be read says nothing; what stands beside it may still say where the client is
    (RFC 6749 section 4.1.2.1)."""
    try:
        redirect_uri = require_exact_redirect_uri(parameters.get("redirect_uri"), client)
    except ProtocolError:
        return Unanswerable("request" if error.code == INVALID_REQUEST_OBJECT else "address", error, client)
    return may_travel(error, ReplyTo(client.client_id, redirect_uri, *readable_reply(parameters, client, capabilities)))


async def _pushed(db: Transaction, vault: Vault, client: RegisteredClient, request_uri: str, now: datetime) -> Asked:
    """RFC 9126 section 4: all else in the address is ignored. It can be loaded again until it has been answered."""
    pushed = await find_pushed(db, vault, request_uri)
    if pushed is None or pushed.client_id != client.client_id:
        why = "unknown" if pushed is None else "of another client"
        error = ProtocolError(INVALID_REQUEST_URI, "The request_uri is not known, or not any more.", detail=why)
        raise Unanswerable("over", error, client)
    if pushed.completed_at is not None:
        raise InteractionOver("completed", client)
    if pushed.expires_at <= now:
        error = ProtocolError(INVALID_REQUEST_URI, "The request_uri has expired.", detail="expired")
        raise Unanswerable("over", error, client)
    asked = authorization_request_from(pushed.request)
    require_still_registered(asked, client)
    return Asked(client, asked, pushed.key)


def require_still_registered(asked: AuthorizationRequest, client: RegisteredClient) -> None:
    """A request that waited: its client may have taken back the redirect URI since."""
    try:
        require_exact_redirect_uri(asked.redirect_uri, client)
    except ProtocolError as error:
        raise Unanswerable("address", error, client) from error
