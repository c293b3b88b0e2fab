"""The sweeper: every few minutes what has run out is deleted, in small batches, beside the outbox worker.

Several may run at once, in several workers: each batch is a statement of its own, and rows that one holds the others
leave. What has to stay, and how long, each noun's module says where its `sweep` is.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from accounts import outbox
from accounts.database import Database
from accounts.errors import DatabaseUnavailable
from accounts.sweeping import BATCH, Sweep
from config.clock import Clock
from config.logging import logger
from identity import (
    confirmation_code,
    contact_change,
    notice,
    recovery,
    recovery_visit,
    registration,
    remembered_browser,
    sign_in,
    throttle_row,
)
from oidc.sweeping import SWEEPS

EVERY = timedelta(minutes=5)
MOST_BATCHES = 200
"""Of one table in one round: the rest waits for the next round."""
PAUSE = 0.02
"""Seconds between two full batches: requests come first."""

log = logger("sweeper")


def every_sweep() -> dict[str, Sweep]:
    """Every sweep by its table, those before that others lean on."""
    return {
        **SWEEPS,
        "registration": registration.sweep,
        "sign_in": sign_in.sweep,
        "confirmation_code": confirmation_code.sweep,
        "contact_change": contact_change.sweep,
        "recovery": recovery.sweep,
        "throttle": throttle_row.forget,
        "remembered_browser": remembered_browser.sweep,
        "recovery_visit": recovery_visit.sweep,
        "notice": notice.sweep,
        "outbox": outbox.sweep,
    }


class Sweeper:
    """Sweeps when it is due. A sweep that fails is told in the log and stops no other."""

    def __init__(self, database: Database, clock: Clock, sweeps: Mapping[str, Sweep]) -> None:
        self._database = database
        self._clock = clock
        self._sweeps = sweeps
        self._due_at: datetime | None = None

    def is_due(self) -> bool:
        """Whether a round is due; saying so begins the wait for the next one. The first comes after a whole wait:
        a service that has just started has better things to do."""
        now = self._clock.now()
        if self._due_at is None:
            self._due_at = now + EVERY
        if now < self._due_at:
            return False
        self._due_at = now + EVERY
        return True

    async def round(self) -> dict[str, int]:
        """Sweep every table; how many rows went of each."""
        gone = {name: await self._sweep(name, sweep) for name, sweep in self._sweeps.items()}
        if any(gone.values()):
            log.info("swept", **{name: count for name, count in gone.items() if count})
        return gone

    async def _sweep(self, name: str, sweep: Sweep) -> int:
        total = 0
        try:
            for _ in range(MOST_BATCHES):
                async with self._database.begin() as db:
                    gone = await sweep(db, self._clock.now())
                total += gone
                if gone != BATCH:
                    break
                await asyncio.sleep(PAUSE)
        except DatabaseUnavailable:
            log.warning("sweep_failed", table=name)  # what has run out waits for the next round
        except Exception:
            log.exception("sweep_failed", table=name)
        return total
