"""The one clock. Every instant of the service starts here and is handed down as `now`."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path


class Clock:
    """The time of this service. In the simulator an offset, shared by all processes through one small file,
    moves every worker, expiry and signature together; elsewhere there is no offset and no way to set one."""

    def __init__(self, offset_file: Path | None = None) -> None:
        self._shared: mmap.mmap | None = None
        if offset_file is not None:
            if not offset_file.exists():
                offset_file.write_bytes(struct.pack("<d", 0.0))
            with offset_file.open("r+b") as file:
                self._shared = mmap.mmap(file.fileno(), 8)

    def now(self) -> datetime:
        """This instant, aware, in UTC."""
        now = datetime.now(UTC)
        if self._shared is None:
            return now
        return now + timedelta(seconds=struct.unpack("<d", self._shared[:8])[0])

    def advance(self, seconds: float) -> datetime:
        """Move the shared clock forward; the new now. Raises RuntimeError where the clock is not a simulated one."""
        if self._shared is None:
            raise RuntimeError("only the simulator's clock can be moved")
        if not 0 <= seconds <= 10 * 366 * 86400:
            raise ValueError("seconds: a number from 0 to ten years")
        self._shared[:8] = struct.pack("<d", struct.unpack("<d", self._shared[:8])[0] + seconds)
        return self.now()
