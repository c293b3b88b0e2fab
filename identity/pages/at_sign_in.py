"""What the pages of a sign-in share: who is here, where the journey stands, showing a page of it, leading on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.response import Response, Template
from markupsafe import Markup

from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import Problem, page, see_other
from accounts.store import Store
from accounts.vault import Vault
from identity.ceremony import Answer, Ceremony
from identity.cookies import session_cookie
from identity.journey import Here, Journey, find_journey, finish
from identity.policy import IdentityPolicy
from identity.session import Device, SessionView
from identity.sign_in_completion import Completed

LONGEST_AGENT = 400


def here(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    browser: NamedDependency[Browser],
    session: NamedDependency[SessionView | None],
    address: NamedDependency[str],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Here:
    """The request, for the verbs."""
    device = Device(request.headers.get("user-agent", "")[:LONGEST_AGENT], address)
    return Here(db, vault, store, browser, session, device, identity_policy, now)


async def journey(sign_in_id: FromPath[UUID], here: NamedDependency[Here]) -> Journey:
    """The sign-in that the path names. Raises Refusal "sign_in_unknown" or "wrong_browser"."""
    return await find_journey(here, sign_in_id)


HERE = {"here": Provide(here, sync_to_thread=False)}
JOURNEY = {**HERE, "journey": Provide(journey)}


def show(
    request: Request[Any, Any, Any],
    journey: Journey,
    template: str,
    *,
    status: int | None = None,
    problems: Sequence[Problem] = (),
    refusal: Refusal | None = None,
    **context: Any,
) -> Template:
    """A page of the sign-in, in the language it was asked for."""
    onward = journey.sign_in.onward
    return page(
        request,
        template,
        status=status,
        problems=problems,
        refusal=refusal,
        keeps_opener=onward.service_name is not None,
        languages=onward.language,
        journey=journey,
        asking=onward.service_name,
        cancel=onward.cancel,
        **context,
    )


async def lead_on(here: Here, sign_in_id: UUID, secure: bool) -> Response[bytes]:
    """After a step: to the next one, as it is computed from what is stored now; or, with the session's cookie, to
    where the sign-in was meant to lead."""
    journey = await find_journey(here, sign_in_id)
    completed = await finish(here, journey)
    if completed is None:
        return see_other(journey.place)
    return let_in(completed, secure)


def let_in(completed: Completed, secure: bool) -> Response[bytes]:
    """To where the sign-in was meant to lead, with the session's cookie."""
    response = see_other(completed.path)
    if completed.secret is not None:
        response.set_cookie(session_cookie(completed.secret, secure))
    return response


async def has_moved_on(here: Here, journey: Journey) -> bool:
    """Whether the step that was just refused had been taken meanwhile: a button pressed twice sends the same code
    twice, and the second of them is no mistake to be told about."""
    current = await find_journey(here, journey.sign_in.id)
    return current.sign_in.version != journey.sign_in.version or current.is_open != journey.is_open


def ceremony_of(here: Here, journey: UUID) -> bytes:
    """What a passkey's ceremony is bound to (R29): this browser, and the journey it is a part of."""
    return here.browser.digest + journey.bytes


def answer_in(form: dict[str, str], bound_to: bytes) -> Answer:
    """What the script put into the form after a ceremony."""
    return Answer(form.get("ceremony", ""), form.get("credential", ""), bound_to)


def embedded(ceremony: Ceremony) -> dict[str, str]:
    """A ceremony for a page: its options stand in a script element, where nothing may look like its end."""
    return {"id": ceremony.id, "options": Markup(ceremony.options.replace("<", "\\u003c"))}  # noqa: S704 - JSON
