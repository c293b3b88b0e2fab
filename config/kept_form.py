"""A form that comes too late, when its citizen has to sign in again: its words are kept, and in it again afterwards."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.types import Scope

from accounts.citizen import Citizen
from accounts.errors import FreshSignInRequired, SignInRequired, StoreUnavailable
from accounts.pages.page import KEEPS, TYPED, form_of
from config.browser import Browsers
from config.house import House
from config.transactions import transaction_of
from identity.cookies import session_cookie_name
from identity.kept_form import find_form, keep_form

KEPT = "kept"
"""The parameter of a form's address that says that its words were kept."""


def keeping(house: House, browsers: Browsers) -> Callable[[Exception, Scope], Awaitable[None]]:
    """The hook that keeps them: after the form's own token was found true, before the answer leads to a sign-in."""
    cookie = session_cookie_name(house.settings.is_secure)

    async def keep(error: Exception, scope: Scope) -> None:
        fields = (
            scope["route_handler"].opt.get(KEEPS) if isinstance(error, SignInRequired | FreshSignInRequired) else ()
        )
        if not fields:
            return
        request = Request[Any, Any, Any](scope)
        form = await form_of(request)  # read already, by the guard of all forms
        with suppress(StoreUnavailable):  # the words are lost then; the way on is not
            request.state[KEPT] = await keep_form(
                transaction_of(scope["state"], house.database),
                house.vault,
                house.store,
                browsers.browser_of(request),
                request.cookies.get(cookie),
                request.scope["path_template"],
                {name: form[name] for name in fields if name in form},
                house.clock.now(),
            )

    return keep


async def give_back(
    request: Request[Any, Any, Any], house: House, browsers: Browsers, citizen: Citizen, now: datetime
) -> None:
    """Where a form's address says so, have its page show what this citizen typed before."""
    if request.method != "GET" or KEPT not in request.query_params:
        return
    with suppress(StoreUnavailable):
        request.state[TYPED] = await find_form(
            house.vault,
            house.store,
            browsers.browser_of(request),
            citizen.account_id,
            request.scope["path_template"],
            now,
        )
