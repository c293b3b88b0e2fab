"""Messages leave here: rendered in the citizen's language, handed to a transport."""

from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from accounts.notification import Channel, Message
from config.site.languages import catalog_of, supported
from config.site.theme import Theme


class Rendered(msgspec.Struct, frozen=True):
    """A message as its reader will see it. `code` is the one-time code in it, for the demo's inbox alone."""

    channel: Channel
    to: str
    subject: str
    text: str
    code: str | None
    language: str = "en"


class Transport(Protocol):
    """Takes a message to where it goes; raises when it could not, and is asked again later."""

    async def send(self, message: Rendered) -> None:
        """Send one message."""


class Messages:
    """Renders messages. A template's first line is `Subject: ...`, then an empty line, then the text."""

    def __init__(self, theme: Theme, folders: Iterable[Path], site: str = "") -> None:
        """`site`: our address, before the path of a link."""
        self._theme = theme
        self._site = site
        self._environment = Environment(
            loader=FileSystemLoader(list(folders)),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701 - plain text; nothing here is ever HTML
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._environment.policies["ext.i18n.trimmed"] = True
        self._environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]

    def render(self, message: Message) -> Rendered:
        """The message in its language, or in English where that is not one of ours."""
        language = supported(message.language) or "en"
        catalog = catalog_of(language)
        known = {
            "catalog": catalog,
            "service_name": self._theme.name_in(language) or catalog.gettext("Citizen Account"),
            "contact": self._theme.contact,
            "site": self._site,
            **{name: _one_line(value) for name, value in message.values.items()},
        }
        text = self._environment.get_template(f"messages/{message.template}.txt").render(known)
        head, _, body = text.partition("\n")
        subject, code = head.removeprefix("Subject:").strip(), message.values.get("code")
        if message.channel != "email":
            # A text message costs by its length: the subject says what happened, the link what can be done.
            body = self._environment.get_template("messages/short.txt").render({**known, "subject": subject})
        return Rendered(message.channel, message.to, subject, body.strip() + "\n", code, language)


def _one_line(value: Any) -> Any:
    """What somebody calls themselves may not begin a line of its own, and with it a subject or a header (R66)."""
    return " ".join(value.split()) if isinstance(value, str) else value


@pass_context
def _gettext(context: Context, message: str) -> str:
    return str(context["catalog"].gettext(message)) if message else ""


@pass_context
def _ngettext(context: Context, singular: str, plural: str, n: int) -> str:
    return str(context["catalog"].ngettext(singular, plural, n))


class Smtp:
    """Mail by SMTP. `smtp://` asks for STARTTLS, `smtps://` speaks TLS from the first byte; never in the clear."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._sender = sender
        self._options: dict[str, Any] = {
            "hostname": parts.hostname,
            "port": parts.port or (465 if parts.scheme == "smtps" else 587),
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "use_tls": parts.scheme == "smtps",
            "start_tls": parts.scheme == "smtp",
            "timeout": 10,
        }

    async def send(self, message: Rendered) -> None:
        if message.channel != "email":
            raise NotImplementedError("no gateway for SMS is set up")
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._sender, message.to, message.subject
        mail.set_content(message.text)
        await aiosmtplib.send(mail, **self._options)
