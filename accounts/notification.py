"""Messages to citizens: one mail or SMS, written down in the outbox, sent by the worker in the citizen's language."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from accounts.contact import contacts_of
from accounts.database import Transaction
from accounts.outbox import enqueue
from accounts.vault import DataKey, Vault

Channel = Literal["email", "sms", "voice"]
"""`voice`: a text to be read out; a gateway may offer it where a phone cannot get text."""


class Message(msgspec.Struct, frozen=True):
    """A message waiting to be sent. `template` names `messages/<template>.txt`; its first line is the subject.
    `values` fill it; a value named `code` is a one-time code."""

    channel: Channel
    to: str
    template: str
    language: str
    values: dict[str, Any]


async def send(db: Transaction, vault: Vault, message: Message, now: datetime) -> UUID:
    """Have a message sent after commit."""
    return await enqueue(db, vault, "message", msgspec.to_builtins(message), now)


async def notify_contacts(
    db: Transaction,
    vault: Vault,
    key: DataKey,
    account_id: UUID,
    template: str,
    language: str,
    now: datetime,
    **values: Any,
) -> None:
    """Tell every verified contact of an account (R67): there is no link to a sign-in in any of these."""
    for contact in await contacts_of(db, key, account_id):
        if contact.is_verified:
            channel: Channel = "email" if contact.kind == "email" else "sms"
            await send(db, vault, Message(channel, contact.value, template, language, values), now)
