"""Until when what a page's form holds can be sent, so that the page can say so in time (WCAG 2.2, 2.2.1 and 2.2.6)."""

from datetime import datetime

import msgspec

from identity.session import SessionPolicy, SessionView, is_due_for_touch


class TimeLimit(msgspec.Struct, frozen=True):
    """`seconds`: how long that is from now; `can_stay`: whether using the session moves it."""

    at: datetime
    seconds: int
    can_stay: bool


def limit_of(session: SessionView, policy: SessionPolicy, now: datetime, *, fresh: bool = False) -> TimeLimit:
    """Of a session that is being used now; with `fresh`, of what only a recent sign-in may do (R30, R41)."""
    alive_until = session.alive_until
    if is_due_for_touch(session, policy, now):
        alive_until = min(now + policy.idle, session.ends_at)
    at = min(alive_until, session.auth_time + policy.fresh) if fresh else alive_until
    return TimeLimit(at, max(0, int((at - now).total_seconds())), at == alive_until and at < session.ends_at)
