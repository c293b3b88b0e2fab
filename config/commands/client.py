"""`identity client`: the relying parties that are registered here."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.client_state import remove, resume, suspend
from config.commands.common import Plain, load, open_house, plain_errors, table, with_settings

if TYPE_CHECKING:
    from config.settings import Settings
    from oidc.client_file import Judged
    from oidc.protocol.capabilities import Capabilities

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(short_help="Register relying parties.")
def client() -> None:
    """Register relying parties and look at them."""


for _command in (suspend, resume, remove):
    client.add_command(_command)

DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")


@client.command()
@with_settings
@DRY_RUN
@click.argument("file", type=FILE)
def apply(settings_file: Path | None, pairs: Sequence[str], dry_run: bool, file: Path) -> None:
    """Apply a reviewed TOML file of clients; names every wrong line, and then writes nothing.

    Says first what changes, a line a field; ! marks what could hand the client to somebody else: addresses, keys,
    secrets. Applying it again changes nothing; a client that is not in the file stays as it is.
    """
    with plain_errors():
        asyncio.run(_write(load(settings_file, pairs), file, False, dry_run))


@client.command("import")
@with_settings
@DRY_RUN
@click.argument("file", type=FILE)
def import_(settings_file: Path | None, pairs: Sequence[str], dry_run: bool, file: Path) -> None:
    """Import a JSON array of OpenID Connect registration metadata, as `identity simulate --clients` takes it."""
    with plain_errors():
        asyncio.run(_write(load(settings_file, pairs), file, True, dry_run))


async def _write(settings: "Settings", file: Path, is_json: bool, dry_run: bool) -> None:
    from oidc.client_file import plan, write

    async with open_house(settings) as house, house.database.begin() as db:
        judged = _judged(file, is_json, house.provider.capabilities)
        planned = await plan(db, judged, house.provider.fetcher)
        for each in planned:
            click.echo(str(each))
        if dry_run:
            return
        applied = await write(db, judged, planned, house.clock.now())
    for done in ("created", "changed", "unchanged"):
        for client_id in getattr(applied, done):
            click.echo(f"{done}  {client_id}")


def _judged(file: Path, is_json: bool, capabilities: "Capabilities") -> "Judged":
    """The file's clients, with every warning said; `apply`, `import` and `check` judge here alike."""
    from oidc.client_file import judge_json, judge_toml

    judged = (judge_json if is_json else judge_toml)(file_text(file), capabilities)
    for warning in (*judged.warnings, *judged.advice):
        click.echo(f"warning: {warning}", err=True)
    return judged


@client.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
def check(files: Sequence[Path]) -> None:
    """Judge files of clients as `apply` (TOML) and `import` (a name that ends in .json) would, without settings,
    database, keys or network.

    A deployment may offer more than its default settings do; a sector_identifier_uri is not fetched. Status 2 where
    a file has a problem.
    """
    from config.policies import capabilities_of
    from config.settings import Settings
    from oidc.client_file import ClientFileError

    capabilities = capabilities_of(Settings(issuer="https://account.example"))
    problems = []
    for file in files:
        try:
            judged = _judged(file, file.suffix == ".json", capabilities)
        except (ClientFileError, Plain) as error:
            problems += [f"{file}: {line}" for line in str(error).splitlines()]
            continue
        for wanted in judged.wanted:
            click.echo(f"good  {file}  {wanted.client_id}  {wanted.algorithm}")
    if problems:
        raise Plain("\n".join(problems))


def file_text(file: Path) -> str:
    """The text of a file that a person handed in."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Plain(f"{file}: is not UTF-8") from None
    except OSError as error:
        raise Plain(f"{file}: {error.strerror}") from None


@client.command("list")
@with_settings
def list_(settings_file: Path | None, pairs: Sequence[str]) -> None:
    """Every client by its identifier."""
    with plain_errors():
        rows = asyncio.run(_list(load(settings_file, pairs)))
    click.echo(table(("client", "name", "profile", "from", "changed", "state"), rows))


async def _list(settings: "Settings") -> list[list[str]]:
    from oidc.client import clients_of

    rows: list[list[str]] = []
    async with open_house(settings) as house, house.database.begin() as db:
        while page := await clients_of(db, after=rows[-1][0] if rows else ""):
            rows += [
                [
                    it.client_id,
                    it.client_name or "",
                    it.profile,
                    it.source,
                    f"{it.updated_at:%Y-%m-%d %H:%M}",
                    "disabled" if it.disabled_at else "active",
                ]
                for it in page
            ]
    return rows


@client.command()
@with_settings
@click.argument("client_id", metavar="CLIENT")
def show(settings_file: Path | None, pairs: Sequence[str], client_id: str) -> None:
    """Everything that is registered of one client, as JSON; a secret is never kept, so none is shown."""
    with plain_errors():
        click.echo(asyncio.run(_show(load(settings_file, pairs), client_id)))


async def _show(settings: "Settings", client_id: str) -> str:
    import msgspec

    from oidc.client import find_client
    from oidc.protocol.client_metadata import registration_of

    async with open_house(settings) as house, house.database.begin() as db:
        found = await find_client(db, client_id)
    if found is None:
        raise Plain(f"{client_id}: no such client; `identity client list` shows all")
    shown = {"client_id": found.client_id, "has_secret": found.has_secret, **registration_of(found.metadata)}
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


@client.command()
@with_settings
@click.argument("note", metavar="WHOM")
@click.option("--hours", type=click.IntRange(1, 24 * 30), default=24, show_default=True, help="How long it is good.")
def invite(settings_file: Path | None, pairs: Sequence[str], note: str, hours: int) -> None:
    """Let one client register itself, once: prints an initial access token (RFC 7591) for WHOM you name.

    Needs registration.mode=initial_token. The token is kept nowhere.
    """
    with plain_errors():
        token, until = asyncio.run(_invite(load(settings_file, pairs), note, hours))
    click.echo(token)
    click.echo(f"For one registration until {until}.", err=True)


async def _invite(settings: "Settings", note: str, hours: int) -> tuple[str, str]:
    from datetime import timedelta

    from oidc.registration import invite

    if settings.registration.mode != "initial_token":
        raise Plain("registration.mode: is not initial_token, so nobody could use an invitation")
    async with open_house(settings) as house, house.database.begin() as db:
        invited = await invite(db, note, timedelta(hours=hours), house.clock.now())
    return invited.token, f"{invited.expires_at:%Y-%m-%d %H:%M} UTC"
