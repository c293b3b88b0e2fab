"""Creating an account: its password, or a passkey instead; the sign-in leads through the rest."""

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, see_other
from identity.journey import Here
from identity.pages.at_registration import REGISTERING, Registering
from identity.pages.at_sign_in import answer_in, ceremony_of, embedded, lead_on, show
from identity.pages.problems import problem_of
from identity.passkey_registration import registration_options
from identity.password import Hasher
from identity.registration_setup import set_first_passkey, set_first_password


@get("/register/{registration_id:uuid}/password", dependencies=REGISTERING)
async def password_page(
    request: Request[Any, Any, Any], here: NamedDependency[Here], at: NamedDependency[Registering]
) -> Template | Response[bytes]:
    """Asks for a password, or a passkey instead."""
    if at.place != request.url.path:
        return see_other(at.place)
    return await _password(request, here, at)


@post("/register/{registration_id:uuid}/password", dependencies=REGISTERING)
async def choose_password(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    at: NamedDependency[Registering],
    hasher: NamedDependency[Hasher],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """The password of the new account."""
    form = await form_of(request)
    account_id, sign_in = at.registration.account_id, at.journey.sign_in
    if at.place != request.url.path or account_id is None:
        return see_other(at.place)
    typed = form.get("password", "")
    if not typed:
        return await _password(request, here, at, Problem("password", N_("Choose a password")))
    try:
        await set_first_password(
            here.db, here.vault, hasher, at.registration, account_id, sign_in, typed, here.policy, here.now
        )
    except Refusal as refusal:
        return await _password(request, here, at, problem_of(refusal, "password"))
    return await lead_on(here, sign_in.id, secure_cookies)


@post("/register/{registration_id:uuid}/passkey", dependencies=REGISTERING)
async def choose_passkey(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    at: NamedDependency[Registering],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """The passkey of the new account."""
    form = await form_of(request)
    account_id, sign_in = at.registration.account_id, at.journey.sign_in
    if at.registration.confirmed_at is None or at.registration.completed_at or account_id is None:
        return see_other(at.place)
    answer = answer_in(form, ceremony_of(here, at.registration.id))
    try:
        await set_first_passkey(
            here.db,
            here.vault,
            here.store,
            at.registration,
            account_id,
            sign_in,
            answer,
            here.device,
            here.policy,
            here.now,
        )
    except Refusal as refusal:
        return await _password(request, here, at, problem_of(refusal, ""))
    return await lead_on(here, sign_in.id, secure_cookies)


async def _password(
    request: Request[Any, Any, Any], here: Here, at: Registering, problem: Problem | None = None
) -> Template:
    account_id = at.registration.account_id
    if account_id is None:
        return show(request, at.journey, "register_known.html")
    ceremony = await registration_options(
        here.db,
        here.store,
        here.policy.passkey,
        account_id=account_id,
        bound_to=ceremony_of(here, at.registration.id),
        user_name=at.registration.email,
        alone=True,
        now=here.now,
    )
    return show(
        request,
        at.journey,
        "register_password.html",
        problems=[problem] if problem else (),
        registration=at.registration,
        shortest=here.policy.password.shortest_with_second,
        passkey=embedded(ceremony),
    )


handlers = [password_page, choose_password, choose_passkey]
