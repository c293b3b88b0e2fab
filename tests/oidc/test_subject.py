"""Subjects and sids: how a sector knows a citizen and a session."""

import asyncio

import pytest
from oidc_kit import Box, new_box
from services import Backend

from accounts.database import new_id
from oidc.subject import PUBLIC, find_account_by_subject, sid_of, subject_of

pytestmark = pytest.mark.anyio


async def test_a_sector_knows_a_citizen_by_one_lasting_subject(box: Box) -> None:
    """R10, OpenID Connect Core section 8: stable for a sector, another one elsewhere, nothing of the account in it."""
    ada, bob = await box.person(), await box.person(email="bob@example.org")
    async with box.transaction() as db:
        first = await subject_of(db, ada, "parks.example", box.now)
        again = await subject_of(db, ada, "parks.example", box.now)
        others = {
            await subject_of(db, ada, "taxes.example", box.now),
            await subject_of(db, bob, "parks.example", box.now),
            await subject_of(db, ada, PUBLIC, box.now),
        }

    assert again == first
    assert len(others - {first}) == 3
    assert len(first) >= 22
    assert len(first) <= 255
    assert ada.hex not in first.replace("-", "")


async def test_a_subject_leads_back_only_within_its_sector(box: Box) -> None:
    """A `sub` of one sector says nothing in another."""
    ada = await box.person()
    async with box.transaction() as db:
        sub = await subject_of(db, ada, "parks.example", box.now)
        assert await find_account_by_subject(db, "parks.example", sub) == ada
        assert await find_account_by_subject(db, "taxes.example", sub) is None


@pytest.mark.services
async def test_of_many_first_meetings_one_decides(postgres_redis: Backend) -> None:
    """R78: twenty at once, one subject."""
    async with new_box(postgres_redis.database_url, pool_size=20) as box:
        ada = await box.person()

        async def meet() -> str:
            async with box.transaction() as db:
                return await subject_of(db, ada, "parks.example", box.now)

        assert len(set(await asyncio.gather(*(meet() for _ in range(20))))) == 1


async def test_a_sid_links_nobody(box: Box) -> None:
    """The `sid` is derived by sector and session with our key: equal for equal ones, unlike for others."""
    one, two = new_id(box.now), new_id(box.now)
    sids = [sid_of(box.vault, *of) for of in ((one, "a"), (one, "a"), (one, "b"), (two, "a"))]

    assert sids[0] == sids[1]
    assert len(set(sids)) == 3
    assert all(len(sid) >= 22 for sid in sids)
