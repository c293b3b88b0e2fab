"""What every test can ask for; the servers come from services.py, what verbs work on from stage.py."""

import os

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A logger that is cached cannot be listened to, and a command that a test runs in this process configures them all.
_configure = structlog.configure
structlog.configure = lambda **given: _configure(**{**given, "cache_logger_on_first_use": False})

pytest_plugins = ["services", "stage", "conformance.table"]

# Two shared cores make time limits lie; in CI the examples are the same on every run. Many more, and others each time:
# HYPOTHESIS_PROFILE=nightly.
ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("house", ANY, max_examples=40, derandomize=os.environ.get("CI") == "true")
settings.register_profile("nightly", ANY, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


PROGRAMS = {"conformance", "faults", "journeys", "parties", "test_demo.py", "test_server.py", "test_simulator.py"}
"""Folders and files in which nearly every test starts some."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest is begun first, so that the workers end together (with --no-loadscope-reorder)."""
    for item in items:
        if PROGRAMS & {item.path.name, item.path.parent.name} or "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("programs")
    items.sort(key=lambda item: not item.path.match("tests/journeys/*"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Every async test runs on asyncio, which is what the servers run on."""
    return "asyncio"
