"""What we fetch from relying parties: https, public addresses, no redirects, three seconds, one megabyte (R72)."""

from typing import Protocol

import msgspec

from accounts.errors import Refusal


class FetchFailed(Refusal):
    """The other side did not answer as it must. `detail` says why, without what it sent."""

    def __init__(self, detail: str) -> None:
        super().__init__("fetch_failed", status=502, detail=detail)


class FetchPolicy(msgspec.Struct, frozen=True):
    """R72. `loopback_http` is for demo and simulator only."""

    loopback_http: bool = False
    seconds: float = 3.0
    max_bytes: int = 1_000_000


class Fetched(msgspec.Struct, frozen=True):
    """An answer, whatever its status."""

    status: int
    body: bytes


class Fetcher(Protocol):
    """Goes out for us."""

    async def get(self, url: str) -> Fetched:
        """The document. Raises `FetchFailed`."""

    async def post_form(self, url: str, fields: dict[str, str]) -> Fetched:
        """The answer to a form (a logout token). Raises `FetchFailed`."""
