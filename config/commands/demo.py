"""`identity demo`: the whole product, to look at."""

import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.common import plain_errors, split_pairs, start_quickly

if TYPE_CHECKING:
    from config.demo.demo import Opened

FOLDER = Path(".identity/demo")
data_option = click.option(
    "folder",
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Where the demo keeps its database and keys.",
)


@click.group(invoke_without_command=True, short_help="The whole product to look at, in one command.")
@data_option
@click.option("--port", type=click.IntRange(1, 65532), default=8000, show_default=True, help="Of the first of four addresses; the next free place when it is taken.")  # fmt: skip # noqa: E501
@click.option("--fresh", is_flag=True, help="Throw away what an earlier demo left, and begin anew.")
@click.option("pairs", "--setting", metavar="KEY=VALUE", multiple=True, help="Set one setting; may be repeated.")
@click.pass_context
def demo(context: click.Context, folder: Path, port: int, fresh: bool, pairs: Sequence[str]) -> None:
    """Serve the product with two sample services, an inbox and test people, until Ctrl-C.

    Everything is kept in one folder, with keys of its own, and is there again the next time.
    """
    context.obj = folder
    if context.invoked_subcommand is not None:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    start_quickly()
    with plain_errors():
        from config.demo.demo import demo as serve
        from config.demo.demo import only_one
        from config.logging import configure_logging
        from config.server import run

        configure_logging("WARNING")
        if fresh and folder.exists():
            with only_one(folder):
                shutil.rmtree(folder)
        run(lambda stopping: serve(folder, port, split_pairs(pairs), stopping, _say))


def _say(opened: "Opened") -> None:
    from config.demo.cast import SHOWS, read_cast

    at, people = opened.addresses, read_cast()
    width = max(len(person.email) for person in people)
    places = (
        ("City Parks", at.parks, "start here: create an account, or sign in"),
        ("Taxes", at.taxes, "then here: no password any more"),
        ("Citizen Account", at.account, "your services, sign-ins and details"),
        ("Inbox", at.inbox, "mail, SMS and everybody's codes arrive here"),
    )
    longest = max(len(address) for _, address, _ in places)
    lines = [
        "",
        "  The front door is open.",
        "",
        *(["  (The usual ports are taken, so these are others.)", ""] if opened.is_moved else []),
        *(f"  {name.ljust(18)}{address.ljust(longest + 3)}{what}" for name, address, what in places),
        "",
        f"  People, all with the password: {people[0].password}",
        *(f"    {person.email.ljust(width)}   {SHOWS[person.handle]}" for person in people),
        "",
        "  One-time codes: on the inbox page, or by `identity demo code ada`.",
        "  Ctrl-C ends it; everything is there again the next time (--fresh begins anew).",
        "",
    ]
    click.echo("\n".join(lines))
    sys.stdout.flush()


@demo.command()
@click.argument("who", metavar="NAME")
@click.pass_obj
def code(folder: Path, who: str) -> None:
    """Print the present one-time code of a test person (a handle like ada, or an address)."""
    import asyncio

    with plain_errors():
        from config.demo.demo import present_code

        found, now = asyncio.run(present_code(folder, who))
    if found is None:
        click.echo(f"identity: {who} has no authenticator app yet", err=True)
        raise click.exceptions.Exit(1)
    click.echo(found)
    click.echo(f"works once, for {30 - int(now.timestamp()) % 30} more seconds and half a minute of grace", err=True)
