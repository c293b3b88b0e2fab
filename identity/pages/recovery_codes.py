"""Recovery codes on the way of a sign-in: shown until they are written down, then never again."""

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.pages.page import form_of, see_other
from identity.enrolment import codes_saved, make_new_codes
from identity.journey import Here, Journey, enrolling_in
from identity.new_codes import find_shown
from identity.pages.at_sign_in import JOURNEY, lead_on, show


@get("/sign-in/{sign_in_id:uuid}/recovery-codes", dependencies=JOURNEY)
async def recovery_codes(
    request: Request[Any, Any, Any], here: NamedDependency[Here], journey: NamedDependency[Journey]
) -> Template | Response[bytes]:
    """The codes; or, where they can be shown no more, a button that makes new ones."""
    if not journey.is_open or journey.needed != "codes":
        return see_other(journey.sign_in.path)
    codes = await find_shown(here.store, here.vault, journey.sign_in.id, here.now)
    return show(request, journey, "recovery_codes.html", codes=codes if journey.sign_in.codes == "shown" else None)


@post("/sign-in/{sign_in_id:uuid}/recovery-codes", dependencies=JOURNEY)
async def keep_recovery_codes(
    request: Request[Any, Any, Any],
    here: NamedDependency[Here],
    journey: NamedDependency[Journey],
    secure_cookies: NamedDependency[bool],
) -> Response[bytes]:
    """They are written down; or they are to be made anew."""
    form = await form_of(request)
    if not journey.is_open or journey.needed != "codes":
        return see_other(journey.sign_in.path)
    enrolling = enrolling_in(here, journey)
    if form.get("action") == "make" or journey.sign_in.codes != "shown":
        await make_new_codes(here.db, here.vault, here.store, enrolling, here.now)
        return see_other(journey.sign_in.path + "/recovery-codes")
    await codes_saved(here.db, here.vault, here.store, enrolling, here.policy, here.now)
    return await lead_on(here, journey.sign_in.id, secure_cookies)


handlers = [recovery_codes, keep_recovery_codes]
