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


class Unavailable(Refusal):
    """What a request needs did not answer, and the same request may be well in a moment (R81). Nothing that depends on
    it may pass (R75), and nothing is kept. The log says it once for all requests (accounts/outage.py)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, status=503, detail=detail, retry_after=5)


class StoreUnavailable(Unavailable):
    """The store did not answer."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("store_unavailable", detail)


class DatabaseUnavailable(Unavailable):
    """The database is away, or has no room or time for us. Of a COMMIT that ended so nobody knows whether it was
    carried out: what is done once is spent then, or it is not and can be done once."""

    def __init__(self, detail: str = "", *, reason: str = "database_unavailable") -> None:
        super().__init__(reason, detail)
