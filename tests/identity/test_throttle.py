"""The throttle: attempts counted before they are judged, in one statement that survives everything."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import select
from stage import race

from accounts.errors import StoreUnavailable
from config.store import MemoryStore, RedisStore
from identity import throttle
from identity.proof_of_work import Shown, new_ticket
from identity.throttle import LockedOut, Permitted, Slowed
from identity.throttle_policy import SHARES, ThrottlePolicy
from identity.throttle_row import Throttle, forget

pytestmark = pytest.mark.anyio
SUBJECT = b"s" * 32
ROOMY = ThrottlePolicy(per_address=10**6)
ACCOUNT = b"a" * 16


@pytest.fixture
def take(store, vault, now):
    async def take(db, budget="password", subject=SUBJECT, address="203.0.113.7", policy=ROOMY, at=now, **more):
        return await throttle.take(db, store, vault, budget, subject, address, policy, at, **more)

    return take


async def guess_until(take, db, until, now, budget="password", **more):
    """A patient attacker: tries as soon as it may; how many tries that gave."""
    tries, at = 0, now
    while at < until:
        answer = await take(db, budget=budget, at=at, **more)
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
    """R26, NIST SP 800-63B-4 section 3.2.2: at most 100 over all authenticators of an account, for ever, whoever
    guesses at what from wherever."""
    long_after = now + timedelta(days=365)
    assert sum(SHARES.values()) == ROOMY.failures == 100

    tries = {
        (budget, is_known): await guess_until(take, db, long_after, now, budget, is_known=is_known)
        for budget, is_known in SHARES
    }

    assert tries == SHARES
    answer = await take(db, at=long_after)
    assert isinstance(answer, LockedOut)
    assert answer.for_good
    assert answer.refusal().reason == "attempts_used_up"


async def test_an_account_has_one_share_however_many_addresses_it_has(db, take, now):
    """R26, R27: what is guessed at two addresses of one account is counted together, and no refusal tells so: the
    second one goes on as any address does, and its attempts are wrong."""
    addresses, at, judged = (b"1" * 32, b"2" * 32), now, []
    for _ in range(60):
        answers = [await take(db, subject=subject, behind=ACCOUNT, at=at) for subject in addresses]
        assert [type(answer) for answer in answers[:1]] == [type(answer) for answer in answers[1:]]
        judged += [answer for answer in answers if isinstance(answer, Permitted) and not answer.is_void]
        at += ROOMY.longest_wait

    assert len(judged) == ROOMY.most("password", is_known=False)


async def test_an_unknown_address_is_counted_in_the_same_steps(db, take, now):
    """R27: nobody is behind it but itself, and it takes as many attempts to close it."""

    async def closes_after(subject, behind):
        return await guess_until(take, db, now + timedelta(days=2), now, subject=subject, behind=behind)

    assert await closes_after(b"k" * 32, ACCOUNT) == await closes_after(b"u" * 32, b"u" * 32) == 40


@pytest.mark.parametrize(
    "policy",
    [ThrottlePolicy(failures=1), ThrottlePolicy(free=0, first_wait=timedelta(hours=1)), ThrottlePolicy(free=99)],
    ids=["one", "slow from the first", "never slow"],
)
async def test_a_policy_may_be_strict_or_mild(db, take, now, policy):
    """What an operator can set counts as it says."""
    at, tries = now, 0
    while not (isinstance(answer := await take(db, policy=policy, at=at), LockedOut) and answer.for_good):
        tries += isinstance(answer, Permitted)
        at += timedelta(minutes=15)
    assert tries == policy.most("password", is_known=False)


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
    assert isinstance(await take(db, is_known=True), Permitted)
    assert isinstance(await take(db), LockedOut)


async def test_codes_for_an_address_are_counted_by_the_day(db, take, now):
    """Nobody is kept from ever registering; and an authenticator's failures do not fade with a day."""
    tomorrow = now + timedelta(days=1)
    for budget in ("confirmation", "message", "password"):
        tries = await guess_until(take, db, now.replace(hour=23, minute=59), now, budget)
        assert tries <= ROOMY.most(budget, is_known=False)

    assert isinstance(await take(db, budget="confirmation", at=tomorrow), Permitted)
    assert isinstance(await take(db, budget="message", at=tomorrow), Permitted)
    for _ in range(ROOMY.free):
        await take(db, budget="message", at=tomorrow)
    assert isinstance(await take(db, budget="message", at=tomorrow), LockedOut)
    assert await forget(db, tomorrow + timedelta(days=2)) == 4
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
        ([f"203.0.113.{n}" for n in range(8)], ThrottlePolicy(per_address=1, per_prefix=5)),
        ([f"2001:db8:1:{n}::1" for n in range(8)], ThrottlePolicy(per_address=1, per_prefix=5)),
        ([f"10.{n}.0.1" for n in range(8)], ThrottlePolicy(per_address=1, per_prefix=1, everyone=5)),
    ],
    ids=["IPv4", "IPv6", "everyone"],
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
    answers = [await take(db, policy=policy) for _ in range(50)]
    assert sum(isinstance(answer, Permitted) for answer in answers) == 2
    elsewhere = await take(db, address="198.51.100.1", policy=policy)
    assert isinstance(elsewhere, Permitted)
    assert elsewhere.failures == 3


async def test_no_window_is_closed_to_a_known_browser(db, take):
    """R26: behind one address with a whole town, or one that a stranger has used up, it signs in as ever."""
    policy = ThrottlePolicy(per_address=1)
    await take(db, policy=policy)
    assert isinstance(await take(db, subject=b"t" * 32, policy=policy), LockedOut)
    assert isinstance(await take(db, subject=b"t" * 32, policy=policy, is_known=True), Permitted)


@pytest.mark.parametrize(("limit", "lost"), [(5, 0), (10, 0), (100, 9), (105, 9)])
async def test_a_window_that_the_store_forgets_falls_back_by_less_than_a_tenth(db, vault, take, now, limit, lost):
    """R26: Redis flushed at any moment, more than once: what is written down in steps is still counted."""
    policy = ThrottlePolicy(per_address=limit, per_prefix=10**6)

    async def tries(store):
        answers = [
            await throttle.take(db, store, vault, "password", bytes([n]) * 32, "203.0.113.7", policy, now)
            for n in range(limit)
        ]
        return sum(isinstance(answer, Permitted) for answer in answers)

    assert await tries(MemoryStore(now)) == limit
    more = [await tries(MemoryStore(now)) for _ in range(3)]

    assert sum(more) <= lost
    assert (await take(db, subject=b"x" * 32, address="198.51.100.1", policy=policy)).failures == 1


async def hot(take, db, policy, at=None, **more):
    """Fill half of a prefix by attempts from its many addresses."""
    for n in range(policy.per_prefix // 2):
        await take(db, subject=n.to_bytes(32), address=f"203.0.113.{n}", policy=policy, **more)


NEIGHBOURS = ThrottlePolicy(per_address=10, per_prefix=40, everyone=1000, proof_bits=1)


async def test_under_attack_a_stranger_pays_and_a_known_browser_does_not(db, vault, take, now):
    """R26, R28: half of a prefix is used, so a guess from there costs work; everywhere else it does not."""
    unpaid = Shown(b"browser")
    assert isinstance(await take(db, policy=NEIGHBOURS, shown=unpaid), Permitted)
    await hot(take, db, NEIGHBOURS)

    slowed = await take(db, policy=NEIGHBOURS, shown=unpaid)
    assert isinstance(slowed, Slowed)
    assert (slowed.refusal().reason, slowed.refusal().status) == ("slowed", 429)
    ticket = new_ticket(vault, b"browser", 0, now).text
    assert isinstance(await take(db, policy=NEIGHBOURS, shown=Shown(b"browser", ticket, "0")), Permitted)
    assert isinstance(await take(db, policy=NEIGHBOURS, shown=unpaid, is_known=True), Permitted)
    assert isinstance(await take(db, policy=NEIGHBOURS, shown=unpaid, address="198.51.100.1"), Permitted)
    assert isinstance(await take(db, policy=NEIGHBOURS, budget="second_factor"), Permitted)
    never = msgspec.structs.replace(NEIGHBOURS, proof_bits=0)
    assert isinstance(await take(db, subject=b"n" * 32, policy=never, shown=unpaid), Permitted)


async def test_what_was_not_paid_for_is_not_counted_against_the_account(db, take):
    """R26: nor does it close the windows of those who pay; its own address's it does."""
    await hot(take, db, NEIGHBOURS)
    flood = [
        await take(db, subject=b"v" * 32, policy=NEIGHBOURS, address=f"203.0.113.{n % 20}", shown=Shown(b"b"))
        for n in range(400)
    ]
    assert sum(isinstance(answer, Slowed) for answer in flood) == 20 * (NEIGHBOURS.per_address - 1)
    assert not any(isinstance(answer, Permitted) for answer in flood)

    honest = await take(db, subject=b"v" * 32, policy=NEIGHBOURS, address="203.0.113.99")
    assert isinstance(honest, Permitted)
    assert honest.failures == 1


async def test_who_never_pays_keeps_the_heat_up(db, vault, take, now):
    """R28: else every third window would be free again."""
    await hot(take, db, NEIGHBOURS)
    for window in range(1, 4):
        at = now + window * timedelta(minutes=10)
        for n in range(NEIGHBOURS.per_prefix):
            address = f"203.0.113.{n % 20}"
            assert isinstance(await take(db, policy=NEIGHBOURS, at=at, address=address, shown=Shown(b"b")), Slowed)
    assert await throttle.heat_of(db, vault, "203.0.113.9", NEIGHBOURS, at) >= NEIGHBOURS.proof_from


async def test_an_attack_is_felt_for_one_more_window_and_then_is_over(db, vault, take, now):
    """R28: it does not begin anew every ten minutes; one address that is busy alone is none."""
    ten_minutes = timedelta(minutes=10)

    async def heat(at, address="203.0.113.99"):
        return await throttle.heat_of(db, vault, address, NEIGHBOURS, at)

    for _ in range(NEIGHBOURS.per_address + 5):
        await take(db, policy=NEIGHBOURS)
    assert await heat(now) <= NEIGHBOURS.per_address / NEIGHBOURS.per_prefix
    await hot(take, db, NEIGHBOURS)

    assert await heat(now) >= NEIGHBOURS.proof_from
    assert await heat(now + ten_minutes) >= NEIGHBOURS.proof_from
    assert await heat(now + 2 * ten_minutes) == 0
    assert await heat(now, "198.51.100.1") < NEIGHBOURS.proof_from


@pytest.mark.parametrize(
    "policy", [ThrottlePolicy(), ThrottlePolicy(per_address=100_000)], ids=["default", "simulator"]
)
async def test_what_one_address_may_do_alone_is_no_attack(policy):
    """R28: a program that fills in forms from one machine is never asked for work before its own window is full, or
    where that is as wide as its neighbourhood's, half full."""
    own, prefix, everyone = throttle.windows("127.0.0.1", policy)
    assert own.limit <= prefix.limit <= everyone.limit
    assert min(own.limit, 50_000) <= policy.proof_from * prefix.limit


async def test_the_accounts_count_survives_a_lost_store(db, vault, take, now):
    """R26: SQL holds it; a new, empty store is what is left after Redis was flushed."""
    while isinstance(await take(db), Permitted):
        pass

    answer = await throttle.take(db, MemoryStore(now), vault, "password", SUBJECT, "203.0.113.7", ROOMY, now)

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
