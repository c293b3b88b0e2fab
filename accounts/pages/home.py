"""The home page of a citizen: a frame of panels, each offered by the package that knows what it shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from accounts.account import data_key_of
from accounts.citizen import Citizen, Panel, PanelView
from accounts.database import Transaction
from accounts.pages.page import N_, page
from accounts.profile import profile_of
from accounts.vault import Vault


@get("/account")
async def home(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    panels: NamedDependency[Sequence[Panel]],
    now: NamedDependency[datetime],
) -> Template:
    """Where a citizen starts: what stands in their record, each part a step away."""
    key = await data_key_of(db, vault, citizen.account_id)
    claims = (await profile_of(db, key, citizen.account_id)).claims
    views = [await panel(db, citizen, now) for panel in panels]
    return page(request, "home.html", called=claims.name or claims.given_name, panels=views)


async def profile_panel(db: Transaction, citizen: Citizen, now: datetime) -> PanelView:
    """The way to the profile."""
    return PanelView(N_("Your details"), "profile_panel.html", {})


async def history_panel(db: Transaction, citizen: Citizen, now: datetime) -> PanelView:
    """The way to the history."""
    return PanelView(N_("History"), "history_panel.html", {})


handlers = [home]
