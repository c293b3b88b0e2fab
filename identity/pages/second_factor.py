"""Signing in, the second step: a code or a passkey, of whatever this account has that is enough."""

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.activity import record
from accounts.contact import masked
from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, see_other
from identity import email_code, sms
from identity.assurance import Method
from identity.device import device_name
from identity.journey import Here, Journey
from identity.pages.at_sign_in import JOURNEY, answer_in, ceremony_of, embedded, has_moved_on, lead_on, show
from identity.pages.problems import problem_of
from identity.pages.sign_in import first_page
from identity.passkey_assertion import authentication_options
from identity.passkey_signal import unknown_credential
from identity.remembered_browser import remember
from identity.sign_in import start_over
from identity.sign_in_proofs import prove_code, prove_passkey
from identity.sign_in_rules import may_remember, useful

PASSKEYS = frozenset({"passkey", "passkey_uv", "passkey_hardware"})
SENT: dict[str, Method] = {"text": "sms", "email": "email"}
"""The ways whose code is sent to somebody who asks for it."""


@get("/sign-in/{sign_in_id:uuid}/second-factor", dependencies=JOURNEY)
async def second_factor(
    request: Request[Any, Any, Any], here: NamedDependency[Here], journey: NamedDependency[Journey]
) -> Template | Response[bytes]:
    """Asked only after something was proved; everybody else is led to the step they need."""
    if not journey.is_open or journey.needed != "second":
        return see_other(journey.sign_in.path)
    return await _second_page(request, here, journey)


@post("/sign-in/{sign_in_id:uuid}/second-factor", dependencies=JOURNEY)
async def enter_code(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """A code; or somebody else wants to sign in."""
    form = await form_of(request)
    if not journey.is_open or journey.needed != "second" or journey.standing is None:
        return see_other(journey.sign_in.path)
    if form.get("action") == "restart":
        await start_over(here.db, journey.sign_in, here.now)
        return see_other(journey.sign_in.path)
    try:
        if way := _to_be_sent(request, form):
            return await _send(here, journey, way)
        if not form.get("code", "").strip():
            return await _second_page(request, here, journey, [Problem("code", N_("Enter the code"))], form=form)
        await prove_code(
            here.db,
            here.vault,
            here.store,
            journey.sign_in,
            journey.standing,
            journey.proved,
            form["code"],
            here.browser.digest,
            here.device,
            here.policy,
            here.now,
        )
    except Refusal as refusal:
        if await has_moved_on(here, journey):
            return see_other(journey.sign_in.path)
        return await _second_page(request, here, journey, [problem_of(refusal, "code")], refusal, form)
    await _remember(here, journey, form)
    return await lead_on(here, journey.sign_in.id, secure_cookies)


@post("/sign-in/{sign_in_id:uuid}/passkey", dependencies=JOURNEY)
async def use_passkey(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    secure_cookies: NamedDependency[bool],
) -> Template | Response[bytes]:
    """A passkey, as the second step or by itself as the only one."""
    form = await form_of(request)
    if not journey.is_open or journey.needed not in ("first", "second"):
        return see_other(journey.sign_in.path)
    account_id = journey.standing.account_id if journey.standing and journey.needed == "second" else None
    answer = answer_in(form, ceremony_of(here, journey.sign_in.id))
    try:
        await prove_passkey(
            here.db,
            here.vault,
            here.store,
            journey.sign_in,
            account_id,
            answer,
            here.device,
            here.policy,
            here.now,
        )
    except Refusal as refusal:
        problem = problem_of(refusal, "")
        if journey.needed == "second":
            return await _second_page(request, here, journey, [problem], form=form)
        rp_id = here.policy.passkey.rp_id
        unknown = unknown_credential(answer.response, rp_id) if refusal.reason == "passkey_unknown" else None
        return await first_page(request, here, journey, [problem], unknown=unknown)
    if journey.needed == "second":
        await _remember(here, journey, form)
    return await lead_on(here, journey.sign_in.id, secure_cookies)


async def _second_page(
    request: Request[Any, Any, Any],
    here: Here,
    journey: Journey,
    problems: list[Problem] | None = None,
    refusal: Refusal | None = None,
    form: dict[str, str] | None = None,
) -> Template:
    if journey.standing is None:
        raise AssertionError("a second step of nobody")
    ways = useful(journey.sign_in, journey.standing, journey.proved, here.policy)
    ceremony = None
    if ways & PASSKEYS:
        ceremony = await authentication_options(
            here.db,
            here.store,
            here.policy.passkey,
            bound_to=ceremony_of(here, journey.sign_in.id),
            account_id=journey.standing.account_id,
            needs_verification="passkey" not in ways,
            now=here.now,
        )
    return show(
        request,
        journey,
        "second_factor.html",
        problems=problems or (),
        refusal=refusal,
        has_app="otp" in ways,
        has_codes="recovery" in ways,
        has_phone="sms" in ways,
        has_email="email" in ways,
        way=_way(request, ways),
        sent_to=await _sent_to(here, journey, ways),
        is_sent=request.query_params.get("sent") == "yes",
        passkey=embedded(ceremony) if ceremony else None,
        identifier=journey.sign_in.identifier,
        may_restart=bool(journey.proved.here),
        remembers_for=here.policy.remember.days if may_remember(journey.standing, here.policy) else 0,
        typed={"remember": (form or {}).get("remember", "")},
    )


async def _remember(here: Here, journey: Journey, form: dict[str, str]) -> None:
    """The box was ticked, and everything that the account asks for is proved."""
    standing = journey.standing
    if standing is None or form.get("remember") != "yes" or not may_remember(standing, here.policy):
        return
    account_id, browser = standing.account_id, here.browser.digest
    key = await data_key_of(here.db, here.vault, account_id)
    await remember(here.db, key, account_id, browser, here.device, here.policy.remember, here.now)
    name, address = device_name(here.device.user_agent), here.device.address
    await record(here.db, account_id, "browser_remembered", here.now, key=key, device=name, address=address)


def _way(request: Request[Any, Any, Any], ways: frozenset[Method]) -> str:
    """What the page asks for: what was chosen, or else the best there is."""
    there = {"app": "otp" in ways, **{way: SENT[way] in ways for way in SENT}, "recovery-code": "recovery" in ways}
    chosen = request.query_params.get("use", "")
    return chosen if there.get(chosen) else next((way for way, is_there in there.items() if is_there), "")


def _to_be_sent(request: Request[Any, Any, Any], form: dict[str, str]) -> str:
    """The way whose code is asked for by the button of the page that offers it, or by "another one" beside the code."""
    asked, pressed = request.query_params, form.get("action", "")
    chosen = asked.get("use", "")
    is_first = chosen in SENT and asked.get("sent") != "yes" and not form.get("code", "").strip()
    return pressed if pressed in SENT else chosen if is_first else ""


async def _send(here: Here, journey: Journey, way: str) -> Response[bytes]:
    standing, send_code = journey.standing, sms.send_code if way == "text" else email_code.send_code
    if standing is not None and SENT[way] in useful(journey.sign_in, standing, journey.proved, here.policy):
        await send_code(
            here.db,
            here.vault,
            here.store,
            await data_key_of(here.db, here.vault, standing.account_id),
            standing.account_id,
            journey.sign_in.id,
            here.device,
            here.policy,
            here.now,
        )
    return see_other(f"{journey.sign_in.path}/second-factor?use={way}&sent=yes")


async def _sent_to(here: Here, journey: Journey, ways: frozenset[Method]) -> str:
    """Enough of the number or the address to recognise one's own."""
    if journey.standing is None or not ways.intersection(SENT.values()):
        return ""
    account_id = journey.standing.account_id
    key = await data_key_of(here.db, here.vault, account_id)
    if "sms" in ways:
        phone = await sms.phone_of(here.db, key, account_id)
        return masked("phone", phone.number) if phone is not None else ""
    address = await email_code.address_of(here.db, key, account_id, here.now)
    return masked("email", address) if address is not None else ""


handlers = [second_factor, enter_code, use_passkey]
