"""Undoing a change of contacts: what was there a week ago is there again, however often it was changed since (R51)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update

from accounts.activity import record
from accounts.contact import restore_contact, retire_contact
from accounts.database import Transaction
from accounts.vault import DataKey, Vault
from identity.contact_change import UNDO, ContactChange


async def undo_all(db: Transaction, vault: Vault, key: DataKey, account_id: UUID, now: datetime) -> int:
    """Undo what was changed in the last week, the newest first, and end what waits for its code; how many changes
    that were. Of many that race, each is undone by one."""
    undone = await db.execute(
        update(ContactChange)
        .where(ContactChange.account_id == account_id, ContactChange.undone_at.is_(None))
        .where(ContactChange.made_at.is_(None) | (ContactChange.made_at > now - UNDO))
        .values(undone_at=now)
        .returning(ContactChange.id, ContactChange.made_at, ContactChange.added, ContactChange.removed)
    )
    made = sorted((row for row in undone.all() if row.made_at is not None), key=lambda row: row.id, reverse=True)
    added = {row.added for row in made}
    for row in made:
        if row.added is not None:
            await retire_contact(db, account_id, row.added, now)
        # One that came and went within the week was never the citizen's to bring back.
        if row.removed is not None and row.removed not in added:
            await restore_contact(db, vault, key, account_id, row.removed, now)
    if made:
        await record(db, account_id, "contact_restored", now, actor="stranger")
    return len(made)
