"""Confirmation codes: ten minutes, five guesses, one acceptance, bound to what asked."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from stage import race

from identity import confirmation_code
from identity.confirmation_code import GUESSES, LIFETIME, Confirmed

pytestmark = pytest.mark.anyio
CONTACT = b"c" * 32


@pytest.fixture
def issue(vault, now):
    async def issue(db, *, purpose="registration", bound_to=b"tab one", account_id=None, at=now):
        return await confirmation_code.issue(
            db, vault, purpose=purpose, bound_to=bound_to, contact=CONTACT, account_id=account_id, now=at
        )

    return issue


@pytest.fixture
def spend(vault, now):
    async def spend(db, code, *, purpose="registration", bound_to=b"tab one", at=now):
        return await confirmation_code.spend(db, vault, purpose=purpose, bound_to=bound_to, code=code, now=at)

    return spend


def wrong(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


async def test_a_right_code_says_what_it_confirms(db, ada, issue, spend):
    """The contact it was sent to and the account it was meant for."""
    code = await issue(db, account_id=ada.account_id)
    assert len(code) == 6
    assert await spend(db, code) == Confirmed(CONTACT, ada.account_id)


async def test_a_code_is_accepted_once(db, issue, spend):
    """R24."""
    code = await issue(db)
    assert await spend(db, code) is not None
    assert await spend(db, code) is None


async def test_of_a_hundred_that_race_one_is_accepted(database, issue, spend):
    """R24, R78: in every spelling."""
    async with database.begin() as db:
        code = await issue(db)
    spellings = iter([code, f"{code[:3]} {code[3:]}", f"-{code}", "".join(chr(ord(c) + 0xFEE0) for c in code)] * 25)

    accepted = await race(database, lambda db: spend(db, next(spellings)))

    assert len([confirmed for confirmed in accepted if confirmed is not None]) == 1


async def test_five_guesses_and_then_even_the_right_code_is_refused(db, issue, spend):
    """R24: limited guesses."""
    code = await issue(db)
    for _ in range(GUESSES):
        assert await spend(db, wrong(code)) is None
    assert await spend(db, code) is None


async def test_the_last_guess_still_counts(db, issue, spend):
    """Five are five."""
    code = await issue(db)
    for _ in range(GUESSES - 1):
        await spend(db, wrong(code))
    assert await spend(db, code) is not None


async def test_a_thousand_parallel_guesses_get_no_more_tries_than_five(database, issue, spend):
    """R24, R26: counted and judged by one statement."""
    async with database.begin() as db:
        code = await issue(db)
    await race(database, lambda db: spend(db, wrong(code)), times=1000)

    async with database.begin() as db:
        assert await db.scalar(select(confirmation_code.ConfirmationCode.attempts)) == GUESSES
        assert await spend(db, code) is None


async def test_a_code_lives_ten_minutes(db, issue, spend, now):
    """R24: at most; the server's clock decides."""
    code = await issue(db)
    assert timedelta(minutes=10) == LIFETIME
    assert await spend(db, code, at=now + LIFETIME) is None
    assert await spend(db, code, at=now + LIFETIME - timedelta(seconds=1)) is not None


async def test_a_new_code_ends_the_one_before(db, issue, spend, now):
    """Two mails, and only the later one's code works."""
    first = await issue(db)
    second = await issue(db, at=now + timedelta(seconds=1))
    if first != second:
        assert await spend(db, first, at=now + timedelta(seconds=2)) is None
    assert await spend(db, second, at=now + timedelta(seconds=2)) is not None


async def test_a_code_serves_only_what_asked_for_it(db, issue, spend):
    """R24, R45: not another tab's journey, not another purpose; and a try there costs nothing here."""
    code = await issue(db)

    assert await spend(db, code, bound_to=b"tab two") is None
    assert await spend(db, code, purpose="recovery") is None
    assert await spend(db, code, bound_to=b"tab one\0") is None
    assert await spend(db, code) is not None


@pytest.mark.parametrize("typed", ["", " ", "00000", "0000000", "not a code", "-" * 300])
async def test_what_is_no_code_is_not_accepted(db, issue, spend, typed):
    """R45."""
    code = await issue(db)
    assert await spend(db, typed) is None
    assert await spend(db, code) is not None


async def test_the_database_alone_holds_no_code(db, issue):
    """R24: hashed at rest, keyed outside the database: six digits are tried in a moment."""
    first, second = await issue(db, bound_to=b"one"), await issue(db, bound_to=b"two")
    kept = [row.digest for row in await db.all(select(confirmation_code.ConfirmationCode.digest))]
    assert {len(digest) for digest in kept} == {32}
    assert len(set(kept)) == 2
    assert not any(code.encode() in digest for code in (first, second) for digest in kept)
