"""Forgotten something: what is possible, truthfully, and where each way begins."""

from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from accounts.errors import Refusal
from accounts.pages.page import page
from identity.journey import Here, Journey, find_journey
from identity.pages import recovery_contacts, recovery_new
from identity.pages.at_sign_in import HERE, show


@get("/recovery", dependencies=HERE)
async def recovery(request: Request[Any, Any, Any], here: NamedDependency[Here]) -> Template:
    """The same page for everybody; within a sign-in it leads back into it."""
    journey = await _journey_of(request, here)
    wait = int(here.policy.recovery.wait.total_seconds())
    ways: dict[str, Any] = {"wait": wait}
    if journey is None or not journey.is_open:
        return page(request, "recovery.html", back="/sign-in", cancel=None, **ways)
    return show(request, journey, "recovery.html", back=journey.sign_in.path, **ways)


async def _journey_of(request: Request[Any, Any, Any], here: Here) -> Journey | None:
    try:
        return await find_journey(here, UUID(request.query_params.get("sign_in", "")))
    except (ValueError, Refusal):
        return None


handlers = [recovery, *recovery_contacts.handlers, *recovery_new.handlers]
