"""The sessions page: where the citizen is signed in, with which services, and ending that."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.activity import record
from accounts.citizen import Browser, Citizen
from accounts.database import Transaction
from accounts.pages.page import form_of, page, see_other
from accounts.vault import DataKey, Vault
from identity import remembered_browser
from identity import session as sessions
from identity.device import device_name
from identity.pages.at_account import uuid_of
from identity.session import sessions_of

SESSIONS = "/account/sessions"
LENGTH = 20

ServicesOf = Callable[[Transaction, Sequence[UUID]], Awaitable[Mapping[UUID, Sequence[str]]]]
"""The names of the services that each session has entered, as the citizen saw them; `config` hands it in."""


class Remembered(msgspec.Struct, frozen=True):
    """One remembered browser on the page."""

    id: UUID
    is_this: bool
    device: str
    address: str
    remembered_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


class Line(msgspec.Struct, frozen=True):
    """One session on the page; empty texts where the browser did not say."""

    id: UUID
    is_this: bool
    device: str
    address: str
    signed_in_at: datetime
    seen_at: datetime
    services: Sequence[str]


@get(SESSIONS)
async def list_sessions(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    browser: NamedDependency[Browser],
    services_of: NamedDependency[Any],
    now: NamedDependency[datetime],
) -> Template:
    """One page of them, the newest first; `before` is the last one of the page before (R44)."""
    asked = request.query_params.get("before")
    before = uuid_of(asked) if asked else None
    key = await data_key_of(db, vault, citizen.account_id)
    found = await sessions_of(db, key, citizen.account_id, now, before=before, limit=LENGTH + 1)
    ask: ServicesOf = services_of
    services = await ask(db, [one.id for one in found[:LENGTH]])
    lines = [
        Line(
            id=one.id,
            is_this=one.id == citizen.session_id,
            device=device_name(one.device.user_agent) if one.device else "",
            address=one.device.address if one.device else "",
            signed_in_at=one.created_at,
            seen_at=one.seen_at,
            services=services.get(one.id, ()),
        )
        for one in found[:LENGTH]
    ]
    return page(
        request,
        "sessions.html",
        lines=lines,
        remembered=[] if before else await _remembered(db, key, citizen, browser, now),
        older=f"{SESSIONS}?before={found[LENGTH - 1].id}" if len(found) > LENGTH else "",
        newer=SESSIONS if before else "",
        ended=request.query_params.get("ended") == "yes",
        forgotten=request.query_params.get("forgotten") == "yes",
    )


@get(SESSIONS + "/stay")
async def stay(request: Request[Any, Any, Any], citizen: NamedDependency[Citizen]) -> Template:
    """Asked for from a page whose time runs out, in another tab or by its script: being here moves the idle limit."""
    return page(request, "sessions_stay.html")


async def _remembered(
    db: Transaction, key: DataKey, citizen: Citizen, browser: Browser, now: datetime
) -> list[Remembered]:
    return [
        Remembered(
            id=one.id,
            is_this=one.browser == browser.digest,
            device=device_name(one.device.user_agent) if one.device else "",
            address=one.device.address if one.device else "",
            remembered_at=one.remembered_at,
            last_used_at=one.last_used_at,
            expires_at=one.expires_at,
        )
        for one in await remembered_browser.remembered_of(db, key, citizen.account_id, now)
    ]


@post(SESSIONS)
async def end_sessions(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    browser: NamedDependency[Browser],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """Ends one, or all but this one, or forgets a browser. None of it asks for a fresh sign-in: who must do it is in a
    hurry. A browser in which a session is ended is not remembered any more."""
    form = await form_of(request)
    account_id = citizen.account_id
    if form.get("action") == "forget":
        if await remembered_browser.forget(db, account_id, uuid_of(form.get("remembered", ""))):
            await record(db, account_id, "browser_forgotten", now)
        return see_other(f"{SESSIONS}?forgotten=yes")
    if form.get("action") == "others":
        ended = len(await sessions.end_all(db, vault, account_id, "ended_by_citizen", now, but=citizen.session_id))
        await remembered_browser.forget_all(db, account_id, but=browser.digest)
    else:
        one = uuid_of(form.get("session", ""))
        await remembered_browser.forget_of_session(db, account_id, one)
        ended = await sessions.end(db, vault, one, "ended_by_citizen", now, account_id=account_id)
    if ended:
        await record(db, account_id, "session_ended", now)
    return see_other(f"{SESSIONS}?ended=yes")


handlers = [list_sessions, stay, end_sessions]
