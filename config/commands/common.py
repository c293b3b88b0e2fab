"""What commands share: settings options, plain errors, an open house."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from config.house import House
    from config.mail import Transport
    from config.settings import Settings


def start_quickly() -> None:
    """Starting makes much and drops nothing: looking for garbage meanwhile costs a tenth of it. `Running.until`
    begins looking again."""
    gc.disable()


class Plain(click.ClickException):
    """An expected problem: one plain line on standard error that says what to do, and status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"identity: {line}", file=file, err=file is None)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn expected problems into `Plain`; anything else keeps its traceback."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:
        text = _explained(error)
        if text is None:
            raise
        raise Plain(text) from error


def _explained(error: Exception) -> str | None:
    """What to tell a person about an error of a kind that can happen to a careful one.

    By name: importing all their modules would take longer than most of what fails.
    """
    for kind in type(error).__mro__:
        match f"{kind.__module__}.{kind.__qualname__}":
            case (
                "config.settings.SettingsError"
                | "config.demo.people.PeopleError"
                | "config.workers.WorkerFailed"
                | "oidc.client_file.ClientFileError"
            ):
                return str(error)
            case "oidc.hardware_token.HardwareUnavailable":
                return f"keys.pkcs11_{getattr(error, 'part', '')}: {getattr(error, 'problem', '')}"
            case "config.server.AddressTaken":
                return f"{error}; choose another one, or end that program"
            case "sqlalchemy.exc.OperationalError" | "sqlalchemy.exc.ProgrammingError":
                return _database_problem(_first_line(getattr(error, "orig", error)))
            case "accounts.errors.DatabaseUnavailable":
                return _database_problem(getattr(error, "detail", ""))
            case "alembic.util.exc.CommandError":
                return f"the database cannot be brought up to date ({error}); was it made by a newer release?"
            case "accounts.errors.StoreUnavailable" | "redis.exceptions.RedisError":
                return f"store.url: the store does not answer ({getattr(error, 'detail', '') or error})"
    return None


def _database_problem(said: str) -> str:
    if any(words in said for words in ("no such table", "no such column", "does not exist")):
        return f"database.url: its tables are not those of this release ({said}); run: identity migrate"
    return f"database.url: the database does not answer ({said})"


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which every operator's command finds its settings."""
    for option in (
        click.option(
            "pairs",
            "--setting",
            metavar="KEY=VALUE",
            multiple=True,
            help="Set one setting, such as database.url=...; may be repeated, and outranks file and environment.",
        ),
        click.option(
            "settings_file",
            "--settings",
            metavar="FILE",
            envvar="IDENTITY_SETTINGS",
            type=click.Path(path_type=Path),
            help="The TOML file with the settings (or IDENTITY_SETTINGS).",
        ),
    ):
        command = option(command)
    return command


def split_pairs(pairs: Sequence[str]) -> list[tuple[str, str]]:
    """`key=value` as typed, split."""
    split = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise Plain(f"--setting {pair}: write it as key=value, for example --setting lifetime.code=30")
        split.append((key.strip(), value))
    return split


def load(settings_file: Path | None, pairs: Sequence[str]) -> "Settings":
    """The settings of a deployment: file, environment, options."""
    from config.settings import read_settings

    return read_settings(settings_file, os.environ, split_pairs(pairs))


@asynccontextmanager
async def open_house(settings: "Settings", transport: "Transport | None" = None) -> AsyncIterator["House"]:
    """The house of these settings on the machine's clock."""
    from config.clock import Clock
    from config.house import House

    house = await House.open(settings, Clock(), transport)
    try:
        yield house
    finally:
        await house.close()


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, for a terminal; empty cells show a dash."""
    filled = [[cell or "-" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headings), *filled]) for i in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(headings), *filled]
    )
