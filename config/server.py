"""The server: uvicorn inside our own process, on sockets that are bound already."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import uvicorn
import uvloop

from config.patience import PatientProtocol

IDLE_SECONDS = 65
"""How long an unused connection is kept: a little longer than proxies commonly keep theirs."""
GRACE_SECONDS = 3
"""What requests that are under way get to finish when the service ends."""

Finished = TypeVar("Finished")


class AddressTaken(Exception):
    """Something else listens there already."""


class Server(uvicorn.Server):
    """uvicorn that leaves signals to the command that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Running:
    """What runs in one loop until it is told to stop: servers, the outbox worker. All are told at once."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._stops: list[Callable[[], object]] = []

    async def serve(self, name: str, app: Any, sockets: Sequence[socket.socket]) -> None:
        """Serve an ASGI application; returns when it answers."""
        server = Server(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                loop="none",
                interface="asgi3",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

        def stop() -> None:
            server.should_exit = True

        task = self.start(name, server.serve(sockets=list(sockets)), stop)
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError(f"{name} ended before it answered")
            await asyncio.sleep(0.005)

    def start(self, name: str, work: Coroutine[Any, Any, None], stop: Callable[[], object]) -> asyncio.Task[None]:
        """Run anything else that ends some time after `stop` was called."""
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = name
        self._stops.append(stop)
        return task

    async def until(self, *awaited: Awaitable[object]) -> None:
        """Wait until one of these is there; raises when one part ends by itself before."""
        gc.freeze()  # what is there now stays: code, routes, statements
        gc.enable()
        waiting = [asyncio.ensure_future(one) for one in awaited]
        await asyncio.wait([*waiting, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        if any(one.done() for one in waiting):
            for one in waiting:
                one.cancel()
            return
        for task, name in self._tasks.items():
            if task.done():
                task.result()
                raise RuntimeError(f"{name} ended by itself")

    async def stop(self) -> None:
        """Tell every part to end, and wait until all have."""
        for stop in self._stops:
            stop()
        if self._tasks:
            await asyncio.wait(self._tasks)


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind the address; `localhost` is both loopback addresses, because clients differ in which one they try.
    Port 0 takes a free one. Raises `AddressTaken`, or OSError for an address that is not this machine's."""
    if host != "localhost":
        return [_bind(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)]
    for _ in range(20):
        first = _bind(socket.AF_INET, "127.0.0.1", port)
        try:
            return [first, _bind(socket.AF_INET6, "::1", first.getsockname()[1])]
        except AddressTaken:
            first.close()
            if port != 0:
                raise
        except OSError:  # a machine without IPv6
            return [first]
    raise AddressTaken("no port is free on both loopback addresses")


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(2048)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressTaken(f"port {port} is taken by another program") from error
        raise
    return bound


def run(main: Callable[[asyncio.Event], Awaitable[Finished]]) -> Finished:
    """Run `main` on uvloop. It gets an event that SIGTERM and SIGINT set; ending is its own affair."""

    async def with_signals() -> Finished:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        return await main(stopping)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(with_signals())
