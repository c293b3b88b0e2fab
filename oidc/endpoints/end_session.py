"""Sign-out: asked by a relying party (`/end-session`, RP-Initiated Logout 1.0) or by the citizen (`/sign-out`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from accounts.database import Transaction
from accounts.pages.page import form_of, page, see_other
from accounts.vault import Vault
from identity.session import SessionView
from oidc.endpoints.errors import said_of
from oidc.endpoints.signed_out import conclude
from oidc.protocol.errors import ProtocolError
from oidc.protocol.parameters import Parameters, parameters_of, read_form, read_query
from oidc.provider import Provider
from oidc.services import services_of
from oidc.sign_out import Asked, find_kept, keep
from oidc.sign_out_request import SignOutRequest, judge_sign_out

AnyRequest = Request[Any, Any, Any]
KEPT = "request"
"""The parameter under which a posted request is found again."""
EVERYWHERE = "everywhere"
"""The button's value by which a citizen ends every session of theirs, this one too."""
FIELDS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")

log: structlog.stdlib.BoundLogger = structlog.get_logger("sign_out")


@get("/end-session")
async def end_session(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    session: NamedDependency[SessionView | None],
    provider: NamedDependency[Provider],
    secure_cookies: NamedDependency[bool],
) -> Response[Any]:
    """A relying party's request. What a valid hint proves is done at once, everything else is asked."""
    try:
        parameters = read_query(request.scope["query_string"])
        asked = await _judged(request, db, vault, provider, session, parameters, now)
    except ProtocolError as error:
        return _refused(request, error, session)
    if not asked.decision.ask:
        return await conclude(request, db, vault, provider, session, asked, secure_cookies, now)
    services = (await services_of(db, [session.id]))[session.id] if session else []
    return page(
        request,
        "sign_out.html",
        keeps_opener=asked.decision.return_to is not None,
        client=asked.client,
        services=services,
        hidden={name: value for name in (KEPT, *FIELDS) if (value := parameters.get(name))},
    )


@post("/end-session", status_code=303, opt={"csrf": False})
async def end_session_by_post(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
) -> Response[Any]:
    """The same request as a form (section 2). It comes from another site, without our cookies: who is signed in shows
    with the GET that this answers with."""
    try:
        parameters = read_form(await request.body(), request.headers.get("content-type"))
    except ProtocolError as error:
        return _refused(request, error, None)
    kept = {name: values for name, values in parameters.values.items() if name in FIELDS}
    return see_other(f"/end-session?{KEPT}={await keep(db, vault, Asked(kept), now)}")


@post("/sign-out", status_code=303)
async def sign_out(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    session: NamedDependency[SessionView | None],
    provider: NamedDependency[Provider],
    secure_cookies: NamedDependency[bool],
) -> Response[Any]:
    """The citizen says so: on the page above, where its fields say who asked, or with the button of their account."""
    form = await form_of(request)
    try:
        asked = await _judged(request, db, vault, provider, session, _fields_of(form), now)
    except ProtocolError:
        # The way back was refused already; the citizen's own wish to sign out was not.
        asked = await _judged(request, db, vault, provider, session, Parameters(), now)
    everywhere = form.get("action") == EVERYWHERE
    return await conclude(request, db, vault, provider, session, asked, secure_cookies, now, everywhere=everywhere)


async def _judged(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    session: SessionView | None,
    parameters: Parameters,
    now: datetime,
) -> SignOutRequest:
    secret = parameters.get(KEPT)
    if secret is not None:
        kept = await find_kept(db, vault, secret, now)
        # One that has expired is as good as none: then the citizen is asked.
        parameters = Parameters(kept.parameters) if isinstance(kept, Asked) else Parameters()
    asked = await judge_sign_out(db, vault, provider, session, parameters, now)
    own = (session.locale,) if session and session.locale else ()
    if languages := (*asked.ui_locales, *own):
        request.state["languages"] = languages
    return asked


def _fields_of(form: Mapping[str, str]) -> Parameters:
    return parameters_of({name: value for name, value in form.items() if name in (KEPT, *FIELDS)})


def _refused(request: AnyRequest, error: ProtocolError, session: SessionView | None) -> Response[Any]:
    """Never a redirect (section 4); but who wanted to sign out can."""
    log.info("end_session_refused", **said_of(error))
    return page(request, "end_session_error.html", status=error.status, error=error, is_signed_in=session is not None)


handlers = [end_session, end_session_by_post, sign_out]
