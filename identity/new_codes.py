"""New recovery codes, on their way to paper: kept sealed in the store until they are written down, then nowhere."""

from datetime import datetime
from uuid import UUID

import msgspec

from accounts.store import Store
from accounts.vault import Vault

MINUTES = 30


async def keep_shown(store: Store, vault: Vault, journey: UUID, codes: list[str], now: datetime) -> None:
    """Keep codes for a page that may be loaded again. `journey`: the sign-in or session that alone shows them."""
    sealed = vault.seal("new_codes.codes", journey, msgspec.json.encode(codes))
    await store.put(_key(journey), sealed, MINUTES * 60, now)


async def find_shown(store: Store, vault: Vault, journey: UUID, now: datetime) -> list[str] | None:
    """The codes, or None when they were written down, or it has taken too long: then new ones can be made."""
    sealed = await store.get(_key(journey), now)
    if sealed is None:
        return None
    return msgspec.json.decode(vault.open("new_codes.codes", journey, sealed), type=list[str])


async def forget_shown(store: Store, journey: UUID, now: datetime) -> None:
    """They are written down."""
    await store.take(_key(journey), now)


def _key(journey: UUID) -> str:
    return f"new_codes:{journey}"
