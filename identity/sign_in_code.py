"""A code that was sent for one sign-in, by whichever channel: it works there alone, once, for ten minutes (R24)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from accounts.account import Account
from accounts.database import Transaction
from accounts.notification import Channel, Message, send
from accounts.vault import Vault
from identity import confirmation_code


async def issue(
    db: Transaction,
    vault: Vault,
    account_id: UUID,
    asker: UUID,
    *,
    channel: Channel,
    to: str,
    contact: bytes,
    template: str,
    now: datetime,
) -> None:
    """Send one, in the citizen's language; an earlier one for the same sign-in ends. `contact`: the blind index of
    `to`. Whoever calls has taken a message from its limits."""
    code = await confirmation_code.issue(
        db, vault, purpose="sign_in", bound_to=asker.bytes, contact=contact, account_id=account_id, now=now
    )
    language = await db.scalar(select(Account.locale).where(Account.id == account_id)) or "en"
    await send(db, vault, Message(channel, to, template, language, {"code": code}), now)


async def spend(db: Transaction, vault: Vault, account_id: UUID, asker: UUID, code: str, now: datetime) -> bytes | None:
    """Spend it; the contact it was sent to, of which the caller judges whether it still is the account's. None where it
    is not right."""
    spent = await confirmation_code.spend(db, vault, purpose="sign_in", bound_to=asker.bytes, code=code, now=now)
    return None if spent is None or spent.account_id != account_id else spent.contact
