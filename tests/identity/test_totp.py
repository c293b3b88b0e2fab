"""Codes from an authenticator app: once a step, on both databases, however they race."""

import base64
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select
from stage import race

from identity import totp

pytestmark = pytest.mark.anyio
STEP = timedelta(seconds=30)
HERE = b"this browser, this journey"


@pytest.fixture
async def seed(database, ada, now):
    """The seed of an app that Ada set up earlier."""
    made = totp.new_seed()
    async with database.begin() as db:
        await totp.add(db, ada.key, ada.account_id, made, "Phone", now)
    return made


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_standard(at, code):
    """RFC 6238 appendix B (SHA-1 rows, last six digits)."""
    seed = base64.b32encode(b"12345678901234567890").decode()
    assert totp.current_code(seed, datetime.fromtimestamp(at, UTC)) == code


async def test_a_code_of_the_present_step_is_accepted_once(db, ada, seed, now):
    """R24: the second time, even within its half minute, it is only an old code."""
    code = totp.current_code(seed, now)

    assert await totp.spend(db, ada.key, ada.account_id, code, now)
    assert not await totp.spend(db, ada.key, ada.account_id, code, now)
    assert not await totp.spend(db, ada.key, ada.account_id, code, now + STEP)


async def test_of_a_hundred_that_race_one_is_accepted(database, ada, seed, now):
    """R24, R78: one conditional update decides, not a look and then a mark."""
    code = totp.current_code(seed, now)

    accepted = await race(database, lambda db: totp.spend(db, ada.key, ada.account_id, code, now))

    assert accepted.count(True) == 1


async def test_a_hundred_spellings_that_race_are_one_code(database, ada, seed, now):
    """R24: in every spelling."""
    code = totp.current_code(seed, now)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
    spellings = iter([code, f" {code[:3]} {code[3:]}", f"{code[:3]}-{code[3:]}", wide] * 25)

    accepted = await race(database, lambda db: totp.spend(db, ada.key, ada.account_id, next(spellings), now))

    assert accepted.count(True) == 1


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_clock_may_be_one_step_off(db, ada, seed, now, steps, is_accepted):
    """RFC 6238 section 5.2: a window of one."""
    code = totp.current_code(seed, now + steps * STEP)
    assert await totp.spend(db, ada.key, ada.account_id, code, now) == is_accepted


async def test_after_a_later_step_no_earlier_one_is_accepted(db, ada, seed, now):
    """RFC 6238 section 5.2: who reads the previous code over a shoulder has nothing."""
    assert await totp.spend(db, ada.key, ada.account_id, totp.current_code(seed, now + STEP), now)
    assert not await totp.spend(db, ada.key, ada.account_id, totp.current_code(seed, now), now)
    assert not await totp.spend(db, ada.key, ada.account_id, totp.current_code(seed, now - STEP), now)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "⑴23456", "0" * 200, "\x00", "𝟘" * 6])
async def test_what_is_no_code_is_not_accepted(db, ada, seed, now, code):
    """R45: empty and odd input is an answer, a wrong one."""
    if totp.plain_code(code) in {totp.current_code(seed, now + n * STEP) for n in (-1, 0, 1)}:
        pytest.skip("this seed makes just this code")
    assert not await totp.spend(db, ada.key, ada.account_id, code, now)


async def test_a_code_is_good_for_its_own_account_only(db, ada, bob, seed, now):
    """Each account has its seed."""
    code = totp.current_code(seed, now)

    assert not await totp.spend(db, bob.key, bob.account_id, code, now)
    assert await totp.spend(db, ada.key, ada.account_id, code, now)


async def test_two_apps_serve_one_account_and_each_spends_its_own_steps(db, ada, seed, now):
    """Two, named."""
    other = totp.new_seed()
    await totp.add(db, ada.key, ada.account_id, other, "Tablet", now + timedelta(seconds=1))

    assert await totp.spend(db, ada.key, ada.account_id, totp.current_code(seed, now), now)
    assert await totp.spend(db, ada.key, ada.account_id, totp.current_code(other, now), now)
    assert [app.name for app in await totp.totps_of(db, ada.key, ada.account_id)] == ["Phone", "Tablet"]


async def test_a_page_loaded_again_shows_the_same_seed(database, ada, now):
    """The citizen who reloads has scanned the code already."""
    async with database.begin() as db:
        first = await totp.offer(db, ada.key, ada.account_id, now, to=HERE)
    async with database.begin() as db:
        again = await totp.offer(db, ada.key, ada.account_id, now + timedelta(minutes=50), to=HERE)

    assert first == again


async def test_an_offered_seed_counts_from_its_first_right_code_on(db, ada, now):
    """R24: that code is spent with it."""
    offer = await totp.offer(db, ada.key, ada.account_id, now, to=HERE)
    code = totp.current_code(offer.seed, now)

    assert not await totp.spend(db, ada.key, ada.account_id, code, now)
    assert not await totp.confirm(db, ada.key, ada.account_id, offer.id, "000000", "Phone", now)
    assert await totp.totps_of(db, ada.key, ada.account_id) == []

    assert await totp.confirm(db, ada.key, ada.account_id, offer.id, code, " Phone ", now)

    assert [app.name for app in await totp.totps_of(db, ada.key, ada.account_id)] == ["Phone"]
    assert not await totp.spend(db, ada.key, ada.account_id, code, now)
    assert await totp.spend(db, ada.key, ada.account_id, totp.current_code(offer.seed, now + STEP), now + STEP)


async def test_of_a_hundred_confirmations_one_makes_the_app(database, ada, now):
    """R45, R78: sent twice it advances nothing twice."""
    async with database.begin() as db:
        offer = await totp.offer(db, ada.key, ada.account_id, now, to=HERE)
    code = totp.current_code(offer.seed, now)

    confirmed = await race(database, lambda db: totp.confirm(db, ada.key, ada.account_id, offer.id, code, "Phone", now))

    assert confirmed.count(True) == 1


async def test_an_offer_is_its_owners_and_ends(db, ada, bob, now):
    """R45: from another journey, or too late, it is nothing."""
    offer = await totp.offer(db, ada.key, ada.account_id, now, to=HERE)
    late = now + timedelta(hours=1)

    assert not await totp.confirm(
        db, bob.key, bob.account_id, offer.id, totp.current_code(offer.seed, now), "Phone", now
    )
    assert not await totp.confirm(db, ada.key, ada.account_id, uuid4(), totp.current_code(offer.seed, now), "", now)
    assert not await totp.confirm(
        db, ada.key, ada.account_id, offer.id, totp.current_code(offer.seed, late), "Phone", late
    )
    assert (await totp.offer(db, ada.key, ada.account_id, late, to=HERE)).seed != offer.seed


async def test_a_removed_app_is_gone_with_its_seed(db, ada, bob, seed, now):
    """R61: nothing stays that could make codes."""
    [app] = await totp.totps_of(db, ada.key, ada.account_id)

    assert not await totp.remove(db, bob.account_id, app.id, now)
    assert await totp.remove(db, ada.account_id, app.id, now)
    assert not await totp.remove(db, ada.account_id, app.id, now)

    assert not await totp.spend(db, ada.key, ada.account_id, totp.current_code(seed, now), now)
    assert await totp.totps_of(db, ada.key, ada.account_id) == []
    assert await db.scalar(select(totp.Totp.seed)) == b""


@pytest.mark.parametrize("seed", ["JBSWY3DPEHPK3PXP", "jbsw y3dp ehpk 3pxp", "JBSWY3DPEHPK3PXPJBSWY3DPEH======"])
async def test_people_of_the_simulator_bring_their_seeds_as_they_have_them(db, ada, seed, now):
    """The tutorials' 80 bits, small letters, spaces, padding."""
    await totp.add(db, ada.key, ada.account_id, seed, "Phone", now)
    assert await totp.spend(db, ada.key, ada.account_id, totp.current_code(seed, now), now)


@pytest.mark.parametrize("seed", ["", "JBSW", "not base 32!", "0189018901890189"])
async def test_what_is_no_seed_is_said_at_once(db, ada, seed, now):
    """R74: when people are brought, not when they first type a code."""
    with pytest.raises(ValueError, match="TOTP seed"):
        await totp.add(db, ada.key, ada.account_id, seed, "Phone", now)


async def test_the_database_alone_makes_no_codes_and_names_nobody(db, ada, seed):
    """R61, R60: seed and name are sealed."""
    row = await db.first(select(totp.Totp.seed, totp.Totp.name))

    assert seed.encode() not in row.seed
    assert base64.b32decode(seed) not in row.seed
    assert b"Phone" not in row.name
    assert await totp.seeds_of(db, ada.key, ada.account_id) == [seed]


def test_a_new_seed_has_160_bits():
    """RFC 4226 section 4 R6."""
    seeds = {totp.new_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert {len(base64.b32decode(seed)) for seed in seeds} == {20}


def test_the_address_for_the_app_names_issuer_and_account():
    """The otpauth form that every app reads."""
    address = totp.provisioning_uri("JBSWY3DPEHPK3PXP", "ada@example.org", "Citizen Account")
    assert address == (
        "otpauth://totp/Citizen%20Account:ada%40example.org?secret=JBSWY3DPEHPK3PXP&issuer=Citizen%20Account"
    )


def test_the_qr_code_scans_on_a_dark_page_under_a_strict_policy():
    """R70: no style attribute; a white ground of its own with a quiet zone of four modules (ISO/IEC 18004)."""
    svg = totp.qr_svg(totp.provisioning_uri(totp.new_seed(), "ada@example.org", "Citizen Account"))

    assert svg.startswith("<svg ")
    assert "style" not in svg
    assert "<script" not in svg
    width = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    assert re.search(rf'<path fill="#fff" d="M0 0h{width}v{width}h-{width}z"/>', svg)
    assert re.search(r'<path stroke="#000"[^>]* d="M4 4.5h7', svg)
