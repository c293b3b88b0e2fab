"""The front door, and the pages every government service owes its citizens: help, accessibility, privacy."""

from datetime import date
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from accounts.pages.page import page, see_other
from oidc.provider import Provider

STATEMENT = date(2026, 11, 22)
"""When the accessibility statement was last reviewed."""


@get("/", sync_to_thread=False)
def front_door() -> Response[bytes]:
    """Where the service's name in the header leads: the account, and to sign-in where nobody is signed in."""
    return see_other("/account")


@get("/help", sync_to_thread=False)
def help_page(request: Request[Any, Any, Any]) -> Template:
    """What to do when something does not work, and how to reach a person (WCAG 2.2, 3.2.6)."""
    return page(request, "help.html")


@get("/accessibility", sync_to_thread=False)
def accessibility_page(request: Request[Any, Any, Any]) -> Template:
    """The accessibility statement."""
    return page(request, "accessibility.html", statement=STATEMENT)


@get("/privacy", sync_to_thread=False)
def privacy_page(request: Request[Any, Any, Any], provider: NamedDependency[Provider | None] = None) -> Template:
    """What is kept about a citizen, why, and who sees it."""
    return page(request, "privacy.html", is_watched=provider is not None and provider.browser_states is not None)


handlers = [front_door, help_page, accessibility_page, privacy_page]
