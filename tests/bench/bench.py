"""`make bench`: CPU milliseconds of the server for each operation, beside what cannot be avoided.

One worker on PostgreSQL and Redis, eight requests at once, loopback, warm; the operations take turns in five rounds and
each figure is the median. What is counted is the processor time of our process alone: PostgreSQL, Redis and the load
are other processes. Requests a second would say more about the machine than about us. Where npm can install it,
node-oidc-provider gets the same load afterwards.
"""

import argparse
import asyncio
import fcntl
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / ".ci")]

import psycopg  # noqa: E402 - after the path is set
from floors import argon2_floor, signature_floor  # noqa: E402
from load import Load  # noqa: E402
from servers import SHARED, conninfo, postgres_port, redis_port  # noqa: E402

ROUNDS = 5
AT_ONCE = 8
TICK = os.sysconf("SC_CLK_TCK")
IDENTITY = Path(sys.executable).with_name("identity")
SIGN_IN = "password sign-in, all pages"
OTHER = "oidc-provider@9"
# deploy/decisions and the design name these; None: no goal of its own.
GOALS: dict[str, float | None] = {
    "discovery": 0.10,
    "jwks": 0.10,
    "authorize, session and consent known": 0.40,
    "token, code + PKCE, secret, ES256": 0.50,
    "token, code + PKCE, private_key_jwt": None,
    "refresh with rotation": 0.50,
    "userinfo": 0.25,
    "introspection": 0.25,
    SIGN_IN: None,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=400, help="of each kind a round [400]")
    parser.add_argument("--alone", action="store_true", help="without node-oidc-provider")
    arguments = parser.parse_args()
    with services(), tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (process, port, start):
        figures = asyncio.run(measured(process.pid, port, arguments.operations))
        memory = resident(process.pid)
    others: dict[str, list[float]] = {}
    if not arguments.alone:
        with tempfile.TemporaryDirectory() as folder, node_provider(Path(folder)) as other:
            if other is not None:
                others = asyncio.run(measured(*other, arguments.operations, without=(SIGN_IN,)))
    report(figures, start, memory, others)


@contextmanager
def services() -> Iterator[None]:
    """PostgreSQL and Redis of this run's own; they end when the lock is let go."""
    folder = tempfile.mkdtemp(prefix="identity-bench-")
    os.chmod(folder, 0o711)
    os.environ[SHARED] = folder
    with open(Path(folder, "alive"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    deadline = time.monotonic() + 15
    while any(Path(folder).glob("*/log")) and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int, float]]:
    """The simulator on an empty database: the process, its port, and the seconds to its first answer."""
    postgres, redis = postgres_port(), redis_port()
    with psycopg.connect(conninfo(postgres), autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench")
    Load.write_files(folder, AT_ONCE)
    options = {
        "port": "0",
        "people": str(folder / "people.toml"),
        "clients": str(folder / "clients.json"),
        "database": f"postgresql+psycopg://identity@127.0.0.1:{postgres}/bench",
        "store": f"redis://127.0.0.1:{redis}/1",
    }
    settings = ["assurance.minimum=aal1", "throttle.per_address=100000000"]
    command = [str(IDENTITY), "simulate", *(part for name, value in options.items() for part in (f"--{name}", value))]
    command += [part for setting in settings for part in ("--setting", setting)]
    began = time.monotonic()
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    ready = process.stdout.readline().split()
    if not ready:
        raise SystemExit((folder / "log").read_text()[-2000:])
    start = time.monotonic() - began
    try:
        yield process, int(ready[1].rpartition(":")[2]), start
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def node_provider(folder: Path) -> Iterator[tuple[int, int] | None]:
    """node-oidc-provider in a temporary folder: its process and port; None where npm cannot install it."""
    npm, node = shutil.which("npm"), shutil.which("node")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    if not (npm and node) or subprocess.run([npm, "install", *quiet, OTHER], cwd=folder, check=False).returncode:
        print(f"npm cannot install {OTHER}: no comparison\n")
        yield None
        return
    shutil.copy(HERE / "node_oidc_provider.mjs", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    people = [f"ada{lane}" for lane in range(AT_ONCE)]
    told = json.dumps({"port": port, "people": people, "clients": Load.clients()})
    command = [node, "node_oidc_provider.mjs", told]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "NODE_ENV": "production"},
        )
    assert process.stdout is not None
    try:
        while not (line := process.stdout.readline()).startswith("ready"):
            if not line:
                raise SystemExit((folder / "log").read_text()[-2000:])
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


async def measured(pid: int, port: int, operations: int, without: Sequence[str] = ()) -> dict[str, list[float]]:
    """CPU milliseconds an operation, a figure a round."""
    load = Load(port, AT_ONCE)
    await load.prepare()
    figures: dict[str, list[float]] = {name: [] for name in GOALS}
    figures["Argon2 floor"], figures["ES256 signature floor"] = [], []
    for number in range(ROUNDS + 1):
        for name, operation, times in (
            ("discovery", load.discovery, operations),
            ("jwks", load.jwks, operations),
            ("authorize, session and consent known", load.authorize, 2 * operations),
            ("token, code + PKCE, secret, ES256", load.token_by_secret, operations),
            ("token, code + PKCE, private_key_jwt", load.token_by_key, operations),
            ("refresh with rotation", load.refresh, operations),
            ("userinfo", load.userinfo, operations),
            ("introspection", load.introspect, operations),
            (SIGN_IN, load.sign_in, max(operations // 20, 4)),
        ):
            if name in without:
                continue
            spent = await cpu_of(pid, operation, times)
            if number:  # the first round warms up
                figures[name].append(spent)
        if number:
            figures["Argon2 floor"].append(argon2_floor())
            figures["ES256 signature floor"].append(signature_floor())
    await load.close()
    return figures


async def cpu_of(pid: int, operation: Callable[[int], Awaitable[None]], times: int) -> float:
    """Milliseconds of the process' processor time for each of `times` operations, `AT_ONCE` at once."""
    before = ticks(pid)

    async def lane(number: int) -> None:
        for _ in range(number, times, AT_ONCE):
            await operation(number)

    await asyncio.gather(*(lane(number) for number in range(AT_ONCE)))
    return (ticks(pid) - before) * 1000 / TICK / times


def ticks(pid: int) -> int:
    """User and system time of a process, in clock ticks (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident(pid: int) -> float:
    """Resident memory, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def report(figures: dict[str, list[float]], start: float, memory: float, others: dict[str, list[float]]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"commit {commit.stdout.strip() or 'unknown'}, Python {platform.python_version()}, {os.cpu_count()} cores,")
    print(f"load average {os.getloadavg()[0]:.1f}; one worker, {AT_ONCE} at once, median of {ROUNDS} rounds\n")
    heads = ("CPU ms", "lowest", "highest", "goal", "of goal", "node ms", "of node")
    print(f"{'operation':<40}" + "".join(f"{head:>{8 if head == 'goal' else 9}}" for head in heads))
    for name, values in figures.items():
        middle, goal = statistics.median(values), GOALS.get(name)
        if name == SIGN_IN:
            goal = 1.1 * statistics.median(figures["Argon2 floor"])
        aim = f"{goal:>8.2f}{middle / goal:>8.1f}x" if goal else " " * 17
        beside = ""
        if other := others.get(name, []) if "floor" not in name else []:
            beside = f"{statistics.median(other):>9.2f}{middle / statistics.median(other):>8.1f}x"
        print(f"{name:<40}{middle:>9.2f}{min(values):>9.2f}{max(values):>9.2f}{aim}{beside}".rstrip())
    print(f"\nstart to first answer {start:.2f} s (goal 0.70), memory after the runs {memory:.0f} MiB (goal 110)")
    print("PostgreSQL runs without fsync here; its own time, Redis' and the load's are not counted.")
    if others:
        print("node: oidc-provider 9 over a map in its memory, one process, the same load. Nothing there is durable or")
        print("shared between processes, nothing is sealed, no history is written; we ask PostgreSQL at each of these.")


if __name__ == "__main__":
    main()
