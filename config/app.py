"""The application: every package's doors, the dependencies they ask for by name, and the one mapping of errors."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

import identity.pages
from accounts.errors import CRASHED, FreshSignInRequired, Refusal, SignInRequired, Unavailable
from accounts.pages import history, home, profile
from accounts.pages.page import N_, come_again, see_other
from config.browser import Browsers, sender_of
from config.dependencies import dependencies
from config.house import TEMPLATE_FOLDERS, House
from config.kept_form import KEPT, keeping
from config.logging import logger
from config.site import pages as site_pages
from config.site.again import keep_for_again
from config.site.errors import error_page
from config.site.frame import Frame, Link, template_config
from config.site.headers import HeaderPolicy, with_headers
from config.site.static import read_assets, static_handler
from config.transactions import with_transactions
from identity.pages import (
    contacts,
    enrol,
    not_me,
    recovery,
    recovery_codes,
    register,
    second_factor,
    security,
    security_passkey,
    sessions,
    sign_in,
    well_known,
)
from identity.pages import explanations as identity_explanations
from identity.pages import panels as identity_panels
from oidc.endpoints import (
    authorize,
    backchannel_authentication,
    consent,
    device,
    discovery,
    end_session,
    introspection,
    par,
    registration,
    requests,
    revocation,
    select_account,
    services,
    signed_out,
    token,
    userinfo,
)
from oidc.endpoints import explanations as oidc_explanations
from oidc.endpoints.check_session import check_session_handler
from oidc.endpoints.router import not_served_to_program, places_of_programs

MAX_BODY = 64 * 1024
"""Bytes (R73); `/token` takes less."""

NAVIGATION = (
    Link("/account", N_("Home")),
    Link("/account/profile", N_("Your details")),
    Link("/account/services", N_("Services")),
    Link("/account/requests", N_("Requests")),
    Link("/account/security", N_("Security")),
    Link("/account/history", N_("History")),
)

DOORS = (
    *(home, profile, history),
    *(
        sign_in,
        second_factor,
        enrol,
        register,
        recovery_codes,
        recovery,
        security,
        security_passkey,
        sessions,
        not_me,
        contacts,
        well_known,
    ),
    *(
        authorize,
        par,
        consent,
        select_account,
        token,
        userinfo,
        revocation,
        registration,
        device,
        backchannel_authentication,
        requests,
        introspection,
        discovery,
        end_session,
        signed_out,
        services,
    ),
    site_pages,
)
PANELS = (
    home.profile_panel,
    services.services_panel,
    identity_panels.security_panel,
    identity_panels.sessions_panel,
    home.history_panel,
)
SCRIPTS = (
    *(Path(identity.pages.__file__).with_name(name) for name in ("passkey.js", "work.js")),
    *(Path(authorize.__file__).with_name(name) for name in ("form_post.js", "check_session.js")),
)

PROGRAMS = "places_of_programs"
"""Key of the application's state."""

log = logger("app")
AnyRequest = Request[Any, Any, Any]


def create_app(house: House) -> ASGIApp:
    """The ASGI application of a house."""
    return with_headers(with_transactions(create_routes(house)), HeaderPolicy(https=house.settings.is_secure))


def create_routes(house: House) -> Litestar:
    """Every door of a house, with what opens it; the authorization matrix is made from this (R77)."""
    settings = house.settings
    browsers, states = Browsers(house.vault, settings.issuer), house.provider.browser_states
    assets = read_assets(house.theme, SCRIPTS)
    frame = Frame(
        theme=house.theme,
        assets=assets,
        time_zone=settings.site.time_zone,
        navigation=NAVIGATION,
        explanations={**identity_explanations.EXPLANATIONS, **oidc_explanations.EXPLANATIONS},
    )
    app = Litestar(
        route_handlers=[
            *(handler for door in DOORS for handler in door.handlers),
            static_handler(assets),
            *([check_session_handler(states, assets["check_session.js"].url)] if states else []),
        ],
        dependencies=dependencies(house, browsers, PANELS),
        exception_handlers={Refusal: refused, HTTPException: not_served, Exception: crashed},
        guards=[browsers.verify_form],
        before_request=browsers.remember,
        before_send=[browsers.send_cookie, *sender_of(states)],
        after_exception=[keeping(house, browsers), keep_for_again],
        template_config=template_config(frame, TEMPLATE_FOLDERS),
        request_max_body_size=MAX_BODY,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    _one_after_another(app)
    app.state[PROGRAMS] = places_of_programs(app)
    return app


def _one_after_another(app: Litestar) -> None:
    """Resolve dependencies in turn. Litestar starts a task for each of those that do not wait for one another, which
    costs more than all of ours do: none of them waits for anything but the one connection of its request."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]


def refused(request: AnyRequest, refusal: Refusal) -> Response[Any]:
    """An expected "no": a sign-in first, or a page that says what happened and what to do."""
    if isinstance(refusal, SignInRequired | FreshSignInRequired):
        kept = request.state.get(KEPT)
        query = [request.url.query] if request.url.query and (request.method == "GET" or kept) else []
        query += [f"{KEPT}=yes"] if kept else []
        here = request.url.path + ("?" + "&".join(query) if query else "")
        fresh = "&fresh=1" if isinstance(refusal, FreshSignInRequired) else ""
        return see_other(f"/sign-in?return_to={quote(here, safe='')}{fresh}")
    if refusal.reason == "wrong_browser" and request.method == "GET" and request.state.get("new_browser"):
        # Another browser has a cookie the next time; one that has none again keeps none.
        again = come_again(request)
        if again is not None:
            return again
        refusal = Refusal("cookies_refused", status=400)
    # The route, not the address: some addresses hold a secret (R66).
    route = request.scope.get("path_template", "")
    if not isinstance(refusal, Unavailable):  # of that the log has said enough
        log.info("refused", reason=refusal.reason, detail=refusal.detail, path=route, method=request.method)
    return error_page(request, refusal.status, reason=refusal.reason, retry_after=refusal.retry_after)


def not_served(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """What the router itself refuses: no such page, wrong method, too large."""
    request.state[CRASHED] = True
    answer = not_served_to_program(request, request.app.state[PROGRAMS], error)
    if answer is not None:
        return answer
    if error.status_code != 404:  # those are the noise of every scanner, and who knows what was pasted there
        route = request.scope.get("path_template", "")  # an address may hold a secret, its pattern does not (R66)
        log.info("not_served", status=error.status_code, path=route, method=request.method)
    return error_page(request, error.status_code, headers=error.headers, error=error)


def crashed(request: AnyRequest, error: Exception) -> Response[Any]:
    """Anything unforeseen: says nothing, logs everything, keeps nothing."""
    request.state[CRASHED] = True
    return error_page(request, 500, error=error)
