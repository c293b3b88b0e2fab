"""The embedded server: patient only so long, reads only so much (R73), and ends in good order."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from simulated import IDENTITY, free_port, run

from config import patience
from config.server import AddressTaken, Running, listen
from config.site.headers import HeaderPolicy, with_headers

pytestmark = pytest.mark.anyio
CLOSE = b"connection: close\r\n\r\n"


class Echo:
    """An ASGI application that answers with the number of bytes it was sent, and remembers who hung up."""

    def __init__(self) -> None:
        self.disconnects = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            size, more = size + len(message["body"]), message["more_body"]
        self.asked.set()
        await self.may_answer.wait()
        body = str(size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


class Served:
    """The echo behind our server."""

    def __init__(self, port: int, echo: Echo, running: Running) -> None:
        self.port = port
        self.echo = echo
        self.running = running

    async def say(self, *parts: bytes, pause: float = 0.05) -> bytes:
        """Send parts one after the other, and return everything that comes back until the server hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(pause)
            writer.write(part)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.4)
    echo, running, sockets = Echo(), Running(), listen("localhost", 0)
    await running.serve("the echo", echo, sockets)
    yield Served(sockets[0].getsockname()[1], echo, running)
    await running.stop()


def head(extra: bytes = b"", method: bytes = b"GET", path: bytes = b"/") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\nhost: x\r\n" + extra


async def test_a_request_is_answered_and_says_nothing_of_the_server(served: Served) -> None:
    answer = await served.say(head(CLOSE))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"server:" not in answer.lower()
    assert answer.endswith(b"\r\n\r\n0")


async def test_after_head_the_connection_goes_on(served: Served) -> None:
    """RFC 9110 section 9.3.2, RFC 9112 section 6.3: no body follows, though its length is said; the server must know,
    or it takes the answer for one that broke off and hangs up."""
    await served.running.stop()
    sockets = listen("localhost", 0)
    await served.running.serve("the echo", with_headers(served.echo, HeaderPolicy()), sockets)
    served.port = sockets[0].getsockname()[1]

    answer = await served.say(head(b"\r\n", b"HEAD") + head(CLOSE))

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"content-length: 1\r\n") == 2
    assert answer.endswith(b"\r\n\r\n0")


async def test_a_request_may_come_in_small_pieces(served: Served) -> None:
    answer = await served.say(head(b"content-le", b"POST"), b"ngth: 5\r\n", CLOSE + b"ab", b"cde", pause=0.1)

    assert answer.endswith(b"\r\n\r\n5")


@pytest.mark.parametrize(
    "parts",
    [
        [head(b"x: " + b"a" * 17_000 + b"\r\n" + CLOSE)],
        [head(b"x: " + b"a" * 9_000), b"a" * 9_000],
        [head(CLOSE, path=b"/?" + b"a" * 17_000)],
        [head(b"".join(b"x%d: y\r\n" % n for n in range(2_500)) + CLOSE)],
    ],
    ids=["one header", "in two pieces", "the address", "many headers"],
)
async def test_more_than_16_kb_of_headers_are_431(served: Served, parts: list[bytes]) -> None:
    """R73."""
    answer = await served.say(*parts)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in answer


async def test_requests_in_one_piece_are_each_answered(served: Served) -> None:
    """The limit is on each head, not on what happens to arrive together."""
    each = head(b"x: " + b"a" * 9_000 + b"\r\n\r\n")

    answer = await served.say(each + each + head(b"x: " + b"a" * 9_000 + b"\r\n" + CLOSE))

    assert answer.count(b"HTTP/1.1 200 ") == 3


async def test_just_under_16_kb_are_fine(served: Served) -> None:
    answer = await served.say(head(b"x: " + b"a" * 16_200 + b"\r\n" + CLOSE))

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_says_nothing_is_cut(served: Served) -> None:
    """R73: slow clients are cut."""
    began = time.monotonic()

    answer = await served.say()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 5


async def test_a_client_that_drips_its_headers_is_cut(served: Served) -> None:
    """R73: each byte must not begin the wait anew."""
    answer = await served.say(head(), *[b"x"] * 8, pause=0.1)

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_drips_its_body_is_cut(served: Served) -> None:
    answer = await served.say(head(b"content-length: 50\r\n" + CLOSE, b"POST"), *[b"x"] * 8, pause=0.1)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert served.echo.disconnects == 1


async def test_a_later_request_on_the_same_connection_has_the_same_limits(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(head(b"\r\n"))
    assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")

    writer.write(head()[:-3])

    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_an_answer_that_takes_its_time_is_not_cut(served: Served) -> None:
    """The limits are on the client's part: Argon2 behind a queue may take longer."""
    served.echo.may_answer.clear()
    asking = asyncio.create_task(served.say(head(CLOSE)))
    await served.echo.asked.wait()
    await asyncio.sleep(0.6)

    served.echo.may_answer.set()

    assert (await asking).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n"])
async def test_what_is_no_http_is_400_and_logs_no_traceback(served: Served, sent: bytes) -> None:
    answer = await served.say(sent)

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("hosts", [b"", b"host: x\r\nhost: x\r\n", b"Host: x\r\nhost: y\r\n"])
async def test_a_request_names_one_host(served: Served, hosts: bytes) -> None:
    """RFC 9112 section 3.2; one of HTTP/1.0 may name none."""
    answer = await served.say(b"GET / HTTP/1.1\r\n" + hosts + CLOSE)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (await served.say(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_an_offer_of_another_protocol_is_ignored(served: Served) -> None:
    answer = await served.say(head(b"upgrade: websocket\r\nconnection: upgrade, close\r\n\r\n"))

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_what_is_under_way_is_finished_when_the_service_ends(served: Served) -> None:
    served.echo.may_answer.clear()
    asking = asyncio.create_task(served.say(head(b"\r\n")))
    await served.echo.asked.wait()

    ending = asyncio.create_task(served.running.stop())
    await asyncio.sleep(0.2)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await served.say(head(CLOSE))
    served.echo.may_answer.set()

    assert (await asking).endswith(b"\r\n\r\n0")
    await asyncio.wait_for(ending, 5)


async def test_a_part_that_ends_by_itself_ends_the_whole() -> None:
    running = Running()

    async def fails() -> None:
        raise ValueError("no more")

    running.start("a part", fails(), lambda: None)

    with pytest.raises(ValueError, match="no more"):
        await running.until(asyncio.Event().wait())


def test_a_taken_port_is_told() -> None:
    with socket.socket(socket.AF_INET6) as holder:
        holder.bind(("::1", 0))
        holder.listen()

        with pytest.raises(AddressTaken, match="taken"):
            listen("localhost", holder.getsockname()[1])


@pytest.fixture
def deployment(tmp_path: Path) -> dict[str, str]:
    """A production deployment of its own, with keys and tables."""
    environment = {
        "IDENTITY_ISSUER": "https://account.example.gov",
        "IDENTITY_MAIL__URL": "smtps://mail.example.gov",
        "IDENTITY_MAIL__SENDER": "account@example.gov",
        "IDENTITY_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'identity.sqlite'}",
        "IDENTITY_KEYS__DIRECTORY": str(tmp_path / "keys"),
        "IDENTITY_LISTEN__PORT": str(free_port()),
    }
    for command in (("keys", "create"), ("migrate",)):
        done = run(*command, **environment)
        assert done.returncode == 0, done.stderr
    return environment


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`identity serve`, from its first answer on."""
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [IDENTITY, "serve"], env={**os.environ, **environment}, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + 60
        while b'"serving"' not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def ask(environment: dict[str, str]) -> int:
    url = f"http://127.0.0.1:{environment['IDENTITY_LISTEN__PORT']}/.well-known/openid-configuration"
    return httpx2.get(url, timeout=30).status_code


def test_serve_answers_and_ends_in_good_order(deployment: dict[str, str], tmp_path: Path) -> None:
    with serving(deployment, tmp_path / "log") as process:
        assert ask(deployment) == 200

        process.send_signal(signal.SIGTERM)

        assert process.wait(5) == 0


@pytest.mark.services
def test_a_worker_that_dies_is_replaced(deployment: dict[str, str], redis_url: str, tmp_path: Path) -> None:
    deployment |= {"IDENTITY_LISTEN__WORKERS": "2", "IDENTITY_STORE__URL": redis_url}
    with serving(deployment, tmp_path / "log") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        before = children.read_text().split()
        assert len(before) == 2
        assert "account@example.gov" not in Path(f"/proc/{before[0]}/cmdline").read_text()

        os.kill(int(before[0]), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(now := children.read_text().split()) < 2 or now == before:
            assert {ask(deployment) for _ in range(5)} == {200}, "the other one goes on"
            assert time.monotonic() < deadline

        process.send_signal(signal.SIGTERM)
        assert process.wait(6) == 0
        assert not any(Path(f"/proc/{child}").exists() for child in now)


@pytest.mark.services
def test_workers_end_with_a_parent_that_was_killed(deployment: dict[str, str], redis_url: str, tmp_path: Path) -> None:
    """Nobody is left behind holding the port."""
    deployment |= {"IDENTITY_LISTEN__WORKERS": "2", "IDENTITY_STORE__URL": redis_url}
    with serving(deployment, tmp_path / "log") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

        process.kill()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_serve_does_not_start_without_its_keys(deployment: dict[str, str]) -> None:
    """A missing key beside existing data is a refusal, never a new key."""
    missing = Path(deployment["IDENTITY_KEYS__DIRECTORY"], "pepper.key")
    missing.unlink()

    done = run("serve", **deployment)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"identity: {missing}: missing. Bring back the file")
    assert not missing.exists()


def test_serve_does_not_start_on_an_unsafe_setting(deployment: dict[str, str]) -> None:
    """R74."""
    done = run("serve", **{**deployment, "IDENTITY_ISSUER": "http://account.example.gov"})

    assert done.returncode == 2
    assert done.stderr.startswith("identity: issuer: must be https")
