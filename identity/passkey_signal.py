"""Which passkeys we accept and which not, for the browser: it then stops offering those that were removed here."""

import json
from uuid import UUID

from sqlalchemy import select
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from accounts.database import Transaction
from identity.passkey import Passkey, UserHandle


async def accepted_credentials(db: Transaction, account_id: UUID, rp_id: str) -> str | None:
    """JSON for `PublicKeyCredential.signalAllAcceptedCredentials` (WebAuthn Level 3 section 5.1.10.2); None for who
    never had a passkey. Shown to its owner alone, signed in: the list says what the account has."""
    handle = await db.scalar(select(UserHandle.handle).where(UserHandle.account_id == account_id))
    if handle is None:
        return None
    rows = await db.all(
        select(Passkey.credential_id)
        .where(Passkey.account_id == account_id, Passkey.removed_at.is_(None))
        .order_by(Passkey.id)
    )
    credentials = [bytes_to_base64url(row.credential_id) for row in rows]
    return json.dumps({"rpId": rp_id, "userId": bytes_to_base64url(handle), "allAcceptedCredentialIds": credentials})


def unknown_credential(response: str, rp_id: str) -> str | None:
    """JSON for `PublicKeyCredential.signalUnknownCredential` (section 5.1.10.1), for the browser that has just offered
    a passkey of nobody's here. It gets back what it sent, written anew, so that no page holds what a form says."""
    try:
        credential = bytes_to_base64url(base64url_to_bytes(json.loads(response)["id"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return json.dumps({"rpId": rp_id, "credentialId": credential})
