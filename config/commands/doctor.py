"""`identity doctor`: looks at a configuration and says what is wrong with it, and what to do."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.commands.common import split_pairs, with_settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from config.sections import KeySettings
    from config.settings import Settings

Finding = tuple[str, str, bool]
"""What was looked at, what was found, whether it is well."""
PATIENCE = 5.0


@click.command(short_help="Say what is wrong with a configuration.")
@with_settings
def doctor(settings_file: Path | None, pairs: Sequence[str]) -> None:
    """Check a configuration: settings, key files, database, store, issuer, mail, theme.

    Each line says ok or wrong, and what to do; the exit status is 1 when something is wrong. Nothing is changed.
    """
    from config.settings import SettingsError, read_settings

    try:
        settings = read_settings(settings_file, os.environ, split_pairs(pairs))
    except SettingsError as error:
        for line in str(error).splitlines():
            _show("settings", line, False)
        raise click.exceptions.Exit(1) from None
    _show("settings", str(settings_file or "from the environment"), True)
    findings = asyncio.run(_all(settings))
    for finding in findings:
        _show(*finding)
    if not all(is_well for _, _, is_well in findings):
        raise click.exceptions.Exit(1)


def _show(what: str, found: str, is_well: bool) -> None:
    click.echo(f"{'ok   ' if is_well else 'WRONG'}  {what:9} {found}")


async def _all(settings: "Settings") -> list[Finding]:
    return [finding async for finding in _findings(settings)]


async def _findings(settings: "Settings") -> AsyncIterator[Finding]:
    yield ("issuer", settings.issuer, True)
    yield _keys(settings)
    if settings.keys.pkcs11_module:
        yield await _token(settings)
    async for finding in _database(settings):
        yield finding
    yield await _store(settings)
    yield _mail(settings)
    yield _theme(settings)
    yield _passwords(settings)


def _keys(settings: "Settings") -> Finding:
    from config.keys import read_keys
    from config.settings import SettingsError

    try:
        read = read_keys(Path(settings.keys.directory))
    except SettingsError as error:
        return ("keys", str(error), False)
    return ("keys", f"{settings.keys.directory}: {len(read.wrapping)} wrapping, blind index, pepper", True)


async def _token(settings: "Settings") -> Finding:
    from config.settings import SettingsError
    from config.signing import token_of, verify_token

    try:
        await verify_token(token_of(settings.keys))
    except SettingsError as error:
        return ("token", str(error), False)
    return ("token", f"{settings.keys.pkcs11_token}: answers", True)


async def _database(settings: "Settings") -> AsyncIterator[Finding]:
    from sqlalchemy import make_url, text
    from sqlalchemy.exc import SQLAlchemyError

    from accounts.errors import DatabaseUnavailable
    from config.database import open_engine
    from config.schema import pending

    url = make_url(settings.database.url)
    name = url.render_as_string(hide_password=True)
    if url.drivername.startswith("sqlite") and not _is_file(url.database):
        # Looking at it would create it.
        yield ("database", f"{name}: no such file yet; run: identity migrate", False)
        return
    engine = open_engine(settings.database.url, 1)
    try:
        async with asyncio.timeout(PATIENCE), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        yield ("database", f"{name}: answers", True)
        behind = await pending(engine)
        if behind:
            yield ("tables", f"the database lacks {', '.join(behind)}; run: identity migrate", False)
            return
        yield ("tables", "up to date", True)
        yield await _signing_keys(engine, settings.keys)
    except (SQLAlchemyError, DatabaseUnavailable, TimeoutError, OSError) as error:
        said = getattr(error, "orig", None) or getattr(error, "detail", "") or error
        cause = str(said or "no answer").strip().splitlines()
        yield ("database", f"{name}: does not answer ({(cause or ['no answer'])[0]}); check database.url", False)
    finally:
        await engine.dispose()


def _is_file(path: str | None) -> bool:
    return bool(path) and Path(path or "").exists()


async def _signing_keys(engine: "AsyncEngine", keys: "KeySettings") -> Finding:
    from accounts.database import Database
    from oidc.hardware_keys import name_in
    from oidc.signing_keys import keys_of

    async with Database(engine, keep=()).begin() as db:
        in_use = [key for key in await keys_of(db) if key.state == "current"]
    for key in in_use:
        if key.held_at is not None and not name_in(keys.pkcs11_token, key.held_at):
            return ("signing", f"{key.algorithm}: keys.pkcs11_token is not the token of {key.held_at}", False)
    current = sorted(key.algorithm for key in in_use)
    return ("signing", ", ".join(current) or "no signing key; run: identity migrate", bool(current))


async def _store(settings: "Settings") -> Finding:
    from accounts.errors import StoreUnavailable
    from config.clock import Clock
    from config.store import open_store

    url, now = settings.store.url, Clock().now()
    shown = url.rpartition("@")[2]
    if url == "memory://":
        return ("store", "memory:// (one process; what it holds is lost with it)", True)
    store = await open_store(url, now, settings.store.prefix)
    try:
        await store.put("doctor", b"well", 60, now)
        well = await store.take("doctor", now) == b"well"
        return ("store", f"{shown}: answers" if well else f"{shown}: forgets what it was just given", well)
    except StoreUnavailable as error:
        return ("store", f"{shown}: does not answer ({error.detail}); check store.url", False)
    finally:
        await store.close()


def _mail(settings: "Settings") -> Finding:
    from urllib.parse import urlsplit

    if not settings.mail.url:
        return ("mail", "not set; the demo and the simulator have an inbox of their own", settings.is_throwaway)
    return ("mail", f"{urlsplit(settings.mail.url).hostname}, from {settings.mail.sender}", True)


def _theme(settings: "Settings") -> Finding:
    from config.site.theme import ThemeError, read_theme

    try:
        read_theme(Path(settings.site.theme) if settings.site.theme else None)
    except (ThemeError, OSError) as error:
        return ("theme", f"site.theme: {error}", False)
    return ("theme", settings.site.theme or "our own", True)


def _passwords(settings: "Settings") -> Finding:
    from identity.common_password import breached_list

    path = settings.password.breached_file
    if not path:
        return ("passwords", "the list that comes with us; password.breached_file names a larger one", True)
    try:
        breached_list(path)
    except (OSError, ValueError) as error:
        return ("passwords", f"password.breached_file: {error}", False)
    return ("passwords", path, True)
