"""Pardon: who has come in ends the account's failures in a row, their own and what strangers did (R26).

A success disregards the failures of the authenticators that were used for it (NIST SP 800-63B-4 section 3.2.2).
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from accounts.contact import Contact
from accounts.database import Transaction
from accounts.vault import Vault
from identity.assurance import Method
from identity.throttle import BEHIND, Permitted, give_back, key_of
from identity.throttle_policy import Budget
from identity.throttle_row import counts_of

EVERY: tuple[Budget, ...] = ("password", "second_factor", "recovery")


def pardoned_by(methods: Collection[Method]) -> tuple[Budget, ...]:
    """What a complete sign-in ends: a password alone says nothing of who guesses at the second factor."""
    return () if not methods else ("password",) if set(methods) == {"pwd"} else EVERY


async def pardon(
    db: Transaction, vault: Vault, account_id: UUID, now: datetime, budgets: Collection[Budget] = EVERY
) -> None:
    """A complete sign-in or a recovery: the rows of failures end. Call it before the request's other writes, or in a
    transaction of its own: an attempt may be holding one of these rows."""
    if not budgets:
        return
    addresses = await db.all(
        select(Contact.blind_index)
        .where(Contact.account_id == account_id, Contact.kind == "email")
        .order_by(Contact.blind_index)
    )
    # In the order of `take`: the account's own row comes after its addresses.
    keys = [key_of(vault, "password", row.blind_index, False, now) for row in addresses]
    keys.append(key_of(vault, "password", BEHIND + account_id.bytes, False, now))
    keys += [key_of(vault, budget, account_id.bytes, known, now) for budget in budgets for known in (False, True)]
    there = await counts_of(db, keys)  # most citizens have no failures, and none of these rows
    await give_back(db, Permitted(tuple(key for key in keys if key in there)))
