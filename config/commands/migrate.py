"""`identity migrate`: the database's tables."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.common import load, open_house, plain_errors, with_settings

if TYPE_CHECKING:
    from config.settings import Settings


@click.command(short_help="Bring the database up to date.")
@with_settings
@click.option("--check", is_flag=True, help="Change nothing: name what is pending, with status 1 if there is any.")
def migrate(settings_file: Path | None, pairs: Sequence[str], check: bool) -> None:
    """Bring the database up to date; safe while the previous release runs.

    Makes the first signing keys too. Run it once for each release, before `identity serve`.
    """
    with plain_errors():
        behind = asyncio.run(_migrate(load(settings_file, pairs), check))
    if not behind:
        click.echo("The database is up to date.")
    for revision in behind:
        click.echo(f"{'pending' if check else 'done'}  {revision}")
    if check and behind:
        raise click.exceptions.Exit(1)


async def _migrate(settings: "Settings", check: bool) -> list[str]:
    """The revisions that were pending."""
    from config.schema import bring_up_to_date, pending
    from oidc.signing_keys import ensure_keys

    async with open_house(settings) as house:
        behind = await pending(house.database.engine)
        if not check:
            await bring_up_to_date(house.database.engine)
            async with house.database.begin() as db:
                await ensure_keys(db, house.key_holder, house.clock.now())
    return behind
