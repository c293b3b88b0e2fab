"""An account: its states, its data key, its language."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from stage import race

from accounts.account import Account, data_key_of, open_account, set_locale, set_state

pytestmark = pytest.mark.anyio


async def test_a_new_account_is_enrolling_and_has_a_key_of_its_own(db, vault, now):
    """R22, R31: nothing but enrolment is open to it yet; R60: its fields open with its key."""
    account_id, key = await open_account(db, vault, now, locale="cy")
    row = await db.first(
        select(Account.state, Account.locale, Account.created_at, Account.changed_at, Account.data_key)
    )

    assert (row.state, row.locale, row.created_at, row.changed_at) == ("enrolling", "cy", now, now)
    sealed = key.seal("a.b", account_id, b"value")
    assert (await data_key_of(db, vault, account_id)).open("a.b", account_id, sealed) == b"value"


async def test_an_erased_or_missing_account_has_no_key(db, vault, ada):
    """R64: destroying the key is the end; said as an error, never as an empty value."""
    with pytest.raises(LookupError):
        await data_key_of(db, vault, uuid4())
    await db.execute(update(Account).where(Account.id == ada.account_id).values(data_key=None))
    with pytest.raises(LookupError):
        await data_key_of(db, vault, ada.account_id)


async def test_a_state_changes_only_from_where_it_was(db, ada, bob, now):
    """R78: a suspended account is not closed by somebody who believed it active; nobody else is touched."""
    later = now + timedelta(minutes=1)

    assert await set_state(db, ada.account_id, "suspended", later, only_from="active")
    assert not await set_state(db, ada.account_id, "closed", later, only_from="active")
    assert not await set_state(db, uuid4(), "closed", later, only_from="active")

    rows = {row.id: row for row in await db.all(select(Account.id, Account.state, Account.changed_at))}
    assert (rows[ada.account_id].state, rows[ada.account_id].changed_at) == ("suspended", later)
    assert (rows[bob.account_id].state, rows[bob.account_id].changed_at) == ("active", now)


async def test_of_a_hundred_that_race_one_changes_the_state(database, ada, now):
    """R78."""
    moved = await race(database, lambda db: set_state(db, ada.account_id, "suspended", now, only_from="active"))
    assert moved.count(True) == 1


async def test_a_citizen_chooses_a_language(db, ada, bob, now):
    """For what is written to them."""
    await set_locale(db, ada.account_id, "ar", now + timedelta(minutes=1))
    rows = {row.id: row.locale for row in await db.all(select(Account.id, Account.locale))}
    assert rows == {ada.account_id: "ar", bob.account_id: None}
