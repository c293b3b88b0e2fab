"""What every page and form of ours shares: reading a form strictly, showing a page, leading on."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from litestar import Request, Response
from litestar.response import Template

from accounts.errors import Refusal

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 64
KEEPS = "keeps"
"""Of a form's handler (`opt`): the fields whose words are kept where its citizen has to sign in again. Never one that
takes a password, a code or a secret."""
KEEPS_OPENER = "keeps_opener"
"""Of a request's state: its page must not cut a service's window from the one that opened it (R70)."""
POSTS_ELSEWHERE = "posts_elsewhere"
"""Of a request's state: the one form of its page, with nothing of a person's in it, goes to a service."""
TYPED = "typed"
"""Of a request's state: what was kept, by field, for the form it shows."""


def N_(text: str) -> str:  # noqa: N802 - the marker's name is gettext's custom
    """Mark a text for translation where it is written; it is translated where it is shown."""
    return text


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a form: the field's name, and a text marked by `N_` with its values."""

    field: str
    text: str
    values: dict[str, str] = {}


async def form_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a posted form. Raises Refusal("bad_form") for another type, broken UTF-8, repeats or too many."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise Refusal("bad_form", status=415, detail="content type")
    try:
        pairs = parse_qsl(
            (await request.body()).decode(),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise Refusal("bad_form", detail=type(error).__name__) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refusal("bad_form", detail="repeated field")
    return fields


def page(
    request: Request[Any, Any, Any],
    template: str,
    *,
    status: int | None = None,
    problems: Sequence[Problem] = (),
    refusal: Refusal | None = None,
    keeps_opener: bool = False,
    languages: Sequence[str] = (),
    **context: Any,
) -> Template:
    """A page of ours. Its status is 200, or 400 with `problems`; where a `refusal` says "not now", 429 and when.

    `keeps_opener`: for the pages of an interaction, which a service may have opened in a window of its own;
    `languages`: preferred languages that outrank the browser's (ui_locales, then the account's).
    """
    if keeps_opener:
        request.state[KEEPS_OPENER] = True
    if languages:
        request.state.languages = tuple(languages)
    too_many = refusal is not None and refusal.status == 429
    headers = {}
    if refusal is not None and refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    kept: dict[str, str] = request.state.get(TYPED) or {}
    if kept:
        context["typed"] = {**context.get("typed", {}), **kept}
    return Template(
        template_name=template,
        context={"problems": problems, **context},
        status_code=status or (429 if too_many else 400 if problems else 200),
        headers=headers,
    )


def see_other(url: str) -> Response[bytes]:
    """303: after a form, and wherever the browser shall go by GET (RFC 9700 section 4.12)."""
    return Response(b"", status_code=303, headers={"location": url}, media_type="text/plain")


SENT = "cookie"
"""Parameter of an address to which a browser was sent together with its cookie: who comes there without keeps none."""


def come_again(request: Request[Any, Any, Any]) -> Response[bytes] | None:
    """The same address once more, for a browser that has just been given its cookie. None where it has come again."""
    if SENT in request.query_params:
        return None
    query = f"{request.url.query}&" if request.url.query else ""
    return see_other(f"{request.url.path}?{query}{SENT}=sent")


_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*\Z")


def local_path(value: str | None) -> str | None:
    """A path of ours, or None for anything that could lead elsewhere."""
    if value is None or len(value) > 2000 or not _LOCAL.match(value):
        return None
    parts = urlsplit(value)
    return None if parts.scheme or parts.netloc else value
