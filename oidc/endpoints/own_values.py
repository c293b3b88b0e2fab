"""The citizen's own details, as their pages show them to themselves; to a service they leave by release.py alone."""

from typing import Any
from uuid import UUID

import msgspec

from accounts.account import data_key_of
from accounts.contact import contacts_of, masked
from accounts.database import Transaction
from accounts.profile import profile_of
from accounts.vault import Vault

CLAIM_OF = {"email": "email", "phone": "phone_number"}


async def own_values(db: Transaction, vault: Vault, account_id: UUID, locale: str | None) -> dict[str, Any]:
    """By claim name; what is not there is left out. Of several contacts the one that a service would get."""
    key = await data_key_of(db, vault, account_id)
    profile = await profile_of(db, key, account_id)
    values: dict[str, Any] = msgspec.to_builtins(profile.claims)
    for contact in await contacts_of(db, key, account_id):
        if contact.is_verified:
            values.setdefault(CLAIM_OF[contact.kind], contact.value)
    return values | ({"locale": locale} if locale else {})


def masked_email(values: dict[str, Any]) -> str:
    """Enough to tell one's accounts apart, and nothing for who looks over a shoulder."""
    return masked("email", values["email"]) if "email" in values else ""
