"""Clients that register themselves, and change themselves afterwards (RFC 7591, RFC 7592, OpenID Connect Registration).

Off unless `registration.mode` says otherwise. One client never sees another: its token opens its own record alone.
"""

import hmac
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from litestar import Request, Response, delete, get, post, put, route
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, SkipValidation

from accounts.database import Transaction, digest, new_secret
from accounts.store import Store
from accounts.vault import Vault
from identity.window import Window, require_room
from oidc.client import RegisteredClient, find_client, put_client, set_disabled
from oidc.endpoints.bearer import NoToken
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import CLAIMED, CLIENT, ERRORS, as_json, json_response
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.errors import INVALID_CLIENT_METADATA, INVALID_TOKEN, TEMPORARILY_UNAVAILABLE, ProtocolError
from oidc.protocol.strict_json import json_object
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.registration import (
    RegistrationPolicy,
    count_registrations,
    find_invitation,
    forget_registration,
    keep_registration,
    registered_at,
    spend_invitation,
)
from oidc.self_registration import client_information, look_up, read_own_metadata

AnyRequest = Request[Any, Any, Any]
PATH = "/connect/register"
HOUR = 3600
HEADERS = {**NO_STORE, **ANYONE}

log: structlog.stdlib.BoundLogger = structlog.get_logger("registration")


def refused(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A token that is missing or wrong is asked for in the header (RFC 6750 section 3)."""
    response = as_json(request, error)
    if isinstance(error, ProtocolError) and error.code == INVALID_TOKEN:
        said = "" if isinstance(error, NoToken) else f', error="{error.code}"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="registration"{said}'
    return response


HANDLERS = {**ERRORS, ProtocolError: refused}


@post(PATH, status_code=201, opt={"csrf": False}, exception_handlers=HANDLERS)
async def register(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
    address: NamedDependency[str],
) -> Response[bytes]:
    """RFC 7591 section 3.1. The limits come first, then the rules, then what is fetched; the invitation is spent only
    for a registration that happens."""
    policy = _require_on(provider)
    window = Window(f"registrations from {address}", policy.per_address, HOUR)
    await require_room(db, store, vault, [window], now, "too_many_registrations")
    invitation = await _invitation(request, db, now) if policy.mode == "initial_token" else None
    metadata = read_own_metadata(provider, await _body(request), now).metadata
    if await count_registrations(db) >= policy.max_clients:
        raise ProtocolError(TEMPORARILY_UNAVAILABLE, "No more clients can be registered here.", detail="max_clients")
    await db.pause()
    await look_up(provider.fetcher, metadata)
    if invitation is not None and not await spend_invitation(db, invitation, now):
        raise ProtocolError(INVALID_TOKEN, "The initial access token is not valid.", detail="lost a race")
    client_id, token = new_secret(16), new_secret()
    secret = new_secret() if metadata.uses_secret else None
    kept = digest(secret) if secret else None
    await put_client(db, client_id, metadata, secret_digest=kept, source="registration", now=now)
    await keep_registration(db, client_id, token, invitation, now)
    log.info("client_registered", client=client_id, mode=policy.mode)
    return _told(provider, client_id, metadata, token, now, secret, 201)


@get(f"{PATH}/{{client_id:str}}", exception_handlers=HANDLERS)
async def look(
    request: AnyRequest,
    client_id: FromPath[str],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """RFC 7592 section 2.1: the record as it is."""
    client, token, since = await _own(request, db, provider, client_id)
    return _told(provider, client_id, client.metadata, token, since, None)


@put(f"{PATH}/{{client_id:str}}", status_code=200, opt={"csrf": False}, exception_handlers=HANDLERS)
async def change(
    request: AnyRequest,
    client_id: FromPath[str],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """RFC 7592 section 2.2: the whole record anew; what is left out falls back to its default. A client that begins to
    need a secret gets one."""
    client, token, since = await _own(request, db, provider, client_id)
    given = await _body(request)
    if given.get("client_id") != client_id:
        raise ProtocolError(INVALID_CLIENT_METADATA, "The client_id must be the one of this address.")
    _require_same_secret(client, given.get("client_secret"))
    metadata = read_own_metadata(provider, given, now).metadata
    await db.pause()
    await look_up(provider.fetcher, metadata)
    secret = new_secret() if metadata.uses_secret and client.secret_digest is None else None
    kept = (digest(secret) if secret else client.secret_digest) if metadata.uses_secret else None
    await put_client(db, client_id, metadata, secret_digest=kept, source="registration", now=now)
    log.info("client_changed", client=client_id)
    return _told(provider, client_id, metadata, token, since, secret)


@delete(f"{PATH}/{{client_id:str}}", status_code=204, opt={"csrf": False}, exception_handlers=HANDLERS)
async def remove(
    request: AnyRequest,
    client_id: FromPath[str],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    provider: NamedDependency[Provider],
) -> None:
    """RFC 7592 section 2.3: it is unknown from now on. Its record stays, because citizens' agreements name it."""
    await _own(request, db, provider, client_id)
    await set_disabled(db, client_id, True, now)
    await forget_registration(db, client_id)
    log.info("client_removed", client=client_id)


@route([PATH, f"{PATH}/{{client_id:str}}"], http_method=["OPTIONS"], opt={"csrf": False})
async def registration_preflight(request: AnyRequest) -> Response[bytes]:
    """A browser asks before it posts."""
    return preflight("POST" if request.url.path == PATH else "GET, PUT, DELETE")


def _require_on(provider: Provider) -> RegistrationPolicy:
    policy = provider.policy.registration
    if policy.mode == "off":
        raise NotFoundException("Registration is off.")
    return policy


async def _own(
    request: AnyRequest, db: Transaction, provider: Provider, client_id: str
) -> tuple[RegisteredClient, str, datetime]:
    """The client whose token this is. A client that does not exist, and a token of another, are answered alike
    (RFC 7592 section 4)."""
    _require_on(provider)
    request.state[CLAIMED] = client_id
    token = _bearer(request)
    since = await registered_at(db, client_id, token)
    client = await find_client(db, client_id) if since is not None else None
    if since is None or client is None:
        raise ProtocolError(INVALID_TOKEN, "The registration access token is not valid.", detail="unknown")
    request.state[CLIENT] = client_id
    return client, token, since


async def _invitation(request: AnyRequest, db: Transaction, now: datetime) -> UUID:
    found = await find_invitation(db, _bearer(request), now)
    if found is None:
        raise ProtocolError(INVALID_TOKEN, "The initial access token is not valid.")
    return found


def _bearer(request: AnyRequest) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NoToken
    return token.strip()


async def _body(request: AnyRequest) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given = json_object(await request.body()) if kind == "application/json" else None
    if given is None:
        raise ProtocolError(INVALID_CLIENT_METADATA, "The body must be a JSON object, sent as application/json.")
    return given


def _require_same_secret(client: RegisteredClient, secret: object) -> None:
    """RFC 7592 section 2.2: a client may repeat its secret, and never choose one."""
    if secret is None:
        return
    given = digest(secret) if isinstance(secret, str) else b"-"
    if not hmac.compare_digest(client.secret_digest or b"", given):
        raise ProtocolError(INVALID_CLIENT_METADATA, "The client_secret is not the one that was issued.")


def _told(
    provider: Provider,
    client_id: str,
    metadata: ClientMetadata,
    token: str,
    since: datetime,
    secret: str | None,
    status: int = 200,
) -> Response[bytes]:
    address = f"{provider.issuer}{PATH}/{client_id}"
    answer = client_information(client_id, metadata, issued_at=since, address=address, token=token, secret=secret)
    return json_response(answer, HEADERS, status)


handlers = (registration_preflight, register, look, change, remove)
