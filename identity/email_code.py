"""Codes by e-mail: a second step after a password where policy has it; no authenticator, so no level comes of it (R25).

A remembered browser is asked as well: no session can tell whether a code was proved (identity/assurance.py), and what
changes the account (R30) would then pass with the password alone.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from accounts.contact import Contact, canonical_email, contacts_of
from accounts.database import Transaction
from accounts.store import Store
from accounts.vault import DataKey, Vault
from identity import sign_in_code, throttle
from identity.contact_change import UNDO
from identity.policy import IdentityPolicy
from identity.session import Device


async def address_of(db: Transaction, key: DataKey, account_id: UUID, now: datetime) -> str | None:
    """Where the account's codes go: its first address that nobody can undo any more (R51), or else the one it has had
    for longest: who replaced that had to prove the one before it (R30)."""
    verified = [
        (contact.verified_at, contact.value)
        for contact in await contacts_of(db, key, account_id)
        if contact.kind == "email" and contact.verified_at is not None
    ]
    settled = [address for at, address in verified if at <= now - UNDO]
    return settled[0] if settled else min(verified)[1] if verified else None


async def send_code(
    db: Transaction,
    vault: Vault,
    store: Store,
    key: DataKey,
    account_id: UUID,
    asker: UUID,
    device: Device,
    policy: IdentityPolicy,
    now: datetime,
) -> None:
    """Send a code that only this sign-in can use, for ten minutes; an earlier one of its ends. Mails are counted by
    account: what strangers without its password had sent to the address takes nothing from it.

    Raises Refusal "too_many_attempts"."""
    to = await address_of(db, key, account_id, now)
    if to is None:
        return
    await db.commit()
    subject, address = account_id.bytes, device.address
    throttle.permitted(await throttle.take(db, store, vault, "message", subject, address, policy.throttle, now))
    contact = vault.blind("email", canonical_email(to))
    await sign_in_code.issue(
        db, vault, account_id, asker, channel="email", to=to, contact=contact, template="sign_in_email", now=now
    )


async def spend(db: Transaction, vault: Vault, account_id: UUID, asker: UUID, code: str, now: datetime) -> bool:
    """Accept the code that was sent for this sign-in, once, while its address still is the account's. `acr` stays
    where the password alone is, and so does `amr`: RFC 8176 has no value for it, and none that it has is true."""
    sent_to = await sign_in_code.spend(db, vault, account_id, asker, code, now)
    if sent_to is None:
        return False
    still = select(Contact.id).where(
        Contact.account_id == account_id,
        Contact.kind == "email",
        Contact.blind_index == sent_to,
        Contact.removed_at.is_(None),
        Contact.verified_at.is_not(None),
    )
    return await db.scalar(still) is not None
