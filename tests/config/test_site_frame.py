"""The frame of a page: language, titles, fields that find their errors, tokens that cannot be forgotten."""

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from jinja2 import DictLoader, UndefinedError
from litestar.testing import RequestFactory

from accounts.pages.page import Problem
from config.site.frame import Frame, Link, SiteEngine, template_config
from config.site.static import read_assets
from config.site.theme import read_theme

PARTS = '{% import "components.html" as c with context %}'
BASE = '{% extends "base.html" %}{% block title %}Sample{% endblock %}{% block page_name %}sample{% endblock %}'


def frame(**options: Any) -> Frame:
    theme = read_theme()
    return Frame(theme, read_assets(theme), **options)


def show(
    template: str, *, headers: dict[str, str] | None = None, path: str = "/sample", state: Any = None, **context: Any
) -> str:
    """The template as a page would be rendered for this request."""
    engine = template_config(context.pop("frame", None) or frame()).engine_instance
    assert isinstance(engine, SiteEngine)
    engine.engine.loader = DictLoader(
        {name: engine.engine.loader.get_source(engine.engine, name)[0] for name in FILES} | {"sample": template}  # type: ignore[union-attr]
    )
    request = RequestFactory().get(path.partition("?")[0], headers=headers)
    request.scope["query_string"] = path.partition("?")[2].encode()
    for key, value in ({"csrf_token": lambda: "masked"} | (state or {})).items():
        request.state[key] = value
    return engine.get_template("sample").render(request=request, **context)


FILES = ("base.html", "account.html", "components.html")


def test_each_language_link_leads_to_this_very_page() -> None:
    """Path and query stay; the language shown is marked; each is named in itself."""
    shown = show(BASE + "{% block content %}{% endblock %}", path="/sign-in?interaction=a%26b&lang=fr")

    links = re.findall(r'<li><a href="([^"]+)" hreflang="(\w+)" lang="\w+" dir="(\w+)"([^>]*)>([^<]+)</a>', shown)
    assert [name for *_, name in links] == ["English", "Español", "Français", "Cymraeg", "العربية"]
    assert links[4][:3] == ("/sign-in?interaction=a%26b&amp;lang=ar", "ar", "rtl")
    assert [tag for _, tag, _, current, _ in links if current] == ["fr"]


def test_languages_wanted_by_the_request_outrank_the_browser_but_not_the_citizen() -> None:
    page = BASE + "{% block content %}{% endblock %}"
    browser = {"accept-language": "es"}
    assert '<html lang="es" dir="ltr">' in show(page, headers=browser)
    assert '<html lang="ar" dir="rtl">' in show(page, headers=browser, state={"languages": ("xx", "ar-EG")})
    assert '<html lang="cy"' in show(
        page, headers=browser | {"cookie": "identity_lang=cy"}, state={"languages": ("ar",)}
    )
    assert '<html lang="fr"' in show(page, headers={"cookie": "identity_lang=cy"}, path="/sample?lang=fr")
    assert '<html lang="en"' in show(page, headers={"cookie": 'identity_lang="; <script>'}, path="/sample?lang=%ff")


def test_the_title_names_page_and_service_and_warns_of_problems() -> None:
    page = BASE + "{% block content %}{% endblock %}"
    assert "<title>Sample - Citizen Account</title>" in show(page)
    assert "<title>Error: Sample - Citizen Account</title>" in show(page, problems=[Problem("a", "Wrong")])
    assert "<title>Gwall: Sample - Cyfrif Dinesydd</title>" in show(
        page, problems=[Problem("a", "Wrong")], path="/sample?lang=cy"
    )


def test_a_form_cannot_leave_without_its_token() -> None:
    form = PARTS + '{% call c.form("/go", hidden={"return_to": "<x>"}) %}{{ c.buttons() }}{% endcall %}'
    shown = show(form)
    assert '<input type="hidden" name="csrf_token" value="masked">' in shown
    assert '<input type="hidden" name="return_to" value="&lt;x&gt;">' in shown

    with pytest.raises(RuntimeError, match="csrf_token"):
        show(form, state={"csrf_token": None})


def test_the_main_button_comes_first_and_is_called_action() -> None:
    """The page contract: outside programs rely on it."""
    shown = show(PARTS + '{{ c.buttons("Allow", value="allow", others=[("refuse", "Do not allow")]) }}')
    assert re.findall(r'<button class="[^"]*" type="submit" name="(\w+)" value="(\w+)">', shown) == [
        ("action", "allow"),
        ("action", "refuse"),
    ]


def test_a_field_keeps_what_was_typed_and_points_to_its_error() -> None:
    """WCAG 2.2, 3.3.1 and 1.3.1: the summary leads to the field, the field names its hint and error."""
    shown = show(
        PARTS + '{{ c.error_summary() }}{{ c.text_field("name", "Name", hint="As in your passport") }}',
        problems=[Problem("name", "Enter at most %(most)s signs", {"most": "<40>"})],
        typed={"name": '"><script>'},
    )
    assert '<a href="#name">Enter at most &lt;40&gt; signs</a>' in shown
    assert 'value="&#34;&gt;&lt;script&gt;"' in shown
    assert 'aria-describedby="name-hint name-error" aria-invalid="true"' in shown
    assert 'id="name-hint"' in shown
    assert 'id="name-error"' in shown
    assert 'role="alert" tabindex="-1" autofocus' in shown


def test_secrets_are_never_sent_back() -> None:
    shown = show(
        PARTS + "{{ c.password_field() }}{{ c.code_field() }}", typed={"password": "correct horse", "code": "123456"}
    )
    assert "correct horse" not in shown
    assert "123456" not in shown


def test_a_code_is_typed_with_digits_and_refused_by_no_browser() -> None:
    """WCAG 2.2, 3.3.8: filled in by the browser, pasted with spaces; the server judges."""
    shown = show(PARTS + "{{ c.code_field() }}")
    assert 'inputmode="numeric"' in shown
    assert 'autocomplete="one-time-code"' in shown
    assert "pattern" not in shown
    assert "maxlength" not in shown


@pytest.mark.parametrize(
    "part",
    [
        'c.date_field("a", "When?")',
        'c.radios("a", "Which?", [("x", "X"), ("y", "Y", "more")])',
        'c.checkboxes("a", "Which?", [("x", "X")])',
        'c.checkbox("a", "Yes")',
        'c.select_field("a", "Which?", [("x", "X")])',
        'c.password_field("a")',
        'c.code_field("a")',
        'c.email_field("a")',
    ],
)
def test_every_part_can_be_reached_from_the_summary(part: str) -> None:
    shown = show(PARTS + "{{ " + part + " }}", problems=[Problem("a", "Wrong")])
    assert len(re.findall(r'<(?:input|select) id="a"', shown)) == 1
    assert 'id="a-error"' in shown
    assert re.search(r'aria-describedby="[^"]*a-error"', shown)
    identifiers = re.findall(r' id="([^"]+)"', shown)
    assert len(identifiers) == len(set(identifiers))


def test_a_choice_that_was_made_is_kept() -> None:
    typed = {"a": "y", "b-day": "3", "c": "cy", "d": "yes"}
    shown = show(
        PARTS + '{{ c.radios("a", "?", [("x", "X"), ("y", "Y")]) }}{{ c.date_field("b", "?") }}'
        '{{ c.select_field("c", "?", [("en", "English"), ("cy", "Cymraeg")]) }}{{ c.checkbox("d", "?") }}',
        typed=typed,
    )
    assert 'value="y" checked' in shown
    assert 'name="b-day" type="text" value="3"' in shown
    assert '<option value="cy" selected>' in shown
    assert 'value="yes" checked' in shown
    assert shown.count(" checked") == 2


def test_the_navigation_marks_where_one_is() -> None:
    page = BASE.replace("base.html", "account.html") + "{% block content %}{% endblock %}"
    links = (Link("/account", "Your account"), Link("/help", "Help"))
    shown = show(page, frame=frame(navigation=links), path="/account?lang=es")
    assert '<a href="/account" aria-current="page">Su cuenta</a>' in shown
    assert '<a href="/help">Ayuda</a>' in shown


def test_dates_and_times_are_written_in_the_language_and_zone_of_the_reader() -> None:
    template = "{{ when|instant }} {{ when|time('Asia/Tokyo') }} {{ day|date }}"
    values: dict[str, Any] = {"when": datetime(2026, 11, 22, 23, 5, tzinfo=UTC), "day": date(1985, 3, 27)}

    shown = show(template, state={"time_zone": "Europe/Paris"}, **values)
    assert shown == (
        '<time datetime="2026-11-23T00:05+01:00">23 November 2026, 00:05</time> '
        '<time datetime="2026-11-23T08:05+09:00">08:05</time> <time datetime="1985-03-27">27 March 1985</time>'
    )
    assert "22 November 2026, 23:05 UTC" in show(template, **values)
    assert "22 نوفمبر 2026، 23:05 UTC" in show(template, path="/sample?lang=ar", **values)


def test_quantities_follow_the_plural_forms_of_the_language() -> None:
    template = '{{ 2|quantity("day") }}, {{ 61|duration }}, {{ 60|duration }}, {{ 0|duration }}'
    assert show(template) == "2 days, 2 minutes, 1 minute, 1 second"
    assert show(template, path="/sample?lang=cy").startswith("2 ddiwrnod, 2 funud")
    assert show(template, path="/sample?lang=ar").startswith("يومان, دقيقتان")


def test_a_misspelt_variable_fails_loudly() -> None:
    with pytest.raises(UndefinedError):
        show("{{ servce_name }}")


def test_macros_imported_without_context_say_so() -> None:
    with pytest.raises(RuntimeError, match="with context"):
        show('{% import "components.html" as c %}{{ c.back("/") }}')


def test_a_time_zone_that_is_not_known_does_not_break_a_page() -> None:
    """It comes from the citizen's profile, where any text may stand."""
    shown = show("{{ when|instant }}", state={"time_zone": "Mars/Base"}, when=datetime(2026, 11, 22, tzinfo=UTC))
    assert "22 November 2026, 00:00 UTC" in shown
