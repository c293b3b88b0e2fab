"""`/authorize`, the one dispatcher: a request comes in, the next step is computed, a page or the answer goes out.

Every page of an interaction leads back here, and what to do then is computed anew from what is stored.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from litestar import Response, get, post
from litestar.di import NamedDependency

from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.pages.page import SENT, come_again, see_other
from accounts.vault import Vault
from identity.policy import IdentityPolicy
from oidc.endpoints.asked import asked_for
from oidc.endpoints.authorization_response import AnyRequest, InteractionOver
from oidc.endpoints.authorization_steps import authenticate, denied, finish, issue, step_of
from oidc.endpoints.consent import consent_page
from oidc.endpoints.onward import AFTER_FORM
from oidc.endpoints.select_account import select_account_page
from oidc.endpoints.visit import Visit, answered, returned
from oidc.entrance import find_entrance
from oidc.interaction import Interaction, open_interaction
from oidc.protocol.errors import AuthorizationError
from oidc.protocol.parameters import read_form, read_query
from oidc.protocol.prompt import Authenticate, ChooseAccount, Issue
from oidc.provider import Provider

LanguageOf = Callable[[AnyRequest], str]


@get("/authorize")
async def authorize(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    session_secret: NamedDependency[str | None],
    provider: NamedDependency[Provider],
    identity_policy: NamedDependency[IdentityPolicy],
    language_of: NamedDependency[LanguageOf],
) -> Response[Any]:
    """A new request, or one that comes back from a page (`?interaction=`). OpenID Connect Core section 3.1.2."""

    async def dispatch() -> Response[Any]:
        parameters = read_query(request.scope["query_string"], repeats="keep")
        if "interaction" in parameters and "client_id" not in parameters:
            address = parameters.get("interaction")
            try:
                visit = await returned(request, db, vault, provider, browser, session_secret, address, now)
            except InteractionOver as over:
                if over.why != "foreign" or not browser.is_new:
                    raise
                return come_again(request) or keeps_no_cookies()
        else:
            asked = await asked_for(db, vault, provider, parameters, now)
            entrance = await find_entrance(db, vault, session_secret, asked.client, now)
            visit = Visit(asked.request, asked.client, browser, entrance, None, now, asked.pushed).speaks_to(request)
        return await take_step(request, db, vault, provider, identity_policy, visit, language_of, now)

    return await answered(request, db, provider, now, dispatch())


@get("/authorize/cancel")
async def cancel(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    provider: NamedDependency[Provider],
) -> Response[Any]:
    """The link "cancel" of every page of an interaction: back to the service, which learns no more than that."""

    async def send_back() -> Response[Any]:
        address = read_query(request.scope["query_string"]).get("interaction")
        visit = await returned(request, db, vault, provider, browser, None, address, now, goes_on=False)
        request.state[AFTER_FORM] = False  # a link leads here
        await finish(db, visit, "cancelled", now)
        raise denied(visit, "The browser keeps no cookies." if browser.is_new else "The citizen cancelled.")

    return await answered(request, db, provider, now, send_back())


@post("/authorize", status_code=303, opt={"csrf": False})
async def authorize_by_post(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    provider: NamedDependency[Provider],
) -> Response[Any]:
    """The same request as a form. It comes from the service's site, so our SameSite=Lax cookies stay away; they come
    with the GET that this answers with, and nothing is judged before."""

    async def keep() -> Response[Any]:
        content_type = request.headers.get("content-type")
        parameters = read_form(await request.body(), content_type, repeats="keep")
        asked = await asked_for(db, vault, provider, parameters, now)
        request_bytes = asked.request.to_bytes()
        interaction = await open_interaction(db, vault, asked.client.client_id, request_bytes, None, now, asked.pushed)
        return see_other(interaction.address)

    return await answered(request, db, provider, now, keep())


async def take_step(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    policy: IdentityPolicy,
    visit: Visit,
    language_of: LanguageOf,
    now: datetime,
) -> Response[Any]:
    """The one decision, carried out. An error that is told to the service ends the interaction."""
    try:
        step = await step_of(db, provider, visit, now)
    except AuthorizationError:
        await finish(db, visit, "failed", now)
        raise
    if isinstance(step, Issue):
        return await issue(request, db, vault, provider, policy, visit, step, language_of(request), now)
    holder = None if visit.browser.is_new else visit.browser.digest
    interaction = visit.interaction or await open_interaction(
        db, vault, visit.client.client_id, visit.asked.to_bytes(), holder, now, visit.pushed
    )
    if visit.browser.is_new:
        # It gets its cookie with this answer; the next request shows whether it keeps it.
        first = f"{interaction.address}&{SENT}=sent"
        return see_other(first) if SENT not in request.query_params else keeps_no_cookies(visit, interaction)
    if isinstance(step, Authenticate):
        service = visit.client.name_in(language_of(request))
        return await authenticate(db, vault, visit, interaction, step, service, now)
    if visit.interaction is None or visit.session is None:
        # A page needs an address that can be loaded again and read in another language.
        return see_other(interaction.address)
    if isinstance(step, ChooseAccount):
        return await select_account_page(request, db, vault, visit, visit.session)
    return await consent_page(request, db, vault, provider, visit, visit.session, step, language_of(request))


def keeps_no_cookies(visit: Visit | None = None, interaction: Interaction | None = None) -> NoReturn:
    """Nobody can sign in there. To whom the interaction is not another's, the way back to the service is shown."""
    client, way_back = (visit.client, interaction.way_back) if visit and interaction else (None, None)
    raise InteractionOver("cookies", client, way_back)


handlers = [authorize, authorize_by_post, cancel]
