"""A client that is taken away: every agreement with it ends, and it is told, before it is unknown for good."""

from datetime import datetime

from sqlalchemy import select

from accounts.consent import Consent, withdraw_consent
from accounts.database import Transaction
from accounts.vault import Vault
from oidc.logout import announce_withdrawal

AT_ONCE = 200
"""Citizens in one transaction: it holds their rows, and they may be signing in."""


async def end_some_agreements(db: Transaction, vault: Vault, client_id: str, now: datetime) -> int:
    """End the agreements of some citizens with this client, and have it told by a logout token as at a withdrawal; of
    how many. Their records stay, with what was agreed and that it ended because the service was removed. Each grant on
    them is dead at once, and stays dead should the client be enabled again."""
    standing = (
        select(Consent.account_id, Consent.id)
        .where(Consent.client_id == client_id, Consent.ended_at.is_(None))
        .order_by(Consent.account_id)
        .limit(AT_ONCE)
    )
    citizens = {row.account_id: row.id for row in await db.all(standing)}
    for account_id, consent_id in citizens.items():
        await announce_withdrawal(db, vault, account_id, client_id, consent_id, now)
        await withdraw_consent(db, account_id, client_id, now, "service_removed")
    return len(citizens)
