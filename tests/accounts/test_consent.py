"""The consent record: one row an agreement, only its end is ever written to it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from accounts.consent import Consent, Shown, consents_of, find_consent, give_consent, withdraw_consent

pytestmark = pytest.mark.anyio
SHOWN = Shown("Parks", "Fishing licences", "2026-11", "en")


@pytest.fixture
def agree(now):
    async def agree(db, person, client_id="parks", scopes=("openid", "profile"), after=0, shown=SHOWN):
        return await give_consent(
            db,
            person.account_id,
            client_id,
            scopes=scopes,
            claims={"name", "birthdate"},
            shown=shown,
            lawful_basis="consent",
            now=now + timedelta(seconds=after),
        )

    return agree


async def test_what_was_agreed_is_kept_as_it_was_shown(db, ada, agree, now):
    """R65: notice version and language, purpose, claims, lawful basis, instant."""
    consent_id = await agree(db, ada)

    kept = await find_consent(db, ada.account_id, "parks")

    assert kept.id == consent_id
    assert (kept.scopes, kept.claims) == (("openid", "profile"), ("birthdate", "name"))
    assert (kept.shown, kept.lawful_basis, kept.given_at, kept.ended_at) == (SHOWN, "consent", now, None)


async def test_an_agreement_is_between_one_citizen_and_one_service(db, ada, bob, agree):
    """R13."""
    await agree(db, ada)
    assert await find_consent(db, bob.account_id, "parks") is None
    assert await find_consent(db, ada.account_id, "taxes") is None


async def test_the_newest_agreement_names_all_that_is_agreed(db, ada, agree):
    """Older ones stay beside it, as they were."""
    first = await agree(db, ada)
    second = await agree(db, ada, scopes=("openid", "profile", "email"), after=1)

    assert (await find_consent(db, ada.account_id, "parks")).id == second
    assert [kept.id for kept in await consents_of(db, ada.account_id)] == [second, first]
    assert all(kept.ended_at is None for kept in await consents_of(db, ada.account_id))


async def test_withdrawing_ends_every_agreement_with_that_service(db, ada, bob, agree, now):
    """R13: all that stand, once, and nobody else's."""
    await agree(db, ada)
    await agree(db, ada, after=1)
    await agree(db, ada, client_id="taxes")
    await agree(db, bob)
    later = now + timedelta(days=1)

    assert await withdraw_consent(db, ada.account_id, "parks", later)
    assert not await withdraw_consent(db, ada.account_id, "parks", later + timedelta(days=1))

    assert await find_consent(db, ada.account_id, "parks") is None
    assert await find_consent(db, ada.account_id, "taxes") is not None
    assert await find_consent(db, bob.account_id, "parks") is not None
    ended = [kept for kept in await consents_of(db, ada.account_id) if kept.client_id == "parks"]
    assert [(kept.ended_at, kept.end_reason) for kept in ended] == [(later, "withdrawn")] * 2


async def test_agreeing_again_is_a_new_agreement_and_revives_none(db, ada, agree, now):
    """R13, R65: history is immutable."""
    first = await agree(db, ada)
    await withdraw_consent(db, ada.account_id, "parks", now + timedelta(seconds=1))
    again = await agree(db, ada, after=2)

    assert again != first
    assert (await find_consent(db, ada.account_id, "parks")).id == again
    assert await db.scalar(select(Consent.ended_at).where(Consent.id == first)) == now + timedelta(seconds=1)


async def test_a_service_that_was_renamed_is_still_what_was_agreed_to(db, ada, agree):
    """R65: the snapshot, in whatever script."""
    renamed = Shown("حدائق — Parcs naturels", "رخص الصيد", "2026-12", "ar")
    await agree(db, ada, shown=renamed)
    assert (await find_consent(db, ada.account_id, "parks")).shown == renamed


async def test_a_long_record_is_paged(db, ada, agree):
    """R44."""
    given = [await agree(db, ada, client_id=f"service-{n}", after=n) for n in range(7)]

    seen, before = [], None
    while page := await consents_of(db, ada.account_id, before=before, limit=3):
        seen += [kept.id for kept in page]
        before = page[-1].id

    assert seen == given[::-1]
