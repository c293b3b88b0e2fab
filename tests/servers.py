"""Starts the private PostgreSQL and Redis of a test run: once for all workers, ended by keeper.py."""

import fcntl
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import machine
import psycopg
import pytest
import redis

SHARED = "IDENTITY_TEST_SERVICES"  # names the folder that all workers of one run share
REDIS_DATABASES = 2048


def program(name: str) -> str:
    found = machine.find(name)
    if found is None:
        missing(name)
    return found


def missing(what: str) -> NoReturn:
    """There is no such test without this: a failure in CI, elsewhere a skip that says so."""
    reason = f"{what}: not installed, `make test` says how to get it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def conninfo(port: int, database: str = "postgres") -> str:
    return f"host=127.0.0.1 port={port} user=identity dbname={database}"


def postgres_port() -> int:
    """The one PostgreSQL of this run. Not durable: what matters to tests is what it does, not what survives a fall."""
    initdb = program("PostgreSQL")
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
        psycopg.connect(conninfo(port), connect_timeout=1).close()

    return _start_once("postgres", command, ask, user or "")


def redis_port() -> int:
    """The one Redis of this run, nothing of it on disk."""
    redis_server = program("Redis")

    def command(directory: Path, port: int) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": directory}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [redis_server, *arguments, "--databases", str(REDIS_DATABASES)]

    def ask(port: int) -> None:
        with redis.Redis(host="127.0.0.1", port=port, socket_timeout=1) as connection:
            connection.ping()

    return _start_once("redis", command, ask)


def _start_once(
    name: str, command: Callable[[Path, int], list[str]], ask: Callable[[int], None], user: str = ""
) -> int:
    """Start the server if no worker has yet; return its port when it answers."""
    with locked(name) as record:
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
def locked(name: str) -> Iterator[Path]:
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
