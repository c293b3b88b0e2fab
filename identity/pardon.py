"""Pardon: who has come in ends the account's failures in a row, their own and what strangers did (R26)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from accounts.contact import Contact
from accounts.database import Transaction
from accounts.vault import Vault
from identity.throttle import BEHIND, Permitted, give_back, key_of
from identity.throttle_policy import Budget
from identity.throttle_row import counts_of

_BY_ACCOUNT: tuple[tuple[Budget, bool], ...] = (
    ("password", True),
    ("second_factor", False),
    ("second_factor", True),
    ("recovery", False),
)


async def pardon(db: Transaction, vault: Vault, account_id: UUID, now: datetime) -> None:
    """A complete sign-in, a passkey or a recovery: every row of failures of the account ends."""
    addresses = await db.all(
        select(Contact.blind_index).where(Contact.account_id == account_id, Contact.kind == "email")
    )
    # In the order of `take`: the account's own row comes after its addresses.
    keys = [key_of(vault, "password", row.blind_index, False, now) for row in addresses]
    keys.append(key_of(vault, "password", BEHIND + account_id.bytes, False, now))
    keys += [key_of(vault, budget, account_id.bytes, is_known, now) for budget, is_known in _BY_ACCOUNT]
    there = await counts_of(db, keys)  # most citizens have no failures, and none of these rows
    await give_back(db, Permitted(tuple(key for key in keys if key in there)))
