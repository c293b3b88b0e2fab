"""Creating an account: an address, its code, a password or a passkey; the sign-in leads through the rest."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.response import Response, Template

from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, local_path, see_other
from identity.ceremony import Ceremony
from identity.journey import Here, Journey, find_journey
from identity.pages.at_sign_in import HERE, answer_in, ceremony_of, embedded, lead_on, show
from identity.pages.problems import problem_of
from identity.passkey_registration import registration_options
from identity.password import Hasher
from identity.registration import RegistrationView, confirm, find, send_again, start
from identity.registration_setup import set_first_passkey, set_first_password
from identity.sign_in import Onward, begin


class Registering(msgspec.Struct, frozen=True):
    """A registration and the sign-in it is a part of."""

    registration: RegistrationView
    journey: Journey

    @property
    def place(self) -> str:
        """Where this registration goes on, whatever page was opened."""
        if self.registration.completed_at is not None or not self.journey.is_open:
            return self.journey.sign_in.path
        path = f"/register/{self.registration.id}"
        return path if self.registration.confirmed_at is None else path + "/password"


async def registering(registration_id: FromPath[UUID], here: NamedDependency[Here]) -> Registering:
    """Raises Refusal "sign_in_unknown" or "wrong_browser"."""
    registration = await find(here.db, here.vault, registration_id)
    if registration is None:
        raise Refusal("sign_in_unknown", status=404)
    return Registering(registration, await find_journey(here, registration.sign_in_id))


REGISTERING = {**HERE, "at": Provide(registering)}


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


def _first(
    request: Request[Any, Any, Any],
    journey: Journey,
    form: dict[str, str],
    problem: Problem,
    refusal: Refusal | None = None,
) -> Template:
    typed = {"identifier": form.get("identifier", "")}
    wait = refusal.retry_after if refusal is not None else None
    status = 429 if wait else 400
    return show(request, journey, "register.html", status=status, problems=[problem], retry_after=wait, typed=typed)


def _code(
    request: Request[Any, Any, Any],
    at: Registering,
    problem: Problem | None = None,
    refusal: Refusal | None = None,
    sent_again: bool = False,
) -> Template:
    wait = refusal.retry_after if refusal is not None else None
    return show(
        request,
        at.journey,
        "register_code.html",
        status=429 if wait else 400 if problem else 200,
        retry_after=wait,
        problems=[problem] if problem else (),
        registration=at.registration,
        sent_again=sent_again,
    )


async def _password(
    request: Request[Any, Any, Any], here: Here, at: Registering, problem: Problem | None = None
) -> Template:
    account_id = at.registration.account_id
    if account_id is None:
        return show(request, at.journey, "register_known.html")
    ceremony: Ceremony = await registration_options(
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
        status=400 if problem else 200,
        problems=[problem] if problem else (),
        registration=at.registration,
        shortest=here.policy.password.shortest_with_second,
        passkey=embedded(ceremony),
    )


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise Refusal("sign_in_unknown", status=404) from error


handlers = [
    begin_registration,
    enter_address,
    code_page,
    enter_code,
    password_page,
    choose_password,
    choose_passkey,
]
