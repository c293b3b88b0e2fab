"""Taking a contact away, and undoing changes: what was there a week ago is there again (R51)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update

from accounts.account import data_key_of, lock_account
from accounts.activity import record
from accounts.contact import ContactView, contacts_of, restore_contact, retire_contact
from accounts.database import Transaction, new_id
from accounts.errors import Refusal
from accounts.vault import DataKey, Vault
from identity.contact_change import UNDO, Change, ContactChange, announce_change
from identity.contact_spare import verify_spare
from identity.own_authenticators import Owner
from identity.policy import IdentityPolicy


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


async def remove(
    db: Transaction, vault: Vault, owner: Owner, contact: ContactView, policy: IdentityPolicy, now: datetime
) -> None:
    """Take a contact away. Raises Refusal "last_email" (without an address nobody could sign in or be
    told) or "last_way_back". The account is locked meanwhile: of two that are removed at once, one stays."""
    account_id = owner.citizen.account_id
    key = await data_key_of(db, vault, account_id)
    await lock_account(db, account_id)
    left = [one for one in await contacts_of(db, key, account_id) if one.id != contact.id]
    if not any(one.kind == "email" and one.is_verified for one in left):
        raise Refusal("last_email")
    await verify_spare(db, account_id, contact.id, policy)
    change = Change(new_id(now), contact.kind, contact.value, contact.id)
    await announce_change(db, vault, key, owner, "contact_removed", "contact_removed", change, now)
    if not await retire_contact(db, account_id, contact.id, now):
        await db.rollback()
        return
    await db.execute(
        insert(ContactChange).values(
            id=change.id,
            account_id=account_id,
            session_id=owner.citizen.session_id,
            kind=contact.kind,
            removed=contact.id,
            created_at=now,
            expires_at=now,
            made_at=now,
        )
    )
