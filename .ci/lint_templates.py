"""Template lint: what the CSP, a translator, a screen reader or a forger would stumble over, found before they do.

A line is let off by a comment on it or just above: {# lint-ok: RULE, because ... #}
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, TemplateError, nodes

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "identity", "oidc", "config")
# The sample services and the inbox stand for somebody else's pages: in English, with sessions of their own.
NOT_OURS = ("config/demo/",)

ENVIRONMENT = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
GETTEXT = {"_", "gettext", "ngettext", "pgettext", "npgettext"}
LETTERS = re.compile(r"[^\W\d_]")
LOOKS_LIKE_TEXT = re.compile(r"[A-Z][a-z]+[^=</_]*\Z")
EXEMPTION = re.compile(r"\{#-?\s*lint-ok:\s*([a-z-]+),?\s+\w")
SPOKEN_ATTRIBUTES = {"alt", "title", "placeholder", "aria-label", "aria-description", "aria-roledescription"}
ATTRIBUTE = re.compile(r"""\s*[\w-]+=("[^"]*"|'[^']*')\s*\Z""")  # what a macro for attributes holds
NAMES = {"page_name"}  # blocks that fill an attribute with a fixed name
NEEDS_NO_LABEL = {"hidden", "submit", "button", "image", "reset"}


class Finding(NamedTuple):
    line: int
    rule: str
    text: str


def lint(source: str, *, html: bool = True, ours: bool = True) -> list[Finding]:
    """Everything wrong with one template. `html=False`: a plain text message."""
    try:
        tree = ENVIRONMENT.parse(source)
    except TemplateError as problem:
        return [Finding(getattr(problem, "lineno", 1) or 1, "syntax", str(problem))]
    findings = [*unescaped(tree)] if html else []
    page = Page()
    page.feed(without_jinja(source) if html else without_jinja(source).replace("<", "&lt;"))
    page.close()
    findings += page.findings() if html else page.text
    findings += untranslated_strings(tree)
    if not ours:
        findings = [finding for finding in findings if finding.rule not in ("text", "csrf")]
    lines = source.splitlines()
    return sorted({finding for finding in findings if not is_exempt(finding, lines)})


def is_exempt(finding: Finding, lines: list[str]) -> bool:
    near = lines[max(0, finding.line - 2) : finding.line]
    return any(finding.rule == rule for line in near for rule in EXEMPTION.findall(line))


def without_jinja(source: str) -> str:
    """The template as HTML: equal expressions become equal marks without letters, translated texts disappear."""
    out: list[str] = []
    expression: list[str] = []
    inside, skipping, line = "", False, 1
    for number, kind, value in ENVIRONMENT.lex(source):
        if kind == "data":
            out.append("\n" * (number - line))
            line = number + value.count("\n")
            out.append(tags_of(value, within_tag("".join(out))) if skipping else value)
        elif kind in ("variable_begin", "block_begin"):
            inside, expression = kind, []
        elif kind == "variable_end":
            out.append("\n" * (number - line) + mark_of(expression))
            line, inside = max(line, number), ""
        elif kind == "block_end":
            inside, verb = "", expression[0] if expression else ""
            if verb == "trans" or (verb == "block" and NAMES & set(expression)):
                skipping = True
            elif verb in ("endtrans", "endblock"):
                skipping = False
        elif inside and kind != "whitespace":
            expression.append(value)
    return "".join(out)


def within_tag(html: str) -> bool:
    return html.rfind("<") > html.rfind(">")


def tags_of(html: str, begun: bool) -> str:
    """The tags and line ends alone: what stands between them is translated, or is no text."""
    rest = re.match(r"[^>]*>?", html)[0] if begun else ""
    return rest + "".join(re.findall(r"<[^>]*>?|\n", html[len(rest) :]))


def mark_of(expression: list[str]) -> str:
    if expression[:2] == ["csrf_field", "("]:
        return "<csrf-field>"
    return f"\ue000{hash(tuple(expression)) % 10**12}\ue001"


class Page(HTMLParser):
    """Reads the HTML of one template and collects what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Finding] = []
        self.text: list[Finding] = []
        self.labels: set[str] = set()
        self.fields: list[tuple[int, str, str | None]] = []
        self.form: tuple[int, bool] | None = None  # the line of an open form that posts, and whether it has its token
        self.silent = 0
        self.in_label = 0

    def findings(self) -> list[Finding]:
        self.end_form()
        unlabelled = [
            Finding(line, "label", f"<{tag}> has neither a <label for> nor an aria-label")
            for line, tag, identifier in self.fields
            if identifier is None or identifier not in self.labels
        ]
        return self.found + self.text + unlabelled

    def add(self, rule: str, text: str) -> None:
        self.found.append(Finding(self.getpos()[0], rule, text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        for name, value in attributes.items():
            self.attribute(tag, name, value)
        if tag == "script":
            self.silent += 1
            if "src" not in attributes and attributes.get("type") != "application/json":
                self.add("script", "a <script> has a src: the CSP lets no other run")
        elif tag == "style":
            self.silent += 1
            self.add("style", "<style>: the CSP forbids it, write it in the style sheet")
        elif tag == "img" and "alt" not in attributes:
            self.add("alt", "<img> without alt (alt='' where it only decorates)")
        elif tag == "form":
            self.end_form()
            if attributes.get("method", "get").lower() == "post":
                self.form = (self.getpos()[0], False)
        elif tag == "csrf-field" and self.form:
            self.form = (self.form[0], True)
        elif tag == "label":
            self.labels.add(attributes.get("for", ""))
            self.in_label += "for" not in attributes
        elif tag in ("input", "select", "textarea"):
            self.field(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.silent -= 1
        elif tag == "form":
            self.end_form()
        elif tag == "label":
            self.in_label = 0

    def handle_data(self, data: str) -> None:
        if self.silent:
            return
        first = self.getpos()[0]
        for offset, line in enumerate(data.split("\n")):
            if LETTERS.search(line.removeprefix("Subject:")) and not ATTRIBUTE.match(line):
                text = re.sub("\ue000\\d+\ue001", "...", line).strip()
                self.text.append(Finding(first + offset, "text", f"not translated: {text[:60]!r}"))

    def attribute(self, tag: str, name: str, value: str) -> None:
        if name == "style":
            self.add("style", "style=: the CSP forbids it, write it in the style sheet")
        elif name.startswith("on"):
            self.add("handler", f"{name}=: the CSP forbids it, write it in the script")
        elif value.strip().lower().startswith("javascript:"):
            self.add("handler", f"{name}='javascript:': the CSP forbids it")
        elif name in SPOKEN_ATTRIBUTES and LETTERS.search(value):
            self.text.append(Finding(self.getpos()[0], "text", f"not translated: {name}={value!r}"))

    def field(self, tag: str, attributes: dict[str, str]) -> None:
        named = "aria-label" in attributes or "aria-labelledby" in attributes or attributes.get("aria-hidden") == "true"
        if not named and not self.in_label and attributes.get("type", "text").lower() not in NEEDS_NO_LABEL:
            self.fields.append((self.getpos()[0], tag, attributes.get("id")))

    def end_form(self) -> None:
        if self.form and not self.form[1]:
            self.found.append(Finding(self.form[0], "csrf", "a form that posts without {{ csrf_field() }}"))
        self.form = None


def unescaped(tree: nodes.Template) -> Iterator[Finding]:
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name == "safe" and not isinstance(filtered.node, nodes.Const):
            yield Finding(filtered.lineno, "safe", "|safe on a value: a citizen's own text would become markup")
    for modifier in tree.find_all(nodes.EvalContextModifier):
        if any(option.key == "autoescape" for option in modifier.options):
            yield Finding(modifier.lineno, "safe", "autoescape is never switched off")


def untranslated_strings(node: nodes.Node) -> Iterator[Finding]:
    """Strings in expressions that read like a text and are not inside _()."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in GETTEXT:
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and LOOKS_LIKE_TEXT.match(node.value):
        yield Finding(node.lineno, "text", f"not translated: {node.value[:60]!r}")
    for child in node.iter_child_nodes():
        yield from untranslated_strings(child)


def main() -> int:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("templates/**/*.*"))]
    count = 0
    for path in paths:
        name = str(path.relative_to(ROOT))
        ours = not name.startswith(NOT_OURS)
        for finding in lint(path.read_text(), html=path.suffix != ".txt", ours=ours):
            print(f"{name}:{finding.line}: {finding.rule}: {finding.text}")
            count += 1
    print(f"{len(paths)} templates read, {count} findings")
    return 1 if count or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
