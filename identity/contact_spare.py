"""Whether a contact can be spared: a number that gets codes may be the last way back (R31)."""

from uuid import UUID

import msgspec
from sqlalchemy import select

from accounts.database import Transaction
from accounts.errors import Refusal
from identity.authenticator import authenticators_of, has_way_back
from identity.policy import IdentityPolicy
from identity.sms_phone import SmsPhone


async def verify_spare(db: Transaction, account_id: UUID, contact_id: UUID, policy: IdentityPolicy) -> None:
    """Raise Refusal("last_way_back") where without this contact's codes the account had no usable way back."""
    codes_go_there = select(SmsPhone.id).where(
        SmsPhone.account_id == account_id, SmsPhone.contact_id == contact_id, SmsPhone.removed_at.is_(None)
    )
    if await db.scalar(codes_go_there) is None:
        return
    left = msgspec.structs.replace(await authenticators_of(db, account_id), phones=0)
    if not left.has_second or not has_way_back(left, policy.assurance):
        raise Refusal("last_way_back")
