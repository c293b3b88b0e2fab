"""Getting back in with an e-mail address, and a phone or a recovery code: two codes, and a day of waiting."""

from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.response import Response, Template

from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, page, see_other
from identity import recovery
from identity.journey import Here
from identity.pages.at_sign_in import HERE
from identity.pages.problems import problem_of
from identity.recovery import Running, running_of
from identity.recovery_visit import Visit, begin, find, masked_number, number_of, prove_email, prove_second, send_text

RECOVERY = "/recovery/contacts"


async def visit(visit_id: FromPath[UUID], here: NamedDependency[Here]) -> Visit:
    """The visit that the path names. Raises Refusal("sign_in_unknown") for another browser and where there is none."""
    found = await find(here.db, here.vault, here.browser, visit_id, here.now)
    if found is None:
        raise Refusal("sign_in_unknown", status=404)
    return found


VISIT = {**HERE, "visit": Provide(visit)}


@get(RECOVERY, dependencies=HERE)
async def first_page(request: Request[Any, Any, Any], here: NamedDependency[Here]) -> Template:
    """Asks for the address, the same for everybody."""
    return _first(request, here, {})


@post(RECOVERY, dependencies=HERE)
async def enter_address(
    request: Request[Any, Any, Any], here: NamedDependency[Here], language: NamedDependency[str]
) -> Template | Response[bytes]:
    """An address. The answer is the same whether there is an account or not (R27)."""
    form = await form_of(request)
    if not form.get("identifier", "").strip():
        return _first(request, here, form, Problem("identifier", N_("Enter your email address")))
    try:
        visit_id = await begin(
            here.db,
            here.vault,
            here.store,
            here.browser,
            form["identifier"],
            language,
            here.device.address,
            here.policy,
            here.now,
        )
    except Refusal as refusal:
        return _first(request, here, form, problem_of(refusal, "identifier"), refusal)
    return see_other(f"{RECOVERY}/{visit_id}")


@get(RECOVERY + "/{visit_id:uuid}", dependencies=VISIT)
async def visit_page(
    request: Request[Any, Any, Any], here: NamedDependency[Here], visit: NamedDependency[Visit]
) -> Template | Response[bytes]:
    """The dispatcher: a code, another code, the waiting time, or what can be set up."""
    if not visit.is_open:
        return see_other(RECOVERY)
    if visit.account_id is None or visit.phone_at is None:
        return await _code(request, here, visit)
    running = await running_of(here.db, visit.account_id, here.now)
    if running is not None and running.ready_at <= here.now:
        return see_other(f"{RECOVERY}/{visit.id}/new")
    return page(request, "recovery_waiting.html", running=running, path=request.url.path)


@post(RECOVERY + "/{visit_id:uuid}", dependencies=VISIT)
async def enter_code(
    request: Request[Any, Any, Any], here: NamedDependency[Here], visit: NamedDependency[Visit]
) -> Template | Response[bytes]:
    """A code. With the second one the waiting time begins, or, when it is over, the citizen goes on."""
    form, path = await form_of(request), request.url.path
    if not visit.is_open or visit.phone_at is not None:
        return see_other(path)
    again = form.get("action") == "again"
    if not again and not form.get("code", "").strip():
        return await _code(request, here, visit, Problem("code", N_("Enter the code")))
    try:
        await _take_code(here, visit, form.get("code", ""), again)
    except Refusal as refusal:
        return await _code(request, here, visit, problem_of(refusal, "code"), refusal)
    return see_other(f"{path}?sent=again" if again else path)


async def _take_code(here: Here, visit: Visit, code: str, again: bool) -> None:
    db, vault, store, address, policy, now = (
        here.db,
        here.vault,
        here.store,
        here.device.address,
        here.policy,
        here.now,
    )
    if visit.account_id is None:
        if not again:
            await prove_email(db, vault, store, visit, code, address, policy, now)
        proved = await find(db, vault, here.browser, visit.id, now)
        if proved is not None and await number_of(db, vault, proved, now) is not None:
            await send_text(db, vault, store, proved, address, policy, now)
        return
    if again:
        await send_text(db, vault, store, visit, address, policy, now)
        return
    await prove_second(db, vault, store, visit, code, here.device, policy, now)
    await recovery.start(db, vault, visit.account_id, here.device, policy.recovery, now)


async def ready(here: Here, visit: Visit) -> Running | None:
    """The recovery that this visit may complete now: both codes typed in just now, the waiting time over."""
    if not visit.is_open or visit.account_id is None or visit.phone_at is None:
        return None
    running = await running_of(here.db, visit.account_id, here.now)
    return running if running is not None and running.ready_at <= here.now else None


def _first(
    request: Request[Any, Any, Any],
    here: Here,
    form: dict[str, str],
    problem: Problem | None = None,
    refusal: Refusal | None = None,
) -> Template:
    return page(
        request,
        "recovery_contacts.html",
        problems=[problem] if problem else (),
        refusal=refusal,
        typed={"identifier": form.get("identifier", "")},
        path=RECOVERY,
        wait=int(here.policy.recovery.wait.total_seconds()),
    )


async def _code(
    request: Request[Any, Any, Any],
    here: Here,
    visit: Visit,
    problem: Problem | None = None,
    refusal: Refusal | None = None,
) -> Template:
    by_phone = visit.account_id is not None
    return page(
        request,
        "recovery_code.html",
        problems=[problem] if problem else (),
        refusal=refusal,
        path=request.url.path,
        email=visit.email,
        by_phone=by_phone,
        number=await masked_number(here.db, here.vault, visit, here.now) if by_phone else "",
        sent_again=request.query_params.get("sent") == "again",
    )


handlers = [first_page, enter_address, visit_page, enter_code]
