"""The account page of an interaction (`prompt=select_account`): go on as this citizen, or as another one."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency

from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.pages.page import form_of, page, see_other
from accounts.vault import Vault
from identity.session import SessionView
from oidc.endpoints.authorization_response import AnyRequest
from oidc.endpoints.authorization_steps import authenticate, cancel_path
from oidc.endpoints.own_values import masked_email, own_values
from oidc.endpoints.visit import Visit, answered, returned
from oidc.interaction import choose_account
from oidc.protocol.prompt import Authenticate
from oidc.provider import Provider


async def select_account_page(
    request: AnyRequest, db: Transaction, vault: Vault, visit: Visit, session: SessionView
) -> Response[Any]:
    """The question."""
    values = await own_values(db, vault, session.account_id, session.locale)
    return page(
        request,
        "select_account.html",
        keeps_opener=True,
        client=visit.client,
        interaction=str(visit.held.id),
        cancel=cancel_path(visit.held),
        signed_in_as=masked_email(values),
    )


@post("/authorize/select-account", status_code=303)
async def select_account(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    session_secret: NamedDependency[str | None],
    provider: NamedDependency[Provider],
    language_of: NamedDependency[Callable[[AnyRequest], str]],
) -> Response[Any]:
    """The answer."""
    form = await form_of(request)

    async def go_on() -> Response[Any]:
        visit = await returned(request, db, vault, provider, browser, session_secret, form.get("interaction"), now)
        if form.get("action") == "other":
            step = Authenticate(acr=provider.capabilities.minimum_acr, another=True)
            service = visit.client.name_in(language_of(request))
            return await authenticate(db, vault, visit, visit.held, step, service, now)
        if form.get("action") == "continue" and visit.session is not None:
            await choose_account(db, visit.held, visit.session.account_id, now)
        return see_other(visit.held.address)

    return await answered(request, db, provider, now, go_on())


handlers = [select_account]
