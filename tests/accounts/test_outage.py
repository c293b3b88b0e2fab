"""What the log says of a server that is away: once a second, and once when it is back."""

from structlog.testing import capture_logs

from accounts.outage import Outage


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_one_line_a_second_and_one_at_the_end() -> None:
    clock = Clock()
    outage = Outage("database", "db.example.gov/identity", clock)
    with capture_logs() as lines:
        outage.answered()
        for _ in range(25):
            outage.failed("connection refused")
            clock.seconds += 0.1
        outage.answered()
        outage.answered()
    assert [line["event"] for line in lines] == ["away", "away", "away", "back"]
    assert lines[0] == {
        "event": "away",
        "log_level": "error",
        "what": "database",
        "name": "db.example.gov/identity",
        "why": "connection refused",
    }
    assert lines[-1]["seconds"] == 2.5


def test_one_that_is_only_overloaded_does_not_come_back() -> None:
    outage = Outage("database", "identity.sqlite", Clock())
    with capture_logs() as lines:
        outage.failed("no connection is free", away=False)
        outage.answered()
    assert [line["event"] for line in lines] == ["overloaded"]


def test_one_that_comes_and_goes_within_a_second_is_told_once() -> None:
    """Some connections of many are refused: no line for each."""
    clock = Clock()
    outage = Outage("database", "db.example.gov/identity", clock)
    with capture_logs() as lines:
        for _ in range(9):
            outage.failed("too many clients")
            outage.answered()
            clock.seconds += 0.1
    assert [line["event"] for line in lines] == ["away", "back"]
