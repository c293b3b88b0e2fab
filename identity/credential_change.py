"""After a change of credentials: on record, other sessions end, waiting sign-ins start over, every contact is told."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from accounts.activity import Kind, record
from accounts.database import Transaction
from accounts.vault import DataKey, Vault
from identity import remembered_browser
from identity import session as sessions
from identity.device import device_name
from identity.notice import Detail, tell
from identity.session import Device
from identity.sign_in import forget_proofs

Authenticator = Literal["", "password", "totp", "passkey", "phone", "recovery_codes"]

NOTICES: dict[str, str] = {
    "authenticator_added": "authenticator_added",
    "authenticator_removed": "authenticator_removed",
    "password_changed": "password_changed",
    "password_removed": "password_removed",
    "recovery_codes_made": "recovery_codes_made",
    "recovery_code_spent": "recovery_code_spent",
    "account_created": "account_created",
}
"""The message that goes out for an event of the history (R67)."""


class Change(msgspec.Struct, frozen=True):
    """Which authenticator, under what name, by which device."""

    kind: Kind
    authenticator: Authenticator
    device: Device
    name: str = ""
    is_told: bool = True
    """False while an account is being set up: its owner is told once, when it is ready."""


async def announce(
    db: Transaction, vault: Vault, key: DataKey, account_id: UUID, change: Change, now: datetime
) -> None:
    """Write a change of credentials into the history and tell every contact, in the citizen's language (R67)."""
    device, address = device_name(change.device.user_agent), change.device.address
    await record(
        db,
        account_id,
        change.kind,
        now,
        key=key,
        authenticator=change.authenticator,
        name=change.name,
        device=device,
        address=address,
    )
    if not change.is_told:
        return
    await tell(db, vault, key, account_id, NOTICES[change.kind], Detail(device, address, change.name), now)


async def apply_change(
    db: Transaction,
    vault: Vault,
    key: DataKey,
    account_id: UUID,
    change: Change,
    now: datetime,
    *,
    session_id: UUID | None = None,
    sign_in_id: UUID | None = None,
) -> None:
    """Everything that follows from a change of credentials (R30): `announce`, and whoever else is signed in, or
    halfway so, starts over, but for the session or the sign-in in which it was made. No browser is remembered."""
    await announce(db, vault, key, account_id, change, now)
    await sessions.end_all(db, vault, account_id, "credentials_changed", now, but=session_id)
    await forget_proofs(db, account_id, now, but=sign_in_id)
    await remembered_browser.forget_all(db, account_id)
