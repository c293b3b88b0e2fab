"""The inbox of demo and simulator: every message in one file that the processes share, a line each."""

import fcntl
import os
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from accounts.database import new_id
from config.clock import Clock
from config.mail import Rendered


class InboxMessage(msgspec.Struct, frozen=True):
    """One message as it arrived; `channel` is email or sms, `code` the one-time code in it."""

    id: UUID
    channel: str
    to: str
    subject: str
    text: str
    code: str | None
    sent_at: datetime


class Inbox:
    """A transport that keeps what it sends, for people and tests to read."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

    async def send(self, message: Rendered) -> None:
        """Append one message, whole."""
        now = self._clock.now()
        kept = InboxMessage(new_id(now), message.channel, message.to, message.subject, message.text, message.code, now)
        self._append(msgspec.json.encode(kept) + b"\n")

    def _append(self, line: bytes) -> None:
        with open(self._path, "ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line)

    def messages(self, to: str | None = None) -> list[InboxMessage]:
        """What has arrived, newest first; for one address, in any case it is written."""
        read = msgspec.json.Decoder(InboxMessage).decode
        lines = self._path.read_bytes().splitlines()
        found = [read(line) for line in reversed(lines)]
        return [it for it in found if to is None or it.to.casefold() == to.casefold()]
