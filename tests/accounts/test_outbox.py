"""The outbox: work happens if and only if its cause commits, goes to one worker, and is given up loudly."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from stage import race

from accounts.contact import add_contact
from accounts.notification import Message, notify_contacts, send
from accounts.outbox import LEASE, MAX_ATTEMPTS, Outbox, enqueue, finish, lease, postpone

pytestmark = pytest.mark.anyio


async def test_work_carries_what_it_was_given(database, vault, now):
    """Kind, payload, first attempt."""
    async with database.begin() as db:
        work_id = await enqueue(db, vault, "message", {"to": "ada@example.org", "n": 1}, now)
    async with database.begin() as db:
        [work] = await lease(db, vault, now)

    assert (work.id, work.kind, work.attempt, work.created_at) == (work_id, "message", 1, now)
    assert work.payload == {"to": "ada@example.org", "n": 1}


async def test_work_whose_cause_did_not_happen_does_not_exist(database, vault, now):
    """Written in the transaction that causes it."""
    with pytest.raises(ZeroDivisionError):
        await _enqueue_and_crash(database, vault, now)
    async with database.begin() as db:
        assert await lease(db, vault, now) == []


async def _enqueue_and_crash(database, vault, now):
    async with database.begin() as db:
        await enqueue(db, vault, "message", {}, now)
        raise ZeroDivisionError


async def test_each_piece_goes_to_one_worker(database, vault, now):
    """R78: thirty workers, a hundred pieces, none twice and none forgotten."""
    async with database.begin() as db:
        for n in range(100):
            await enqueue(db, vault, "message", {"n": n}, now)

    taken = await race(database, lambda db: lease(db, vault, now, limit=5), times=30)

    numbers = [work.payload["n"] for batch in taken for work in batch]
    assert len(numbers) == len(set(numbers))
    async with database.begin() as db:
        while rest := await lease(db, vault, now, limit=50):
            numbers += [work.payload["n"] for work in rest]
    assert sorted(numbers) == list(range(100))


async def test_work_that_is_not_due_waits(database, vault, now):
    """A day later, say."""
    async with database.begin() as db:
        await enqueue(db, vault, "message", {}, now, due_at=now + timedelta(days=1))
    async with database.begin() as db:
        assert await lease(db, vault, now) == []
        assert len(await lease(db, vault, now + timedelta(days=1))) == 1


async def test_a_dead_workers_piece_comes_back(database, vault, now):
    """Faults: kill -9 of a worker."""
    async with database.begin() as db:
        await enqueue(db, vault, "message", {}, now)
    async with database.begin() as db:
        assert len(await lease(db, vault, now)) == 1
        assert await lease(db, vault, now + LEASE - timedelta(seconds=1)) == []
        [again] = await lease(db, vault, now + LEASE)
        assert again.attempt == 2


async def test_what_is_done_is_done_and_leaves_nothing_personal(database, vault, now):
    """R66."""
    async with database.begin() as db:
        await enqueue(db, vault, "message", {"to": "ada@example.org"}, now)
    async with database.begin() as db:
        [work] = await lease(db, vault, now)
        await finish(db, work, now)
    async with database.begin() as db:
        assert await lease(db, vault, now + timedelta(days=30)) == []
        row = await db.first(select(Outbox.outcome, Outbox.payload, Outbox.finished_at))
        assert tuple(row) == ("done", b"", now)


async def test_what_fails_is_tried_again_ever_later_for_about_a_day_and_then_given_up(database, vault, now):
    """R14: backoff; abandoned after twelve, with the reason, without the payload."""
    async with database.begin() as db:
        await enqueue(db, vault, "logout_token", {"to": "parks"}, now)
    at, waits = now, []
    async with database.begin() as db:
        while leased := await lease(db, vault, at):
            [work] = leased
            will_retry = await postpone(db, work, "x" * 500, at)
            await db.commit()
            if not will_retry:
                break
            due = await db.scalar(select(Outbox.due_at))
            waits.append((due - at).total_seconds())
            assert await lease(db, vault, due - timedelta(seconds=1)) == []
            at = due

    assert work.attempt == MAX_ATTEMPTS
    assert waits[:4] == [5, 20, 80, 320]
    assert waits == sorted(waits)
    assert timedelta(hours=18) < at - now < timedelta(hours=30)
    async with database.begin() as db:
        row = await db.first(select(Outbox.outcome, Outbox.payload, Outbox.last_error))
        assert tuple(row) == ("gave_up", b"", "x" * 200)
        assert await lease(db, vault, at + timedelta(days=30)) == []


async def test_a_worker_that_comes_late_does_not_undo_what_another_finished(database, vault, now):
    """Faults: SIGSTOP and resume: the lease ran out meanwhile."""
    async with database.begin() as db:
        await enqueue(db, vault, "message", {}, now)
        await db.execute(update(Outbox).values(attempts=MAX_ATTEMPTS - 2))
    async with database.begin() as db:
        [slow] = await lease(db, vault, now)
        [quick] = await lease(db, vault, now + LEASE)
        await finish(db, quick, now + LEASE)
        await postpone(db, slow, "timeout", now + 2 * LEASE)
        await postpone(db, quick, "timeout", now + 2 * LEASE)
    async with database.begin() as db:
        assert await lease(db, vault, now + timedelta(days=2)) == []
        assert await db.scalar(select(Outbox.outcome)) == "done"


async def test_one_piece_that_does_not_open_stops_no_other(database, vault, now):
    """It is a kind nobody handles: tried, and given up loudly."""
    async with database.begin() as db:
        broken = await enqueue(db, vault, "message", {"n": 1}, now)
        await enqueue(db, vault, "message", {"n": 2}, now)
        await db.execute(update(Outbox).where(Outbox.id == broken).values(payload=b"garbage"))
    async with database.begin() as db:
        kinds = {work.id: work.kind for work in await lease(db, vault, now)}
    assert kinds.pop(broken) != "message"
    assert list(kinds.values()) == ["message"]


async def test_a_dump_shows_no_message(database, vault, now):
    """R66: queues hold codes and addresses, so they are sealed."""
    message = Message("email", "ada@example.org", "code", "en", {"code": "123456"})
    async with database.begin() as db:
        await send(db, vault, message, now)
        payload = await db.scalar(select(Outbox.payload))
        assert b"ada" not in payload
        assert b"123456" not in payload
    async with database.begin() as db:
        [work] = await lease(db, vault, now)
        assert work.payload == {
            "channel": "email",
            "to": "ada@example.org",
            "template": "code",
            "language": "en",
            "values": {"code": "123456"},
        }


async def test_a_notice_goes_to_every_verified_contact(database, vault, ada, bob, now):
    """R67: on each one's channel; to nobody who has only been claimed."""
    written = [
        ("email", "ada@example.org", True),
        ("phone", "+442079460958", True),
        ("email", "eve@example.org", False),
    ]
    async with database.begin() as db:
        for kind, value, verified in written:
            await add_contact(db, vault, ada.key, ada.account_id, kind, value, now, verified=verified)
        await add_contact(db, vault, bob.key, bob.account_id, "email", "bob@example.org", now, verified=True)
        await notify_contacts(db, vault, ada.key, ada.account_id, "new_device", "cy", now, device="Firefox")
    async with database.begin() as db:
        sent = [work.payload for work in await lease(db, vault, now)]

    assert {(message["channel"], message["to"]) for message in sent} == {
        ("email", "ada@example.org"),
        ("sms", "+442079460958"),
    }
    assert {(message["template"], message["language"]) for message in sent} == {("new_device", "cy")}
    assert sent[0]["values"] == {"device": "Firefox"}
