"""Several worker processes of one deployment, each on a port of its own, so that a test says which one is asked.

They are the product's own worker processes (config/workers.py) with one issuer, one database, one store, one clock. The
test's own process has the outbox worker, and the inbox it sends to.
"""

import asyncio
import itertools
import json
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from party import Visitor
from services import Backend

from config.clock import Clock
from config.demo.inbox import Inbox, InboxMessage
from config.demo.people import create_people, read_people
from config.house import House
from config.keys import make_keys
from config.server import Running, listen
from config.settings import read_settings
from config.workers import Workers
from oidc.client_file import import_json
from oidc.signing_keys import ensure_keys


class Alternating(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Sends one request to this worker, the next one to the other; `Host` and address stay those of the issuer."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.asked: list[tuple[int, str]] = []
        """Which port was asked for which path, in order."""
        self._turns = itertools.cycle(ports)
        # Nothing here is https; to load the machine's certificates a hundred times takes seconds.
        self._http = httpx2.HTTPTransport(verify=False)
        self._async_http = httpx2.AsyncHTTPTransport(verify=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._http.handle_request(self._to_the_next(request))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._async_http.handle_async_request(self._to_the_next(request))

    def _to_the_next(self, request: httpx2.Request) -> httpx2.Request:
        port = next(self._turns)
        self.asked.append((port, request.url.path))
        # Another request: the client's own keeps its address, to which the cookies belong.
        there, stream = request.url.copy_with(host="127.0.0.1", port=port), request.stream
        return httpx2.Request(
            request.method, there, headers=request.headers, stream=stream, extensions=request.extensions
        )

    def close(self) -> None:
        self._http.close()

    async def aclose(self) -> None:
        await self._async_http.aclose()


class Fleet:
    """Running workers. `issuer` is the address of the first; it has what a `Visitor` needs of a simulator."""

    def __init__(self, house: House, inbox: Inbox, ports: Sequence[int]) -> None:
        self.house, self.inbox, self.ports = house, inbox, ports
        self.issuer = house.settings.issuer
        self.people: dict[str, UUID] = {}
        self.browsers: list[httpx2.Client] = []

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The part of the control listener that a visitor needs: what time it is."""
        assert (method, path) == ("GET", "/health")
        return {"now": self.house.clock.now().isoformat()}

    def visitor(self, handle: str, seed: str) -> Visitor:
        """A person whose browser asks the workers in turn."""
        visitor = Visitor(self, handle, seed)  # type: ignore[arg-type]
        visitor.http.close()
        visitor.http = self.client()
        return visitor

    def client(self, transport: Alternating | None = None, **options: Any) -> httpx2.Client:
        """Something that asks the workers in turn, starting with the first."""
        made = httpx2.Client(transport=transport or Alternating(self.ports), timeout=30, **options)
        self.browsers.append(made)
        return made

    async def mail(self, to: str, count: int = 1) -> list[InboxMessage]:
        """The messages to an address, newest first, once there are so many."""
        for _ in range(400):
            if len(found := self.inbox.messages(to)) >= count:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"{len(found)} messages, not {count}")


@asynccontextmanager
async def fleet(
    folder: Path, backend: Backend, clients: Sequence[Mapping[str, Any]], people: str, count: int = 2, *options: str
) -> AsyncIterator[Fleet]:
    """Start `count` workers on an empty, migrated backend; end them afterwards. `options` are `key=value`."""
    doors = [listen("localhost", 0) for _ in range(count)]
    ports = [bound[0].getsockname()[1] for bound in doors]
    pairs = [option.partition("=") for option in options]
    settings = read_settings(
        None,
        {},
        [
            ("issuer", f"http://localhost:{ports[0]}"),
            ("mode", "simulator"),
            ("database.url", backend.database_url),
            ("store.url", backend.store_url),
            ("keys.directory", str(folder / "keys")),
            ("throttle.per_address", "1000000"),
            *((key, value) for key, _, value in pairs),
        ],
    )
    make_keys(folder / "keys")
    clock = Clock(folder / "clock")
    inbox = Inbox(folder / "inbox.jsonl", clock)
    house = await House.open(settings, clock, inbox)
    running, started = Running(), Fleet(house, inbox, ports)
    try:
        async with house.database.begin() as db:
            await ensure_keys(db, house.key_holder, clock.now(), ["ES256"])  # an RSA key takes half a second to find
            capabilities, fetcher = house.provider.capabilities, house.provider.fetcher
            await import_json(db, json.dumps(clients), capabilities, clock.now(), fetcher=fetcher)
        assert tomllib.loads(people)
        started.people = await create_people(house, read_people(people, "people"), clock.now())
        workers = [Workers(1, settings, bound, clock_file=folder / "clock", restart=False) for bound in doors]
        for one in workers:
            running.start("a worker", one.run(), one.stop)
        outbox = house.worker(0.05)
        running.start("the outbox worker", outbox.run(), outbox.stop)
        await asyncio.wait_for(asyncio.gather(*(one.ready() for one in workers)), 60)
        yield started
    finally:
        for browser in started.browsers:
            browser.close()
        await running.stop()
        await house.close()
        for bound in itertools.chain(*doors):
            bound.close()
