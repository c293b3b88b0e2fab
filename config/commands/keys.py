"""`identity keys`: the keys that sign, and the files that seal."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.common import Plain, load, open_house, plain_errors, table, with_settings

if TYPE_CHECKING:
    from config.settings import Settings


@click.group(short_help="Signing keys and key files.")
def keys() -> None:
    """The signing keys of the provider, and the key files of the deployment."""


@keys.command("list")
@with_settings
def list_(settings_file: Path | None, pairs: Sequence[str]) -> None:
    """Every signing key, the newest first: next (announced), current, retired (still published), revoked."""
    with plain_errors():
        rows = asyncio.run(_list(load(settings_file, pairs)))
    click.echo(
        table(("key", "algorithm", "state", "announced", "signs since", "retired", "published until", "held in"), rows)
    )


async def _list(settings: "Settings") -> list[list[str]]:
    from oidc.signing_keys import keys_of

    async with open_house(settings) as house, house.database.begin() as db:
        return [
            [
                key.kid,
                key.algorithm,
                key.state,
                *(
                    "" if at is None else f"{at:%Y-%m-%d %H:%M}"
                    for at in (key.announced_at, key.active_at, key.retired_at, key.published_until)
                ),
                key.held_at or "",
            ]
            for key in await keys_of(db)
        ]


@keys.command()
@with_settings
@click.option("--algorithm", multiple=True, metavar="ALG", help="Only this algorithm; may be repeated.")
@click.option("--at-once", is_flag=True, help="Even where the next key was announced less than an hour ago.")
def rotate(settings_file: Path | None, pairs: Sequence[str], algorithm: Sequence[str], at_once: bool) -> None:
    """Sign with the next key from now on, keep the present one published for a day, announce another.

    Relying parties notice nothing: the key that begins to sign has been in the key set for an hour at least.
    """
    with plain_errors():
        click.echo(asyncio.run(_rotate(load(settings_file, pairs), algorithm, at_once)))


async def _rotate(settings: "Settings", only: Sequence[str], at_once: bool) -> str:
    from oidc.key_schedule import ANNOUNCED
    from oidc.signer import ALGORITHMS
    from oidc.signing_keys import destroy_ended, rotate

    if unknown := set(only) - set(ALGORITHMS):
        raise Plain(f"--algorithm {', '.join(sorted(unknown))}: there are {', '.join(ALGORITHMS)}")
    async with open_house(settings) as house:
        holder, wait = house.key_holder, timedelta(0) if at_once else ANNOUNCED
        async with house.database.begin() as db:
            chosen = tuple(only) or ALGORITHMS
            done = await rotate(db, holder, house.clock.now(), algorithms=chosen, announced_for=wait)
        async with house.database.begin() as db:
            await destroy_ended(db, holder)
    if not any(one.announced for one in done):
        raise Plain("the next keys were announced less than an hour ago; services may not know them yet (--at-once)")
    shown = [[it.algorithm, it.current or "", it.retired or "", it.announced or ""] for it in done]
    return table(("algorithm", "signs now", "retired", "next"), shown)


@keys.command()
@with_settings
@click.argument("kid", metavar="KID")
@click.confirmation_option(prompt="Nothing that this key signed will be believed any more. Go on?")
def revoke(settings_file: Path | None, pairs: Sequence[str], kid: str) -> None:
    """Take a signing key back at once, because it may be in wrong hands; the next key signs from now on.

    Relying parties that hold a copy of the key set for five minutes may refuse tokens for as long.
    """
    with plain_errors():
        asyncio.run(_revoke(load(settings_file, pairs), kid))
    click.echo(f"revoked  {kid}")


async def _revoke(settings: "Settings", kid: str) -> None:
    from oidc.key_schedule import revoke_key
    from oidc.signing_keys import destroy_ended

    async with open_house(settings) as house:
        async with house.database.begin() as db:
            if not await revoke_key(db, house.key_holder, kid, house.clock.now()):
                raise Plain(f"{kid}: no such key, or it was revoked before; `identity keys list` shows all")
        async with house.database.begin() as db:
            await destroy_ended(db, house.key_holder)


@keys.command()
@with_settings
@click.option("--directory", type=click.Path(path_type=Path), help="Where to put them (keys.directory).")
def create(settings_file: Path | None, pairs: Sequence[str], directory: Path | None) -> None:
    """Make the key files of a new deployment (wrapping key, blind-index key, pepper).

    Files that exist stay as they are. Keep a copy apart from the database's: without them its personal fields are
    lost for good, and with them alone a dump can be read.
    """
    from config.keys import FILES, make_keys, read_keys

    with plain_errors():
        folder = directory or Path(load(settings_file, pairs).keys.directory)
        there = {name for name in FILES if (folder / name).exists()}
        if there and len(there) < len(FILES):
            missing = ", ".join(sorted(set(FILES) - there))
            raise Plain(f"{folder}: {missing} missing beside other keys; bring back the file that belongs to them")
        make_keys(folder)
        read_keys(folder)
    for name in FILES:
        click.echo(f"{'kept' if name in there else 'made'}  {folder / name}")
