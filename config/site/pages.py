"""The pages every government service owes its citizens: help, accessibility, privacy."""

from datetime import date
from typing import Any

from litestar import Request, get
from litestar.response import Template

from accounts.pages.page import page

STATEMENT = date(2026, 11, 22)
"""When the accessibility statement was last reviewed."""


@get("/help", sync_to_thread=False)
def help_page(request: Request[Any, Any, Any]) -> Template:
    """What to do when something does not work, and how to reach a person (WCAG 2.2, 3.2.6)."""
    return page(request, "help.html")


@get("/accessibility", sync_to_thread=False)
def accessibility_page(request: Request[Any, Any, Any]) -> Template:
    """The accessibility statement."""
    return page(request, "accessibility.html", statement=STATEMENT)


@get("/privacy", sync_to_thread=False)
def privacy_page(request: Request[Any, Any, Any]) -> Template:
    """What is kept about a citizen, why, and who sees it."""
    return page(request, "privacy.html")


handlers = [help_page, accessibility_page, privacy_page]
