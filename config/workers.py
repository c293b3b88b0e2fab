"""Several worker processes behind one listening socket: started, watched, ended together."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

import msgspec

from config.clock import Clock
from config.house import House
from config.logging import configure_logging, logger
from config.server import Running, run
from config.settings import Settings

END_SECONDS = 4.5
"""After this a worker that was asked to end is killed."""
LONGEST_PAUSE = 5.0
COMMAND = (sys.executable, "-P", "-m", "config.cli", "work")

log = logger("workers")


class WorkerFailed(Exception):
    """A worker process ended by itself; the log says why."""


class Orders(msgspec.Struct, frozen=True):
    """What a worker process is told on its standard input, never on its command line: settings hold secrets."""

    settings: Settings
    sockets: list[int]
    clock_file: str | None
    outbox: bool


class Workers:
    """Keeps `count` processes serving the sockets. With `restart` one that dies is replaced, else it ends all."""

    def __init__(
        self,
        count: int,
        settings: Settings,
        sockets: Sequence[socket.socket],
        *,
        clock_file: Path | None = None,
        outbox: bool = False,
        restart: bool = True,
    ) -> None:
        self._settings = settings
        self._sockets = [bound.fileno() for bound in sockets]
        self._clock_file = None if clock_file is None else str(clock_file)
        self._outbox = outbox
        self._restart = restart
        self._stopping = False
        self._processes: dict[int, Process] = {}
        self._ready = [asyncio.Event() for _ in range(count)]

    async def run(self) -> None:
        """Work until `stop`. Raises `WorkerFailed` when a worker cannot start, or may not be replaced."""
        keepers = [asyncio.create_task(self._keep(number)) for number in range(len(self._ready))]
        try:
            await asyncio.gather(*keepers)
        finally:
            self.stop()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def ready(self) -> None:
        """Wait until every worker has answered once."""
        await asyncio.gather(*(event.wait() for event in self._ready))

    def stop(self) -> None:
        """Ask every worker to finish what it holds and end."""
        self._stopping = True
        for process in self._processes.values():
            _send(process, "terminate")
            asyncio.get_running_loop().call_later(END_SECONDS, _send, process, "kill")

    async def _keep(self, number: int) -> None:
        pause = 0.1
        while not self._stopping:
            began = time.monotonic()
            process = await self._begin(number)
            if await _line(process):
                self._ready[number].set()
            status = await process.wait()
            del self._processes[number]
            if self._stopping:
                return
            if not self._restart or not self._ready[number].is_set():
                raise WorkerFailed(f"a worker process ended with status {status}; the log above says why")
            log.error("worker_died", worker=number, status=status)
            # One that keeps dying is not started in a tight loop.
            pause = 0.1 if time.monotonic() - began > 60 else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _begin(self, number: int) -> Process:
        # A session of its own: Ctrl-C reaches the parent alone, which passes it on as SIGTERM.
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, pass_fds=self._sockets, start_new_session=True
        )
        self._processes[number] = process
        if self._stopping:
            _send(process, "terminate")
        orders = Orders(self._settings, self._sockets, self._clock_file, self._outbox and number == 0)
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(orders) + b"\n")
        return process


def _send(process: Process, what: str) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            getattr(process, what)()


async def _line(process: Process) -> bytes:
    return b"" if process.stdout is None else await process.stdout.readline()


def work() -> None:
    """The life of one worker process: orders in, `ready` out, then serving until told to end or until its parent is
    gone, which closes its standard input."""
    configure_logging()
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    run(lambda stopping: _serve(orders, stopping))


async def _serve(orders: Orders, stopping: asyncio.Event) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _end_with_parent, stopping)
    clock = Clock(Path(orders.clock_file) if orders.clock_file else None)
    house = await House.open(orders.settings, clock)
    running = Running()
    try:
        await serve_house(running, house, [socket.socket(fileno=number) for number in orders.sockets], orders.outbox)
        os.write(sys.stdout.fileno(), b"ready\n")
        await running.until(stopping.wait())
    finally:
        await running.stop()
        await house.close()


def _end_with_parent(stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 64):
        stopping.set()
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


async def serve_house(
    running: Running, house: House, sockets: Sequence[socket.socket], outbox: bool, pause: float = 0.5
) -> None:
    """Have a house answer on these sockets, with its outbox worker beside it where asked; returns when it answers."""
    from config.app import create_app  # everything else is behind this import

    await running.serve("the service", create_app(house), sockets)
    if outbox:
        worker = house.worker(pause)
        running.start("the outbox worker", worker.run(), worker.stop)
