"""The backchannel authentication endpoint: a service asks for a citizen who is not at its site (CIBA Core 7).

Whom a hint names is looked up without telling (R27): an address that belongs to nobody is answered like one that does,
and simply never gets an answer. Only a hint that could not be anybody's, or that this client should know better (a
`sub` or an ID token of its own), is `unknown_user_id`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from joserfc.jwk import Key
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from sqlalchemy import select

from accounts.account import Account
from accounts.contact import canonical_email, find_account_by_email
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from identity.window import Window, require_room
from oidc.ciba_notice import asked_for
from oidc.client import RegisteredClient
from oidc.endpoints.caller import calling_client
from oidc.endpoints.errors import ERRORS, json_response
from oidc.fetcher import FetchFailed
from oidc.protocol.ciba import (
    LONGEST,
    BackchannelRequest,
    Once,
    backchannel_response,
    read_backchannel_request,
    resolve_backchannel_request,
)
from oidc.protocol.errors import INVALID_REQUEST, UNKNOWN_USER_ID, ProtocolError
from oidc.protocol.id_token_hint import hinted_sub, verify_id_token_hint
from oidc.protocol.parameters import Parameters
from oidc.protocol.polling import INTERVAL
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.subject import find_account_by_subject
from oidc.waiting_request import AskedFor, open_request

TEN_MINUTES = 600
NOBODY = UUID(int=0)
"""Looked up where an address is nobody's: as many statements as for somebody (R27)."""


@post("/backchannel-authentication", status_code=200, opt={"csrf": False}, exception_handlers=ERRORS)
async def backchannel_authentication(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """Sections 7.1 to 7.3."""
    client, parameters = await calling_client(request, db, store, provider, now, may_be_public=False)
    counted = await _resolved(db, store, provider, client, parameters, now)
    asked = read_backchannel_request(counted, client, provider.capabilities)
    account_id = await _person(db, vault, provider, client, asked, now)
    await _require_patience(db, store, vault, client, asked, now, provider.policy.asked)
    lifetime = min(asked.expires_in, provider.policy.waiting)
    opened = await open_request(
        db,
        vault,
        "ciba",
        client.client_id,
        AskedFor(
            asked.scope,
            asked.acr_values,
            asked.binding_message,
            asked.client_notification_token,
            details=asked.details,
        ),
        lifetime=lifetime,
        interval=INTERVAL,
        now=now,
        account_id=account_id,
    )
    if opened is None:
        raise RuntimeError("a request without a user code collides with no other")
    await asked_for(db, vault, client.client_id, account_id, asked.binding_message or "", now)
    answer = backchannel_response(auth_req_id=opened.secret, expires_in=lifetime, interval=INTERVAL)
    return json_response(answer, NO_STORE)


async def _resolved(
    db: Transaction,
    store: Store,
    provider: Provider,
    client: RegisteredClient,
    parameters: Parameters,
    now: datetime,
) -> Parameters:
    """Section 7.1.1: what a signed request says; its `jti` is good once."""

    def resolve(keys: tuple[Key, ...]) -> tuple[Parameters, Once | None]:
        return resolve_backchannel_request(parameters, client, keys, provider.capabilities, now)

    if "request" not in parameters:
        return resolve(())[0]
    try:
        counted, once = await provider.client_keys.verified(client, resolve, now, db.pause)
    except FetchFailed as error:
        raise ProtocolError(
            INVALID_REQUEST, "The keys of the client could not be fetched.", detail=error.detail
        ) from error
    seconds = int(LONGEST.total_seconds()) + 60
    name = f"ciba:{client.client_id}:{once.jti}" if once else ""
    if once is not None and not await store.first_use(name, once.issued_at, seconds, now):
        raise ProtocolError(INVALID_REQUEST, "The request object was used before.")
    return counted


async def _person(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    asked: BackchannelRequest,
    now: datetime,
) -> UUID | None:
    """Whose account is meant; None where nobody will ever answer, which the client is not told."""
    account_id: UUID | None
    if asked.hint_kind == "login_hint_token":
        raise ProtocolError(INVALID_REQUEST, "A login_hint_token is not supported.")
    if asked.hint_kind == "id_token_hint":
        keys = await provider.keys.current(db, now)
        algorithms = provider.capabilities.signing_algorithms
        hint = verify_id_token_hint(asked.hint, keys.verifying, provider.issuer, algorithms)
        sub = hinted_sub(hint, client.client_id) or ""
        account_id = await find_account_by_subject(db, client.subject_sector, sub)
    elif "@" in asked.hint:
        try:
            canonical = canonical_email(asked.hint)
        except Refusal as error:
            raise ProtocolError(UNKNOWN_USER_ID, "The login_hint is no address.") from error
        found = await find_account_by_email(db, vault, canonical)
        return found if await _is_active(db, found or NOBODY) else None
    else:
        account_id = await find_account_by_subject(db, client.subject_sector, asked.hint)
    if account_id is None:
        raise ProtocolError(UNKNOWN_USER_ID, "The hint names nobody that this client knows.")
    return account_id if await _is_active(db, account_id) else None


async def _is_active(db: Transaction, account_id: UUID) -> bool:
    return bool(await db.scalar(select(Account.state).where(Account.id == account_id)) == "active")


async def _require_patience(
    db: Transaction,
    store: Store,
    vault: Vault,
    client: RegisteredClient,
    asked: BackchannelRequest,
    now: datetime,
    most: int,
) -> None:
    """By the hint, known or not, so that the limit tells nothing either."""
    who = vault.mac("ciba.hint", f"{client.client_id}\n{asked.hint.casefold()}".encode()).hex()
    await require_room(db, store, vault, [Window(f"ciba {who}", most, TEN_MINUTES)], now, "too_many_requests")


handlers = [backchannel_authentication]
