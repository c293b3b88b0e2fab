"""History: append-only, sealed, the newest first."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from accounts.account import Account
from accounts.activity import Activity, activity_of, record

pytestmark = pytest.mark.anyio


async def test_what_happened_is_read_the_newest_first(db, ada, bob, now):
    """R62: each account its own."""
    later = now + timedelta(minutes=1)
    await record(db, ada.account_id, "account_created", now, actor="system")
    await record(
        db,
        ada.account_id,
        "signed_in",
        now + timedelta(minutes=1),
        key=ada.key,
        device="Firefox",
        methods=["pwd", "otp"],
    )
    await record(db, bob.account_id, "signed_in", now)

    [second, first] = await activity_of(db, ada.key, ada.account_id)

    assert (first.kind, first.actor, first.at, first.detail) == ("account_created", "system", now, {})
    assert (second.kind, second.actor, second.at) == ("signed_in", "citizen", later)
    assert second.detail == {"device": "Firefox", "methods": ["pwd", "otp"]}


async def test_detail_is_never_kept_in_the_clear(db, ada, now):
    """R60: a dump does not say where anybody was; and without a key nothing is written."""
    await record(db, ada.account_id, "signed_in", now, key=ada.key, place="Cardiff")
    assert b"Cardiff" not in await db.scalar(select(Activity.detail))
    with pytest.raises(ValueError, match="data key"):
        await record(db, ada.account_id, "signed_in", now, place="Cardiff")


async def test_after_erasure_the_bare_events_remain(db, vault, ada, now):
    """R64: a minimal pseudonymous history, which opens with no key any more."""
    await record(db, ada.account_id, "signed_in", now, key=ada.key, place="Cardiff")
    await db.execute(update(Account).values(data_key=None))
    another, _ = vault.new_data_key(ada.account_id)

    [event] = await activity_of(db, another, ada.account_id)

    assert (event.kind, event.detail) == ("signed_in", {})


async def test_a_long_history_is_paged(db, ada, now):
    """R44: by key, without gaps and without repeats."""
    for n in range(10):
        await record(db, ada.account_id, "signed_in", now + timedelta(seconds=n), key=ada.key, n=str(n))

    seen, before = [], None
    while page := await activity_of(db, ada.key, ada.account_id, before=before, limit=4):
        seen += [event.detail["n"] for event in page]
        before = page[-1].id

    assert seen == [str(n) for n in range(9, -1, -1)]
