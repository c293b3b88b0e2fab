"""The outbox worker: leases what is due, does each piece apart, writes down how it went (accounts/outbox.py).

Beside it the sweeper runs, when its time has come."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime

from accounts.database import Database
from accounts.errors import DatabaseUnavailable
from accounts.outbox import Leased, finish, lease, postpone
from accounts.vault import Vault
from config.clock import Clock
from config.logging import logger
from config.sweeper import Sweeper

Handler = Callable[[Leased, datetime], Awaitable[None]]
"""Does one piece of work; raises to have it tried again. What it does, it may do twice."""

BATCH = 20
log = logger("worker")


class Worker:
    """Works until it is told to stop. One slow or dead receiver delays no other: each piece is a task of its own."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        handlers: Mapping[str, Handler],
        pause: float = 0.5,
        sweeper: Sweeper | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._handlers = handlers
        self._pause = pause
        self._sweeper = sweeper
        self._sweeping: asyncio.Task[object] | None = None
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Ask the worker to finish what it holds and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. What was leased and not finished comes back to another worker by itself."""
        while not self._stopping.is_set():
            try:
                leased = await self.step()
            except DatabaseUnavailable:
                leased = 0  # nothing is lost, the rows wait
            except Exception:
                log.exception("outbox_unreachable")
                leased = 0
            self._sweep_when_due()
            if leased < BATCH:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._pause)
        if self._sweeping is not None:
            self._sweeping.cancel()  # its batches are small, and the next worker goes on where it was
            with suppress(asyncio.CancelledError):
                await self._sweeping
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3)

    def _sweep_when_due(self) -> None:
        if self._sweeper is None or not self._sweeper.is_due():
            return
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweeper.round())

    async def step(self) -> int:
        """Lease what is due now and start it; how many pieces that were."""
        room = 4 * BATCH - len(self._tasks)
        if room <= 0:
            return 0
        async with self._database.begin() as db:
            leased = await lease(db, self._vault, self._clock.now(), min(BATCH, room))
        for work in leased:
            task = asyncio.create_task(self._do(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(leased)

    async def drain(self) -> None:
        """Do all that is due, and wait for it (tests, and commands that exit)."""
        while await self.step() or self._tasks:
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def _do(self, work: Leased) -> None:
        handler = self._handlers.get(work.kind)
        failure = f"no handler for {work.kind}" if handler is None else ""
        if handler is not None:
            try:
                await handler(work, self._clock.now())
            except Exception as error:
                # The text of an exception may hold an address; its type does not.
                failure = type(error).__name__
                log.warning("outbox_failed", kind=work.kind, id=str(work.id), attempt=work.attempt, error=failure)
        try:
            await self._write_down(work, failure)
        except DatabaseUnavailable:
            log.warning("outbox_outcome_lost", kind=work.kind, id=str(work.id))  # as below
        except Exception:
            # The lease runs out, and it is done again: handlers are made for that.
            log.exception("outbox_outcome_lost", kind=work.kind, id=str(work.id))

    async def _write_down(self, work: Leased, failure: str) -> None:
        async with self._database.begin() as db:
            now = self._clock.now()
            if not failure:
                await finish(db, work, now)
            elif not await postpone(db, work, failure, now):
                log.error("outbox_gave_up", kind=work.kind, id=str(work.id), attempts=work.attempt, error=failure)
