"""The operations that `make bench` measures, as relying parties and browsers send them."""

import base64
import hashlib
import json
import re
import secrets
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from connection import Answer, Connection
from joserfc import jwt
from joserfc.jwk import ECKey

SECRET = "a secret of the bench's own client"
CALLBACK = "http://localhost:9/callback"
PASSWORD = "correct horse battery staple"
KEY = ECKey.generate_key("P-256", {"kid": "bench", "use": "sig", "alg": "ES256"})
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BY_SECRET, BY_KEY = "by-secret", "by-key"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Load:
    """Browsers that are signed in already, one a lane, and what the operations pass on to one another."""

    def __init__(self, port: int, lanes: int) -> None:
        self._port = port
        self._lanes = [Connection(port) for _ in range(lanes)]
        self._codes: dict[str, deque[str]] = {BY_SECRET: deque(), BY_KEY: deque()}
        self._refresh: deque[str] = deque()
        self._access: deque[str] = deque(maxlen=1000)
        self._turn = 0

    @staticmethod
    def clients() -> list[dict[str, Any]]:
        """Both clients, as registration metadata."""
        common = {
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "id_token_signed_response_alg": "ES256",
        }
        return [
            {"client_id": BY_SECRET, "client_secret": SECRET, **common},
            {
                "client_id": BY_KEY,
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": {"keys": [KEY.as_dict(private=False)]},
                **common,
            },
        ]

    @staticmethod
    def write_files(folder: Path, lanes: int) -> None:
        """people.toml, a person a lane (attempts at one account wait for one another), and clients.json."""
        (folder / "people.toml").write_text(
            "".join(
                f'[[people]]\nhandle = "ada{lane}"\nemail = "ada{lane}@example.org"\npassword = "{PASSWORD}"\n'
                '[people.claims]\nname = "Ada Lovelace"\n'
                for lane in range(lanes)
            )
        )
        (folder / "clients.json").write_text(json.dumps(Load.clients()))

    async def prepare(self) -> None:
        """Every lane's browser signs in and agrees once."""
        for lane, connection in enumerate(self._lanes):
            for client_id in (BY_SECRET, BY_KEY):
                await self._through_the_pages(connection, client_id, lane)
            await self.authorize(lane)

    async def close(self) -> None:
        """End the connections."""
        for connection in self._lanes:
            await connection.close()

    async def discovery(self, lane: int) -> None:
        expect(await self._lanes[lane].get("/.well-known/openid-configuration"), 200)

    async def jwks(self, lane: int) -> None:
        expect(await self._lanes[lane].get("/jwks"), 200)

    async def authorize(self, lane: int) -> None:
        self._turn += 1
        client_id = (BY_SECRET, BY_KEY)[self._turn % 2]
        answer = expect(await self._lanes[lane].get(authorization_request(client_id)), 303)
        self._codes[client_id].append(code_of(answer))

    async def token_by_secret(self, lane: int) -> None:
        fields = code_grant(self._codes[BY_SECRET].popleft())
        tokens = json.loads(expect(await self._lanes[lane].post("/token", fields, authorization=basic()), 200).body)
        self._refresh.append(tokens["refresh_token"])
        self._access.append(tokens["access_token"])

    async def token_by_key(self, lane: int) -> None:
        now = int(time.time())
        claims = {
            "iss": BY_KEY,
            "sub": BY_KEY,
            "aud": f"http://localhost:{self._port}",
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + 60,
        }
        assertion = jwt.encode({"alg": "ES256", "kid": "bench"}, claims, KEY)
        fields = {**code_grant(self._codes[BY_KEY].popleft()), "client_assertion_type": ASSERTION}
        expect(await self._lanes[lane].post("/token", {**fields, "client_assertion": assertion}), 200)

    async def refresh(self, lane: int) -> None:
        fields = {"grant_type": "refresh_token", "refresh_token": self._refresh.popleft()}
        tokens = json.loads(expect(await self._lanes[lane].post("/token", fields, authorization=basic()), 200).body)
        self._refresh.append(tokens["refresh_token"])

    async def userinfo(self, lane: int) -> None:
        self._access.rotate()
        expect(await self._lanes[lane].get("/userinfo", authorization=f"Bearer {self._access[0]}"), 200)

    async def introspect(self, lane: int) -> None:
        self._access.rotate()
        answer = await self._lanes[lane].post("/introspect", {"token": self._access[0]}, authorization=basic())
        assert json.loads(expect(answer, 200).body)["active"]

    async def sign_in(self, lane: int) -> None:
        connection = Connection(self._port)
        await self._through_the_pages(connection, BY_SECRET, lane)
        await connection.close()

    async def _through_the_pages(self, connection: Connection, client_id: str, lane: int) -> None:
        """From the request through sign-in and consent, as far as they are asked for, to the code."""
        answer = await connection.get(authorization_request(client_id))
        for _ in range(8):
            if answer.status == 303:
                target = answer.headers["location"]
                if target.startswith(CALLBACK):
                    return
                answer = await connection.get(target.removeprefix(f"http://localhost:{self._port}"))
                continue
            page = expect(answer, 200).body.decode()
            if 'data-page="onward"' in page:
                return
            form = page[page.index("<form") : page.index("</form>")]
            fields = dict(re.findall(r'<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?', form))
            fields |= (
                {"identifier": f"ada{lane}@example.org", "password": PASSWORD} if 'name="password"' in form else {}
            )
            fields["action"] = "allow" if 'value="allow"' in form else "continue"
            action = re.search(r'action="([^"]+)"', form)
            assert action is not None
            answer = await connection.post(action[1].replace("&amp;", "&"), fields)
        raise AssertionError("the sign-in does not come to an end")


def authorization_request(client_id: str) -> str:
    parameters = {
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid profile email",
        "state": "s",
        "nonce": "n",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"/authorize?{urlencode(parameters)}"


def code_grant(code: str) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}


def code_of(answer: Answer) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def basic() -> str:
    pair = urlencode({BY_SECRET: SECRET}).replace("=", ":", 1)
    return "Basic " + base64.b64encode(pair.encode()).decode()


def expect(answer: Answer, status: int) -> Answer:
    """The answer, or an end to the run: a figure of refusals would be a fast lie."""
    if answer.status != status:
        raise AssertionError(f"{answer.status} instead of {status}: {answer.body[:500]!r}")
    return answer
