"""Text messages by GOV.UK Notify, or a service with its API: one template there, whose whole text is `((text))`."""

import re
from collections.abc import Callable
from datetime import datetime

import httpx2
from joserfc import jwt
from joserfc.jwk import OctKey

from config.mail import Rendered

TIMEOUT = 10
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
API_KEY = re.compile(rf".*-({_UUID})-({_UUID})")
"""`name-SERVICE-SECRET`, as Notify shows it once."""
TEMPLATE = re.compile(_UUID)


class Notify:
    """POST /v2/notifications/sms, with a token made anew for each message: Notify takes those of half a minute alone.

    No package of theirs: it brings two HTTP stacks and blocks (deploy/decisions/0022)."""

    def __init__(self, url: str, api_key: str, template: str, clock: Callable[[], datetime]) -> None:
        parts = API_KEY.fullmatch(api_key)
        if parts is None:
            raise ValueError("not a key of GOV.UK Notify")
        self._service, self._key = parts[1], OctKey.import_key(parts[2])
        self._url, self._template, self._clock = f"{url.rstrip('/')}/v2/notifications/sms", template, clock

    async def send(self, message: Rendered) -> None:
        """Hand one message over; raises where it was not taken, and is asked again later."""
        if message.channel != "sms":
            raise NotImplementedError("GOV.UK Notify reads nothing out")
        said_at = int(self._clock().timestamp())
        token = jwt.encode({"alg": "HS256", "typ": "JWT"}, {"iss": self._service, "iat": said_at}, self._key)
        body = {
            "phone_number": message.to,
            "template_id": self._template,
            "personalisation": {"text": message.text.strip()},
        }
        async with httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as http:
            answer = await http.post(self._url, json=body, headers={"authorization": f"Bearer {token}"})
        if answer.status_code != 201:
            raise OSError(f"GOV.UK Notify answered {answer.status_code}")
