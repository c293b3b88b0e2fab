"""A service asks for somebody by their address: they hear of it by mail, and whoever asked learns nothing (R27)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from accounts.account import Account, data_key_of
from accounts.contact import contacts_of
from accounts.database import Database, Transaction
from accounts.notification import Message, send
from accounts.outbox import Leased, enqueue
from accounts.vault import Vault
from oidc.provider import Provider

SIGN_IN_ASKED = "sign_in_asked"


async def asked_for(
    db: Transaction, vault: Vault, client_id: str, account_id: UUID | None, binding_message: str, now: datetime
) -> None:
    """Written down for nobody as for somebody, in the same statement: an answer that took longer would tell who has an
    account."""
    payload = {"client": client_id, "account": str(account_id or ""), "message": binding_message}
    await enqueue(db, vault, SIGN_IN_ASKED, payload, now)


async def tell_asked(provider: Provider, database: Database, vault: Vault, work: Leased, now: datetime) -> None:
    """A mail to every address, with the words to compare and without a link: nobody learns to follow one."""
    if not work.payload["account"]:
        return
    account_id = UUID(work.payload["account"])
    async with database.begin() as db:
        client = await provider.clients.find(db, work.payload["client"], now)
        if client is None:
            return
        language = await db.scalar(select(Account.locale).where(Account.id == account_id)) or "en"
        key = await data_key_of(db, vault, account_id)
        values = {"service": client.name_in(language), "message": work.payload["message"]}
        for contact in await contacts_of(db, key, account_id):
            if contact.is_verified and contact.kind == "email":
                await send(db, vault, Message("email", contact.value, "sign_in_asked", language, values), now)
