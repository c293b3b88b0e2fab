"""`identity client suspend | resume | remove`: what an operator does to a relying party that stands."""

import asyncio
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.common import Plain, load, open_house, plain_errors, with_settings

if TYPE_CHECKING:
    from accounts.database import Transaction
    from config.settings import Settings


@click.command()
@with_settings
@click.argument("client_id", metavar="CLIENT")
def suspend(settings_file: Path | None, pairs: Sequence[str], client_id: str) -> None:
    """Stop a client at once: its requests are refused and its tokens are worth nothing until it is resumed.

    What citizens agreed to stays. Doing it again changes nothing.
    """
    with plain_errors():
        click.echo(asyncio.run(_set_disabled(load(settings_file, pairs), client_id, True)))


@click.command()
@with_settings
@click.argument("client_id", metavar="CLIENT")
def resume(settings_file: Path | None, pairs: Sequence[str], client_id: str) -> None:
    """Let a suspended client in again; its tokens that have not run out count again."""
    with plain_errors():
        click.echo(asyncio.run(_set_disabled(load(settings_file, pairs), client_id, False)))


@click.command()
@with_settings
@click.argument("client_id", metavar="CLIENT")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(settings_file: Path | None, pairs: Sequence[str], client_id: str, yes: bool) -> None:
    """Suspend a client and end every agreement with it, which cannot be undone: the service is told by logout tokens.

    Citizens keep the record of what they agreed to. The client stays listed as disabled; should it be resumed,
    everybody is asked anew.
    """
    with plain_errors():
        settings = load(settings_file, pairs)
        asyncio.run(_known(settings, client_id))
        if not yes:
            click.confirm(f"End every agreement with {client_id}? This cannot be undone", abort=True)
        click.echo(asyncio.run(_remove(settings, client_id)))


async def _set_disabled(settings: "Settings", client_id: str, disabled: bool) -> str:
    from oidc.client import set_disabled

    async with open_house(settings) as house, house.database.begin() as db:
        await _require(db, client_id)
        changed = await set_disabled(db, client_id, disabled, house.clock.now())
    state = "suspended" if disabled else "active"
    return f"{client_id}: {state}" if changed else f"{client_id}: was {state} already, nothing changed"


async def _known(settings: "Settings", client_id: str) -> None:
    async with open_house(settings) as house, house.database.begin() as db:
        await _require(db, client_id)


async def _remove(settings: "Settings", client_id: str) -> str:
    from oidc.client import set_disabled
    from oidc.client_removal import end_some_agreements
    from oidc.revision import MAX_AGE

    ended = 0
    async with open_house(settings) as house:
        async with house.database.begin() as db:
            await set_disabled(db, client_id, True, house.clock.now())
        # By then no worker takes an agreement any more, that would be left standing.
        await asyncio.sleep(MAX_AGE.total_seconds())
        while True:
            async with house.database.begin() as db:
                some = await end_some_agreements(db, house.vault, client_id, house.clock.now())
            ended += some
            if not some:
                return f"{client_id}: suspended, and the agreements of {ended} citizens ended"


async def _require(db: "Transaction", client_id: str) -> None:
    from oidc.client import clients_of, find_client

    if await find_client(db, client_id) is not None:
        return
    known = [one.client_id for one in await clients_of(db, limit=1000)]
    near = get_close_matches(client_id, known, 1)
    hint = f"; is {near[0]} meant?" if near else "; `identity client list` shows all"
    raise Plain(f"{client_id}: no such client{hint}")
