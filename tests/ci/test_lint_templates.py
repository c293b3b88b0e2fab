"""The template lint finds what it promises to find, and nothing else."""

import pytest
from lint_templates import lint

WRONG = {
    "syntax": "{% if x %}",
    "style": '<p style="color: red">{{ _("Hello") }}</p>',
    "handler": """<button onclick="go()">{{ _("Go") }}</button>""",
    "script": "<script>go()</script>",
    "alt": '<img src="/a.png">',
    "csrf": """<form method="post">{{ c.buttons() }}</form>""",
    "label": """<label for="a">{{ _("A") }}</label><input id="b" name="b">""",
    "text": "<p>{{ name }} Hello</p>",
    "safe": "{{ name|safe }}",
}


@pytest.mark.parametrize("rule", WRONG)
def test_each_rule_finds_its_fault(rule: str) -> None:
    """One template each, wrong in one way."""
    assert [finding.rule for finding in lint(WRONG[rule])] == [rule]


@pytest.mark.parametrize(
    "source",
    [
        '<img src="{{ a }}" alt="Our logo">',
        "{{ 'Hello there' if x else '' }}",
        "{% set x = 'Hello' %}",
        '{{ c.button("Continue") }}',
        "{% trans %}Good{% endtrans %} bad",
    ],
)
def test_a_text_hidden_in_an_attribute_or_expression_is_found(source: str) -> None:
    """Nobody translates what the catalog does not hold."""
    assert [finding.rule for finding in lint(source)] == ["text"]


@pytest.mark.parametrize(
    "source",
    [
        '{% trans name=x %}Dear <a href="{{ name }}">friend</a>,\nhello{% endtrans %}',
        '<p>{{ _("Hello") }} {{ ngettext("%(num)s day", "%(num)s days", n) }} 1 -</p>',
        '<form method="post">{{ csrf_field() }}<label for="{{ id }}">{{ t }}</label><input id="{{ id }}"></form>',
        '<form><label>{{ t }} <input name="q"></label><input type="hidden" name="h"></form>',
        '<script src="/a.js"></script><script type="application/json">{"a": 1}</script>',
        '<input aria-label="{{ _("Code") }}"{% if wrong %} aria-invalid="true"{% endif %}>',
        "{% block page_name %}account{% endblock %}",
        "{# lint-ok: safe, made by us #}\n{{ drawing|safe }}",
    ],
)
def test_a_good_template_passes(source: str) -> None:
    """A lint that cries wolf is switched off."""
    assert lint(source) == []


def test_a_finding_names_its_line() -> None:
    """Also after a comment, a translation and a block of several lines."""
    source = '{# a\nb #}\n{% trans %}x\ny{% endtrans %}\n{{ f(\n1) }}\n<p style="">'
    assert [finding.line for finding in lint(source)] == [7]


def test_a_message_is_text_all_of_it() -> None:
    """In a mail `<` is no markup, and the word Subject is for the program that sends it."""
    good = "Subject: {{ _('Your code') }}\n\n{{ _('Hello') }} <{{ address }}>\n"
    assert lint(good, html=False) == []
    assert [finding.line for finding in lint(good + "Goodbye", html=False)] == [4]
