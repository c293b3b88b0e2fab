"""Work under attack: what a ticket is good for, and what it is not."""

from datetime import timedelta
from itertools import count

import pytest
from stage import race

from accounts.errors import StoreUnavailable
from config.store import MemoryStore, RedisStore
from identity import proof_of_work
from identity.proof_of_work import (
    LIFETIME,
    LONGEST,
    SPACING,
    Shown,
    bits_for,
    is_solved,
    new_ticket,
    queue,
    read_ticket,
    spend,
)

pytestmark = pytest.mark.anyio
HERE = b"browser" + b"journey"
WAIT = timedelta(seconds=20)


def solved(ticket, bound_to=HERE):
    """What a browser with scripts sends back."""
    proof = next(str(number) for number in count() if is_solved(ticket, str(number)))
    return Shown(bound_to, ticket.text, proof)


@pytest.fixture
def ticket(vault, now):
    return new_ticket(vault, HERE, 6, now)


async def test_a_ticket_is_good_once_its_browser_has_worked_for_it(store, vault, ticket, now):
    """R28: the work, and nothing else: no puzzle, no account."""
    without = [Shown(HERE, ticket.text, proof) for proof in ("", "x", "-1", "１", "9" * 21)]
    assert [await spend(store, vault, shown, now) for shown in without] == [0] * 5

    assert await spend(store, vault, solved(ticket), now) is None


async def test_of_many_guesses_with_one_ticket_one_is_judged(database, store, vault, ticket, now):
    """R26, R78: the work is paid for each guess."""
    shown = solved(ticket)
    answers = await race(database, lambda db: spend(store, vault, shown, now))
    assert sorted(answers, key=str) == [0] * 99 + [None]


async def test_a_ticket_belongs_to_one_browser_and_journey(store, vault, ticket, now):
    """R29's binding, for work: none is done ahead for others, or sold."""
    for elsewhere in (b"another" + b"journey", b"browser" + b"another"):
        assert await spend(store, vault, solved(ticket, elsewhere), now) == 0


@pytest.mark.parametrize("part", [0, 1, 2, 3, 4])
async def test_no_part_of_a_ticket_can_be_chosen(store, vault, ticket, now, part):
    """Fewer bits, an older or later time, a turn, other letters."""
    parts = ticket.text.split(".")
    parts[part] = "1" if part < 3 else "A" + parts[part][1:] if parts[part][0] != "A" else "B" + parts[part][1:]
    forged = ".".join(parts)
    assert forged != ticket.text
    for proof in map(str, range(200)):
        assert await spend(store, vault, Shown(HERE, forged, proof), now) == 0


@pytest.mark.parametrize("text", ["", ".", "....", "é.é", "a" * 10_000])
async def test_what_is_no_ticket_is_read_as_none(vault, now, text):
    """R45: whatever is typed into a hidden field."""
    assert read_ticket(vault, Shown(HERE, text), now) is None


async def test_a_ticket_grows_old(store, vault, ticket, now):
    """R26: work is not laid up for later."""
    assert await spend(store, vault, solved(ticket), now + LIFETIME) == 0
    assert await spend(store, vault, solved(ticket), now + LIFETIME - timedelta(seconds=1)) is None


async def test_a_store_that_lost_its_memory_refuses_what_was_issued_before(vault, ticket, now):
    """R75: a spent ticket does not pass again."""
    later = now + timedelta(seconds=30)
    emptied = MemoryStore(later)
    assert await spend(emptied, vault, solved(ticket), later) == 0
    assert await spend(emptied, vault, solved(new_ticket(vault, HERE, 6, later)), later) is None


async def test_without_a_store_no_ticket_is_good(vault, ticket, now):
    """R75: fails closed."""
    dead = RedisStore("redis://127.0.0.1:9", now)
    try:
        with pytest.raises(StoreUnavailable):
            await spend(dead, vault, solved(ticket), now)
    finally:
        await dead.close()


async def test_a_browser_without_scripts_waits_for_its_turn(store, vault, now):
    """R28: the slower path: not before its turn, for ten minutes from then on, once."""
    ticket = await queue(store, vault, HERE, 20, "203.0.113.0/24", WAIT, now)
    shown = Shown(HERE, ticket.text)

    assert ticket.left(now) in (20, 21)
    assert await spend(store, vault, shown, now) == ticket.left(now)
    assert await spend(store, vault, shown, now + timedelta(seconds=10)) == ticket.left(now) - 10
    turn = now + timedelta(seconds=ticket.left(now))
    assert await spend(store, vault, shown, turn + LIFETIME) == 0
    assert await spend(store, vault, shown, turn + LIFETIME / 2) is None
    assert await spend(store, vault, shown, turn + LIFETIME / 2) == 0


async def test_a_browser_with_scripts_need_not_wait_for_a_turn(store, vault, now):
    """A ticket with a turn is good for work as well."""
    ticket = await queue(store, vault, HERE, 6, "203.0.113.0/24", WAIT, now)
    assert await spend(store, vault, solved(ticket), now) is None


async def test_a_neighbourhood_waits_in_line_and_no_other_waits_for_it(store, vault, now):
    """R28: some seconds for each before; nobody longer than ten minutes, and elsewhere the line is short."""
    crowd = [await queue(store, vault, HERE, 12, "203.0.113.0/24", WAIT, now) for _ in range(100)]
    turns = [ticket.left(now) for ticket in crowd]
    elsewhere = await queue(store, vault, HERE, 12, "198.51.100.0/24", WAIT, now)

    in_line = turns[: turns.index(0)]
    assert in_line == [turns[0] + n * SPACING for n in range(len(in_line))]
    assert LONGEST - SPACING < max(turns) <= LONGEST + 1
    assert turns[len(in_line) :] == [0] * (100 - len(in_line)), "come again later"
    assert await spend(store, vault, Shown(HERE, crowd[-1].text), now + LIFETIME / 2) == 0
    assert elsewhere.left(now) == turns[0]


async def test_more_work_is_asked_as_the_windows_fill():
    """R28: from the first bits to five more; never less than the first, whatever was measured."""
    asked = [bits_for(heat, 12, 0.5) for heat in (0.0, 0.5, 0.6, 0.75, 1.0, 3.0)]
    assert asked == [12, 12, 13, 14, 17, 17]
    assert bits_for(1.0, 12, 1.0) == 12
    assert bits_for(2.0, 12, 1.0) == 12 + proof_of_work.MOST_MORE
