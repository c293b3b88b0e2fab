"""What identity shows on the citizen's home page."""

from datetime import datetime

from accounts.citizen import Citizen, PanelView
from accounts.database import Transaction
from accounts.pages.page import N_
from identity.authenticator import authenticators_of

FEW_CODES = 3


async def security_panel(db: Transaction, citizen: Citizen, now: datetime) -> PanelView:
    """What the citizen signs in with, and what is missing or running low."""
    having = await authenticators_of(db, citizen.account_id)
    return PanelView(
        N_("Security"),
        "security_panel.html",
        {
            "needs_second": not having.has_second,
            "codes_left": having.recovery_codes_left,
            "few_codes": having.recovery_codes_left <= FEW_CODES,
        },
    )


async def sessions_panel(db: Transaction, citizen: Citizen, now: datetime) -> PanelView:
    """Where the citizen is signed in."""
    return PanelView(N_("Where you are signed in"), "sessions_panel.html", {})
