"""Interactions: bound to one browser, over after an hour, completed once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from services import Backend
from sqlalchemy import select, update
from stage import race

from accounts.account import open_account
from accounts.database import Database, Transaction
from accounts.vault import SealBroken, Vault, VaultKeys
from config.database import open_engine
from oidc.interaction import (
    LIFETIME,
    Interaction,
    InteractionRow,
    bind,
    choose_account,
    complete,
    consent,
    find_interaction,
    open_interaction,
)

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ASKED = b'{"login_hint":"ada@example.org"}'
HERE, ELSEWHERE = b"h" * 32, b"e" * 32


@pytest.fixture
def vault() -> Vault:
    return Vault(VaultKeys(wrapping={1: b"w" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32))


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    engine = open_engine(backend.database_url, 20, durable=False)
    yield Database(engine, keep=())
    await engine.dispose()


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Transaction]:
    async with database.begin() as transaction:
        yield transaction


@pytest.fixture
async def held(database: Database, vault: Vault) -> Interaction:
    """An interaction of the browser HERE, committed."""
    async with database.begin() as db:
        return await open_interaction(db, vault, "parks", ASKED, HERE, NOW)


async def test_what_was_asked_comes_back_and_is_sealed(db: Transaction, vault: Vault, held: Interaction) -> None:
    """R66: hints and claims name people."""
    assert await find_interaction(db, vault, held.id) == held
    assert held.request == ASKED
    stored = await db.scalar(select(InteractionRow.request))
    assert b"ada" not in stored
    assert await find_interaction(db, vault, uuid4()) is None


async def test_a_sealed_request_fits_its_own_row_alone(db: Transaction, vault: Vault, held: Interaction) -> None:
    """R60: swapping rows in the database opens nothing."""
    other = await open_interaction(db, vault, "taxes", b"{}", HERE, NOW)
    stored = await db.scalar(select(InteractionRow.request).where(InteractionRow.id == held.id))
    await db.execute(update(InteractionRow).where(InteractionRow.id == other.id).values(request=stored))

    with pytest.raises(SealBroken):
        await find_interaction(db, vault, other.id)


async def test_one_browser_gets_it(database: Database, vault: Vault) -> None:
    """R78: of many that come at once, one is bound."""
    async with database.begin() as db:
        unbound = await open_interaction(db, vault, "parks", ASKED, None, NOW)
    browsers = iter(bytes([number]) * 32 for number in range(20))

    outcomes = await race(database, lambda db: bind(db, unbound.id, next(browsers), NOW), 20)

    assert sum(outcomes) == 1
    async with database.begin() as db:
        assert not await bind(db, unbound.id, ELSEWHERE, NOW)


async def test_it_is_completed_once(database: Database, vault: Vault, held: Interaction) -> None:
    """R45, R78: 100 answers at once, one leaves."""
    outcomes = await race(database, lambda db: complete(db, held, "issued", NOW), 100)

    assert sum(outcomes) == 1
    async with database.begin() as db:
        assert not await complete(db, held, "cancelled", NOW)
        found = await find_interaction(db, vault, held.id)
    assert found is not None
    assert (found.outcome, found.completed_at) == ("issued", NOW)


async def test_an_agreement_counts_once_for_each_person(database: Database, vault: Vault, held: Interaction) -> None:
    """R78: a form posted twice is one agreement; another person's is their own."""
    async with database.begin() as db:
        ada, _ = await open_account(db, vault, NOW)
        bob, _ = await open_account(db, vault, NOW)

    outcomes = await race(database, lambda db: consent(db, held, ada, NOW), 50)

    assert sum(outcomes) == 1
    async with database.begin() as db:
        assert await consent(db, held, bob, NOW)


async def test_nothing_happens_after_it_is_over(db: Transaction, vault: Vault, held: Interaction) -> None:
    """R45: late, or completed, or from another browser: no step is taken."""
    ada, _ = await open_account(db, vault, NOW)
    late = NOW + LIFETIME
    foreign = Interaction(**{**{name: getattr(held, name) for name in held.__struct_fields__}, "browser": ELSEWHERE})

    for interaction, when in ((held, late), (foreign, NOW)):
        assert not await choose_account(db, interaction, ada, when)
        assert not await consent(db, interaction, ada, when)
        assert not await complete(db, interaction, "issued", when)
    assert await choose_account(db, held, ada, late - timedelta(seconds=1))
    assert await complete(db, held, "refused", NOW)
    assert not await choose_account(db, held, ada, NOW)
    assert not await consent(db, held, ada, NOW)
