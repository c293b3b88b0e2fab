"""Waiting for a citizen on another device: how a client may ask (RFC 8628 section 3.5, CIBA Core section 11)."""

from datetime import datetime, timedelta

import msgspec

from oidc.protocol.errors import (
    ACCESS_DENIED,
    AUTHORIZATION_PENDING,
    EXPIRED_TOKEN,
    SLOW_DOWN,
    ProtocolError,
)

INTERVAL = timedelta(seconds=5)
# RFC 8628 section 3.5: each `slow_down` adds five seconds, for this and every later request.
SLOWER = timedelta(seconds=5)
LONGEST_INTERVAL = timedelta(seconds=60)
# A network that delivers early is no impatient client.
GRACE = timedelta(milliseconds=500)


class Waiting(msgspec.Struct, frozen=True):
    """What is kept of a request that waits: `answer` is None, "granted" or "refused"; times as instants."""

    expires_at: datetime
    interval: timedelta = INTERVAL
    polled_at: datetime | None = None
    answer: str | None = None


class Poll(msgspec.Struct, frozen=True):
    """What to keep for the next time, and what to say now: None is "go on and issue"."""

    interval: timedelta
    refusal: ProtocolError | None = None


def poll(waiting: Waiting, now: datetime) -> Poll:
    """The answer to one token request; returned and not raised, because the new interval must be kept."""
    if now >= waiting.expires_at:
        return Poll(waiting.interval, ProtocolError(EXPIRED_TOKEN, "The request has expired."))
    if waiting.polled_at is not None and now - waiting.polled_at < waiting.interval - GRACE:
        slower = min(waiting.interval + SLOWER, max(LONGEST_INTERVAL, waiting.interval))
        return Poll(slower, ProtocolError(SLOW_DOWN, "The client asks too often."))
    if waiting.answer is None:
        return Poll(waiting.interval, ProtocolError(AUTHORIZATION_PENDING, "The person has not answered yet."))
    if waiting.answer != "granted":
        return Poll(waiting.interval, ProtocolError(ACCESS_DENIED, "The person has refused."))
    return Poll(waiting.interval)
