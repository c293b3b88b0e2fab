"""Error pages: what happened, what to do next, in every language and even when the templates are broken."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog
from jinja2 import Environment
from litestar import Litestar, Request, get, post
from litestar.exceptions import HTTPException
from litestar.testing import TestClient

from accounts.errors import Refusal
from config.site import pages
from config.site.errors import error_page
from config.site.explanations import BY_STATUS, EXPLANATIONS
from config.site.frame import Frame, template_config
from config.site.headers import HeaderPolicy, with_headers
from config.site.languages import LANGUAGES, say
from config.site.static import read_assets
from config.site.theme import read_theme

OWN = {"parks_closed": ("Parks are closed", "All parks are closed today.", "Come back tomorrow.")}


@get("/refuse", sync_to_thread=False)
def refuse(request: Request) -> None:  # type: ignore[type-arg]
    asked = request.query_params
    raise Refusal(
        asked["reason"],
        status=int(asked.get("status", 400)),
        detail="never shown",
        retry_after=int(asked["after"]) if "after" in asked else None,
    )


@get("/fail", sync_to_thread=False)
def fail() -> None:
    raise RuntimeError("never shown")


@post("/form", sync_to_thread=False)
def form() -> None:
    raise HTTPException(status_code=413)


def as_page(request: Request[Any, Any, Any], error: Exception) -> Any:
    match error:
        case Refusal():
            return error_page(request, error.status, reason=error.reason, retry_after=error.retry_after)
        case HTTPException():
            return error_page(request, error.status_code)
    return error_page(request, 500, error=error)


def application() -> Litestar:
    theme = read_theme()
    frame = Frame(theme, read_assets(theme), explanations=OWN)
    return Litestar(
        [refuse, fail, form, *pages.handlers],
        template_config=template_config(frame, [Path("/no/such/folder")]),
        exception_handlers={Exception: as_page},
        openapi_config=None,
    )


@pytest.fixture(scope="module")
def client() -> TestClient[Any]:
    return TestClient(with_headers(application(), HeaderPolicy(https=False)), raise_server_exceptions=False)


@pytest.mark.parametrize("reason", sorted(EXPLANATIONS))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_says_what_happened_and_what_to_do(client: TestClient[Any], reason: str, language: str) -> None:
    """Issue: error pages in five languages; none shows the detail that is for the log."""
    shown = client.get(f"/refuse?reason={reason}", headers={"accept-language": language})

    assert shown.status_code == 400
    assert 'data-page="error"' in shown.text
    assert f'<html lang="{language}" dir="{LANGUAGES[language].direction}">' in shown.text
    for text in EXPLANATIONS[reason]:
        assert say(language, text) in shown.text
        assert language == "en" or say(language, text) != text, "not translated"
    assert "never shown" not in shown.text


@pytest.mark.parametrize("status", sorted(BY_STATUS))
def test_every_status_has_its_own_page(client: TestClient[Any], status: int) -> None:
    shown = client.get(f"/refuse?reason=unheard_of&status={status}")
    assert shown.status_code == status
    assert BY_STATUS[status][0] in shown.text


@pytest.mark.parametrize(("status", "like"), [(418, 400), (502, 500)])
def test_a_status_without_a_page_gets_that_of_its_kind(client: TestClient[Any], status: int, like: int) -> None:
    shown = client.get(f"/refuse?reason=unheard_of&status={status}")
    assert shown.status_code == status
    assert BY_STATUS[like][0] in shown.text


def test_what_the_router_refuses_is_a_page_too(client: TestClient[Any]) -> None:
    for shown, status in ((client.get("/nowhere"), 404), (client.get("/form"), 405), (client.post("/form"), 413)):
        assert shown.status_code == status
        assert BY_STATUS[status][0] in shown.text


def test_a_package_brings_its_own_words(client: TestClient[Any]) -> None:
    assert "All parks are closed today." in client.get("/refuse?reason=parks_closed").text


def test_who_must_wait_is_told_how_long_in_words(client: TestClient[Any]) -> None:
    """Rounded up, so that who comes back then is not too early."""
    shown = client.get("/refuse?reason=too_many_attempts&status=429&after=121")
    assert shown.headers["retry-after"] == "121"
    assert "You can try again in 3 minutes." in shown.text
    assert "30 seconds" in client.get("/refuse?reason=too_many_attempts&after=30").text
    assert "2 hours" in client.get("/refuse?reason=too_many_attempts&after=7200").text


def test_a_failure_has_a_number_that_also_stands_in_the_log(client: TestClient[Any]) -> None:
    with structlog.testing.capture_logs() as logged:
        shown = client.get("/fail")

    [entry] = [entry for entry in logged if entry["event"] == "error_page"]
    assert shown.status_code == 500
    assert f"<code>{entry['reference']}</code>" in shown.text
    assert isinstance(entry["exc_info"], RuntimeError)
    assert "never shown" not in shown.text


def test_a_program_gets_a_problem_it_can_read(client: TestClient[Any]) -> None:
    """RFC 9457"""
    answer = client.get("/refuse?reason=form_expired&status=403", headers={"accept": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert json.loads(answer.text) == {
        "type": "about:blank",
        "title": "This page was open for too long",
        "status": 403,
        "detail": EXPLANATIONS["form_expired"][1],
        "reason": "form_expired",
    }


def test_a_page_is_shown_even_if_the_templates_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last resort needs no template, no catalog and no style sheet."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no templates")

    monkeypatch.setattr(Environment, "get_template", broken)
    logging.disable(logging.CRITICAL)
    try:
        client = TestClient(with_headers(application(), HeaderPolicy(https=False)), raise_server_exceptions=False)
        shown = client.get("/fail")
    finally:
        logging.disable(logging.NOTSET)

    assert shown.status_code == 500
    assert 'data-page="error"' in shown.text
    assert "Mae problem gyda’r gwasanaeth" in shown.text
    assert shown.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/help", "/accessibility", "/privacy"])
def test_the_pages_every_service_owes_say_how_to_reach_a_person(client: TestClient[Any], path: str) -> None:
    """WCAG 2.2, 3.2.6"""
    shown = client.get(path)
    assert shown.status_code == 200
    assert "mailto:help@account.example" in shown.text


def test_the_accessibility_statement_says_when_it_was_prepared(client: TestClient[Any]) -> None:
    shown = client.get("/accessibility", headers={"accept-language": "cy"})
    assert '<time datetime="2026-11-22">22 Tachwedd 2026</time>' in shown.text


def test_the_name_in_the_header_leads_to_the_account(client: TestClient[Any]) -> None:
    """No dead link on any page."""
    sent = client.get("/", follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/account")
