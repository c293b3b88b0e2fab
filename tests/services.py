"""The servers that tests talk to: private, one of each for all workers, started when a test first asks.

Fixtures: `backend` (the test runs on SQLite + memory and on PostgreSQL + Redis), `empty_backend` (without tables),
`module_backend` (one for a module), `postgres_redis` and `module_postgres_redis` (the servers alone), `redis_url`,
`chromium`, `browser`.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis
from playwright.async_api import Browser, async_playwright
from servers import REDIS_DATABASES, SHARED, conninfo, locked, postgres_port, program, redis_port
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from migrations import apply

SQLITE, POSTGRES = "sqlite-memory", "postgres-redis"
CHROMIUM_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


class Backend(msgspec.Struct, frozen=True):
    """Where one test keeps its data: nobody else's, and thrown away afterwards."""

    name: str
    database_url: str
    store_url: str


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process alone makes the shared folder and holds the lock that the keepers wait for."""
    if SHARED in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="identity-tests-")
    os.chmod(folder, 0o711)  # PostgreSQL runs as another user and has its own folder below
    lock = open(Path(folder, "alive"), "w")  # noqa: SIM115 - held until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ[SHARED] = folder
    config.add_cleanup(lambda: _end_services(folder, lock.close))


def _end_services(folder: str, release: Callable[[], None]) -> None:
    release()
    del os.environ[SHARED]
    deadline = time.monotonic() + 15
    while any(Path(folder).glob("*/log")) and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


BOTH = (SQLITE, pytest.param(POSTGRES, marks=pytest.mark.services))


@pytest.fixture(params=BOTH)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A database with every table and a store, both empty and this test's own."""
    yield from _backend(request.param, tmp_path, migrated=True)


@pytest.fixture(params=BOTH)
def empty_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A database without a table (for migrations and for `identity simulate`) and an empty store."""
    yield from _backend(request.param, tmp_path, migrated=False)


@pytest.fixture
def postgres_redis(tmp_path: Path) -> Iterator[Backend]:
    """`backend` for what only servers can show: races, several processes."""
    yield from _backend(POSTGRES, tmp_path, migrated=True)


@pytest.fixture(scope="module", params=BOTH)
def module_backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """`backend` for all tests of a module together, where starting what stands on it is slow."""
    yield from _backend(request.param, tmp_path_factory.mktemp("backend"), migrated=True)


@pytest.fixture(scope="module")
def module_postgres_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """`postgres_redis` for all tests of a module together."""
    yield from _backend(POSTGRES, tmp_path_factory.mktemp("backend"), migrated=True)


@pytest.fixture
def redis_url() -> str:
    """The address of an empty Redis database of this test's own."""
    return _new_redis()


_emptied: list[str] = []
"""PostgreSQL databases of this worker with every table and nobody in them: emptying one takes a tenth of making one."""


def _backend(kind: str, folder: Path, migrated: bool) -> Iterator[Backend]:
    if kind == SQLITE:
        path = folder / "identity.sqlite"
        if migrated:
            shutil.copyfile(_sqlite_template(), path)
        yield Backend(kind, f"sqlite+aiosqlite:///{path}", "memory://")
        return
    if migrated and _emptied:
        name = _emptied.pop()
    else:
        name = f"test_{os.getpid()}_{time.monotonic_ns()}"
        _administer(f'CREATE DATABASE "{name}" TEMPLATE "{_postgres_template() if migrated else "template0"}"')
    yield Backend(kind, f"postgresql+psycopg://identity@127.0.0.1:{postgres_port()}/{name}", _new_redis())
    if migrated:
        _empty(name)
        _emptied.append(name)
    else:
        _administer(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium without a window: the same engine, at half the CPU."""
    return program("Chromium's headless shell")


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One browser for the session; a test opens its own context: `await browser.new_context(...)`."""
    async with _launched(chromium) as launched:
        yield launched


@pytest.fixture
async def whole_browser() -> AsyncIterator[Browser]:
    """Chromium as people have it, which keeps cookies from the frames of other sites."""
    async with _launched(program("Chromium")) as launched:
        yield launched


@asynccontextmanager
async def _launched(path: str) -> AsyncIterator[Browser]:
    flags = [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=flags)
        yield launched
        await launched.close()


def _new_redis() -> str:
    port = redis_port()
    with locked("redis-database") as counter:
        number = (int(counter.read_text() or 0) + 1) % REDIS_DATABASES
        counter.write_text(str(number))
    with redis.Redis(host="127.0.0.1", port=port, db=number) as connection:
        connection.flushdb()
    return f"redis://127.0.0.1:{port}/{number}"


def _administer(statement: str, database: str = "postgres") -> None:
    with psycopg.connect(conninfo(postgres_port(), database), autocommit=True) as connection:
        connection.execute(statement.encode())


def _empty(name: str) -> None:
    """Leave the tables and nothing in them, whoever is still connected."""
    _administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    with psycopg.connect(conninfo(postgres_port(), name), autocommit=True) as connection:
        emptied = ";".join(f'DELETE FROM "{table}"' for (table,) in connection.execute(tables))
        # A foreign key would ask for an order; a replica applies what its source has checked.
        connection.execute(f"SET session_replication_role = replica; {emptied}".encode())


def make_sqlite(url: str) -> None:
    """Put every table where the address of a SQLite file leads to none."""
    address = make_url(url)
    if address.database and address.get_backend_name() == "sqlite" and not Path(address.database).exists():
        shutil.copyfile(_sqlite_template(), address.database)


def _sqlite_template() -> Path:
    """A SQLite file with every table, made once a run."""
    path = Path(os.environ[SHARED], "template.sqlite")
    _migrate_once("sqlite-template", f"sqlite:///{path}")
    return path


def _postgres_template() -> str:
    """A database with every table, made once a run; copying it takes tens of milliseconds, migrating seconds."""
    name = "template_identity"
    address = f"postgresql+psycopg://identity@127.0.0.1:{postgres_port()}/{name}"
    _migrate_once("postgres-template", address, lambda: _administer(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    return name


def _migrate_once(name: str, url: str, create: Callable[[], None] = lambda: None) -> None:
    with locked(name) as record:
        if not record.read_text():
            record.write_text("The migrations do not run: the first error of this run says why.")
            create()
            engine = create_engine(url, poolclass=NullPool)
            with engine.connect() as connection:
                apply.upgrade(connection)
            engine.dispose()
            record.write_text("made")
        if (outcome := record.read_text()) != "made":
            pytest.fail(outcome, pytrace=False)
