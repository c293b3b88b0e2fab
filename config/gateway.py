"""Text messages leave by an HTTP gateway: one JSON object to one https address, with a bearer secret."""

import httpx2

from config.mail import Rendered, Transport

TIMEOUT = 10


class Gateway:
    """POST `{"channel": "sms", "to": "+44...", "text": "...", "language": "en", "code": "123456"}`; any 2xx is an
    answer. `channel` is `voice` where the text is to be read out; `code` stands apart where the text holds one, so that
    it can be spoken digit by digit, and twice. Most providers want a small function of your own in between."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {secret}"} if secret else {}

    async def send(self, message: Rendered) -> None:
        """Hand one message over; raises where it was not taken, and is asked again later."""
        body = {
            "channel": message.channel,
            "to": message.to,
            "text": message.text.strip(),
            "language": message.language,
            **({"code": message.code} if message.code else {}),
        }
        async with httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as http:
            answer = await http.post(self._url, json=body, headers=self._headers)
        if not answer.is_success:
            raise OSError(f"the gateway answered {answer.status_code}")


class Channels:
    """Each message by its own channel: mail by one transport, text and voice by another."""

    def __init__(self, mail: Transport, texts: Transport | None) -> None:
        self._mail = mail
        self._texts = texts

    async def send(self, message: Rendered) -> None:
        """Send it; a text message without a gateway fails, is tried for a day, and is then given up loudly."""
        if message.channel == "email":
            await self._mail.send(message)
        elif self._texts is None:
            raise NotImplementedError("no gateway for text messages is set up")
        else:
            await self._texts.send(message)
