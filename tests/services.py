"""The servers that tests talk to: private, one of each for all workers, started when a test first asks.

Fixtures: `backend` (the test runs on SQLite + memory and on PostgreSQL + Redis), `empty_backend` (without tables),
`module_backend` (one for a module), `postgres_redis` (the servers alone), `redis_url`, `chromium`, `browser`.
"""

import contextlib
import fcntl
import importlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import machine
import msgspec
import psycopg
import pytest
import redis
from playwright.async_api import Browser, async_playwright
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from migrations import apply

SHARED = "IDENTITY_TEST_SERVICES"  # the folder that all workers of one run share
SQLITE, POSTGRES = "sqlite-memory", "postgres-redis"
REDIS_DATABASES = 2048
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


@pytest.fixture
def redis_url() -> str:
    """The address of an empty Redis database of this test's own."""
    return _new_redis()


def _backend(kind: str, folder: Path, migrated: bool) -> Iterator[Backend]:
    if kind == SQLITE:
        path = folder / "identity.sqlite"
        if migrated:
            shutil.copyfile(_sqlite_template(), path)
        yield Backend(kind, f"sqlite+aiosqlite:///{path}", "memory://")
        return
    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    _administer(f'CREATE DATABASE "{name}" TEMPLATE "{_postgres_template() if migrated else "template0"}"')
    yield Backend(kind, f"postgresql+psycopg://identity@127.0.0.1:{_postgres_port()}/{name}", _new_redis())
    _administer(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    return _program("Chromium")


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One browser for the session; a test opens its own context: `await browser.new_context(...)`."""
    flags = [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=flags)
        yield launched
        await launched.close()


def _program(name: str) -> str:
    found = machine.find(name)
    if found is None:
        reason = f"{name} is not installed: `make test` says how to get it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _new_redis() -> str:
    port = _redis_port()
    with _locked("redis-database") as counter:
        number = (int(counter.read_text() or 0) + 1) % REDIS_DATABASES
        counter.write_text(str(number))
    with redis.Redis(host="127.0.0.1", port=port, db=number) as connection:
        connection.flushdb()
    return f"redis://127.0.0.1:{port}/{number}"


def _administer(statement: str, database: str = "postgres") -> None:
    with psycopg.connect(_conninfo(_postgres_port(), database), autocommit=True) as connection:
        connection.execute(statement.encode())


def _conninfo(port: int, database: str = "postgres") -> str:
    return f"host=127.0.0.1 port={port} user=identity dbname={database}"


def _sqlite_template() -> Path:
    """A SQLite file with every table, made once a run."""
    path = Path(os.environ[SHARED], "template.sqlite")
    _migrate_once("sqlite-template", f"sqlite:///{path}")
    return path


def _postgres_template() -> str:
    """A database with every table, made once a run; copying it takes tens of milliseconds, migrating seconds."""
    name = "template_identity"
    address = f"postgresql+psycopg://identity@127.0.0.1:{_postgres_port()}/{name}"
    _migrate_once("postgres-template", address, lambda: _administer(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    return name


def _migrate_once(name: str, url: str, create: Callable[[], None] = lambda: None) -> None:
    with _locked(name) as record:
        if not record.read_text():
            record.write_text("The migrations do not run: the first error of this run says why.")
            create()
            engine = create_engine(url, poolclass=NullPool)
            with engine.connect() as connection:
                if list(apply.history().walk_revisions()):
                    apply.upgrade(connection)
                else:
                    _tables_without_migrations(connection)
            engine.dispose()
            record.write_text("made")
        if (outcome := record.read_text()) != "made":
            pytest.fail(outcome, pytrace=False)


def _tables_without_migrations(connection: Connection) -> None:
    """Until the first migration is written."""
    from accounts.database import metadata

    for package in ("accounts", "identity", "oidc"):
        for path in sorted(Path(package).glob("*.py")):
            if "(Base)" in path.read_text():
                with contextlib.suppress(ImportError):
                    importlib.import_module(f"{package}.{path.stem}")
    metadata.create_all(connection)
    connection.commit()


def _postgres_port() -> int:
    """The one PostgreSQL of this run. Not durable: what matters to tests is what it does, not what survives a fall."""
    initdb = _program("PostgreSQL")
    user = _unprivileged_user()

    def command(directory: Path, port: int) -> list[str]:
        data = directory / "data"
        if user:
            shutil.chown(directory, user)
        options = ["--username=identity", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run([initdb, "-D", data, *options], check=True, user=user, stdout=subprocess.DEVNULL)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        server = str(Path(initdb).resolve().with_name("postgres"))
        return [server, "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]

    def ask(port: int) -> None:
        psycopg.connect(_conninfo(port), connect_timeout=1).close()

    return _start_once("postgres", command, ask, user or "")


def _redis_port() -> int:
    """The one Redis of this run, nothing of it on disk."""
    program = _program("Redis")

    def command(directory: Path, port: int) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": directory}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [program, *arguments, "--databases", str(REDIS_DATABASES)]

    def ask(port: int) -> None:
        with redis.Redis(host="127.0.0.1", port=port, socket_timeout=1) as connection:
            connection.ping()

    return _start_once("redis", command, ask)


def _start_once(
    name: str, command: Callable[[Path, int], list[str]], ask: Callable[[int], None], user: str = ""
) -> int:
    """Start the server if no worker has yet; return its port when it answers."""
    with _locked(name) as record:
        if started := record.read_text():
            return int(json.loads(started)["port"])
        directory, port = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=os.environ[SHARED])), _free_port()
        line = command(directory, port)
        keeper = [sys.executable, str(Path(__file__).with_name("keeper.py")), str(record.parent / "alive")]
        subprocess.run([*keeper, str(directory), user, *line], check=True, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                ask(port)
                break
            except (psycopg.OperationalError, redis.RedisError) as problem:
                if time.monotonic() > deadline:
                    pytest.fail(f"{name} does not answer: {problem}\n{(directory / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
        record.write_text(json.dumps({"port": port}))
        return port


@contextmanager
def _locked(name: str) -> Iterator[Path]:
    """A small record that all workers share, held by one at a time."""
    path = Path(os.environ[SHARED], f"{name}.record")
    with open(path, "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root; Debian brings a user for it."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
