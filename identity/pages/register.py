"""Creating an account: an address, and the code that was sent to it."""

from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, local_path, see_other
from identity.journey import Here, Journey, find_journey
from identity.pages import register_password
from identity.pages.at_registration import REGISTERING, Registering
from identity.pages.at_sign_in import HERE, show
from identity.pages.problems import problem_of
from identity.registration import confirm, find, send_again, start
from identity.sign_in import Onward, begin


@get("/register", dependencies=HERE)
async def begin_registration(
    request: Request[Any, Any, Any], here: NamedDependency[Here]
) -> Template | Response[bytes]:
    """The first page: an address. Without a sign-in to belong to, one for our own pages begins."""
    asked = request.query_params.get("sign_in")
    if asked is None:
        path = await begin(
            here.db,
            here.vault,
            here.browser,
            required_acr=here.policy.assurance.minimum,
            fresh_after=None,
            return_to=local_path(request.query_params.get("return_to")) or "/account",
            onward=Onward(start="create"),
            now=here.now,
            lifetime=here.policy.sign_in_lifetime,
        )
        return see_other(path)
    journey = await find_journey(here, _uuid(asked))
    if not journey.is_open:
        return see_other(journey.sign_in.path)
    return show(request, journey, "register.html", typed={"identifier": journey.sign_in.onward.hint or ""})


@post("/register", dependencies=HERE)
async def enter_address(
    request: Request[Any, Any, Any], here: NamedDependency[Here], language: NamedDependency[str]
) -> Template | Response[bytes]:
    """An address. The answer is the same whether it is known or not: a page that asks for a code (R27)."""
    form = await form_of(request)
    journey = await find_journey(here, _uuid(form.get("sign_in", "")))
    if not journey.is_open:
        return see_other(journey.sign_in.path)
    try:
        if not form.get("identifier", "").strip():
            return _first(request, journey, form, Problem("identifier", N_("Enter your email address")))
        registration_id = await start(
            here.db,
            here.vault,
            here.store,
            journey.sign_in.id,
            form["identifier"],
            language,
            here.device.address,
            here.policy,
            here.now,
        )
    except Refusal as refusal:
        return _first(request, journey, form, problem_of(refusal, "identifier"), refusal)
    return see_other(f"/register/{registration_id}")


@get("/register/{registration_id:uuid}", dependencies=REGISTERING)
async def code_page(
    request: Request[Any, Any, Any], here: NamedDependency[Here], at: NamedDependency[Registering]
) -> Template | Response[bytes]:
    """Asks for the code that was sent."""
    if at.place != request.url.path:
        return see_other(at.place)
    return _code(request, at, sent_again=request.query_params.get("sent") == "again")


@post("/register/{registration_id:uuid}", dependencies=REGISTERING)
async def enter_code(
    request: Request[Any, Any, Any], here: NamedDependency[Here], at: NamedDependency[Registering]
) -> Template | Response[bytes]:
    """The code; or another mail is wanted."""
    form = await form_of(request)
    if at.place != request.url.path:
        return see_other(at.place)
    again = form.get("action") == "again"
    if not again and not form.get("code", "").strip():
        return _code(request, at, Problem("code", N_("Enter the code from the email")))
    address, policy = here.device.address, here.policy
    try:
        if again:
            await send_again(here.db, here.vault, here.store, at.registration, address, policy, here.now)
            return see_other(f"/register/{at.registration.id}?sent=again")
        await confirm(here.db, here.vault, here.store, at.registration, form["code"], address, policy, here.now)
    except Refusal as refusal:
        latest = await find(here.db, here.vault, at.registration.id)
        if latest is not None and latest.confirmed_at is not None:
            # The same form, sent twice: the other one has confirmed the address.
            return see_other(f"/register/{at.registration.id}/password")
        return _code(request, at, problem_of(refusal, "code"), refusal)
    return see_other(f"/register/{at.registration.id}/password")


def _first(
    request: Request[Any, Any, Any],
    journey: Journey,
    form: dict[str, str],
    problem: Problem,
    refusal: Refusal | None = None,
) -> Template:
    typed = {"identifier": form.get("identifier", "")}
    return show(request, journey, "register.html", problems=[problem], refusal=refusal, typed=typed)


def _code(
    request: Request[Any, Any, Any],
    at: Registering,
    problem: Problem | None = None,
    refusal: Refusal | None = None,
    sent_again: bool = False,
) -> Template:
    return show(
        request,
        at.journey,
        "register_code.html",
        problems=[problem] if problem else (),
        refusal=refusal,
        registration=at.registration,
        sent_again=sent_again,
    )


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise Refusal("sign_in_unknown", status=404) from error


handlers = [
    *register_password.handlers,
    begin_registration,
    enter_address,
    code_page,
    enter_code,
]
