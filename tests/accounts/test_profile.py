"""The profile: all standard claims, one sealed value, changed claim by claim."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import select
from stage import race

from accounts.profile import (
    Address,
    Claims,
    Profile,
    ProfileView,
    change_profile,
    open_claims,
    profile_of,
    write_profile,
)
from accounts.vault import SealBroken

pytestmark = pytest.mark.anyio
ADA = Claims(name="Ada Lovelace", birthdate="1815-12-10", address=Address(locality="London", country="GB"))


async def test_nobody_has_written_anything_yet(db, ada):
    """An empty profile is no error."""
    assert await profile_of(db, ada.key, ada.account_id) == ProfileView(Claims(), None)


async def test_what_was_written_last_is_read(db, ada, bob, now):
    """With the instant of the change (`updated_at` of OpenID Connect Core section 5.1)."""
    later = now + timedelta(days=1)
    await write_profile(db, ada.key, ada.account_id, Claims(nickname="A"), now)
    await write_profile(db, ada.key, ada.account_id, ADA, later)

    assert await profile_of(db, ada.key, ada.account_id) == ProfileView(ADA, later)
    assert (await profile_of(db, bob.key, bob.account_id)).updated_at is None


async def test_every_standard_claim_has_its_place(db, ada, now):
    """OpenID Connect Core section 5.1; what was never said is left out."""
    everything = Claims(**{name: name for name in Claims.__struct_fields__ if name != "address"}, address=Address("x"))
    await write_profile(db, ada.key, ada.account_id, everything, now)
    sealed = await db.scalar(select(Profile.claims))

    assert (await profile_of(db, ada.key, ada.account_id)).claims == everything
    assert set(open_claims(ada.key, ada.account_id, sealed)) == set(Claims.__struct_fields__)
    assert set(Claims.__struct_fields__) >= {
        "name",
        "given_name",
        "family_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "address",
    }
    assert msgspec.json.encode(ADA).count(b"null") == 0


async def test_a_change_leaves_the_other_claims_alone(db, ada, now):
    """And says what is different now, for the history."""
    await write_profile(db, ada.key, ada.account_id, ADA, now)
    later = now + timedelta(days=1)

    assert await change_profile(db, ada.key, ada.account_id, later, name="Ada King", birthdate="1815-12-10") == ["name"]

    changed = await profile_of(db, ada.key, ada.account_id)
    assert changed == ProfileView(msgspec.structs.replace(ADA, name="Ada King"), later)


async def test_a_change_that_changes_nothing_is_none(db, ada, now):
    """`updated_at` stays true."""
    await write_profile(db, ada.key, ada.account_id, ADA, now)
    assert await change_profile(db, ada.key, ada.account_id, now + timedelta(days=1), name="Ada Lovelace") == []
    assert (await profile_of(db, ada.key, ada.account_id)).updated_at == now


async def test_two_tabs_do_not_undo_each_other(database, ada, now):
    """R78: all claims are one value, and still none is lost when every one is changed at once."""
    names = [name for name in Claims.__struct_fields__ if name != "address"]
    queue = iter(names)

    await race(
        database,
        lambda db: change_profile(db, ada.key, ada.account_id, now, **{next(queue): "changed"}),
        times=len(names),
    )

    async with database.begin() as db:
        claims = (await profile_of(db, ada.key, ada.account_id)).claims
    assert [name for name in names if getattr(claims, name) != "changed"] == []


async def test_a_profile_is_sealed_for_its_account(db, ada, bob, now):
    """R60: a dump shows nothing; another's key opens nothing."""
    await write_profile(db, ada.key, ada.account_id, ADA, now)
    sealed = await db.scalar(select(Profile.claims))
    assert b"Ada" not in sealed
    assert b"1815" not in sealed
    with pytest.raises(SealBroken):
        await profile_of(db, bob.key, ada.account_id)
