"""The same request once more, from the page that says that it could not be answered: a link, or the form as it was sent
but for what is secret."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request
from litestar.types import Scope

from accounts.errors import Refusal
from accounts.pages.page import form_of

AGAIN = "again"
"""Key of the request's state: `Again`, where its answer is a 503."""
_SECRET = re.compile(r"pass|secret|token|assertion|credential|verifier|proof|otp|(?<!postal_)code$")
"""Fields, by name, that never stand in a page of ours. The form's own token is made anew."""
_SAFE = ("GET", "HEAD")


class Again(msgspec.Struct, frozen=True):
    """Where to, and with which fields; None for a link."""

    address: str
    fields: Mapping[str, str] | None


def is_secret(name: str) -> bool:
    """Whether a field of this name may hold what nobody must read in a page: a password, a code, a token."""
    return _SECRET.search(name) is not None


async def keep_for_again(error: Exception, scope: Scope) -> None:
    """The hook after an exception, before its answer is made."""
    if not isinstance(error, Refusal) or error.status != 503:
        return
    request = Request[Any, Any, Any](scope)
    if request.method not in _SAFE and "csrf_token" not in request.state:
        return
    # One slash: with two it would be another host's address.
    address = "/" + request.url.path.lstrip("/") + (f"?{request.url.query}" if request.url.query else "")
    fields = None
    if request.method not in _SAFE:
        try:
            form = await form_of(request)  # read already, by the guard of all forms
        except Refusal:
            return
        fields = {name: value for name, value in form.items() if not is_secret(name)}
    request.state[AGAIN] = Again(address, fields)
