"""Refusals: an expected "no", with a reason that may be shown."""

CRASHED = "crashed"
"""Key of a request's state: set by whoever answers for an exception that nobody expected, so that nothing of what the
request wrote is kept."""


class Refusal(Exception):
    """An expected "no". It keeps what the request wrote (the counted attempt, the revoked grant).

    `reason` is a stable key that the edge turns into words; `detail` is for the log alone and holds no secret;
    `retry_after` is in seconds.
    """

    def __init__(self, reason: str, *, status: int = 400, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class SignInRequired(Refusal):
    """The page needs a signed-in citizen."""

    def __init__(self) -> None:
        super().__init__("not_signed_in", status=401)


class FreshSignInRequired(Refusal):
    """The page needs a citizen who signed in within the last minutes (R30)."""

    def __init__(self) -> None:
        super().__init__("not_fresh", status=401)


class StoreUnavailable(Refusal):
    """The store did not answer; nothing that depends on it may pass (R75)."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("store_unavailable", status=503, detail=detail, retry_after=5)
