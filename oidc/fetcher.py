"""What we ask of relying parties' servers: https, public addresses, no redirects, three seconds, one megabyte (R72)."""

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import SplitResult

import httpx2
import msgspec

from accounts.errors import Refusal
from oidc.protocol.uris import is_for_tests, is_loopback, split_uri

Address = IPv4Address | IPv6Address

SECONDS = 3.0
MAX_BYTES = 1_000_000
LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
MAX_TRIED = 4


class FetchFailed(Refusal):
    """The other side did not answer as it must. `detail` says why, without what it sent."""

    def __init__(self, detail: str) -> None:
        super().__init__("fetch_failed", status=502, detail=detail)


class Fetched(msgspec.Struct, frozen=True):
    """An answer, whatever its status."""

    status: int
    body: bytes


class Fetcher:
    """Goes out for us, bounded in every way, to where the name leads now and nowhere else.

    `allow_loopback` is for demo and simulator: plain http to this machine, and `*.localhost` is this machine
    (RFC 6761 section 6.3).
    """

    def __init__(self, *, allow_loopback: bool = False, seconds: float = SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self._allow_loopback = allow_loopback
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._client: httpx2.AsyncClient | None = None

    async def get(self, url: str, accept: str = "application/json") -> Fetched:
        """A document. Raises `FetchFailed`."""
        return await self._bounded("GET", url, {"accept": accept}, None)

    async def post_form(self, url: str, fields: Mapping[str, str]) -> Fetched:
        """The answer to a form. Raises `FetchFailed`."""
        return await self._bounded("POST", url, {}, fields)

    async def post_json(self, url: str, document: Mapping[str, Any], *, bearer: str) -> Fetched:
        """The answer to a JSON document, sent with a bearer token. Raises `FetchFailed`."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {bearer}"}
        return await self._bounded("POST", url, headers, None, msgspec.json.encode(document))

    async def close(self) -> None:
        """Give back connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _bounded(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        content: bytes | None = None,
    ) -> Fetched:
        parts = split_uri(url)
        if parts is None or not parts.hostname or "@" in parts.netloc:
            raise FetchFailed("not an address that can be fetched")
        if parts.scheme != "https" and not (
            parts.scheme == "http" and self._allow_loopback and is_for_tests(parts.hostname)
        ):
            raise FetchFailed("not https")
        try:
            async with asyncio.timeout(self._seconds):
                addresses = await self._resolve(parts.hostname)
                return await self._ask(method, parts, addresses, headers, form, content)
        except TimeoutError:
            raise FetchFailed(f"no answer within {self._seconds:g} seconds") from None
        except httpx2.HTTPError as error:
            raise FetchFailed(type(error).__name__) from error

    async def _resolve(self, host: str) -> tuple[Address, ...]:
        """Where the name leads. One address that is not public spoils them all: it is not a mistake one makes."""
        if is_loopback(host):
            if not self._allow_loopback:
                raise FetchFailed("not a public address")
            # Never asked of a resolver: `parks.localhost` is this machine by definition.
            return (ip_address(host),) if _is_literal(host) else LOOPBACK
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise FetchFailed("the name does not resolve") from None
        addresses = tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
        may_be_private = self._allow_loopback and is_for_tests(host)
        if not addresses or not (may_be_private or all(is_public(address) for address in addresses)):
            raise FetchFailed("not a public address")
        return addresses[:MAX_TRIED]

    async def _ask(
        self,
        method: str,
        parts: SplitResult,
        addresses: tuple[Address, ...],
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        content: bytes | None,
    ) -> Fetched:
        for address in addresses:
            try:
                return await self._ask_at(address, method, parts, headers, form, content)
            except httpx2.ConnectError:
                if address == addresses[-1]:
                    raise
        raise FetchFailed("no address")

    async def _ask_at(
        self,
        address: Address,
        method: str,
        parts: SplitResult,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        content: bytes | None,
    ) -> Fetched:
        """The connection goes to the address that was judged; the name stays in `Host` and in TLS, where the
        certificate is judged by it. A second look-up could lead elsewhere."""
        if self._client is None:
            self._client = httpx2.AsyncClient(
                trust_env=False,  # a proxy would look the name up again, by itself
                follow_redirects=False,
                timeout=self._seconds,
                limits=httpx2.Limits(max_connections=100, max_keepalive_connections=0),
            )
        literal = f"[{address}]" if address.version == 6 else str(address)
        port = f":{parts.port}" if parts.port else ""
        pinned = parts._replace(netloc=literal + port, fragment="").geturl()
        request = self._client.build_request(
            method,
            pinned,
            headers={"host": parts.netloc, "accept-encoding": "identity", "user-agent": "identity-house", **headers},
            data=form,
            content=content,
            extensions={"sni_hostname": parts.hostname},
        )
        response = await self._client.send(request, stream=True)
        try:
            return Fetched(response.status_code, await self._read(response))
        finally:
            await response.aclose()

    async def _read(self, response: httpx2.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchFailed("compressed, though we said no")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise FetchFailed(f"more than {self._max_bytes} bytes")
        return bytes(body)


_NAT64 = IPv6Address("64:ff9b::")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; IPv4 inside IPv6 is looked at as what it is."""
    if isinstance(address, IPv6Address):
        if int(address) >> 32 == int(_NAT64) >> 32:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
