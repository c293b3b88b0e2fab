"""The demo's inbox page: the mail and SMS that the product sent, and the test people with their present codes."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Response, get

from config.demo.inbox import Inbox
from config.demo.relying_party import assets, environment, page_headers

SHOWN = 25
SCRIPT = Path(__file__).with_name("inbox.js")


class CastMember(msgspec.Struct, frozen=True):
    """A test person as the inbox shows them. `code` is None where they have no authenticator app."""

    handle: str
    email: str
    name: str
    shows: str
    code: str | None


class Addresses(msgspec.Struct, frozen=True):
    """Where the demo's parts are."""

    account: str
    parks: str
    taxes: str
    inbox: str


def create_inbox_page(
    inbox: Inbox,
    people: Callable[[], Awaitable[list[CastMember]]],
    password: str,
    addresses: Addresses,
    now: Callable[[], datetime],
) -> Litestar:
    """The ASGI application of the inbox. It needs no sign-in: it listens on loopback, and the people do not exist."""
    template = environment().get_template("inbox.html")
    script = SCRIPT.read_bytes()

    @get("/")
    async def messages() -> Response[str]:
        """Messages, newest first; people beside them."""
        instant = now()
        html = template.render(
            messages=inbox.messages()[:SHOWN],
            people=await people(),
            password=password,
            addresses=addresses,
            seconds=30 - int(instant.timestamp()) % 30,
        )
        return Response(html, media_type="text/html", headers=page_headers())

    @get("/inbox.js", sync_to_thread=False)
    def inbox_js() -> Response[bytes]:
        return Response(script, media_type="text/javascript")

    handlers: list[Any] = [messages, inbox_js, *assets("#33433a")]
    return Litestar(handlers, openapi_config=None, logging_config=None)
