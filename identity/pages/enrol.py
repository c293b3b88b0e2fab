"""Signing in where something is missing: set up an app or a passkey, without leaving the way."""

from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.contact import contacts_of
from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, see_other
from identity import totp
from identity.assurance import completing
from identity.enrolment import enrol_passkey, enrol_totp
from identity.journey import Here, Journey, enrolling_in
from identity.pages.at_sign_in import JOURNEY, answer_in, ceremony_of, embedded, lead_on, show
from identity.pages.problems import problem_of
from identity.pages.totp_setup import app_setup
from identity.passkey_registration import registration_options
from identity.sign_in_rules import can_ever_reach, wanted_level


@get("/sign-in/{sign_in_id:uuid}/enrol", dependencies=JOURNEY)
async def enrol(
    request: Request[Any, Any, Any], here: NamedDependency[Here], journey: NamedDependency[Journey]
) -> Template | Response[bytes]:
    """What is missing, and how to set it up."""
    if not journey.is_open or journey.needed != "enrol":
        return see_other(journey.sign_in.path)
    return await _enrol_page(request, here, journey)


@post("/sign-in/{sign_in_id:uuid}/enrol", dependencies=JOURNEY)
async def enrol_app(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """The first code of an authenticator app."""
    form = await form_of(request)
    if not journey.is_open or journey.needed != "enrol":
        return see_other(journey.sign_in.path)
    if not form.get("code", "").strip():
        return await _enrol_page(request, here, journey, [Problem("code", N_("Enter the code that the app shows"))])
    try:
        offered = _uuid(form.get("app", ""))
        await enrol_totp(here.db, here.vault, here.store, enrolling_in(here, journey), offered, form["code"], here.now)
    except Refusal as refusal:
        return await _enrol_page(request, here, journey, [problem_of(refusal, "code")])
    return await lead_on(here, journey.sign_in.id, secure_cookies)


@post("/sign-in/{sign_in_id:uuid}/enrol/passkey", dependencies=JOURNEY)
async def enrol_a_passkey(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """A new passkey."""
    form = await form_of(request)
    if not journey.is_open or journey.needed != "enrol":
        return see_other(journey.sign_in.path)
    answer = answer_in(form, ceremony_of(here, journey.sign_in.id))
    try:
        await enrol_passkey(here.db, here.vault, here.store, enrolling_in(here, journey), answer, here.policy, here.now)
    except Refusal as refusal:
        return await _enrol_page(request, here, journey, [problem_of(refusal, "")])
    return await lead_on(here, journey.sign_in.id, secure_cookies)


async def _enrol_page(
    request: Request[Any, Any, Any], here: Here, journey: Journey, problems: list[Problem] | None = None
) -> Template:
    sign_in, standing = journey.sign_in, journey.standing
    if standing is None:
        raise AssertionError("nobody to enrol")
    if not can_ever_reach(sign_in, standing, here.policy):
        return show(request, journey, "enrol_impossible.html", status=400)
    key = await data_key_of(here.db, here.vault, standing.account_id)
    contacts = await contacts_of(here.db, key, standing.account_id)
    label = next((contact.value for contact in contacts if contact.kind == "email"), here.policy.totp_issuer)
    wanted = wanted_level(sign_in, standing, here.policy)
    needs = completing(journey.proved.methods, wanted, here.policy.assurance)
    ceremony = await registration_options(
        here.db,
        here.store,
        here.policy.passkey,
        account_id=standing.account_id,
        bound_to=ceremony_of(here, sign_in.id),
        user_name=label,
        # Beside a password a plain security key is enough; by itself it must know its user.
        alone="passkey" not in needs,
        attested=needs == {"passkey_hardware"},
        now=here.now,
    )
    offer = None
    if "otp" in needs:
        offer = await totp.offer(here.db, key, standing.account_id, here.now, to=ceremony_of(here, sign_in.id))
    return show(
        request,
        journey,
        "enrol.html",
        problems=problems or (),
        app=app_setup(offer, label, here.policy.totp_issuer) if offer else None,
        passkey=embedded(ceremony),
        is_new=standing.state == "enrolling",
        wants_key=needs == {"passkey_hardware"},
    )


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        return UUID(int=0)


handlers = [enrol, enrol_app, enrol_a_passkey]
