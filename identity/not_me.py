""" "It was not me": from any notice, without signing in, everything that runs is stopped (R51, R67)."""

from datetime import datetime

import msgspec

from accounts.account import data_key_of
from accounts.activity import record
from accounts.database import Transaction
from accounts.vault import Vault
from identity import known_browser, notice, recovery, remembered_browser
from identity import session as sessions
from identity.contact_undo import undo_all
from identity.device import device_name
from identity.notice import NoticeView
from identity.session import Device
from identity.sign_in import forget_proofs


class Stopped(msgspec.Struct, frozen=True):
    """What came to an end."""

    sessions: int
    contacts: int


async def stop_everything(
    db: Transaction, vault: Vault, said: NoticeView, device: Device, now: datetime
) -> Stopped | None:
    """End every session, drop every sign-in that is half done, forget every browser, undo what was changed of the
    contacts in the last week. None where this link was used
    already, or is too old. Nobody is let in by it: the worst that a finder of the mail can do is to sign the citizen
    out."""
    if not await notice.spend(db, said, now):
        return None
    account_id = said.account_id
    key = await data_key_of(db, vault, account_id)
    ended = await sessions.end_all(db, vault, account_id, "not_me", now)
    await forget_proofs(db, account_id, now)
    await recovery.stop(db, account_id, now)
    undone = await undo_all(db, vault, key, account_id, now)
    await known_browser.forget_all(db, account_id)
    await remembered_browser.forget_all(db, account_id)
    await record(
        db,
        account_id,
        "not_me",
        now,
        actor="stranger",
        key=key,
        device=device_name(device.user_agent),
        address=device.address,
    )
    await notice.tell(db, vault, key, account_id, "stopped", notice.detail_of(device), now)
    return Stopped(len(ended), undone)
