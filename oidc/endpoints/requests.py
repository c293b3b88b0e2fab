"""Requests: what services ask of a citizen who is not at their site, answered in the account (CIBA Core section 8)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from accounts.citizen import Browser, Citizen
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import form_of, page
from accounts.vault import Vault
from identity.session import SessionView
from oidc.endpoints.waiting import Question, answer, ask, found, surely
from oidc.provider import Provider
from oidc.waiting_request import find_request, waiting_for

AnyRequest = Request[Any, Any, Any]
LanguageOf = Callable[[AnyRequest], str]
PATH = "/account/requests"


@get(PATH)
async def requests(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    provider: NamedDependency[Provider],
) -> Response[Any]:
    """Those that wait now, the newest first."""
    shown = []
    for waiting in await waiting_for(db, vault, citizen.account_id, now):
        client = await provider.clients.find(db, waiting.client_id, now)
        if client is not None:
            shown.append({"waiting": waiting, "client": client, "path": f"{PATH}/{waiting.id}"})
    return page(request, "requests.html", shown=shown)


async def _question(
    db: Transaction, vault: Vault, provider: Provider, citizen: Citizen, request_id: UUID, now: datetime
) -> Question:
    """Another's request is as if it were not there."""
    waiting = await find_request(db, vault, request_id)
    if waiting is None or waiting.kind != "ciba" or waiting.account_id != citizen.account_id:
        raise Refusal("no_such_request", status=404)
    return await found(db, provider, waiting, f"{PATH}/{request_id}", now)


@get(f"{PATH}/{{request_id:uuid}}")
async def one_request(
    request: AnyRequest,
    request_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    citizen: NamedDependency[Citizen],
    session: NamedDependency[SessionView | None],
    provider: NamedDependency[Provider],
    language_of: NamedDependency[LanguageOf],
) -> Response[Any]:
    """The question, after a step-up where the service asked for more than this session has proved."""
    question = await _question(db, vault, provider, citizen, request_id, now)
    return await ask(request, db, vault, provider, browser, session, question, language_of(request), now)


@post(f"{PATH}/{{request_id:uuid}}", status_code=303)
async def answer_request(
    request: AnyRequest,
    request_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    citizen: NamedDependency[Citizen],
    session: NamedDependency[SessionView | None],
    provider: NamedDependency[Provider],
    address: NamedDependency[str],
    language_of: NamedDependency[LanguageOf],
) -> Response[Any]:
    """The citizen's answer."""
    question = await _question(db, vault, provider, citizen, request_id, now)
    signed_in = await surely(db, vault, provider, browser, session, question, language_of(request), now)
    if isinstance(signed_in, Response):
        return signed_in
    return await answer(request, db, vault, provider, signed_in, question, await form_of(request), address, now)


handlers = [requests, one_request, answer_request]
