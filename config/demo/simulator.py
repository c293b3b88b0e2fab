"""The simulator: the real product, empty but for two files, thrown away afterwards."""

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from config.clock import Clock
from config.demo.control import Control
from config.demo.control_people import settle_subjects
from config.demo.inbox import Inbox
from config.demo.people import Person, create_people
from config.house import House
from config.keys import make_keys
from config.schema import bring_up_to_date, tables_of
from config.server import Running, listen
from config.settings import Settings, SettingsError, read_settings
from config.store import forget
from config.workers import Workers, serve_house
from oidc.client_file import Applied, import_json
from oidc.protocol.uris import is_for_tests
from oidc.signing_keys import ensure_keys

OURS = ("issuer", "mode", "database.", "store.", "keys.", "listen.", "mail.")
"""Settings that the simulator decides itself, or has an option for."""
OUTBOX_PAUSE = 0.1
"""Seconds between two looks into the outbox: tests wait for what is in it."""


class Asked(msgspec.Struct, frozen=True):
    """What `identity simulate` was asked for. `clients` is the JSON text of the file."""

    port: int
    issuer: str | None = None
    """The address that it has for others; without it `http://localhost:` and the port."""
    listen: str = "localhost"
    control: int | None = None
    people: Sequence[Person] = ()
    clients: str | None = None
    database: str | None = None
    store: str | None = None
    workers: int = 1
    settings_file: Path | None = None
    settings: Sequence[tuple[str, str]] = ()


async def simulate(
    asked: Asked, stopping: asyncio.Event, say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Run until `stopping` is set. `say` gets the one line `ready ...`; `warn` what else a person should read.

    Raises `SettingsError`, `ClientFileError`, `AddressTaken`, `WorkerFailed`.
    """
    for key, _ in asked.settings:
        if key.startswith(OURS):
            raise SettingsError(f"{key}: the simulator sets it itself; see identity simulate --help")
    folder = Path(tempfile.mkdtemp(prefix="identity-simulator-"))
    running = Running()
    try:
        sockets = listen(asked.listen, asked.port)
        place = "127.0.0.1" if asked.listen == "localhost" else asked.listen
        control_sockets = [] if asked.control is None else listen(place, asked.control)
        issuer = asked.issuer or f"http://localhost:{sockets[0].getsockname()[1]}"
        if not is_for_tests(urlsplit(issuer).hostname or ""):
            raise SettingsError("--issuer: a loopback or private address, or a name under .localhost or .test")
        settings = _settings(asked, issuer, folder)
        make_keys(folder / "keys")
        clock = Clock(folder / "clock")
        inbox = Inbox(folder / "inbox.jsonl", clock)
        house = await House.open(settings, clock, inbox)
        try:
            await _make_tables(house, asked)
            keys = asyncio.create_task(_make_signing_keys(house))
            try:
                await asyncio.sleep(0.01)  # they are found in threads, while the application is put together
                people = await _fill(house, asked, warn)
                await _answer(running, house, asked, sockets, folder, stopping)
            finally:
                await keys
            if control_sockets:
                control = Control(house, inbox, people, asked.workers)
                await running.serve("the control listener", control, control_sockets)
            if not stopping.is_set():
                say(f"ready {issuer}")
                if control_sockets:
                    say(f"control http://{place}:{control_sockets[0].getsockname()[1]}")
            await running.until(stopping.wait())
        finally:
            await running.stop()
            await house.close()
            if asked.store:
                await forget(settings.store.url, settings.store.prefix)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _answer(
    running: Running,
    house: House,
    asked: Asked,
    sockets: Sequence[socket.socket],
    folder: Path,
    stopping: asyncio.Event,
) -> None:
    """Start what answers, in this process or in several, and the outbox worker, always in this one."""
    if asked.workers == 1:
        await serve_house(running, house, sockets, outbox=True, pause=OUTBOX_PAUSE)
        return
    workers = Workers(asked.workers, house.settings, sockets, clock_file=folder / "clock", restart=False)
    running.start("the workers", workers.run(), workers.stop)
    worker = house.worker(OUTBOX_PAUSE)
    running.start("the outbox worker", worker.run(), worker.stop)
    await running.until(workers.ready(), stopping.wait())


def _settings(asked: Asked, issuer: str, folder: Path) -> Settings:
    """The environment has no say: the same command gives the same provider everywhere.

    A file may be that of a deployment: what the simulator decides itself outranks it, and no real token is touched.
    """
    return read_settings(
        asked.settings_file,
        {},
        [
            ("issuer", issuer),
            ("mode", "simulator"),
            ("database.url", asked.database or f"sqlite+aiosqlite:///{folder / 'identity.sqlite'}"),
            ("store.url", asked.store or "memory://"),
            # A shared Redis may remember an earlier run, and another clock.
            ("store.prefix", f"identity:simulator-{secrets.token_hex(6)}:"),
            ("keys.directory", str(folder / "keys")),
            *((f"keys.pkcs11_{part}", "") for part in ("module", "token", "pin")),
            ("listen.workers", str(asked.workers)),
            # Tests ask for the same few people, at numbers of one range, again and again.
            ("ciba.per_person", "1000"),
            ("sms.per_range", "10000"),
            ("sms.per_country", "100000"),
            ("sms.everyone", "100000"),
            # All of them come from one address, and sign in more often than citizens do.
            ("throttle.per_address", "100000"),
            ("throttle.per_prefix", "100000"),
            ("throttle.proof_bits", "0"),
            ("registration.per_address", "100000"),
            ("assurance.repeat_codes", "true"),
            *asked.settings,
        ],
    )


async def _make_tables(house: House, asked: Asked) -> None:
    engine = house.database.engine
    if asked.database and (tables := await tables_of(engine)):
        raise SettingsError(
            f"database.url: the simulator needs an empty database, and this one has the table {tables[0]}"
        )
    await bring_up_to_date(engine)


async def _make_signing_keys(house: House) -> None:
    async with house.database.begin() as db:
        await ensure_keys(db, house.key_holder, house.clock.now())


async def _fill(house: House, asked: Asked, warn: Callable[[str], None]) -> dict[str, UUID]:
    """Clients and people. Returns the accounts by handle."""
    now = house.clock.now()
    if asked.clients is not None:
        async with house.database.begin() as db:
            applied: Applied = await import_json(
                db, asked.clients, house.provider.capabilities, now, fetcher=house.provider.fetcher
            )
        for warning in applied.warnings:
            warn(f"warning: {warning}")
    people = await create_people(house, asked.people, now)
    async with house.database.begin() as db:
        await settle_subjects(db, people, now)
    return people
