"""What the log says of a server that is away: one line a second at most over all requests, and one when it is back."""

import time
from collections.abc import Callable

import structlog

EVERY = 1.0
"""Seconds between two lines at least."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("outage")


class Outage:
    """One server as this process sees it. `what` is "database" or "store", `name` where it is, without its password."""

    def __init__(self, what: str, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._name, self._clock = what, name, clock
        self._since: float | None = None
        self._is_told = False
        self._said_at: float | None = None

    def failed(self, why: str, *, away: bool = True) -> None:
        """It did not answer. Where it only has no room or time for us, `away` is False: then it need not come back."""
        now = self._clock()
        if away and self._since is None:
            self._since = now
        if self._said_at is None or now - self._said_at >= EVERY:
            self._said_at = now
            self._is_told = self._since is not None
            log.error("away" if away else "overloaded", what=self._what, name=self._name, why=why)

    def answered(self) -> None:
        """It answered, as nearly always."""
        if self._since is not None:
            if self._is_told:  # one that comes and goes within a second says no more than one that is away
                log.warning("back", what=self._what, name=self._name, seconds=round(self._clock() - self._since, 1))
            self._since, self._is_told = None, False
