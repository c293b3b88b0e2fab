"""A small HTTP server on this machine, for tests of what we fetch: it answers what it is told and counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answer = Callable[[bytes], Awaitable[bytes]]


class Loopback:
    """`answer` makes the whole response from the request's head; `heads` are the requests so far."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = self.say(b"{}")
        self.port = 0

    def url(self, path: str = "/", host: str = "parks.localhost") -> str:
        """An address on this server."""
        return f"http://{host}:{self.port}{path}"

    @staticmethod
    def say(body: bytes, status: str = "200 OK", headers: str = "") -> Answer:
        """Always this."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()

        async def answer(_: bytes) -> bytes:
            return head + body

        return answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.bodies.append(await reader.readexactly(int(length[0].split(b":")[1])) if length else b"")
            writer.write(await self.answer(head))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    """Up for the length of a test."""
    made = Loopback()
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
