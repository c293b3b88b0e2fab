"""`identity simulate`: a throw-away provider in one command."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from config.commands.common import plain_errors, split_pairs, start_quickly

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="A throw-away provider for your tests.")
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="Of http://localhost:PORT, the issuer. 0 takes a free one.")  # fmt: skip # noqa: E501
@click.option("--issuer", metavar="URL", help="What it is called, such as http://identity.test:8600: a loopback or private address, or a name under .localhost or .test. Without it http://localhost:PORT.")  # fmt: skip # noqa: E501
@click.option("--listen", "host", default="localhost", show_default=True, metavar="ADDRESS", help="Where it listens; 0.0.0.0 within a container.")  # fmt: skip # noqa: E501
@click.option("--control", type=click.IntRange(0, 65535), help="Port of the control listener, on 127.0.0.1 or where --listen says. Without it there is none.")  # fmt: skip # noqa: E501
@click.option("--people", type=FILE, help="TOML: [[people]] with handle, email, password, totp, ...")
@click.option("--clients", type=FILE, help="JSON: an array of OpenID Connect registration metadata.")
@click.option("settings_file", "--settings", type=FILE, help="TOML: settings that --setting cannot hold, such as [[resource]]; see identity settings.")  # fmt: skip # noqa: E501
@click.option("--database", metavar="URL", help="An empty database (postgresql+psycopg://...). Without it a temporary file.")  # fmt: skip # noqa: E501
@click.option("--store", metavar="URL", help="A Redis (redis://host:port/number). Without it the process' memory.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer; more than one needs --store.")  # fmt: skip # noqa: E501
@click.option("pairs", "--setting", metavar="KEY=VALUE", multiple=True, help="Set one setting, such as assurance.minimum=aal1; may be repeated.")  # fmt: skip # noqa: E501
def simulate(
    port: int,
    issuer: str | None,
    host: str,
    control: int | None,
    people: Path | None,
    clients: Path | None,
    settings_file: Path | None,
    database: str | None,
    store: str | None,
    workers: int,
    pairs: Sequence[str],
) -> None:
    """Start the real product, empty but for two files, and throw it away afterwards.

    Prints `ready http://localhost:PORT` when it answers, and with --control `control http://127.0.0.1:PORT`; the log
    goes to standard error. SIGTERM or Ctrl-C ends it with status 0. Keys, mail and, without --database, the data live
    in a temporary folder that is removed.

    \b
    The control listener answers:
      GET  /health
      GET  /inbox?to=ADDRESS            messages, newest first
      POST /clock/advance               {"seconds": 3600}
      POST /keys/rotate
      POST /people/HANDLE/sign-in       {"acr": "aal2"}: the cookies of a session, without a form
      POST /people/HANDLE/state         {"state": "suspended"}
      POST /people                      {"handle": ..., "email": ..., "password": ...}: one more
      PUT  /people/HANDLE/claims        {"name": "Ada King"}: all of them anew
      DELETE /people/HANDLE/consents    what they agreed to is asked again
      PUT  /clients                     [{"client_id": ...}]: added, or changed

    \b
    A one-time code works as often as it comes, so that the clock can stand (--setting=assurance.repeat_codes=false:
    once, as for citizens), limits are wide, and `sub` is the same at each start for the same handle and service.

    \b
    Settings made for this: assurance.minimum, throttle.per_address, lifetime.code, lifetime.access_token,
    lifetime.refresh_token, lifetime.id_token, session.idle, session.absolute (seconds). Off until they are set:
    registration.mode=open, logout.front_channel=true, logout.session_management=true.
    All there are: identity settings.
    """
    # Until the server listens for signals itself: an end is an end, and leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    start_quickly()
    with plain_errors():
        from config.commands.client import file_text
        from config.demo.people import read_people
        from config.demo.simulator import Asked, simulate
        from config.logging import configure_logging
        from config.server import run

        configure_logging()
        asked = Asked(
            port=port,
            issuer=issuer,
            listen=host,
            control=control,
            people=read_people(file_text(people), str(people)) if people else (),
            clients=file_text(clients) if clients else None,
            database=database,
            store=store,
            workers=workers,
            settings_file=settings_file,
            settings=split_pairs(pairs),
        )
        run(lambda stopping: simulate(asked, stopping, _say, lambda line: click.echo(line, err=True)))


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
