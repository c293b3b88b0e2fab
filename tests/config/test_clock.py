"""One clock: in the simulator its offset is shared by every process, elsewhere nothing can move it."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.clock import Clock

SOON = timedelta(seconds=5)


def test_the_clock_says_the_present_instant_in_utc() -> None:
    now = Clock().now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < SOON


def test_outside_the_simulator_nobody_moves_it() -> None:
    with pytest.raises(RuntimeError, match="only the simulator's clock"):
        Clock().advance(1)


def test_what_one_process_moves_every_process_sees(tmp_path: Path) -> None:
    here, there = Clock(tmp_path / "offset"), Clock(tmp_path / "offset")

    here.advance(3600)
    here.advance(0.5)
    program = "import sys, pathlib, config.clock as c; print(c.Clock(pathlib.Path(sys.argv[1])).now().isoformat())"
    command = [sys.executable, "-c", program, str(tmp_path / "offset")]
    elsewhere = datetime.fromisoformat(subprocess.check_output(command, text=True).strip())

    for now in (here.now(), there.now(), elsewhere):
        assert abs(now - datetime.now(UTC) - timedelta(seconds=3600.5)) < SOON


@pytest.mark.parametrize("seconds", [-1, 1e12, float("nan"), float("inf")])
def test_time_goes_forward_and_not_to_the_end_of_the_world(tmp_path: Path, seconds: float) -> None:
    clock = Clock(tmp_path / "offset")

    with pytest.raises(ValueError, match="seconds"):
        clock.advance(seconds)

    assert abs(clock.now() - datetime.now(UTC)) < SOON
