"""The answer to an authorization request: a code or an error, to the redirect URI, or on a page before there is one."""

from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

import structlog
from litestar import Request, Response

from accounts.database import Transaction, new_secret
from accounts.pages.page import POSTS_ELSEWHERE, page
from oidc.encryption import recipient_of
from oidc.endpoints.errors import CLAIMED, said_of, who_asked
from oidc.endpoints.onward import is_after_form, lead_away
from oidc.protocol.authorization import response_parameters
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_REQUEST, AuthorizationError, ProtocolError, ReplyTo
from oidc.protocol.jarm import delivery_of, signed_response_claims, signing_algorithm
from oidc.protocol.session_state import session_state
from oidc.protocol.uris import origin_of, web_origin_of
from oidc.provider import Provider

log: structlog.stdlib.BoundLogger = structlog.get_logger("authorize")
AnyRequest = Request[Any, Any, Any]
About = Literal["client", "address", "request", "over"]
Why = Literal["completed", "expired", "foreign", "cookies"]


class Unanswerable(ProtocolError):
    """A request that nobody can be sent back from. `about` is what is wrong, for the citizen; the rest is for the
    people who run the service."""

    def __init__(
        self, about: About, error: ProtocolError, client: Client | None = None, claimed: str | None = None
    ) -> None:
        super().__init__(error.code, error.description, detail=error.detail, status=error.status)
        self.about = about
        self.client = client
        self.claimed = client.client_id if client else claimed


class InteractionOver(Exception):
    """This visit cannot go on with its request: answered already, too late, in another browser, or in one that keeps
    no cookies. `way_back` sends the service an error all the same, where nobody else has begun with the request."""

    def __init__(self, why: Why, client: Client | None = None, way_back: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.client = client
        self.way_back = way_back


def unknown_client(client_id: str | None) -> Unanswerable:
    """No such client, or one that was disabled: the two are alike to whoever asks."""
    error = ProtocolError(INVALID_REQUEST, "The client_id is not registered.", detail="unknown client")
    return Unanswerable("client", error, claimed=client_id)


async def answer(
    request: AnyRequest, db: Transaction, provider: Provider, reply_to: ReplyTo, fields: dict[str, str], now: datetime
) -> Response[Any]:
    """A code or an error, with `state` and `iss` (RFC 6749 section 4.1.2, RFC 9207), as the client asked to get it:
    by a redirect or by a form that posts itself, open or as one signed `response` (JARM)."""
    delivery = delivery_of(reply_to)
    fields = fields | _session_state(request, provider, reply_to)
    if delivery.signed:
        sent = {"response": await _signed(db, provider, reply_to, fields, now)}
    else:
        sent = response_parameters(reply_to, provider.issuer, fields)
    if delivery.carrier == "form_post":
        request.state[POSTS_ELSEWHERE] = True
        return page(request, "form_post.html", keeps_opener=True, address=reply_to.redirect_uri, fields=sent)
    client = await provider.clients.find(db, reply_to.client_id, now) if is_after_form(request) else None
    # A registered redirect URI may have a query of its own, which is kept (RFC 6749 section 3.1.2).
    address = f"{reply_to.redirect_uri}{'&' if '?' in reply_to.redirect_uri else '?'}{urlencode(sent)}"
    return lead_away(request, address, client)


def _session_state(request: AnyRequest, provider: Provider, reply_to: ReplyTo) -> dict[str, str]:
    """With every answer where session management is on (section 2); an app that is no web page has no frame to ask."""
    origin = web_origin_of(reply_to.redirect_uri)
    if provider.browser_states is None or origin is None:
        return {}
    held = provider.browser_states.held_by(request)
    return {"session_state": session_state(reply_to.client_id, origin, held, new_secret())}


async def _signed(db: Transaction, provider: Provider, reply_to: ReplyTo, fields: dict[str, str], now: datetime) -> str:
    """The answer as a JWT for this client (JARM section 2.1). Signed outside the transaction."""
    client = await provider.clients.find(db, reply_to.client_id, now)
    if client is None:
        raise unknown_client(reply_to.client_id)
    keys = await provider.keys.current(db, now)
    await db.commit()
    recipient = await recipient_of(db, provider, client, "authorization", now)
    claims = signed_response_claims(reply_to, provider.issuer, fields, now)
    signed = await keys.sign(claims, algorithm=signing_algorithm(client), typ="JWT")
    return recipient.seal(signed) if recipient else signed


async def refuse(
    request: AnyRequest, db: Transaction, provider: Provider, error: ProtocolError, now: datetime
) -> Response[Any]:
    """The one mapping of errors of this endpoint: back to the service where that is safe, else a page."""
    reply_to = error.reply_to if isinstance(error, AuthorizationError) else None
    about, client = (error.about, error.client) if isinstance(error, Unanswerable) else ("request", None)
    # Whoever sends a browser here has proved nothing: the client is the one that is named.
    request.state[CLAIMED] = (
        reply_to.client_id if reply_to else error.claimed if isinstance(error, Unanswerable) else None
    )
    log.info("authorization_refused", **who_asked(request), **said_of(error))
    if reply_to is not None:
        try:
            return await answer(request, db, provider, reply_to, error.fields(), now)
        except ProtocolError as unsaid:  # it cannot be encrypted for this client: then it is not said at all
            error = unsaid
    return page(
        request,
        "authorization_error.html",
        status=error.status,
        about=about,
        client=client,
        start_again=way_to(client, provider.issuer),
        error=error,
    )


def way_to(client: Client | None, issuer: str) -> str | None:
    """Where a citizen can start again: the service's own sign-in (Core section 4), its home page, or its host."""
    if client is None:
        return None
    start = client.metadata.initiate_login_uri
    if start:
        return f"{start}{'&' if '?' in start else '?'}{urlencode({'iss': issuer})}"
    if client.metadata.client_uri:
        return client.metadata.client_uri
    origins = (origin_of(uri) for uri in client.metadata.redirect_uris)
    return next((f"{origin}/" for origin in origins if origin.startswith("http")), None)
