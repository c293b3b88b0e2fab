"""Signed out: the session ends, every service is told, and the citizen sees which of them was reached."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from accounts.account import data_key_of
from accounts.activity import record
from accounts.database import Transaction
from accounts.pages.page import page, see_other
from accounts.vault import Vault
from identity.cookies import SEEN, expired_session_cookie
from identity.remembered_browser import forget_all
from identity.session import SessionView, end, end_all
from oidc.client import RegisteredClient, find_client
from oidc.endpoints.onward import lead_away
from oidc.logout import Delivery, announce, deliveries_of
from oidc.protocol.capabilities import FRONTCHANNEL_LOGOUT
from oidc.protocol.end_session import ReturnTo
from oidc.protocol.uris import origin_of
from oidc.provider import Provider
from oidc.sign_out import Ended, find_kept, keep
from oidc.sign_out_request import SignOutRequest

AnyRequest = Request[Any, Any, Any]
FRAMES_SECONDS = 3
"""How long the services' frames may load before the citizen is led back."""


class Told(msgspec.Struct, frozen=True):
    """One service and how far telling it has come: `reached`, `on_its_way`, `trying_again`, `not_reached`."""

    client: RegisteredClient | None
    client_id: str
    state: str
    frame: str | None = None
    """The address that the browser is asked to load (Front-Channel Logout 1.0 section 3), by which `asked` is shown."""


async def conclude(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    session: SessionView | None,
    asked: SignOutRequest,
    secure_cookies: bool,
    now: datetime,
    *,
    everywhere: bool = False,
) -> Response[Any]:
    """End the session, or with `everywhere` each one of the account, and lead on: at once where the service that asked
    was the only one and has proved to be it, else to the page that says what became of each."""
    client, return_to = asked.client, _address(asked.decision.return_to)
    told = await _end(db, vault, session, client, now) if session else []
    if session and everywhere:
        await end_all(db, vault, session.account_id, "ended_by_citizen", now)
        await forget_all(db, session.account_id)
    others = [one for one in told if client is None or one.client_id != client.client_id]
    has_frames = any([(await _told(db, provider, one)).frame for one in told])
    is_done = return_to is not None and asked.is_proved and not others
    response: Response[Any]
    if return_to is not None and is_done and not has_frames:
        response = lead_away(request, return_to, client)
    elif session is None:
        response = page(
            request, "signed_out.html", services=[], client=client, return_to=return_to, why="not_signed_in"
        )
    else:
        ended = Ended(session.id, client.client_id if client else None, return_to, is_done, everywhere)
        response = see_other(f"/signed-out/{await keep(db, vault, ended, now)}")
    request.state[SEEN] = None
    response.cookies.append(expired_session_cookie(secure_cookies))
    return response


async def _end(
    db: Transaction, vault: Vault, session: SessionView, client: RegisteredClient | None, now: datetime
) -> list[Delivery]:
    """End it, and have every service told."""
    await end(db, vault, session.id, "signed_out", now)
    await announce(db, vault, session.id, now)
    key = await data_key_of(db, vault, session.account_id)
    by = client.name_in(session.locale or "") if client else ""
    await record(db, session.account_id, "signed_out", now, key=key, service=by)
    return await deliveries_of(db, session.id)


def _address(return_to: ReturnTo | None) -> str | None:
    """RP-Initiated Logout 1.0 section 3: the registered address, and `state` as it came."""
    if return_to is None or return_to.state is None:
        return return_to.uri if return_to else None
    return f"{return_to.uri}{'&' if '?' in return_to.uri else '?'}{urlencode({'state': return_to.state})}"


@get("/signed-out/{secret:str}")
async def signed_out(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    provider: NamedDependency[Provider],
    secret: FromPath[str],
) -> Response[Any]:
    """The page after it, at an address of its own: no cookie leads here any more."""
    kept = await find_kept(db, vault, secret, now)
    if not isinstance(kept, Ended):
        return page(request, "signed_out.html", status=410, services=[], client=None, return_to=None, why="expired")
    services = [await _told(db, provider, delivery) for delivery in await deliveries_of(db, kept.session_id)]
    request.state.frames = tuple(origin_of(told.frame) for told in services if told.frame)
    shown = page(
        request,
        "signed_out.html",
        services=services,
        client=await find_client(db, kept.client_id) if kept.client_id else None,
        return_to=kept.return_to,
        why="",
        everywhere=kept.everywhere,
    )
    if kept.leads_on and kept.return_to is not None:
        # The frames need a moment; without them this would have been a redirect.
        shown.headers["refresh"] = f"{FRAMES_SECONDS}; url={kept.return_to}"
    return shown


async def _told(db: Transaction, provider: Provider, delivery: Delivery) -> Told:
    client = await find_client(db, delivery.client_id)
    frame = _frame(provider, client, delivery.sid)
    if frame is not None and client is not None and client.metadata.backchannel_logout_uri is None:
        return Told(client, delivery.client_id, "asked", frame)
    if delivery.state == "waiting" and client is not None and client.metadata.backchannel_logout_uri:
        return Told(client, delivery.client_id, "trying_again" if delivery.attempts else "on_its_way", frame)
    return Told(client, delivery.client_id, "reached" if delivery.state == "reached" else "not_reached", frame)


def _frame(provider: Provider, client: RegisteredClient | None, sid: str | None) -> str | None:
    """Front-Channel Logout 1.0 sections 2 and 3: the registered address with `iss` and `sid`, where it is on."""
    uri = client.metadata.frontchannel_logout_uri if client else None
    if uri is None or sid is None or not provider.capabilities.has(FRONTCHANNEL_LOGOUT):
        return None
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'iss': provider.issuer, 'sid': sid})}"


handlers = [signed_out]
