"""Signing in on devices without a keyboard: the code is asked for, typed here, and the question answered (RFC 8628)."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, page, see_other
from accounts.store import Store
from accounts.vault import Vault
from identity.session import SessionView
from identity.window import Window, give_back, require_room
from oidc.client import RegisteredClient
from oidc.endpoints.caller import calling_client
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import ERRORS, json_response
from oidc.endpoints.waiting import Question, answer, ask, found, surely
from oidc.protocol.device import DeviceRequest, device_response, read_device_request, shown, typed, user_code_from
from oidc.protocol.polling import INTERVAL
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.waiting_request import AskedFor, Opened, find_request, open_request, take_by_code

AnyRequest = Request[Any, Any, Any]
LanguageOf = Callable[[AnyRequest], str]
TRIES, TEN_MINUTES = 20, 600
"""Codes that one address may type wrongly in ten minutes."""
TRIES_OF_ALL = 5000
"""And all addresses together: at 34.5 bits a code, guessing stays hopeless however many machines guess."""
ASKED = 100
"""Requests from one address in ten minutes."""


@post("/device_authorization", status_code=200, opt={"csrf": False}, exception_handlers=ERRORS)
async def device_authorization(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
    address: NamedDependency[str],
) -> Response[bytes]:
    """Sections 3.1 and 3.2."""
    client, parameters = await calling_client(request, db, store, provider, now)
    asked = read_device_request(parameters, client, provider.capabilities)
    window = Window(f"devices at {address}", ASKED, TEN_MINUTES)
    await require_room(db, store, vault, [window], now, "too_many_requests")
    user_code, opened = await _opened(db, vault, provider, client, asked, address, now)
    answered = device_response(
        device_code=opened.secret,
        user_code=user_code,
        verification_uri=f"{provider.issuer}/device",
        expires_in=provider.policy.waiting,
        interval=INTERVAL,
    )
    return json_response(answered, {**NO_STORE, **ANYONE})


async def _opened(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    asked: DeviceRequest,
    address: str,
    now: datetime,
) -> tuple[str, Opened]:
    while True:
        user_code = user_code_from(secrets.token_bytes(16))
        opened = await open_request(
            db,
            vault,
            "device",
            client.client_id,
            AskedFor(asked.scope, asked.acr_values, address=address, details=asked.details),
            lifetime=provider.policy.waiting,
            interval=INTERVAL,
            now=now,
            user_code=user_code,
        )
        if opened is not None:  # else another request waits under the very same code
            return user_code, opened


@route("/device_authorization", http_method=["OPTIONS"], opt={"csrf": False})
async def device_authorization_preflight() -> Response[bytes]:
    """A browser asks before it posts."""
    return preflight("POST")


@get("/device")
async def device(request: AnyRequest) -> Response[Any]:
    """Where the citizen types the code. One that comes in the address is filled in and must still be sent by hand
    (section 5.4)."""
    code = typed(request.query_params.get("user_code", ""))
    return page(request, "device.html", typed={"user_code": shown(code)} if code else {})


@post("/device", status_code=303)
async def type_code(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    browser: NamedDependency[Browser],
    address: NamedDependency[str],
) -> Response[Any]:
    """The code, in whatever spelling. Wrong ones are counted (section 5.1)."""
    form = await form_of(request)
    code = typed(form.get("user_code", ""))
    # Counted before it is judged, and given back where it was right: tries that race are all counted.
    limits = (f"user codes from {address}", TRIES), ("user codes", TRIES_OF_ALL)
    windows = [Window(place, most, TEN_MINUTES) for place, most in limits] if code else []
    await require_room(db, store, vault, windows, now, "too_many_attempts")
    taken = await take_by_code(db, vault, code, browser.digest, now) if code else None
    if taken is not None:
        await give_back(db, store, vault, windows, now)
        return see_other(f"/device/{taken}")
    text = N_("This code is not known, or its time is over. Check it on your device.")
    return page(request, "device.html", problems=[Problem("user_code", text)], typed=form)


async def _question(
    db: Transaction, vault: Vault, provider: Provider, browser: Browser, request_id: UUID, now: datetime
) -> Question:
    """Only for the browser in which the code was typed: an address alone, sent by somebody, shows nothing."""
    waiting = await find_request(db, vault, request_id)
    if waiting is None or waiting.kind != "device" or waiting.browser != browser.digest:
        raise Refusal("no_such_request", status=404)
    return await found(db, provider, waiting, f"/device/{request_id}", now)


@get("/device/{request_id:uuid}")
async def device_question(
    request: AnyRequest,
    request_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    session: NamedDependency[SessionView | None],
    provider: NamedDependency[Provider],
    language_of: NamedDependency[LanguageOf],
) -> Response[Any]:
    """Which service asks, from where, for what."""
    question = await _question(db, vault, provider, browser, request_id, now)
    return await ask(request, db, vault, provider, browser, session, question, language_of(request), now)


@post("/device/{request_id:uuid}", status_code=303)
async def answer_device(
    request: AnyRequest,
    request_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    session: NamedDependency[SessionView | None],
    provider: NamedDependency[Provider],
    address: NamedDependency[str],
    language_of: NamedDependency[LanguageOf],
) -> Response[Any]:
    """The citizen's answer."""
    question = await _question(db, vault, provider, browser, request_id, now)
    signed_in = await surely(db, vault, provider, browser, session, question, language_of(request), now)
    if isinstance(signed_in, Response):
        return signed_in
    return await answer(request, db, vault, provider, signed_in, question, await form_of(request), address, now)


handlers = [
    device_authorization_preflight,
    device_authorization,
    device,
    type_code,
    device_question,
    answer_device,
]
