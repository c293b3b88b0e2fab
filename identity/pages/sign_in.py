"""Signing in, the first step: an address and a password, or a passkey."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template
from markupsafe import Markup

from accounts.account import data_key_of
from accounts.contact import contacts_of
from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, local_path, see_other
from identity.assurance import meets
from identity.journey import Here, Journey
from identity.pages.at_sign_in import HERE, JOURNEY, ceremony_of, embedded, has_moved_on, lead_on, let_in, show
from identity.pages.problems import problem_of
from identity.pages.ticket import ticket_for
from identity.passkey_assertion import authentication_options
from identity.password import Hasher
from identity.proof_of_work import LONGEST, Shown
from identity.sign_in import Onward, begin
from identity.sign_in_completion import completed_just_now
from identity.sign_in_proofs import Typed, prove_password

HOME = "/account"


@get("/sign-in", dependencies=HERE)
async def begin_sign_in(request: Request[Any, Any, Any], here: NamedDependency[Here]) -> Response[bytes]:
    """Begin one for our own pages: `return_to` is a path of ours; `fresh=1`: what was proved minutes ago does not
    count; `start=create`: with a new account."""
    asked = request.query_params
    return_to = local_path(asked.get("return_to")) or HOME
    policy, session = here.policy, here.session
    is_fresh = asked.get("fresh") == "1"
    creates = asked.get("start") == "create"
    minimum = policy.assurance.minimum
    if session is not None and not is_fresh and not creates and meets(session.acr, minimum, policy.assurance):
        return see_other(return_to)
    path = await begin(
        here.db,
        here.vault,
        here.browser,
        required_acr=minimum,
        fresh_after=here.now - policy.session.fresh if is_fresh else None,
        return_to=return_to,
        onward=Onward(start="create" if creates else "sign_in"),
        now=here.now,
        lifetime=policy.sign_in_lifetime,
    )
    return see_other(path)


@get("/sign-in/{sign_in_id:uuid}", dependencies=JOURNEY)
async def sign_in(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """The dispatcher of a sign-in: shows its first page, or leads to the step that is needed next."""
    if not journey.is_open:
        again = await completed_just_now(here.db, here.vault, journey.sign_in, here.now)
        if again is not None:
            return let_in(again, secure_cookies)
        done = journey.sign_in.completed_at is not None
        signed_in = here.session is not None
        return show(request, journey, "sign_in_over.html", status=200 if done else 400, done=done, signed_in=signed_in)
    if journey.needed != "first":
        return await lead_on(here, journey.sign_in.id, secure_cookies)
    return await first_page(request, here, journey)


@post("/sign-in/{sign_in_id:uuid}", dependencies=JOURNEY)
async def enter_password(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    hasher: NamedDependency[Hasher],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """An address and its password. One text for a wrong password and an unknown address, and the same work (R27)."""
    form = await form_of(request)
    if not journey.is_open or journey.needed != "first":
        return see_other(journey.sign_in.path)
    typed = Typed(*(form.get(name, "") for name in Typed.__struct_fields__))
    problems = []
    if not typed.identifier.strip():
        problems.append(Problem("identifier", N_("Enter your email address")))
    if not typed.password:
        problems.append(Problem("password", N_("Enter your password")))
    if problems:
        return await first_page(request, here, journey, problems, typed)
    try:
        await prove_password(
            here.db,
            here.vault,
            here.store,
            hasher,
            journey.sign_in,
            typed,
            here.browser.digest,
            here.device,
            here.policy,
            here.now,
        )
    except Refusal as refusal:
        if await has_moved_on(here, journey):
            return see_other(journey.sign_in.path)
        return await first_page(request, here, journey, [], typed, refusal)
    return await lead_on(here, journey.sign_in.id, secure_cookies)


async def first_page(
    request: Request[Any, Any, Any],
    here: Here,
    journey: Journey,
    problems: Sequence[Problem] = (),
    typed: Typed | None = None,
    refusal: Refusal | None = None,
    unknown: str | None = None,
) -> Template:
    """The sign-in page, with a passkey's ceremony in waiting, and under attack with a ticket;
    `unknown`: what the browser is to offer no more."""
    bound_to = ceremony_of(here, journey.sign_in.id)
    ceremony = await authentication_options(here.db, here.store, here.policy.passkey, bound_to=bound_to, now=here.now)
    sent = None if typed is None else Shown(bound_to, typed.ticket, typed.proof)
    ticket = await ticket_for(here, bound_to, sent, refusal)
    if refusal is not None:
        if refusal.reason == "slowed" and ticket is not None:
            refusal = Refusal("slowed", status=429, retry_after=ticket.left(here.now) or LONGEST)
        problems = [problem_of(refusal, "identifier")]
    if typed is not None:
        identifier = typed.identifier
    else:
        identifier = journey.sign_in.identifier or journey.sign_in.onward.hint or await _own_address(here, journey)
    return show(
        request,
        journey,
        "sign_in.html",
        problems=problems,
        refusal=refusal,
        typed={"identifier": identifier},
        passkey=embedded(ceremony),
        ticket=ticket,
        must_wait=refusal is not None and refusal.reason in ("slowed", "too_many_attempts"),
        again=_is_again(here, journey),
        unknown=Markup(unknown) if unknown else "",  # noqa: S704 - JSON of base64url
    )


def _is_again(here: Here, journey: Journey) -> bool:
    """Whether somebody who is signed in is asked once more."""
    return here.session is not None and journey.sign_in.onward.start == "sign_in"


async def _own_address(here: Here, journey: Journey) -> str:
    """Who is asked once more need not type the address again (WCAG 2.2, 3.3.7)."""
    if here.session is None or not _is_again(here, journey):
        return ""
    key = await data_key_of(here.db, here.vault, here.session.account_id)
    contacts = await contacts_of(here.db, key, here.session.account_id)
    return next((contact.value for contact in contacts if contact.kind == "email"), "")


handlers = [begin_sign_in, sign_in, enter_password]
