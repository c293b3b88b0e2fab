"""The way to a service: at once, or by a page of ours where the way began with a form of ours (R82).

Browsers hold the `form-action` of a page against every redirect that follows its form, the service's own redirects
included: a callback that leads on to another port, host or scheme would leave its citizen on our page, with a code that
is spent. So the way begins anew, from a page whose answer no form asked for.
"""

from typing import Any

from litestar import Request, Response

from accounts.pages.page import page, see_other
from oidc.client import RegisteredClient

AFTER_FORM = "after_form"
"""Key of the request's state: a GET that goes on with an interaction, and may come of a form on one of its pages."""


def is_after_form(request: Request[Any, Any, Any]) -> bool:
    """Whether this answer may be part of what follows a form of ours."""
    return request.method == "POST" or bool(request.state.get(AFTER_FORM))


def lead_away(request: Request[Any, Any, Any], address: str, client: RegisteredClient | None) -> Response[Any]:
    """To an address that the client has registered: a 303, or after a form a page that moves on by itself. It needs no
    script, its own address holds no code, and the next page is not told where the citizen comes from."""
    if not is_after_form(request):
        return see_other(address)
    shown = page(request, "onward.html", keeps_opener=True, client=client, address=address)
    shown.headers["refresh"] = f"0; url={address}"
    shown.headers["referrer-policy"] = "no-referrer"
    return shown
