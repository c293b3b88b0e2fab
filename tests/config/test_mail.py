"""Messages: rendered in the reader's language, one subject and a text, sent encrypted or not at all."""

from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from accounts.notification import Message
from config.house import TEMPLATE_FOLDERS
from config.mail import Messages, Rendered, Smtp
from config.site.theme import read_theme

pytestmark = pytest.mark.anyio


def render(folder: Path, template: str, language: str = "en", **values: Any) -> Rendered:
    (folder / "messages").mkdir(exist_ok=True)
    (folder / "messages" / "note.txt").write_text(template, "utf-8")
    return Messages(read_theme(None), [folder]).render(Message("email", "ada@example.org", "note", language, values))


def test_the_first_line_is_the_subject_and_the_rest_the_text(tmp_path: Path) -> None:
    rendered = render(tmp_path, "Subject: Your code is {{ code }}\n\nHere it is: {{ code }}\n", code="123456")

    assert (rendered.subject, rendered.text) == ("Your code is 123456", "Here it is: 123456\n")
    assert (rendered.channel, rendered.to, rendered.code) == ("email", "ada@example.org", "123456")


def test_plain_text_is_not_escaped(tmp_path: Path) -> None:
    rendered = render(tmp_path, "Subject: {{ name }}\n\n{{ name }} & co\n", name="O'Brien <x>")

    assert rendered.subject == "O'Brien <x>"
    assert rendered.text == "O'Brien <x> & co\n"


def test_a_language_that_is_none_of_ours_becomes_english(tmp_path: Path) -> None:
    rendered = render(tmp_path, "Subject: {{ service_name }}\n\n{{ service_name }}\n", language="tlh")

    assert rendered.subject == "Citizen Account"


def test_a_value_that_is_missing_is_an_error_and_not_a_gap(tmp_path: Path) -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render(tmp_path, "Subject: x\n\n{{ code }}\n")


def test_a_line_break_in_a_name_makes_no_header(tmp_path: Path) -> None:
    """R66: neither log lines nor mail headers can be forged by what a citizen or service calls itself."""
    rendered = render(tmp_path, "Subject: {{ name }}\n\nHello\n", name="Parks\nBcc: everyone@example.org")

    assert (rendered.subject, rendered.text) == ("Parks Bcc: everyone@example.org", "Hello\n")


MESSAGES = sorted(
    path.stem
    for folder in TEMPLATE_FOLDERS
    for path in (folder / "messages").glob("*.txt")
    if path.read_text("utf-8").startswith("Subject:")
)


def test_there_are_messages() -> None:
    assert "confirm_email" in MESSAGES


class Sent:
    """Stands in for the SMTP server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mail: Any = None
        self.options: dict[str, Any] = {}

        async def send(mail: Any, **options: Any) -> None:
            self.mail, self.options = mail, options

        monkeypatch.setattr(aiosmtplib, "send", send)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", {"hostname": "mail.example", "port": 587, "start_tls": True, "use_tls": False}),
        ("smtps://mail.example", {"hostname": "mail.example", "port": 465, "start_tls": False, "use_tls": True}),
        ("smtps://me:p%40ss@mail.example:2465", {"port": 2465, "username": "me", "password": "p@ss"}),
    ],
)
async def test_mail_leaves_encrypted(monkeypatch: pytest.MonkeyPatch, url: str, expected: dict[str, Any]) -> None:
    """R66: a code in the clear is a code for everybody on the way."""
    sent = Sent(monkeypatch)

    await Smtp(url, "account@example.gov").send(Rendered("email", "ada@example.org", "Grüße", "Text\n", None))

    assert sent.options.items() >= expected.items()
    assert (sent.mail["From"], sent.mail["To"], sent.mail["Subject"]) == (
        "account@example.gov", "ada@example.org", "Grüße",
    )  # fmt: skip
    assert sent.mail.get_content() == "Text\n"


async def test_an_sms_without_a_gateway_fails_and_is_not_dropped() -> None:
    with pytest.raises(NotImplementedError):
        await Smtp("smtp://mail.example", "a@b").send(Rendered("sms", "+442079460123", "", "Text", None))
