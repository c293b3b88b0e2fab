"""The throttle: attempts counted before they are judged, in one statement that survives everything."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select
from stage import race

from accounts.errors import StoreUnavailable
from config.store import RedisStore
from identity import throttle
from identity.throttle import LockedOut, Permitted, Throttle, ThrottlePolicy

pytestmark = pytest.mark.anyio
SUBJECT = b"s" * 32
ROOMY = ThrottlePolicy(per_address=10**6)


@pytest.fixture
def take(store, vault, now):
    async def take(db, budget="password", subject=SUBJECT, address="203.0.113.7", policy=ROOMY, at=now, **more):
        return await throttle.take(db, store, vault, budget, subject, address, policy, at, **more)

    return take


async def guess_until(take, db, until, now, budget="password"):
    """A patient attacker: tries as soon as it may; how many tries that gave."""
    tries, at = 0, now
    while at < until:
        answer = await take(db, budget=budget, at=at)
        if isinstance(answer, Permitted):
            tries += 1
        else:
            at += max(timedelta(seconds=answer.retry_after), (until - now) / 50 if answer.for_good else timedelta(0))
    return tries


async def test_a_few_failures_cost_nothing(db, take):
    """R26: people mistype."""
    answers = [await take(db) for _ in range(ROOMY.free)]
    assert all(isinstance(answer, Permitted) for answer in answers)


async def test_a_few_failures_cost_nothing_whichever_workers_clock_was_read_first(db, take, now):
    """Of two requests at one moment the later one may be counted first: the other one is no reason to refuse it."""
    assert isinstance(await take(db, at=now), Permitted)
    assert isinstance(await take(db, at=now - timedelta(milliseconds=5)), Permitted)


async def test_then_each_failure_costs_a_longer_wait(db, take, now):
    """R26: slowed early; the answer says how long, and it is true to the second."""
    at, waits = now, []
    for _ in range(ROOMY.free):
        await take(db, at=at)
    for _ in range(10):
        assert isinstance(await take(db, at=at), Permitted)
        refused = await take(db, at=at)
        assert isinstance(refused, LockedOut)
        assert isinstance(await take(db, at=at + timedelta(seconds=refused.retry_after - 1)), LockedOut)
        waits.append(refused.retry_after)
        at += timedelta(seconds=refused.retry_after)
    assert waits == [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]


async def test_a_thousand_parallel_guesses_get_no_more_tries_than_a_thousand_in_a_row(database, take):
    """R26, R78: the statement that counts is the statement that decides."""
    parallel = await race(database, lambda db: take(db, subject=b"p" * 32), times=1000)
    async with database.begin() as db:
        in_a_row = [await take(db, subject=b"r" * 32) for _ in range(1000)]

    def tries(answers):
        return sum(isinstance(answer, Permitted) for answer in answers)

    assert tries(parallel) == tries(in_a_row) == ROOMY.free + 1


async def test_a_hundred_failures_in_a_row_end_guessing_for_good(db, take, now):
    """R26, NIST SP 800-63B-4 section 3.2.2: at most 100 over all authenticators of an account, for ever."""
    long_after = now + timedelta(days=365)

    tries = sum([await guess_until(take, db, long_after, now, budget) for budget in ("password", "second_factor")])

    assert tries == 100
    answer = await take(db, at=long_after)
    assert isinstance(answer, LockedOut)
    assert answer.for_good


@pytest.mark.parametrize(
    "policy",
    [ThrottlePolicy(failures=1), ThrottlePolicy(free=0, first_wait=timedelta(hours=1)), ThrottlePolicy(free=99)],
)
async def test_a_policy_may_be_strict_or_mild(db, take, now, policy):
    """What an operator can set counts as it says."""
    at, tries = now, 0
    while not (isinstance(answer := await take(db, policy=policy, at=at), LockedOut) and answer.for_good):
        tries += isinstance(answer, Permitted)
        at += timedelta(minutes=15)
    assert tries == policy.failures


async def test_a_success_begins_a_new_row(database, take, now):
    """In a row: what is given back is forgotten."""
    for round_ in range(5):
        at = now + timedelta(minutes=round_)
        async with database.begin() as db:
            for _ in range(ROOMY.free):
                await take(db, at=at)
            permitted = await take(db, at=at)
            await throttle.give_back(db, permitted)


async def test_a_crash_or_a_refusal_gives_no_try_back(database, take):
    """R26: the count is committed before the secret is looked at."""
    for _ in range(ROOMY.free + 1):
        with suppress(ZeroDivisionError):
            async with database.begin() as db:
                await take(db)
                raise ZeroDivisionError
    async with database.begin() as db:
        assert isinstance(await take(db), LockedOut)


async def test_budgets_subjects_and_known_browsers_are_counted_apart(db, take):
    """R26: a stranger who guesses passwords does not lock the second factor, another account, or a known browser."""
    while isinstance(await take(db), Permitted):
        pass

    assert isinstance(await take(db, budget="second_factor"), Permitted)
    assert isinstance(await take(db, subject=b"t" * 32), Permitted)
    assert isinstance(await take(db, known_browser=b"browser"), Permitted)
    assert isinstance(await take(db), LockedOut)


async def test_another_way_in_ends_what_strangers_did(db, vault, take, now):
    """R26: a passkey or a recovery opens the password again."""
    while isinstance(await take(db), Permitted):
        pass
    await throttle.forgive(db, vault, "password", SUBJECT, now)
    await db.commit()
    assert isinstance(await take(db), Permitted)


async def test_codes_for_an_address_are_counted_by_the_day(db, take, now):
    """Nobody is kept from ever registering; and an authenticator's failures do not fade with a day."""
    tomorrow = now + timedelta(days=1)
    for budget in ("confirmation", "message", "password"):
        tries = await guess_until(take, db, now.replace(hour=23, minute=59), now, budget)
        assert tries <= ROOMY.failures

    assert isinstance(await take(db, budget="confirmation", at=tomorrow), Permitted)
    assert isinstance(await take(db, budget="message", at=tomorrow), Permitted)
    for _ in range(ROOMY.free):
        await take(db, budget="message", at=tomorrow)
    assert isinstance(await take(db, budget="message", at=tomorrow), LockedOut)
    assert await throttle.forget(db, tomorrow + timedelta(days=2)) == 4
    await db.commit()
    kept = await db.all(select(Throttle.forgotten_at))
    assert [row.forgotten_at for row in kept] == [None]


async def test_an_address_has_a_window(db, take, now):
    """R26: many accounts from one address; the others are not hindered, and the window passes."""
    policy = ThrottlePolicy(per_address=5)
    answers = [await take(db, subject=bytes([n]) * 32, policy=policy) for n in range(7)]

    assert [isinstance(answer, Permitted) for answer in answers] == [True] * 5 + [False] * 2
    assert 0 < answers[-1].retry_after <= 600
    assert not answers[-1].for_good
    assert isinstance(await take(db, subject=b"x" * 32, address="198.51.100.1", policy=policy), Permitted)
    later = now + timedelta(seconds=answers[-1].retry_after)
    assert isinstance(await take(db, subject=b"y" * 32, policy=policy, at=later), Permitted)


@pytest.mark.parametrize(
    ("first", "second"),
    [("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), ("203.0.113.7", "::ffff:203.0.113.7"), ("", "not an address")],
)
async def test_an_address_is_what_one_person_has(db, take, first, second):
    """R26: a whole /64 of IPv6; the two spellings of an IPv4 address; whatever is no address is one bucket."""
    policy = ThrottlePolicy(per_address=1)
    assert isinstance(await take(db, address=first, policy=policy), Permitted)
    assert isinstance(await take(db, subject=b"t" * 32, address=second, policy=policy), LockedOut)


@pytest.mark.parametrize(
    ("addresses", "policy"),
    [
        ([f"203.0.113.{n}" for n in range(8)], ThrottlePolicy(per_address=1, per_prefix_factor=5)),
        ([f"2001:db8:1:{n}::1" for n in range(8)], ThrottlePolicy(per_address=1, per_prefix_factor=5)),
        ([f"10.{n}.0.1" for n in range(8)], ThrottlePolicy(per_address=1, everyone_factor=5)),
    ],
)
async def test_neighbours_and_everyone_together_have_windows_too(db, take, addresses, policy):
    """R26: prefix and global limits."""
    answers = [
        await take(db, subject=bytes([n]) * 32, address=address, policy=policy) for n, address in enumerate(addresses)
    ]
    assert [isinstance(answer, Permitted) for answer in answers] == [True] * 5 + [False] * 3


async def test_a_refusal_by_address_costs_the_account_nothing(db, take):
    """R26: a stranger's flood is not counted against the citizen."""
    policy = ThrottlePolicy(per_address=2)
    for _ in range(50):
        await take(db, policy=policy)
    assert await db.scalar(select(Throttle.failures)) == 2


async def test_the_accounts_count_survives_a_lost_store(db, vault, take, now):
    """R26: SQL holds it; a new, empty store is what is left after Redis was flushed."""
    while isinstance(await take(db), Permitted):
        pass

    class Flushed:
        async def hit(self, *_):
            return 1

    answer = await throttle.take(db, Flushed(), vault, "password", SUBJECT, "203.0.113.7", ROOMY, now)

    assert isinstance(answer, LockedOut)


async def test_without_a_store_nobody_guesses(db, vault, now):
    """R75: fails closed, with 503, within a moment."""
    dead = RedisStore("redis://127.0.0.1:9", now)
    try:
        async with asyncio.timeout(2):
            with pytest.raises(StoreUnavailable):
                await throttle.take(db, dead, vault, "password", SUBJECT, "203.0.113.7", ROOMY, now)
    finally:
        await dead.close()
    assert await db.scalar(select(Throttle.failures)) is None


async def test_a_locked_out_answer_is_429_with_retry_after():
    """RFC 6585 section 4; R27: the same for accounts that exist and that do not."""
    refusal = LockedOut(40).refusal()
    assert (refusal.reason, refusal.status, refusal.retry_after) == ("too_many_attempts", 429, 40)


async def test_the_table_names_nobody(db, take):
    """R60: keyed hashes."""
    await take(db, subject=b"ada@example.org")
    key = await db.scalar(select(Throttle.key))
    assert len(key) == 32
    assert b"ada" not in key
