"""Work under attack: a page's ticket is good for one guess, once its browser has worked for it or waited (R28).

The work is invisible: a number whose SHA-256 with the ticket begins with so many zero bits. A browser without scripts
waits instead, in a queue of its neighbourhood. Tickets are kept nowhere until they are spent (deploy/decisions/0015).
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from secrets import token_urlsafe

import msgspec

from accounts.store import Store
from accounts.vault import Vault

LIFETIME = timedelta(minutes=10)
"""Of a ticket; of one with a turn, from that turn on."""
MOST_MORE = 5
"""Bits beyond the first ones."""
SPACING = 10
"""Seconds between two turns of one neighbourhood: machines that wait get six guesses in a minute for all of a network,
however many they are."""
LONGEST = 600
"""Seconds: nobody waits longer for a turn. Who would have to is told to come again then."""


class Shown(msgspec.Struct, frozen=True):
    """What came back with a form, and the browser and journey to which its ticket must be bound."""

    bound_to: bytes
    ticket: str = ""
    proof: str = ""


class Ticket(msgspec.Struct, frozen=True):
    """One ticket, read. `turn` is when it is good without work, 0 for never; times are seconds."""

    text: str
    bits: int
    issued: int
    turn: int

    def left(self, now: datetime) -> int:
        """Seconds to its turn."""
        return max(0, self.turn - int(now.timestamp()))


def bits_for(heat: float, bits: int, proof_from: float) -> int:
    """How much work: `bits` where it begins to be asked, more as the windows fill."""
    beyond = (heat - proof_from) / max(1 - proof_from, 0.01)
    return bits + round(min(max(beyond, 0.0), 1.0) * MOST_MORE)


def new_ticket(vault: Vault, bound_to: bytes, bits: int, now: datetime, turn: int = 0) -> Ticket:
    """A new ticket, for one browser and journey."""
    issued = int(now.timestamp())
    body = f"{bits}.{issued}.{turn}.{token_urlsafe(12)}"
    return Ticket(f"{body}.{_mac(vault, bound_to, body)}", bits, issued, turn)


async def queue(
    store: Store, vault: Vault, bound_to: bytes, bits: int, place: str, wait: timedelta, now: datetime
) -> Ticket:
    """A ticket with a turn: `wait` from now, later for each other one that `place` was given lately; without one where
    the queue is too long. It is good for work in any case."""
    key = "turns:" + vault.mac("proof_of_work.place", place.encode())[:16].hex()
    others = await store.hit(key, LONGEST, now) - 1
    after = wait.total_seconds() + others * SPACING
    return new_ticket(vault, bound_to, bits, now, 0 if after > LONGEST else int(now.timestamp() + after) + 1)


def read_ticket(vault: Vault, shown: Shown, now: datetime) -> Ticket | None:
    """The ticket, where it is one of ours, of this browser and journey, and its time is not over."""
    body, _, mac = shown.ticket.rpartition(".")
    if not hmac.compare_digest(mac.encode(), _mac(vault, shown.bound_to, body).encode()):
        return None
    bits, issued, turn, _ = body.split(".")
    ticket = Ticket(shown.ticket, int(bits), int(issued), int(turn))
    return ticket if now.timestamp() < max(ticket.issued, ticket.turn) + LIFETIME.total_seconds() else None


async def spend(store: Store, vault: Vault, shown: Shown, now: datetime) -> int | None:
    """Spend a ticket: None where that was right, else how many seconds to wait (0: a new ticket is needed).

    Of many that race with one ticket, one gets through; a store that lost its memory refuses every earlier one."""
    ticket = read_ticket(vault, shown, now)
    if ticket is None:
        return 0
    has_waited = 0 < ticket.turn <= now.timestamp()
    if not has_waited and not is_solved(ticket, shown.proof):
        return ticket.left(now)
    issued_at = datetime.fromtimestamp(ticket.issued, now.tzinfo)
    ttl = int((timedelta(seconds=LONGEST) + 2 * LIFETIME).total_seconds())
    return None if await store.first_use(f"work:{ticket.text}", issued_at, ttl, now) else 0


def is_solved(ticket: Ticket, proof: str) -> bool:
    """Whether this number is one that takes so much work to find."""
    if not proof.isascii() or not proof.isdecimal() or len(proof) > 20:
        return False
    hashed = hashlib.sha256(f"{ticket.text}.{proof}".encode()).digest()
    return int.from_bytes(hashed, "big") >> (256 - ticket.bits) == 0


def _mac(vault: Vault, bound_to: bytes, body: str) -> str:
    mac = vault.mac("proof_of_work", bound_to + body.encode())
    return urlsafe_b64encode(mac[:18]).decode()
