"""A small TCP proxy before a server, to be between it and whoever asks: it refuses, cuts, falls silent, comes back."""

import asyncio
import socket
import struct


class Proxy:
    """On a port of its own. What is asked of it goes on to the server, as long as nothing else is said."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._cut_after, self._times = b"", 0
        self.port = 0
        self.connections = 0

    async def start(self) -> None:
        """Take connections; after `refuse` on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut what there is and take no connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def cut(self) -> None:
        """Reset what there is; new connections are taken."""
        self.silence(False)
        for writer in tuple(self._open):
            _reset(writer)

    def silence(self, silent: bool = True) -> None:
        """Take everything and pass nothing on."""
        (self._speaks.clear if silent else self._speaks.set)()

    def cut_after(self, sent: bytes, times: int = 1) -> None:
        """Pass the next message with these bytes to the server (or one after it), and reset instead of passing its
        answer."""
        self._cut_after, self._times = sent, times

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, out = await asyncio.open_connection("127.0.0.1", self._target)
        pair = {writer, out}
        self._open |= pair
        cutting = False

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, is_question: bool) -> None:
            nonlocal cutting
            try:
                while data := await source.read(65536):
                    await self._speaks.wait()
                    if is_question and self._cut_after and self._cut_after in data:
                        self._times -= 1
                        if not self._times:
                            self._cut_after, cutting = b"", True
                    elif cutting:
                        break
                    target.write(data)
                    await target.drain()
            except OSError:
                pass
            for one in pair:
                _reset(one)

        try:
            await asyncio.gather(pass_on(reader, out, True), pass_on(there, writer, False))
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would report it
        finally:
            self._open -= pair


def _reset(writer: asyncio.StreamWriter) -> None:
    held = writer.get_extra_info("socket")
    if held is not None and held.fileno() >= 0:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
