"""`identity keys`: the keys that sign, and the files that seal."""

import asyncio
from collections.abc import Sequence
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
    click.echo(table(("key", "algorithm", "state", "announced", "signs since", "retired", "published until"), rows))


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
            ]
            for key in await keys_of(db)
        ]


@keys.command()
@with_settings
@click.option("--algorithm", multiple=True, metavar="ALG", help="Only this algorithm; may be repeated.")
def rotate(settings_file: Path | None, pairs: Sequence[str], algorithm: Sequence[str]) -> None:
    """Sign with the next key from now on, keep the present one published for a day, announce another.

    Relying parties notice nothing: the key that begins to sign has been in the key set since the last rotation.
    """
    with plain_errors():
        click.echo(asyncio.run(_rotate(load(settings_file, pairs), algorithm)))


async def _rotate(settings: "Settings", only: Sequence[str]) -> str:
    from oidc.signer import ALGORITHMS
    from oidc.signing_keys import rotate

    if unknown := set(only) - set(ALGORITHMS):
        raise Plain(f"--algorithm {', '.join(sorted(unknown))}: there are {', '.join(ALGORITHMS)}")
    async with open_house(settings) as house, house.database.begin() as db:
        done = await rotate(db, house.vault, house.clock.now(), algorithms=tuple(only) or ALGORITHMS)
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

    async with open_house(settings) as house, house.database.begin() as db:
        if not await revoke_key(db, house.vault, kid, house.clock.now()):
            raise Plain(f"{kid}: no such key, or it was revoked before; `identity keys list` shows all")


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
