"""Who a page is for: the signed-in citizen, and the browser before anyone has signed in."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from accounts.database import Transaction, digest


class Citizen(msgspec.Struct, frozen=True):
    """The signed-in citizen, as every package may see them."""

    account_id: UUID
    session_id: UUID
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    locale: str | None


class FreshCitizen(Citizen, frozen=True):
    """A citizen who signed in within the last minutes, at the account's own level (R30)."""


class Browser(msgspec.Struct, frozen=True):
    """One browser, known by a random cookie that says nothing about anybody."""

    secret: str
    is_new: bool = False
    """No cookie of ours came with the request: it is the first one, or this browser keeps none."""

    @property
    def digest(self) -> bytes:
        """What rows that are bound to this browser keep of it (32 bytes)."""
        return digest(self.secret)


class PanelView(msgspec.Struct, frozen=True):
    """What a panel shows on the home page: a heading (msgid), a template and its values."""

    heading: str
    template: str
    context: dict[str, Any]


Panel = Callable[[Transaction, Citizen, datetime], Awaitable[PanelView]]
"""A part of the home page that a package offers and `config/app.py` hands in."""
