"""A small HTTP/1.1 client for loads: keeps connections and cookies, follows nothing, costs little."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One kept connection and the cookies of one browser."""

    def __init__(self, port: int, cookies: dict[str, str] | None = None) -> None:
        self.cookies = dict(cookies or {})
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return await self._ask(f"GET {path} HTTP/1.1", headers, b"")

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """POST a form."""
        body = urlencode(fields).encode()
        kind = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
        return await self._ask(f"POST {path} HTTP/1.1", {**kind, **headers}, body)

    async def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def _ask(self, line: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        sent = {"host": f"localhost:{self._port}", **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = "\r\n".join([line, *(f"{name}: {value}" for name, value in sent.items()), "", ""])
        self._writer.write(head.encode() + body)
        first, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        received: dict[str, str] = {}
        for header in rest:
            name, _, value = header.partition(": ")
            if name.lower() == "set-cookie":
                cookie, _, secret = value.partition(";")[0].partition("=")
                self.cookies[cookie] = secret
            received[name.lower()] = value
        content = await self._reader.readexactly(int(received.get("content-length", "0")))
        return Answer(int(first.split()[1]), received, content)
