"""Recovery codes: ten, each spent once."""

import re

import pytest
from sqlalchemy import select
from stage import race

from identity import recovery_code

pytestmark = pytest.mark.anyio


@pytest.fixture
async def codes(database, vault, ada, now):
    async with database.begin() as db:
        return await recovery_code.make_codes(db, vault, ada.account_id, now)


async def test_ten_codes_of_eighty_bits_that_a_person_can_read(db, ada, codes):
    """NIST SP 800-63B-4 section 3.1.2: enough entropy to need no slow hash; no letter that looks like a digit."""
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}", code) for code in codes)
    assert await recovery_code.remaining(db, ada.account_id) == 10


async def test_each_code_is_spent_once(db, vault, ada, codes, now):
    """R24."""
    for left, code in enumerate(codes):
        assert await recovery_code.remaining(db, ada.account_id) == 10 - left
        assert await recovery_code.spend(db, vault, ada.account_id, code, now)
        assert not await recovery_code.spend(db, vault, ada.account_id, code, now)
    assert await recovery_code.remaining(db, ada.account_id) == 0


async def test_of_a_hundred_that_race_one_spends_it(database, vault, ada, codes, now):
    """R24, R78."""
    spent = await race(database, lambda db: recovery_code.spend(db, vault, ada.account_id, codes[3], now))
    assert spent.count(True) == 1


async def test_a_hundred_spellings_that_race_are_one_code(database, vault, ada, codes, now):
    """R24: in every spelling."""
    code = codes[0]
    wide = "".join(chr(ord(c) + 0xFEE0) for c in code)
    spellings = iter([code, code.lower(), code.replace("-", " "), code.replace("-", ""), wide] * 20)

    spent = await race(database, lambda db: recovery_code.spend(db, vault, ada.account_id, next(spellings), now))

    assert spent.count(True) == 1


async def test_letters_mistaken_for_digits_do_not_matter(db, vault, ada, now):
    """Read from paper: o and 0, i, l and 1."""
    await recovery_code.keep_codes(db, vault, ada.account_id, ["0011-22AB"], now)
    assert await recovery_code.spend(db, vault, ada.account_id, "oOil-22ab", now)


async def test_a_code_is_its_accounts_own(db, vault, ada, bob, codes, now):
    """The same code typed at another account is no code."""
    assert not await recovery_code.spend(db, vault, bob.account_id, codes[0], now)
    assert await recovery_code.spend(db, vault, ada.account_id, codes[0], now)


@pytest.mark.parametrize("code", ["", "-", "    ", "0000-0000-0000-0000", "x" * 200])
async def test_what_is_no_code_is_not_accepted(db, vault, ada, codes, now, code):
    """R45: also when somebody's list held an empty line."""
    await recovery_code.keep_codes(db, vault, ada.account_id, ["", " - ", "ABCD"], now)
    assert not await recovery_code.spend(db, vault, ada.account_id, code, now)
    assert await recovery_code.remaining(db, ada.account_id) == 1


async def test_new_codes_end_the_old_ones(db, vault, ada, codes, now):
    """A lost sheet of paper is worth nothing once there is a new one."""
    fresh = await recovery_code.make_codes(db, vault, ada.account_id, now)

    assert not await recovery_code.spend(db, vault, ada.account_id, codes[0], now)
    assert await recovery_code.spend(db, vault, ada.account_id, fresh[0], now)
    assert await recovery_code.remaining(db, ada.account_id) == 9


async def test_brought_codes_work_in_whatever_shape(db, vault, ada, now):
    """The simulator's people bring their own."""
    await recovery_code.keep_codes(db, vault, ada.account_id, ["one-two-three", "HELLO world"], now)

    assert await recovery_code.spend(db, vault, ada.account_id, "one two three", now)
    assert await recovery_code.spend(db, vault, ada.account_id, "helloworld", now)
    assert await recovery_code.remaining(db, ada.account_id) == 0


async def test_the_database_alone_holds_no_code(db, codes):
    """R24: hashed at rest, keyed outside the database."""
    kept = [row.digest for row in await db.all(select(recovery_code.RecoveryCode.digest))]
    plain = [code.replace("-", "").encode() for code in codes]
    assert {len(digest) for digest in kept} == {32}
    assert not any(code in digest for code in plain for digest in kept)
