"""What has become of a secret that was presented and is good for nothing: for the log, never for who presented it."""

from datetime import datetime
from typing import Any


def why_not(row: Any, client_id: str, now: datetime) -> str:
    """`row` is what is kept of it, with `client_id` and `expires_at`, or None; `client_id` is who presented it."""
    if row is None:
        return "unknown"
    if row.client_id != client_id:
        return "of another client"
    return "expired" if row.expires_at <= now else "its grant has ended"
