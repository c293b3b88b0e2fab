"""Getting back in, the last step: a new password, an app, or a passkey instead of both."""

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, page, see_other
from identity import totp
from identity.authenticator import authenticators_of
from identity.journey import Here
from identity.pages.at_account import uuid_of
from identity.pages.at_sign_in import answer_in, ceremony_of, embedded
from identity.pages.problems import problem_of
from identity.pages.recovery_contacts import RECOVERY, VISIT, ready
from identity.pages.totp_setup import app_setup
from identity.passkey_registration import registration_options
from identity.password import Hasher
from identity.recovery import Running
from identity.recovery_completion import add_app, add_passkey, set_password
from identity.recovery_visit import Visit

DONE = "/recovery/done"


@get(RECOVERY + "/{visit_id:uuid}/new", dependencies=VISIT)
async def new_page(
    request: Request[Any, Any, Any], here: NamedDependency[Here], visit: NamedDependency[Visit]
) -> Template | Response[bytes]:
    """What can be set up now."""
    running = await ready(here, visit)
    if running is None:
        return see_other(f"{RECOVERY}/{visit.id}")
    return await _page(request, here, visit, running)


@post(RECOVERY + "/{visit_id:uuid}/new", dependencies=VISIT)
async def set_up(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    visit: NamedDependency[Visit],
    hasher: NamedDependency[Hasher],
) -> Template | Response[bytes]:
    """A new password; or the app's first code."""
    form, running = await form_of(request), await ready(here, visit)
    if running is None:
        return see_other(f"{RECOVERY}/{visit.id}")
    field = "password" if running.password_at is None else "code"
    if not form.get(field, "").strip():
        words = N_("Choose a password") if field == "password" else N_("Enter the code that the app shows")
        return await _page(request, here, visit, running, Problem(field, words), form)
    try:
        if field == "code":
            app = uuid_of(form.get("app", ""))
            await add_app(here.db, here.vault, running, app, form["code"], here.device, here.now)
            return see_other(DONE)
        has_lost = form.get("lost") == "yes"
        typed, device = form["password"], here.device
        is_all = await set_password(
            here.db, here.vault, hasher, running, typed, has_lost, device, here.policy, here.now
        )
    except Refusal as refusal:
        return await _page(request, here, visit, running, problem_of(refusal, field), form)
    return see_other(DONE if is_all else request.url.path)


@post(RECOVERY + "/{visit_id:uuid}/passkey", dependencies=VISIT)
async def new_passkey(
    request: Request[Any, Any, Any], here: NamedDependency[Here], visit: NamedDependency[Visit]
) -> Template | Response[bytes]:
    """A passkey, which needs nothing beside it."""
    form, running = await form_of(request), await ready(here, visit)
    if running is None:
        return see_other(f"{RECOVERY}/{visit.id}")
    answer = answer_in(form, ceremony_of(here, visit.id))
    try:
        await add_passkey(here.db, here.vault, here.store, running, answer, here.device, here.policy, here.now)
    except Refusal as refusal:
        return await _page(request, here, visit, running, problem_of(refusal, ""), form)
    return see_other(DONE)


@get(DONE)
async def done(request: Request[Any, Any, Any]) -> Template:
    """It is set up. Nobody is signed in by it: the citizen signs in as always, with what there is now."""
    return page(request, "recovery_done.html")


async def _page(
    request: Request[Any, Any, Any],
    here: Here,
    visit: Visit,
    running: Running,
    problem: Problem | None = None,
    form: dict[str, str] | None = None,
) -> Template:
    key = await data_key_of(here.db, here.vault, running.account_id)
    having = await authenticators_of(here.db, running.account_id)
    app = None
    if running.password_at is not None:
        offer = await totp.offer(here.db, key, running.account_id, here.now, to=ceremony_of(here, visit.id))
        app = app_setup(offer, visit.email, here.policy.totp_issuer)
    ceremony = await registration_options(
        here.db,
        here.store,
        here.policy.passkey,
        account_id=running.account_id,
        bound_to=ceremony_of(here, visit.id),
        user_name=visit.email,
        alone=True,
        now=here.now,
    )
    return page(
        request,
        "recovery_new.html",
        problems=[problem] if problem else (),
        path=f"{RECOVERY}/{visit.id}",
        typed={"lost": (form or {}).get("lost", "")},
        has_second=having.has_second,
        shortest=here.policy.password.shortest_with_second,
        app=app,
        passkey=embedded(ceremony),
    )


handlers = [new_page, set_up, new_passkey, done]
