"""Services you use: what each gets, since when and why, and the way to withdraw it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from accounts.account import data_key_of
from accounts.activity import record
from accounts.citizen import Citizen, PanelView
from accounts.consent import Allowed, details_of, withdraw_consent
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import N_, page, see_other
from accounts.vault import Vault
from oidc.endpoints.claim_words import LASTING, words_of
from oidc.logout import announce_withdrawal
from oidc.services import Service, find_service, services_ended, services_used

AnyRequest = Request[Any, Any, Any]
LENGTH = 25
IN_PANEL = 5


class Shown(msgspec.Struct, frozen=True):
    """A service and, as message ids, what it gets; and what it may do, in the words that the citizen agreed to."""

    service: Service
    gets: list[str]
    allowed: tuple[Allowed, ...]


async def _shown(db: Transaction, vault: Vault, citizen: Citizen, services: Sequence[Service]) -> list[Shown]:
    """Authorization details are opened with the citizen's own key, where there are any."""
    sealed = any(service.details_sealed for service in services)
    key = await data_key_of(db, vault, citizen.account_id) if sealed else None
    return [
        Shown(
            service,
            words_of(service.claims) + ([LASTING] if service.is_lasting else []),
            (*service.allowed, *(details_of(key, service.id, service.details_sealed).allowed if key else ())),
        )
        for service in services
    ]


@get("/account/services")
async def services(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
) -> Response[Any]:
    """Every agreement that stands; below it those that have ended, paged by key (R44)."""
    before = _uuid(request.query_params.get("before"))
    ended = await services_ended(db, citizen.account_id, before=before, limit=LENGTH + 1)
    return page(
        request,
        "services.html",
        standing=[] if before else await _shown(db, vault, citizen, await services_used(db, citizen.account_id)),
        ended=ended[:LENGTH],
        is_first=before is None,
        withdrawn=await _just_withdrawn(request, db, citizen),
        older=f"/account/services?before={ended[LENGTH - 1].id}" if len(ended) > LENGTH else "",
        newer="/account/services" if before else "",
    )


@get("/account/services/{consent_id:uuid}")
async def service(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    consent_id: FromPath[UUID],
) -> Response[Any]:
    """The question before withdrawing."""
    (shown,) = await _shown(db, vault, citizen, [await _standing(db, citizen, consent_id)])
    return page(request, "service_withdraw.html", shown=shown)


@post("/account/services/{consent_id:uuid}", status_code=303)
async def withdraw(
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    consent_id: FromPath[UUID],
) -> Response[Any]:
    """End every agreement with this service. Its tokens are dead with this one update; it is told by a logout token."""
    ending = await find_service(db, citizen.account_id, consent_id)
    if ending is not None:
        await announce_withdrawal(db, vault, citizen.account_id, ending.client_id, consent_id, now)
        await withdraw_consent(db, citizen.account_id, ending.client_id, now)
        key = await data_key_of(db, vault, citizen.account_id)
        await record(db, citizen.account_id, "consent_withdrawn", now, key=key, service=ending.name)
    return see_other(f"/account/services?withdrawn={consent_id}")


async def _standing(db: Transaction, citizen: Citizen, consent_id: UUID) -> Service:
    found = await find_service(db, citizen.account_id, consent_id)
    if found is None:
        raise Refusal("no_such_service", status=404)
    return found


async def _just_withdrawn(request: AnyRequest, db: Transaction, citizen: Citizen) -> str | None:
    """The name to confirm, of an agreement that really ended: an address alone makes the page say nothing."""
    asked = _uuid(request.query_params.get("withdrawn"))
    ended = await find_service(db, citizen.account_id, asked, ended=True) if asked else None
    return ended.name if ended else None


async def services_panel(db: Transaction, citizen: Citizen, now: datetime) -> PanelView:
    """For the home page: the services by name."""
    names = [used.name for used in await services_used(db, citizen.account_id, limit=IN_PANEL + 1)]
    context = {"names": names[:IN_PANEL], "has_more": len(names) > IN_PANEL}
    return PanelView(N_("Services you use"), "services_panel.html", context)


def _uuid(value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


handlers = [services, service, withdraw]
