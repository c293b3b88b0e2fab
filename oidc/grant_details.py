"""A grant's authorization details: sealed under their citizen's data key, opened where a token is made of them (R60).

Grants without any, which are most, cost nothing here.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Uuid, bindparam, select

from accounts.account import Account
from accounts.database import Transaction
from accounts.vault import Vault
from oidc.grant import DETAILS_PLACE, Grant, GrantView


async def with_details(db: Transaction, vault: Vault, grant: GrantView) -> GrantView:
    """The grant with its details opened."""
    if not grant.has_details:
        return grant
    return msgspec.structs.replace(grant, details=await details_of_grant(db, vault, grant.id))


async def details_of_grant(
    db: Transaction, vault: Vault, grant_id: UUID, positions: Sequence[int] | None = None
) -> tuple[dict[str, Any], ...]:
    """What exactly was agreed to, or those at these positions of it; nothing once the account's data key is gone."""
    row = await db.first(_DETAILS, {"grant_id": grant_id})
    details: list[dict[str, Any]] = row.authorization_details or []
    if row.details_sealed is not None and row.data_key is not None:
        key = vault.data_key(row.account_id, row.data_key)
        details = msgspec.json.decode(key.open(DETAILS_PLACE, grant_id, row.details_sealed))
    return tuple(details) if positions is None else tuple(details[position] for position in positions if details)


_DETAILS = (
    select(Grant.account_id, Grant.authorization_details, Grant.details_sealed, Account.data_key)
    .join(Account, Account.id == Grant.account_id)
    .where(Grant.id == bindparam("grant_id", type_=Uuid()))
)
