"""Changing a part of a profile, from many tabs at once, on both databases."""

import pytest
from stage import race

from accounts.profile import Claims, change_profile, profile_of, write_profile

pytestmark = pytest.mark.anyio
PARTS = ["name", "given_name", "family_name", "middle_name", "nickname", "gender", "birthdate", "website"]


async def test_two_tabs_do_not_undo_each_others_change(database, ada, now):
    """R78: all claims are one value, so the account is locked while it changes."""
    waiting = list(PARTS)

    async def change(db):
        part = waiting.pop()
        return await change_profile(db, ada.key, ada.account_id, now, **{part: f"new {part}"})

    changed = await race(database, change, len(PARTS))

    assert sorted(part for [part] in changed) == sorted(PARTS)
    async with database.begin() as db:
        claims = (await profile_of(db, ada.key, ada.account_id)).claims
    assert all(getattr(claims, part) == f"new {part}" for part in PARTS)


async def test_only_what_differs_counts_as_changed(database, ada, now):
    """What was saved as it was leaves no trace."""
    async with database.begin() as db:
        await write_profile(db, ada.key, ada.account_id, Claims(name="Ada", nickname="A."), now)

        assert await change_profile(db, ada.key, ada.account_id, now, name="Ada", nickname=None) == ["nickname"]
        assert await change_profile(db, ada.key, ada.account_id, now, name="Ada") == []
