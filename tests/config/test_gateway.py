"""Text messages leave by an HTTP gateway or by GOV.UK Notify: what each is given, and what counts as taken."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from loopback import Loopback, loopback

from accounts.notification import Channel
from config.gateway import Channels, Gateway
from config.mail import Rendered, Transport
from config.notify import Notify
from config.settings import SettingsError, read_settings

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVICE, SECRET = "26785a09-ab16-4eb0-8407-a37497a57506", "3d844edf-8d35-48ac-975b-e847b4f122b0"
API_KEY = f"our-live-key-{SERVICE}-{SECRET}"
TEMPLATE = "9d751e0e-f929-4891-82a1-a3e1c3c18ee3"
TAKEN = (b'{"id": "1"}', "201 Created")


def message(channel: Channel = "sms", code: str | None = "123456") -> Rendered:
    return Rendered(channel, "+447700900123", "Your code", "Your code is 123456\n", code, "cy")


async def given(server: Loopback, transport: Transport, sent: Rendered) -> dict[str, object]:
    """What the server got for a message."""
    await transport.send(sent)
    body: dict[str, object] = json.loads(server.bodies[-1])
    return body


def notify(server: Loopback, now: datetime = NOON) -> Notify:
    return Notify(server.url("", "localhost"), API_KEY, TEMPLATE, lambda: now)


def like_notify(server: Loopback, now: datetime = NOON) -> None:
    """Answer as Notify does: 403 for a token that is not of this service or is half a minute off."""

    async def answer(head: bytes) -> bytes:
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        scheme, _, _ = lines[b"authorization"].partition(b" ")
        token = head.split(b"earer ", 1)[1].split(b"\r\n")[0].decode()
        claims = jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"]).claims
        good = scheme == b"bearer" and claims["iss"] == SERVICE and abs(claims["iat"] - now.timestamp()) <= 30
        good = good and head.startswith(b"POST /v2/notifications/sms HTTP/1.1")
        return await server.say(*TAKEN if good else (b"{}", "403 Forbidden"))(head)

    server.answer = answer


@pytest.mark.parametrize("channel", ["sms", "voice"])
async def test_a_gateway_gets_the_code_apart_from_the_text(channel: Channel) -> None:
    """Voice-ready: what is read out digit by digit need not be found in a sentence of five languages."""
    async with loopback() as server:
        body = await given(
            server, Channels(Gateway("", ""), Gateway(server.url(host="localhost"), "a secret")), message(channel)
        )

    assert body == {
        "channel": channel,
        "to": "+447700900123",
        "text": "Your code is 123456",
        "language": "cy",
        "code": "123456",
    }
    assert b"bearer a secret" in server.heads[-1].lower()


async def test_a_notice_has_no_code() -> None:
    async with loopback() as server:
        assert "code" not in await given(server, Gateway(server.url(host="localhost"), ""), message(code=None))


async def test_notify_gets_our_text_by_its_template_and_a_token_of_this_very_moment() -> None:
    """Its API: HS256 by the key's last part, `iss` the service, `iat` now."""
    async with loopback() as server:
        like_notify(server)
        body = await given(server, notify(server), message())

        assert body == {
            "phone_number": "+447700900123",
            "template_id": TEMPLATE,
            "personalisation": {"text": "Your code is 123456"},
        }
        like_notify(server, NOON.replace(minute=1))
        with pytest.raises(OSError, match="403"):
            await notify(server).send(message())


@pytest.mark.parametrize("status", ["400 Bad Request", "429 Too Many Requests", "500 Internal Server Error", "200 OK"])
async def test_what_notify_did_not_take_is_asked_again_later(status: str) -> None:
    """The outbox tries again where a transport raises; 201 alone says that a message was taken."""
    async with loopback() as server:
        server.answer = server.say(b"{}", status)
        with pytest.raises(OSError, match=r"GOV\.UK Notify answered"):
            await notify(server).send(message())


async def test_notify_reads_nothing_out() -> None:
    async with loopback() as server:
        with pytest.raises(NotImplementedError):
            await notify(server).send(message("voice"))
    assert not server.heads


@pytest.mark.parametrize(
    ("key", "value"),
    [("url", ""), ("secret", "not a key"), ("secret", SECRET), ("template", "((text))")],
)
def test_a_wrong_setting_of_notify_is_named(tmp_path: Path, key: str, value: str) -> None:
    """R74."""
    right = {"via": "notify", "url": "https://notify.example", "secret": API_KEY, "template": TEMPLATE}
    path = tmp_path / "identity.toml"
    lines = [f'{name} = "{text}"' for name, text in {**right, key: value}.items()]
    path.write_text(
        'issuer = "https://account.example.gov"\n[mail]\nurl = "smtp://mail.example"\nsender = "a@example.gov"\n[sms]\n'
        + "\n".join(lines),
        "utf-8",
    )
    with pytest.raises(SettingsError, match=rf"sms\.{key}:"):
        read_settings(path, {})
