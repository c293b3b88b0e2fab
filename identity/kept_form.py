"""What was typed into a form whose citizen first has to sign in again: kept for the same browser, account and page.

It is sealed and short-lived, fills the form's fields again and is never sent in anybody's name: nothing advances by it
(R45). Which fields are kept is said by each form; none that takes a password, a code or a secret says so.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select

from accounts.citizen import Browser
from accounts.database import Transaction, digest
from accounts.store import Store
from accounts.vault import SealBroken, Vault
from identity.session import Session

SECONDS = 3600
"""As long as a sign-in waits for its citizen."""
LONGEST = 4096
"""Characters of a form: more than any of ours takes."""


async def keep_form(
    db: Transaction,
    vault: Vault,
    store: Store,
    browser: Browser,
    session_secret: str | None,
    route: str,
    typed: Mapping[str, str],
    now: datetime,
) -> bool:
    """Keep it for the account whose session this browser's cookie was, ended or not. False where it was nobody's, as
    after a sign-out: then nobody knows whose the words are. `route` is the pattern of the form's address: there are as
    many as forms, while whoever has a session could make up addresses without end."""
    if not session_secret or sum(map(len, typed.values())) > LONGEST:
        return False
    account_id = await db.scalar(
        select(Session.account_id).where(
            Session.secret_digest == digest(session_secret), Session.browser == browser.digest
        )
    )
    if account_id is None:
        return False
    row = _row(account_id, browser, route)
    await store.put(_key(row), vault.seal("kept_form.typed", row, msgspec.json.encode(typed)), SECONDS, now)
    return True


async def find_form(
    vault: Vault, store: Store, browser: Browser, account_id: UUID, route: str, now: datetime
) -> dict[str, str]:
    """What this account typed here in this browser; empty when nothing is kept any more."""
    row = _row(account_id, browser, route)
    sealed = await store.get(_key(row), now)
    if sealed is None:
        return {}
    try:
        return msgspec.json.decode(vault.open("kept_form.typed", row, sealed), type=dict[str, str])
    except SealBroken:
        return {}


def _row(account_id: UUID, browser: Browser, route: str) -> bytes:
    return digest(account_id.bytes + browser.digest + route.encode())


def _key(row: bytes) -> str:
    return f"kept_form:{row.hex()}"
