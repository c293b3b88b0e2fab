"""The simulator's control listener: time, keys, mail and people, moved by tests. Loopback only, never the product's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from accounts.account import State, set_state
from accounts.activity import Kind, record
from accounts.outbox import Outbox
from config.demo.control_people import add_person, change_claims, forget_consents, settle_subjects, sign_in
from config.demo.inbox import Inbox
from config.demo.people import STATES, PeopleError
from config.house import House
from identity.session import end_all
from oidc.client_file import ClientFileError, import_json
from oidc.revision import MAX_AGE
from oidc.signing_keys import rotate

LARGEST = 64 * 1024
Answer = tuple[int, Any]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HISTORY: Mapping[str, Kind] = {
    "active": "account_reopened",
    "suspended": "account_suspended",
    "closed": "account_closed",
}


THERE_ARE = (
    "there are: GET /health, GET /inbox?to=ADDRESS, POST /clock/advance, POST /keys/rotate, POST /people, "
    "POST /people/HANDLE/sign-in, POST /people/HANDLE/state, PUT /people/HANDLE/claims, "
    "DELETE /people/HANDLE/consents, PUT /clients"
)


class Wrong(Exception):
    """A call that cannot be done; `status` and a sentence are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Control:
    """An ASGI application over one house."""

    def __init__(self, house: House, inbox: Inbox, people: dict[str, UUID], workers: int) -> None:
        self._house = house
        self._inbox = inbox
        self._people = people
        self._workers = workers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            status, body = await self._answer(scope, receive)
        except Wrong as wrong:
            status, body = wrong.status, {"error": str(wrong)}
        except (PeopleError, ClientFileError, ValueError) as wrong:
            status, body = 400, {"error": str(wrong)}
        content = msgspec.json.encode(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if any(name == b"origin" for name, _ in scope["headers"]):
            # A page in somebody's browser must not move the clock of a simulator on the same machine.
            raise Wrong(403, "not for web pages")
        body = await _body(receive)
        match scope["method"], [unquote(part) for part in scope["raw_path"].decode("ascii").strip("/").split("/")]:
            case "GET", ["health"]:
                return await self._health()
            case "GET", ["inbox"]:
                return await self._messages(scope["query_string"])
            case "POST", ["clock", "advance"]:
                return self._advance(_json(body))
            case "POST", ["keys", "rotate"]:
                return await self._rotate()
            case "POST", ["people", handle, "state"]:
                return await self._set_state(handle, _json(body))
            case "POST", ["people", handle, "sign-in"]:
                return await self._sign_in(handle, _json(body))
            case "POST", ["people"]:
                return await self._add_person(_json(body))
            case "PUT", ["people", handle, "claims"]:
                await change_claims(self._house, self._account(handle), _json(body))
                return 200, {"handle": handle}
            case "DELETE", ["people", handle, "consents"]:
                return 200, {"ended": await forget_consents(self._house, self._account(handle))}
            case "PUT", ["clients"]:
                return await self._put_clients(body)
            case _, ["health" | "inbox" | "people" | "clients"] | ["clock", "advance"] | ["keys", "rotate"]:
                raise Wrong(405, f"wrong method; {THERE_ARE}")
            case _, ["people", _, "state" | "sign-in" | "claims" | "consents"]:
                raise Wrong(405, f"wrong method; {THERE_ARE}")
        raise Wrong(404, THERE_ARE)

    async def _health(self) -> Answer:
        async with self._house.database.begin() as db:
            await db.scalar(select(1))
        return 200, {
            "status": "ok",
            "issuer": self._house.settings.issuer,
            "now": self._house.clock.now(),
            "workers": self._workers,
        }

    def _advance(self, asked: Any) -> Answer:
        seconds = asked.get("seconds") if isinstance(asked, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Wrong(400, 'send {"seconds": 3600}')
        try:
            return 200, {"now": self._house.clock.advance(seconds)}
        except ValueError as error:
            raise Wrong(400, str(error)) from None

    async def _rotate(self) -> Answer:
        async with self._house.database.begin() as db:
            rotated = await rotate(db, self._house.key_holder, self._house.clock.now())
        # By then every worker has looked again, so that what is signed after this answer is signed with the new keys.
        await asyncio.sleep(MAX_AGE.total_seconds() + 0.05)
        return 200, {"rotated": rotated}

    async def _messages(self, query: bytes) -> Answer:
        await self._until_sent()
        wanted = parse_qs(query.decode("latin-1")).get("to", [""])[0]
        messages = self._inbox.messages(wanted or None)
        if not messages and " " in wanted:  # a plus sign that was not escaped
            messages = self._inbox.messages(wanted.replace(" ", "+"))
        return 200, messages

    async def _until_sent(self) -> None:
        """Wait for the messages of everything that was committed before this was asked, two seconds at most."""
        waiting = select(func.count()).where(
            Outbox.kind == "message", Outbox.finished_at.is_(None), Outbox.attempts <= 1
        )
        for _ in range(100):
            async with self._house.database.begin() as db:
                if not await db.scalar(waiting):
                    return
            await asyncio.sleep(0.02)

    def _account(self, handle: str) -> UUID:
        if handle not in self._people:
            raise Wrong(404, f"no person has the handle {handle}; there are {', '.join(sorted(self._people)[:20])}")
        return self._people[handle]

    async def _sign_in(self, handle: str, asked: Any) -> Answer:
        given = {} if asked is None else asked
        if not isinstance(given, dict) or set(given) - {"acr"} or not isinstance(given.get("acr"), str | None):
            raise Wrong(400, 'send {"acr": "aal2"}, or nothing for the least level')
        return 200, {"handle": handle, **await sign_in(self._house, self._account(handle), given.get("acr"))}

    async def _add_person(self, entry: Any) -> Answer:
        handle, account_id = await add_person(self._house, entry)
        self._people[handle] = account_id
        async with self._house.database.begin() as db:
            await settle_subjects(db, {handle: account_id}, self._house.clock.now())
        return 201, {"handle": handle}

    async def _put_clients(self, body: bytes) -> Answer:
        """Add clients, or change those of the same names, as the file of clients says it."""
        house = self._house
        async with house.database.begin() as db:
            provider, now = house.provider, house.clock.now()
            applied = await import_json(
                db, body.decode(errors="replace"), provider.capabilities, now, fetcher=provider.fetcher
            )
            await settle_subjects(db, self._people, now)
        # By then every worker has looked again.
        await asyncio.sleep(MAX_AGE.total_seconds() + 0.05)
        return 200, {"warnings": [str(warning) for warning in applied.warnings]}

    async def _set_state(self, handle: str, asked: Any) -> Answer:
        state: State | None = asked.get("state") if isinstance(asked, dict) else None
        if state not in STATES:
            raise Wrong(400, f'send {{"state": ...}}: one of {", ".join(STATES)}')
        account_id, now = self._account(handle), self._house.clock.now()
        others: Sequence[State] = [other for other in STATES if other != state]  # type: ignore[misc]
        async with self._house.database.begin() as db:
            moved = any([await set_state(db, account_id, state, now, only_from=other) for other in others])
            if moved and state in HISTORY:
                await record(db, account_id, HISTORY[state], now, actor="operator")
            if moved and state in ("suspended", "closed"):
                await end_all(db, self._house.vault, account_id, "suspended", now)
        return 200, {"handle": handle, "state": state}


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST:
            raise Wrong(413, "too large")
        if not message.get("more_body"):
            return body


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body or b"null")
    except msgspec.DecodeError:
        raise Wrong(400, "the body is not JSON") from None
