"""`make timing`: whether a stranger can tell from answers, or from their time, which addresses have an account (R27).

The real product on loopback: a worker process on PostgreSQL and Redis, Argon2 as in production, a throttle that lets
so many through. Existing and missing addresses, as many of each and alike in form, take turns in random order. For each
endpoint Welch's t between the two must stay below 4.5, over all times and without the slowest tenth, which is mostly
the machine's own noise; and status, headers and body must be the same, byte by byte, after what is random in each
answer is taken out (`RANDOM`). Ends with 1 where they are not.
"""

import argparse
import asyncio
import difflib
import gc
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from bench import services
from connection import Answer, Connection
from generous_simulator import COMMAND
from servers import conninfo, postgres_port, redis_port

import psycopg  # isort: skip

BOUND = 4.5
"""Of |t|, as dudect has it: by chance alone it is passed once in 150,000 times."""
EXISTING, MISSING = "existing", "missing"
PASSWORD = "correct horse battery staple"
USES = 10
"""Of each address at each endpoint: more than the failures in a row at which an owner is told."""
WARM_UP = 20
SIGN_IN, PASSKEY, REGISTRATION = "sign-in, wrong password", "sign-in page, passkey start", "registration, first page"
CODE, RESEND, RECOVERY = "registration, wrong code", "registration, another mail", "forgotten, first page"
ENDPOINTS = (SIGN_IN, PASSKEY, REGISTRATION, CODE, RESEND, RECOVERY)
RANDOM = {
    r'(?<=name="csrf_token" value=")[^"]+': "CSRF token, masked anew on each page",
    r'(?<=name="ceremony" value=")[^"]+': "id of the passkey ceremony",
    r'(?<="challenge": ")[^"]+': "challenge of the passkey ceremony",
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ids (UUID) of sign-in, registration, visit",
    r"[0-9a-f]{12}@example\.org": "the address itself, as it was typed",
}
UNLIKE = frozenset({"date", "server-timing"})
"""Headers that tell the time of day."""


class Sample(msgspec.Struct, frozen=True):
    """One answer: whose, how many microseconds, and what of it is not random."""

    arm: str
    microseconds: float
    answer: tuple[int, str, str, int]


class Stranger:
    """Somebody who asks about addresses, from one browser, over one connection."""

    def __init__(self, port: int, addresses: dict[str, list[str]]) -> None:
        self._connection = Connection(port)
        self._addresses = {arm: deque(some) for arm, some in addresses.items()}
        self._registered: dict[tuple[str, str], deque[str]] = {
            (arm, what): deque() for arm in addresses for what in (CODE, RESEND)
        }
        self.samples: dict[str, list[Sample]] = {name: [] for name in ENDPOINTS}

    async def begin(self) -> None:
        """Open the pages whose forms are sent again and again."""
        self._sign_in, self._sign_in_form = await self._form("/sign-in?return_to=/account")
        self._register, self._register_form = await self._form("/register")
        self._recovery, self._recovery_form = await self._form("/recovery/contacts")

    async def ask(self, arm: str) -> None:
        """Everything once for one arm, in random order. A mistyped code and the next mail are for addresses that were
        registered some rounds ago."""
        asking = [self._guess, self._register_one, self._forgotten]
        asking += [self._again(what) for what in (CODE, RESEND) if len(self._registered[arm, what]) > 2]
        random.shuffle(asking)
        for one in asking:
            await one(arm)

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    async def _form(self, path: str) -> tuple[str, dict[str, str]]:
        answer = await self._connection.get(path)
        while answer.status == 303:
            path = answer.headers["location"]
            answer = await self._connection.get(path)
        page = answer.body.decode()
        form = page[page.index("<form") : page.index("</form>")]
        action = re.search(r'action="([^"]+)"', form)
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?', form))
        return action[1].replace("&amp;", "&") if action else path, {**hidden, "action": "continue"}

    def _next(self, arm: str) -> str:
        addresses = self._addresses[arm]
        addresses.rotate()
        return addresses[0]

    async def _guess(self, arm: str) -> None:
        typed = {"identifier": self._next(arm), "password": "not the password of anybody"}
        await self._timed(SIGN_IN, arm, 400, self._connection.post(self._sign_in, {**self._sign_in_form, **typed}))
        await self._timed(PASSKEY, arm, 200, self._connection.get(self._sign_in))

    async def _register_one(self, arm: str) -> None:
        fields = {**self._register_form, "identifier": self._next(arm)}
        led = await self._timed(REGISTRATION, arm, 303, self._connection.post(self._register, fields))
        for what in (CODE, RESEND):
            self._registered[arm, what].append(led.headers["location"])

    def _again(self, what: str) -> Callable[[str], Awaitable[None]]:
        async def ask(arm: str) -> None:
            path = self._registered[arm, what].popleft()
            token = {"csrf_token": self._register_form["csrf_token"]}
            typed = {"code": "not one", "action": "continue"} if what == CODE else {"action": "again"}
            expected = 400 if what == CODE else 303
            await self._timed(what, arm, expected, self._connection.post(path, {**token, **typed}))

        return ask

    async def _forgotten(self, arm: str) -> None:
        fields = {**self._recovery_form, "identifier": self._next(arm)}
        await self._timed(RECOVERY, arm, 303, self._connection.post(self._recovery, fields))

    async def _timed(self, name: str, arm: str, expected: int, asked: Awaitable[Answer]) -> Answer:
        began = time.perf_counter_ns()
        answer = await asked
        took = (time.perf_counter_ns() - began) / 1000
        if answer.status != expected:  # a figure of refusals would tell nothing
            raise SystemExit(f"{name}, {arm}: {answer.status}\n{answer.body.decode()[:2000]}")
        self.samples[name].append(Sample(arm, took, _without_random(answer)))
        return answer


def _without_random(answer: Answer) -> tuple[int, str, str, int]:
    headers = "\n".join(f"{name}: {value}" for name, value in sorted(answer.headers.items()) if name not in UNLIKE)
    texts = [headers, answer.body.decode()]
    for pattern in RANDOM:
        texts = [re.sub(pattern, "*", text) for text in texts]
    return answer.status, *texts, len(answer.body)  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="of each kind of address at each endpoint [2000]")
    arguments = parser.parse_args()
    count = max(arguments.samples // USES, 20)
    addresses = {
        arm: [f"{random.getrandbits(48):012x}@example.org" for _ in range(count)] for arm in (EXISTING, MISSING)
    }
    with services(), tempfile.TemporaryDirectory() as folder, server(Path(folder), addresses[EXISTING]) as port:
        samples = asyncio.run(asked(port, addresses, arguments.samples))
    sys.exit(0 if report(samples) else 1)


@contextmanager
def server(folder: Path, existing: Sequence[str]) -> Iterator[int]:
    """The simulator, its outbox worker in another process than what answers. Every other person has more than a
    password, and phone and recovery codes to get back in with."""
    more = 'totp = "JBSWY3DPEHPK3PXP"\nrecovery_codes = ["one code", "another"]\nphone_number = "+442079460123"\n'
    (folder / "people.toml").write_text(
        "".join(
            f'[[people]]\nhandle = "p{n}"\nemail = "{address}"\npassword = "{PASSWORD}"\n{more * (n % 2)}'
            for n, address in enumerate(existing)
        )
    )
    postgres, redis = postgres_port(), redis_port()
    with psycopg.connect(conninfo(postgres), autocommit=True) as connection:
        connection.execute("CREATE DATABASE timing")
    command = [*COMMAND, "--port=0", "--workers=2", f"--people={folder / 'people.toml'}"]
    command += [f"--database=postgresql+psycopg://identity@127.0.0.1:{postgres}/timing"]
    command += [f"--store=redis://127.0.0.1:{redis}/1", "--setting=throttle.per_address=100000000"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline().split()
        if not ready:
            raise SystemExit((folder / "log").read_text()[-2000:])
        yield int(ready[1].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


async def asked(port: int, addresses: dict[str, list[str]], samples: int) -> dict[str, list[Sample]]:
    """So many samples of each kind. Our own garbage is collected between two rounds, not within."""
    stranger = Stranger(port, addresses)
    await stranger.begin()
    gc.disable()
    for number in range(WARM_UP + samples):
        if number == WARM_UP:
            stranger.samples = {name: [] for name in ENDPOINTS}
        for arm in random.sample((EXISTING, MISSING), 2):
            await stranger.ask(arm)
        if number % 50 == 0:
            gc.collect()
    await stranger.close()
    return stranger.samples


def report(samples: dict[str, list[Sample]]) -> bool:
    """Print the table; whether nothing is told."""
    print(f"Taken out of each answer: {'; '.join(RANDOM.values())}; headers {', '.join(sorted(UNLIKE))}.\n")
    heads = ("samples", EXISTING, MISSING, "t", "t of 90 %", "answers")
    print(f"{'endpoint':<30}" + "".join(f"{head:>11}" for head in heads))
    is_well = True
    for name, some in samples.items():
        times = {arm: [s.microseconds for s in some if s.arm == arm] for arm in (EXISTING, MISSING)}
        slowest = statistics.quantiles((s.microseconds for s in some), n=10)[-1]
        usual = {arm: [each for each in those if each <= slowest] for arm, those in times.items()}
        t, t_usual = welch(*times.values()), welch(*usual.values())
        answers = {arm: {s.answer for s in some if s.arm == arm} for arm in times}
        are_same = answers[EXISTING] == answers[MISSING]
        is_well &= abs(t) < BOUND and abs(t_usual) < BOUND and are_same
        means = "".join(f"{statistics.median(those) / 1000:>8.2f} ms" for those in times.values())
        told = f"{len(answers[EXISTING])} alike" if are_same else "DIFFER"
        print(f"{name:<30}{len(times[EXISTING]):>11}{means}{t:>11.2f}{t_usual:>11.2f}{told:>11}")
        if not are_same:
            print("\n".join(difference(*(min(those, default=()) for those in answers.values()))[:20]))
    print(f"\nTimes are medians; the bound is |t| < {BOUND}: {'kept' if is_well else 'BROKEN'}")
    return is_well


def difference(one: Sequence[object], other: Sequence[object]) -> list[str]:
    """The lines that only one of two answers has."""
    lines = ["\n".join(map(str, answer)).splitlines() for answer in (one, other)]
    return [f"  {line}" for line in difflib.unified_diff(*lines, EXISTING, MISSING, n=0, lineterm="")]


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Welch's t: the difference of the means in units of its own standard error."""
    error = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / error**0.5


if __name__ == "__main__":
    main()
