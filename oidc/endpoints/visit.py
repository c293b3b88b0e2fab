"""A visit to `/authorize` or one of its pages: what is asked, by whom, who is at the keyboard, and who may go on."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar import Response

from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.pages.page import page
from accounts.vault import Vault
from identity.cookies import SEEN
from identity.session import SessionView
from oidc.client import RegisteredClient
from oidc.endpoints.asked import require_still_registered
from oidc.endpoints.authorization_response import AnyRequest, InteractionOver, refuse, unknown_client, way_to
from oidc.endpoints.onward import AFTER_FORM
from oidc.entrance import Agreement, Entrance, find_entrance
from oidc.interaction import Interaction, bind, find_interaction
from oidc.protocol.authorization import AuthorizationRequest, authorization_request_from
from oidc.protocol.errors import ProtocolError
from oidc.protocol.uris import host_of
from oidc.provider import Provider

STATUS = {"completed": 409, "expired": 410, "foreign": 403, "cookies": 400}

log: structlog.stdlib.BoundLogger = structlog.get_logger("authorize")


class Visit(msgspec.Struct, frozen=True):
    """`interaction` is None while no page was needed; `opened_at` is when the request first came."""

    asked: AuthorizationRequest
    client: RegisteredClient
    browser: Browser
    entrance: Entrance
    interaction: Interaction | None
    opened_at: datetime
    pushed: bytes | None = None
    """The pushed request it answers, which may be open in other tabs as well."""

    @property
    def session(self) -> SessionView | None:
        """Who is signed in in this browser."""
        return self.entrance.session

    @property
    def agreed(self) -> Agreement | None:
        """What they have agreed to at this service."""
        return self.entrance.agreed

    @property
    def held(self) -> Interaction:
        """The interaction, on pages, which all have one."""
        if self.interaction is None:
            raise RuntimeError("a page without an interaction")
        return self.interaction

    @property
    def languages(self) -> tuple[str, ...]:
        """What outranks the browser's languages: the request's wish, then the account's."""
        own = self.session.locale if self.session else None
        return (*self.asked.ui_locales, *([own] if own else ()))

    def speaks_to(self, request: AnyRequest) -> "Visit":
        """Itself, having told the page frame which languages to prefer, and who is there."""
        request.state[SEEN] = self.session
        if self.languages:
            request.state["languages"] = self.languages
        return self


async def answered(
    request: AnyRequest, db: Transaction, provider: Provider, now: datetime, answer: Awaitable[Response[Any]]
) -> Response[Any]:
    """The answer, or what each way of failing becomes; the same for every door of an interaction."""
    try:
        return await answer
    except ProtocolError as error:
        return await refuse(request, db, provider, error, now)
    except InteractionOver as ended:
        client_id = ended.client.client_id if ended.client else None
        log.info("interaction_over", why=ended.why, client_claimed=client_id)
        # No dead end: what happened, and the way to the service or the account.
        return page(
            request,
            "interaction_over.html",
            status=STATUS[ended.why],
            why=ended.why,
            client=ended.client,
            host=host_of(provider.issuer),
            start_again=ended.way_back or way_to(ended.client, provider.issuer),
        )


async def returned(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    browser: Browser,
    session_secret: str | None,
    address: str | None,
    now: datetime,
    *,
    goes_on: bool = True,
) -> Visit:
    """The visit that goes on with an interaction, or ends it. Raises `InteractionOver`, or `Unanswerable` where its
    client is gone or has taken back the redirect URI."""
    interaction, client = await _held(request, db, vault, provider, browser, address, now, goes_on=goes_on)
    asked = authorization_request_from(interaction.request)
    require_still_registered(asked, client)
    entrance = await find_entrance(db, vault, session_secret, client, now)
    visit = Visit(asked, client, browser, entrance, interaction, interaction.opened_at, interaction.pushed)
    return visit.speaks_to(request)


async def _held(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    browser: Browser,
    address: str | None,
    now: datetime,
    *,
    goes_on: bool,
) -> tuple[Interaction, RegisteredClient]:
    """The open interaction of this browser; the first browser that comes gets it."""
    interaction_id = _uuid(address)
    interaction = await find_interaction(db, vault, interaction_id) if interaction_id else None
    if interaction is None:
        raise InteractionOver("expired")
    client = await provider.clients.find(db, interaction.client_id, now)
    if client is None:
        raise unknown_client(interaction.client_id)
    # A request that was posted has shown no page before the browser comes for it the first time.
    request.state[AFTER_FORM] = interaction.browser is not None
    # Not before it has shown that it keeps cookies: else it could not come back.
    if interaction.browser is None and not (goes_on and browser.is_new):
        # Another tab of this very browser may have been first: what counts is what the row says then.
        await bind(db, interaction.id, browser.digest, now)
        interaction = await find_interaction(db, vault, interaction.id) or interaction
    if interaction.browser not in (None, browser.digest) and interaction.expires_at > now:
        raise InteractionOver("foreign")
    if interaction.completed_at is not None:
        raise InteractionOver("completed", client)
    if interaction.expires_at <= now:
        raise InteractionOver("expired", client)
    return interaction, client


def _uuid(value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        return None
