"""Error pages: what happened, and what to do next. Never a dead end, never a hint for an attacker."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from litestar import Request, Response
from litestar.response import Template
from litestar.response.base import ASGIResponse

from config.site.again import AGAIN
from config.site.explanations import Explanation, explanation_of
from config.site.frame import SiteEngine, language_of
from config.site.languages import say

log = structlog.get_logger(__name__)

LAST_RESORT = Path(__file__).with_name("last_resort.html").read_bytes()


def error_page(
    request: Request[Any, Any, Any],
    status: int,
    *,
    reason: str = "",
    retry_after: int | None = None,
    error: BaseException | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[Any]:
    """The page for a refusal (`reason` is its key) or a status; `application/problem+json` for who wants JSON.

    `retry_after` in seconds. From 500 on, a reference stands on the page and, with `error`, in the log; not for 503,
    of which the log says once for all requests what is away, and which can be sent again from its page.
    """
    reference = ""
    if status >= 500 and status != 503:
        reference = f"{secrets.randbelow(10**8):08d}"
        log.error("error_page", status=status, reason=reason, reference=reference, exc_info=error)
    sent = dict(headers or {})
    if retry_after is not None:
        sent["retry-after"] = str(max(retry_after, 1))
    if wants_json(request):
        return _problem_json(request, status, reason, reference, sent)
    title, happened, todo = _explanation(request, status, reason)
    return ErrorPage(
        "error.html",
        context={
            "title": title,
            "happened": happened,
            "todo": todo,
            "retry_after": retry_after,
            "reference": reference,
            "reason": reason,
            "may_sign_in": status == 401,
            "again": request.state.get(AGAIN) if status == 503 else None,
        },
        status_code=status,
        headers=sent,
    )


def _explanation(request: Request[Any, Any, Any], status: int, reason: str) -> Explanation:
    engine = request.app.template_engine
    return explanation_of(engine.frame.explanations if isinstance(engine, SiteEngine) else {}, status, reason)


def wants_json(request: Request[Any, Any, Any]) -> bool:
    """A script or program that names JSON and not HTML; a browser's navigation always names HTML."""
    accept = request.headers.get("accept", "")
    return "json" in accept and "text/html" not in accept


class ErrorPage(Template):
    """A page that is shown even if templates or catalogs are what broke."""

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> ASGIResponse:
        try:
            return super().to_asgi_response(app, request, **options)
        except Exception as error:
            log.error("error_page_broken", exc_info=error)
            return ASGIResponse(
                body=LAST_RESORT, status_code=self.status_code or 500, media_type="text/html", headers=self.headers
            )


def _problem_json(
    request: Request[Any, Any, Any], status: int, reason: str, reference: str, headers: Mapping[str, str]
) -> Response[Any]:
    """RFC 9457. `reason` is the stable key a program may act on."""
    title, happened, _ = _explanation(request, status, reason)
    language = language_of(request)
    problem: dict[str, Any] = {"type": "about:blank", "status": status}
    problem |= {"title": say(language, title), "detail": say(language, happened)}
    if reason:
        problem["reason"] = reason
    if reference:
        problem["reference"] = reference
    return Response(problem, status_code=status, headers=dict(headers), media_type="application/problem+json")
