"""Sessions: hashed, limited by the server's clock, ended at once, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import event, select
from stage import race

from accounts.database import digest
from accounts.outbox import Outbox, lease
from identity import session as sessions
from identity.session import Device, Session, find_session

pytestmark = pytest.mark.anyio
DEVICE = Device("Mozilla/5.0 (X11; Linux) Firefox/130.0", "192.0.2.7")


@pytest.fixture
def open_one(database, identity_policy, now):
    """`await open_one(person)`: the id and the secret of a new session."""

    async def open_one(person, at=now):
        async with database.begin() as db:
            return await sessions.start(
                db,
                person.key,
                person.account_id,
                browser=b"b" * 32,
                acr="aal2",
                amr=["pwd", "otp", "mfa"],
                device=DEVICE,
                policy=identity_policy.session,
                now=at,
            )

    return open_one


@pytest.fixture
def see(database):
    """`await see(secret, at)`: what a cookie stands for."""

    async def see(secret, at):
        async with database.begin() as db:
            return await find_session(db, secret, at)

    return see


async def test_a_cookie_is_worth_its_session_and_a_dump_nothing(database, ada, open_one, see, now):
    """R40: 256 random bits, of which only a hash is kept."""
    session_id, secret = await open_one(ada)

    found = await see(secret, now)

    assert (found.id, found.account_id, found.account_state) == (session_id, ada.account_id, "active")
    assert len(secret) == 43
    async with database.begin() as db:
        assert await db.scalar(select(Session.secret_digest)) == digest(secret)
        assert b"Firefox" not in await db.scalar(select(Session.device))


@pytest.mark.parametrize("secret", [None, "", "x" * 43, "x" * 5000, "é", "\0"])
async def test_any_other_cookie_is_worth_nothing(ada, open_one, see, now, secret):
    """Whatever a browser sends."""
    await open_one(ada)
    assert await see(secret, now) is None


async def test_it_ends_when_it_is_not_used(database, ada, open_one, see, identity_policy, now):
    """R41: half an hour, moved by use."""
    _, secret = await open_one(ada)
    policy = identity_policy.session
    soon = now + policy.idle - timedelta(seconds=1)
    found = await see(secret, soon)
    assert sessions.is_due_for_touch(found, policy, soon)

    async with database.begin() as db:
        await sessions.touch(db, found, policy, soon)

    assert await see(secret, soon + policy.idle - timedelta(seconds=1)) is not None
    assert await see(secret, soon + policy.idle) is None


async def test_it_ends_at_its_limit_however_much_it_is_used(database, ada, open_one, see, identity_policy, now):
    """R41: twelve hours."""
    _, secret = await open_one(ada)
    policy, at = identity_policy.session, now
    while at < now + policy.absolute - timedelta(minutes=20):
        at += timedelta(minutes=20)
        async with database.begin() as db:
            await sessions.touch(db, await find_session(db, secret, at), policy, at)

    assert await see(secret, now + policy.absolute - timedelta(seconds=1)) is not None
    assert await see(secret, now + policy.absolute) is None


async def test_using_it_without_pause_costs_few_writes(ada, open_one, see, identity_policy, now):
    """R44: once in a thirtieth of the idle limit."""
    _, secret = await open_one(ada)
    found = await see(secret, now)

    assert not sessions.is_due_for_touch(found, identity_policy.session, now + timedelta(seconds=59))
    assert sessions.is_due_for_touch(found, identity_policy.session, now + timedelta(seconds=61))


async def test_ending_is_at_once_and_told_once(database, vault, ada, open_one, see, now):
    """R42, R14: of many who end it one does, and one event goes out."""
    session_id, secret = await open_one(ada)

    ended = await race(database, lambda db: sessions.end(db, vault, session_id, "signed_out", now), 20)

    assert ended.count(True) == 1
    assert await see(secret, now) is None
    async with database.begin() as db:
        assert [row.kind for row in await db.all(select(Outbox.kind))] == [sessions.SESSION_ENDED]


async def test_one_that_ran_out_is_not_ended_and_not_told(database, vault, ada, open_one, identity_policy, now):
    """A session that runs out sends no logout tokens."""
    session_id, _ = await open_one(ada)
    late = now + identity_policy.session.idle

    async with database.begin() as db:
        assert not await sessions.end(db, vault, session_id, "signed_out", late)
        assert not await sessions.end_all(db, vault, ada.account_id, "ended_by_citizen", late)
        assert await db.all(select(Outbox.id)) == []


async def test_an_id_ends_only_ones_own_session(database, vault, ada, bob, open_one, see, now):
    """R42: the list's form names an id; it is no key."""
    session_id, secret = await open_one(ada)

    async with database.begin() as db:
        assert not await sessions.end(db, vault, session_id, "ended_by_citizen", now, account_id=bob.account_id)

    assert await see(secret, now) is not None


async def test_all_others_end_and_nobody_elses(database, vault, ada, bob, open_one, see, now):
    """R42, R30: but for the one in which it was asked for."""
    own, secret = await open_one(ada)
    others = [await open_one(ada) for _ in range(3)]
    _, bobs = await open_one(bob)

    async with database.begin() as db:
        ended = await sessions.end_all(db, vault, ada.account_id, "credentials_changed", now, but=own)

    assert set(ended) == {session_id for session_id, _ in others}
    assert [await see(gone, now) for _, gone in others] == [None] * 3
    assert await see(secret, now) is not None
    assert await see(bobs, now) is not None


async def test_ending_many_sessions_takes_as_many_statements_as_ending_one(database, vault, ada, open_one, now):
    """R44: one that ends them, one that has their services told, each of them."""
    for _ in range(30):
        await open_one(ada)
    statements = []
    listened = (database.engine.sync_engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    event.listen(*listened)
    try:
        async with database.begin() as db:
            ended = await sessions.end_all(db, vault, ada.account_id, "credentials_changed", now)
    finally:
        event.remove(*listened)

    assert len([one for one in statements if one.startswith(("UPDATE", "INSERT"))]) == 2, statements
    async with database.begin() as db:
        told = [row.payload for row in await lease(db, vault, now, limit=100)]
    assert {one["session_id"] for one in told} == {str(session_id) for session_id in ended}
    assert len(told) == 30


async def test_a_session_that_has_ended_is_not_raised(database, vault, ada, open_one, see, identity_policy, now):
    """R42, R78: what was read before is asserted again."""
    session_id, secret = await open_one(ada)
    found = await see(secret, now)
    async with database.begin() as db:
        await sessions.end(db, vault, session_id, "ended_by_citizen", now)

        raised = await sessions.raise_to(
            db, found, acr="aal2-phr", amr=["pop"], policy=identity_policy.session, now=now
        )

    assert raised is None


async def test_they_are_listed_by_key_the_newest_first(database, ada, open_one, now):
    """R44: with the device that the citizen knows them by."""
    ids = [(await open_one(ada, now + timedelta(seconds=n)))[0] for n in range(5)]
    at = now + timedelta(seconds=9)

    async with database.begin() as db:
        first = await sessions.sessions_of(db, ada.key, ada.account_id, at, limit=3)
        rest = await sessions.sessions_of(db, ada.key, ada.account_id, at, before=first[-1].id, limit=3)

    assert [one.id for one in (*first, *rest)] == ids[::-1]
    assert first[0].device == DEVICE
