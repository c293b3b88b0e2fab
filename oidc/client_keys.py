"""The public keys of clients: registered by value, or fetched from where the client publishes them."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import anyio
import msgspec
from joserfc.jwk import Key

from oidc.client import RegisteredClient
from oidc.fetcher import Fetcher, FetchFailed
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.jwt import UnknownKey
from oidc.protocol.keys import read_key_set
from oidc.protocol.strict_json import json_object

FRESH = timedelta(minutes=5)
"""How long a fetched key set is used without asking again."""
ASK_AGAIN = timedelta(minutes=1)
"""How often an unknown key makes us ask before the time: a stranger can name unknown keys all day."""
STALE = timedelta(hours=1)
"""How long the last key set serves while the client's server does not answer."""
MAX_HELD = 10_000

Result = TypeVar("Result")


class _Held(msgspec.Struct):
    """`metadata` is the very value the keys belong to: a changed registration brings another."""

    metadata: ClientMetadata
    keys: tuple[Key, ...]
    fetched_at: datetime
    tried_at: datetime
    forced_at: datetime | None = None


class ClientKeys:
    """The key sets this process has met."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def verified(
        self,
        client: RegisteredClient,
        verify: Callable[[tuple[Key, ...]], Result],
        now: datetime,
        before_fetch: Callable[[], Awaitable[None]],
    ) -> Result:
        """What `verify` makes of the client's keys. Where it knows no key that fits, the client may have changed them:
        they are fetched once more, at most once a minute. `before_fetch` gives back what must not wait with us.

        Raises what `verify` raises, and `FetchFailed`.
        """
        try:
            return verify(await self._keys(client, now, before_fetch, force=False))
        except UnknownKey:
            if client.metadata.jwks_uri is None:
                raise
        return verify(await self._keys(client, now, before_fetch, force=True))

    async def _keys(
        self, client: RegisteredClient, now: datetime, before_fetch: Callable[[], Awaitable[None]], *, force: bool
    ) -> tuple[Key, ...]:
        held = self._held.get(client.client_id)
        address, is_ours = client.metadata.jwks_uri, held is not None and held.metadata is client.metadata
        if held is not None and is_ours and not force and (address is None or _is_within(held.tried_at, FRESH, now)):
            return held.keys
        if address is None:
            return self._keep(client, read_key_set(client.metadata.jwks), now).keys
        await before_fetch()
        async with self._locks.setdefault(client.client_id, anyio.Lock()):
            return await self._fetched(client, address, now, force)

    async def _fetched(self, client: RegisteredClient, address: str, now: datetime, force: bool) -> tuple[Key, ...]:
        held = self._held.get(client.client_id)
        if held is not None and held.metadata is client.metadata:
            if not force and _is_within(held.tried_at, FRESH, now):
                return held.keys  # another request fetched them while this one waited
            if force and held.forced_at is not None and _is_within(held.forced_at, ASK_AGAIN, now):
                return held.keys
            held.tried_at = now
            held.forced_at = now if force else held.forced_at
        else:
            held = None
        try:
            keys = await self._fetch(address)
        except FetchFailed:
            if held is None or not _is_within(held.fetched_at, STALE, now):
                raise
            # Asked again in a minute, not with every request that comes.
            held.tried_at = now - FRESH + ASK_AGAIN
            return held.keys
        fresh = self._keep(client, keys, now)
        fresh.forced_at = held.forced_at if held is not None else None
        return fresh.keys

    async def _fetch(self, address: str) -> tuple[Key, ...]:
        answer = await self._fetcher.get(address)
        if answer.status != 200:
            raise FetchFailed(f"status {answer.status}")
        document = json_object(answer.body)
        if document is None:
            raise FetchFailed("not a JSON object")
        return read_key_set(document)

    def _keep(self, client: RegisteredClient, keys: tuple[Key, ...], now: datetime) -> _Held:
        if len(self._held) >= MAX_HELD:
            self._held.clear()
            self._locks.clear()
        self._held[client.client_id] = held = _Held(client.metadata, keys, now, now)
        return held


def _is_within(instant: datetime, limit: timedelta, now: datetime) -> bool:
    return timedelta(0) <= now - instant < limit
