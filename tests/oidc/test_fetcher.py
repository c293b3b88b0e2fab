"""What we fetch from strangers, and what never happens while we do (R72)."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from loopback import Loopback, loopback

from oidc.fetcher import Fetcher, FetchFailed, is_public

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    """A relying party's server on this machine."""
    async with loopback() as made:
        yield made


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """The demo's fetcher: this machine is allowed."""
    made = Fetcher(allow_loopback=True, seconds=1.0, max_bytes=1000)
    yield made
    await made.close()


async def test_a_document_is_fetched(server: Loopback, fetcher: Fetcher) -> None:
    """`*.localhost` is this machine (RFC 6761 section 6.3); the name stays in Host."""
    server.answer = server.say(b'{"keys": []}')

    answer = await fetcher.get(server.url("/jwks?v=1"))

    assert (answer.status, answer.body) == (200, b'{"keys": []}')
    assert server.heads[0].startswith(b"GET /jwks?v=1 HTTP/1.1")
    assert f"host: parks.localhost:{server.port}".encode() in server.heads[0].lower()


async def test_a_form_is_posted(server: Loopback, fetcher: Fetcher) -> None:
    """Back-channel logout sends its token so."""
    answer = await fetcher.post_form(server.url(), {"logout_token": "a b&c"})

    assert answer.status == 200
    assert server.bodies == [b"logout_token=a+b%26c"]


async def test_a_redirect_is_not_followed(server: Loopback, fetcher: Fetcher) -> None:
    """R72: it is an answer like any other; where it leads is never asked."""
    server.answer = server.say(b"", "302 Found", f"Location: {server.url('/elsewhere')}\r\n")

    assert (await fetcher.get(server.url())).status == 302
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Loopback.say(b"x" * 1001),
        Loopback.say(gzip.compress(b"x" * 10), headers="Content-Encoding: gzip\r\n"),
    ],
)
async def test_what_is_too_large_or_packed_is_refused(server: Loopback, fetcher: Fetcher, answer) -> None:  # type: ignore[no-untyped-def]
    """R72: a megabyte at most, of what really comes; no archive bombs."""
    server.answer = answer

    with pytest.raises(FetchFailed):
        await fetcher.get(server.url())


async def test_an_endless_answer_is_cut(server: Loopback, fetcher: Fetcher) -> None:
    """The bound counts what arrives, not what is promised."""

    async def endless(_: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n" * 2

    server.answer = endless

    with pytest.raises(FetchFailed):
        await fetcher.get(server.url())


async def test_a_slow_server_is_left(server: Loopback) -> None:
    """R72: the whole exchange is bounded, however slowly it drips."""

    async def slow(_: bytes) -> bytes:
        await asyncio.sleep(30)
        return b""

    server.answer = slow
    fetcher = Fetcher(allow_loopback=True, seconds=0.2)

    with pytest.raises(FetchFailed) as failed:
        await fetcher.get(server.url())

    assert "0.2 seconds" in failed.value.detail
    await fetcher.close()


async def test_a_dead_server_is_a_refusal(fetcher: Fetcher) -> None:
    """An expected no, not a crash."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with pytest.raises(FetchFailed):
        await fetcher.get(f"http://parks.localhost:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user@example.org/",
        "https:///nowhere",
        "https://exa mple.org/",
        "https://localhost/",
        "https://parks.localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1]/",
        "https://0.0.0.0/",
        "https://100.64.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "",
    ],
)
async def test_nothing_that_is_not_public_is_asked(url: str) -> None:
    """R72: https and public addresses, in every spelling of one."""
    fetcher = Fetcher(seconds=1.0)

    with pytest.raises(FetchFailed):
        await fetcher.get(url)
    await fetcher.close()


async def test_plain_http_leaves_this_machine_never(fetcher: Fetcher) -> None:
    """Loopback alone may be http, and only where the deployment is a demo."""
    with pytest.raises(FetchFailed) as failed:
        await fetcher.get("http://192.0.2.1/")

    assert failed.value.detail == "not https"


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.1.2.3", "::1"])
async def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    """R72: what counts is where the name leads; one inner address among public ones spoils them all."""
    server_asked = []

    async def resolve(*_: object, **__: object) -> list[tuple[object, object, object, str, tuple[str, int]]]:
        server_asked.append(1)
        return [(0, 0, 0, "", ("93.184.215.14", 0)), (0, 0, 0, "", (inside, 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    fetcher = Fetcher(seconds=1.0)

    with pytest.raises(FetchFailed) as failed:
        await fetcher.get("https://rebinding.example/")

    assert failed.value.detail == "not a public address"
    assert len(server_asked) == 1
    await fetcher.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),  # NAT64 of a public one
        ("64:ff9b::a00:1", False),  # NAT64 of 10.0.0.1
        ("::ffff:93.184.215.14", True),
        ("::ffff:127.0.0.1", False),
        ("2002:a00:1::", False),  # 6to4 of 10.0.0.1
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("::", False),
    ],
)
def test_what_counts_as_public(address: str, public: bool) -> None:
    """IPv4 inside IPv6 is looked at as what it is."""
    assert is_public(ip_address(address)) is public
