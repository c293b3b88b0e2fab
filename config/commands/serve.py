"""`identity serve`, `identity worker`: the service, and its outbox worker apart."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.common import Plain, load, open_house, plain_errors, start_quickly, with_settings

if TYPE_CHECKING:
    from config.house import House
    from config.settings import Settings


@click.command(short_help="Serve the product.")
@with_settings
@click.option("--host", help="The address to listen on (listen.host).")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on (listen.port).")
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes answer (listen.workers).")
def serve(
    settings_file: Path | None, pairs: Sequence[str], host: str | None, port: int | None, workers: int | None
) -> None:
    """Serve the product until SIGTERM or Ctrl-C.

    The database must be up to date (identity migrate). With one worker the outbox worker runs inside this process;
    with more, inside the first of them; with listen.outbox_worker=false in none: run `identity worker` beside it.
    """
    named = {"listen.host": host, "listen.port": port, "listen.workers": workers}
    start_quickly()
    options = [*pairs, *(f"{key}={value}" for key, value in named.items() if value is not None)]
    with plain_errors():
        from config.logging import configure_logging
        from config.server import run

        settings = load(settings_file, options)
        configure_logging()
        run(lambda stopping: _serve(settings, stopping))


async def _serve(settings: "Settings", stopping: asyncio.Event) -> None:
    from config.logging import logger
    from config.server import Running, listen
    from config.workers import Workers, serve_house

    where = settings.listen
    log, running = logger("serve"), Running()
    async with open_house(settings) as house:
        await _prepare(house)
        try:
            sockets = listen(where.host, where.port)
            if where.workers == 1:
                await serve_house(running, house, sockets, where.outbox_worker)
            else:
                workers = Workers(where.workers, settings, sockets, outbox=where.outbox_worker)
                running.start("the workers", workers.run(), workers.stop)
                await running.until(workers.ready(), stopping.wait())
            log.info("serving", issuer=settings.issuer, host=where.host, port=sockets[0].getsockname()[1])
            await running.until(stopping.wait())
        finally:
            await running.stop()
    log.info("ended")


async def _prepare(house: "House") -> None:
    """Refuse a database that is behind this release and a token that cannot sign; make the first signing keys."""
    from config.schema import pending
    from config.signing import verify_token
    from oidc.signing_keys import ensure_keys

    if behind := await pending(house.database.engine):
        raise Plain(f"the database lacks {', '.join(behind)}; run: identity migrate")
    await verify_token(house.hardware_token)
    async with house.database.begin() as db:
        await ensure_keys(db, house.key_holder, house.clock.now())


@click.command(short_help="Send mail and logout tokens.")
@with_settings
def worker(settings_file: Path | None, pairs: Sequence[str]) -> None:
    """Do what is due after commit: mail, logout tokens. Run as many as you like; each piece goes to one of them."""
    start_quickly()
    with plain_errors():
        from config.logging import configure_logging
        from config.server import run

        settings = load(settings_file, pairs)
        configure_logging()
        run(lambda stopping: _work(settings, stopping))


async def _work(settings: "Settings", stopping: asyncio.Event) -> None:
    from config.logging import logger
    from config.server import Running

    running = Running()
    async with open_house(settings) as house:
        await _prepare(house)
        outbox = house.worker()
        running.start("the outbox worker", outbox.run(), outbox.stop)
        logger("worker").info("working")
        try:
            await running.until(stopping.wait())
        finally:
            await running.stop()


@click.command(hidden=True)
def work() -> None:
    """One worker process of `serve` or `simulate`; takes its orders on standard input."""
    start_quickly()
    from config.workers import work as live

    live()
