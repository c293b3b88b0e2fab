"""The ticket that the sign-in page carries under attack: work for a browser with scripts, a turn for one without (R28).

A turn is given for a form that came back, never for a page that was looked at: forms are counted, looks are not, and
whoever only looks must not make a neighbourhood's queue longer.
"""

from accounts.errors import Refusal
from identity.journey import Here
from identity.proof_of_work import Shown, Ticket, bits_for, new_ticket, queue, read_ticket
from identity.throttle import heat_of, windows


async def ticket_for(here: Here, bound_to: bytes, sent: Shown | None, refusal: Refusal | None) -> Ticket | None:
    """The ticket of the page that is shown now; None while nothing is hot. `sent` came with the form that this page
    answers. A ticket that was not spent is shown again: who is too early keeps the turn."""
    policy, address = here.policy.throttle, here.device.address
    is_slowed = refusal is not None and refusal.reason == "slowed"
    heat = await heat_of(here.db, here.vault, address, policy, here.now)
    if heat < policy.proof_from and not is_slowed:
        return None
    is_early = is_slowed and refusal is not None and bool(refusal.retry_after)
    if sent is not None and (refusal is None or is_early):
        kept = read_ticket(here.vault, sent, here.now)
        if kept is not None:
            return kept
    bits = bits_for(heat, policy.proof_bits, policy.proof_from)
    if is_slowed or (sent is not None and not sent.proof):
        _, neighbours, _ = windows(address, policy)
        return await queue(here.store, here.vault, bound_to, bits, neighbours.place, policy.slow_wait, here.now)
    return new_ticket(here.vault, bound_to, bits, here.now)
