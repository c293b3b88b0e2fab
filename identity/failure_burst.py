"""A burst of failures: whoever owns the account hears of it, and whoever guesses learns nothing (R27, R67)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from accounts.account import Account, data_key_of
from accounts.activity import record
from accounts.contact import Contact
from accounts.database import Database, Transaction
from accounts.outbox import Leased, enqueue
from accounts.vault import Vault
from identity.notice import Detail, detail_of, tell
from identity.session import Device
from identity.throttle import Permitted

FAILURE_BURST = "failure_burst"
"""The outbox event of so many failures in a row that their owner should know."""
TOLD_AT = frozenset({5, 20, 40})
"""Failures in a row: five may be the citizen's own, so the notice says so."""


async def failed(
    db: Transaction,
    vault: Vault,
    attempt: Permitted,
    now: datetime,
    device: Device,
    *,
    email: bytes | None = None,
    account_id: UUID | None = None,
) -> None:
    """An attempt was wrong. The work is written down for addresses that exist and that do not, in the same
    statement; the worker finds out whose it is."""
    if attempt.failures in TOLD_AT:
        whose = {"email": email.hex() if email else "", "account": str(account_id) if account_id else ""}
        told = detail_of(device)
        await enqueue(db, vault, FAILURE_BURST, {**whose, "device": told.device, "address": told.address}, now)


async def announce_failures(database: Database, vault: Vault, work: Leased, now: datetime) -> None:
    """Tell the owner, if there is one."""
    async with database.begin() as db:
        account_id = await _owner(db, work.payload)
        if account_id is None:
            return
        key = await data_key_of(db, vault, account_id)
        device, address = work.payload["device"], work.payload["address"]
        await record(db, account_id, "sign_in_failed", now, actor="stranger", key=key, device=device, address=address)
        await tell(db, vault, key, account_id, "sign_in_failed", Detail(device, address), now)


async def _owner(db: Transaction, payload: dict[str, Any]) -> UUID | None:
    owner = select(Account.id).where(Account.state != "closed")
    if payload["account"]:
        owner = owner.where(Account.id == UUID(payload["account"]))
    else:
        owner = owner.join(Contact, Contact.account_id == Account.id).where(
            Contact.blind_index == bytes.fromhex(payload["email"]),
            Contact.kind == "email",
            Contact.removed_at.is_(None),
            Contact.verified_at.is_not(None),
        )
    found: UUID | None = await db.scalar(owner)
    return found
