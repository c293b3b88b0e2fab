"""The demo: the whole product in one process, with two sample services, an inbox and test people."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from joserfc.jwk import ECKey

from config.clock import Clock
from config.demo.cast import cast_members, code_of, prepare, read_cast
from config.demo.inbox import Inbox
from config.demo.inbox_page import Addresses, create_inbox_page
from config.demo.openid_client import OpenIdClient
from config.demo.relying_party import Service, create_service
from config.house import House
from config.keys import make_keys
from config.schema import bring_up_to_date
from config.server import AddressTaken, Running, listen
from config.settings import Settings, SettingsError, read_settings
from config.workers import serve_house
from oidc.client_file import apply_toml
from oidc.signing_keys import ensure_keys

HERE = Path(__file__).parent
PLACEHOLDER = "0" * 64
"""The secret's digest in the file that everybody can read."""
PORTS = 4
"""The provider, Parks, Taxes, the inbox: side by side."""


class DemoBusy(SettingsError):
    """Another demo runs in this folder."""


class Opened(msgspec.Struct, frozen=True):
    """A demo that answers."""

    addresses: Addresses
    is_moved: bool
    """Whether the wanted port was taken."""


async def demo(
    folder: Path, port: int, settings: list[tuple[str, str]], stopping: asyncio.Event, say: Callable[[Opened], None]
) -> None:
    """Serve until `stopping` is set. Raises `SettingsError` and `AddressTaken`."""
    with only_one(folder):
        sockets, is_moved = find_ports(port)
        base: int = sockets[0][0].getsockname()[1]
        addresses = Addresses(
            account=f"http://localhost:{base}/account",
            parks=f"http://parks.localhost:{base + 1}",
            taxes=f"http://taxes.localhost:{base + 2}",
            inbox=f"http://localhost:{base + 3}",
        )
        running = Running()
        async with open_demo(folder, f"http://localhost:{base}", settings) as (house, inbox):
            try:
                await _stage(house, folder, addresses)
                await serve_house(running, house, sockets[0], outbox=True, pause=0.2)
                for app, bound in zip(_others(house, inbox, folder, addresses), sockets[1:], strict=True):
                    await running.serve("a sample service", app, bound)
                if not stopping.is_set():
                    say(Opened(addresses, is_moved))
                await running.until(stopping.wait())
            finally:
                await running.stop()


@asynccontextmanager
async def open_demo(folder: Path, issuer: str, settings: list[tuple[str, str]]) -> AsyncIterator[tuple[House, Inbox]]:
    """The house of the demo's data folder, which keeps its own keys."""
    data, keys = folder / "identity.sqlite", folder / "keys"
    if not data.exists():
        make_keys(keys)  # beside data a missing key is a refusal: read_keys makes it
    clock = Clock()
    inbox = Inbox(folder / "inbox.jsonl", clock)
    house = await House.open(_settings(data, keys, issuer, settings), clock, inbox)
    try:
        yield house, inbox
    finally:
        await house.close()


def _settings(data: Path, keys: Path, issuer: str, settings: list[tuple[str, str]]) -> Settings:
    return read_settings(
        None,
        {},
        [
            ("issuer", issuer),
            ("mode", "demo"),
            ("database.url", f"sqlite+aiosqlite:///{data}"),
            ("keys.directory", str(keys)),
            # Long enough to look around without being asked again.
            ("session.idle", str(6 * 3600)),
            *settings,
        ],
    )


async def _stage(house: House, folder: Path, addresses: Addresses) -> None:
    """Tables, keys, the two services and the people; what is there from an earlier run stays."""
    await bring_up_to_date(house.database.engine)
    now = house.clock.now()
    async with house.database.begin() as db:
        await ensure_keys(db, house.key_holder, now)
    digest = hashlib.sha256(_secret(folder).encode()).hexdigest()
    for name in ("parks", "taxes"):
        text = (HERE / f"{name}.toml").read_text("utf-8").replace(PLACEHOLDER, digest)
        text = text.replace("http://parks.localhost:8001", addresses.parks)
        text = text.replace("http://taxes.localhost:8002", addresses.taxes)
        async with house.database.begin() as db:
            await apply_toml(db, text, house.provider.capabilities, now, fetcher=house.provider.fetcher)
    await prepare(house)


def _others(house: House, inbox: Inbox, folder: Path, addresses: Addresses) -> Iterator[object]:
    """Parks, Taxes and the inbox, as ASGI applications, in the order of their ports."""
    issuer, clock = house.settings.issuer, house.clock.now
    ways = {"inbox": addresses.inbox, "account": addresses.account, "issuer": issuer}
    parks = OpenIdClient(issuer, "parks", "openid profile email", addresses.parks, clock, key=_key(folder))
    yield create_service(
        Service("parks", "City Parks", addresses.parks, neighbour_name="Taxes", neighbour=addresses.taxes, **ways),
        parks,
        clock,
    )
    taxes = OpenIdClient(
        issuer, "taxes", "openid profile address phone", addresses.taxes, clock, secret=_secret(folder)
    )
    yield create_service(
        Service("taxes", "Taxes", addresses.taxes, neighbour_name="City Parks", neighbour=addresses.parks, **ways),
        taxes,
        clock,
    )
    yield create_inbox_page(inbox, lambda: cast_members(house), read_cast()[0].password, addresses, clock)


def _secret(folder: Path) -> str:
    """Taxes' client secret, made once."""
    return _made_once(folder / "taxes.secret", lambda: secrets.token_urlsafe(32).encode()).decode()


def _key(folder: Path) -> ECKey:
    """Parks' private key, made once."""

    def new() -> bytes:
        return ECKey.generate_key("P-256", private=True).as_pem(private=True)

    key = ECKey.import_key(_made_once(folder / "parks.pem", new))
    key.ensure_kid()
    return key


def _made_once(path: Path, make: Callable[[], bytes]) -> bytes:
    with contextlib.suppress(FileExistsError):
        content = make()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return path.read_bytes()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder, and make it (0700) where it is missing; a second demo in it is refused."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoBusy(f"a demo runs in {folder} already; end it, or give --data another folder") from None
        yield


def find_ports(port: int) -> tuple[list[list[socket.socket]], bool]:
    """Bind four ports side by side, at `port` or at the next place where four are free."""
    for base in range(port, min(port + 1000, 65536 - PORTS), 10):
        bound: list[list[socket.socket]] = []
        try:
            for offset in range(PORTS):
                bound.append(listen("localhost", base + offset))
        except AddressTaken:
            for one in [one for pair in bound for one in pair]:
                one.close()
            continue
        return bound, base != port
    raise AddressTaken(f"no four ports side by side are free from {port} on")


async def present_code(folder: Path, who: str) -> tuple[str | None, datetime]:
    """The present one-time code of a handle or address, None where there is no authenticator app, and the instant.
    Raises `SettingsError` for someone who is not there."""
    if not (folder / "identity.sqlite").exists():
        raise SettingsError(f"there is no demo in {folder} yet; start one with: identity demo")
    async with open_demo(folder, "http://localhost", []) as (house, _):
        return await code_of(house, who), house.clock.now()
