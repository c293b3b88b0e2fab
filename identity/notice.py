"""Notices: what happened to an account, told to every contact, with one link by which to say "it was not me" (R67)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import Account
from accounts.database import Base, Instant, Transaction, digest, new_secret
from accounts.notification import notify_contacts
from accounts.sweeping import delete_some
from accounts.vault import DataKey, SealBroken, Vault
from identity.device import device_name
from identity.session import Device

LIFETIME = timedelta(days=14)
"""How long the link in a notice works: a holiday's worth of mail."""
SECRET_BYTES = 16
"""128 bits, 22 characters: short enough for a text message."""


class Notice(Base):
    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_expires_at", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Of the secret in the link, which is kept nowhere."""
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    event: Mapped[str] = mapped_column(String(32))
    """The message's name: what happened."""
    detail: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of `Detail`."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    """When somebody said that it was not them; once."""


class Detail(msgspec.Struct, frozen=True):
    """By which device, roughly where, and what it was about (a service, a masked contact)."""

    device: str = ""
    address: str = ""
    name: str = ""


def detail_of(device: Device, name: str = "") -> Detail:
    """What a notice says of a device."""
    return Detail(device_name(device.user_agent), device.address, name)


class NoticeView(msgspec.Struct, frozen=True):
    """One notice, opened."""

    digest: bytes
    account_id: UUID
    event: str
    detail: Detail
    language: str
    at: datetime
    expires_at: datetime
    used_at: datetime | None


async def tell(
    db: Transaction,
    vault: Vault,
    key: DataKey,
    account_id: UUID,
    event: str,
    detail: Detail,
    now: datetime,
    *,
    language: str = "en",
    **values: Any,
) -> None:
    """Tell every verified contact, in the citizen's language (`language` where the account has none). `event` names
    the message; `detail` and `values` fill it. There is no link to a sign-in in any of these: the one link is the
    notice's own, which asks for no password and does nothing until its button is pressed."""
    secret = new_secret(SECRET_BYTES)
    await db.execute(
        insert(Notice).values(
            digest=digest(secret),
            account_id=account_id,
            event=event,
            detail=key.seal("notice.detail", digest(secret), msgspec.json.encode(detail)),
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    chosen = await db.scalar(select(Account.locale).where(Account.id == account_id)) or language
    said = {"when": f"{now:%Y-%m-%d %H:%M} UTC", **msgspec.structs.asdict(detail), **values}
    await notify_contacts(db, vault, key, account_id, event, chosen, now, not_me=f"/not-me/{secret}", **said)


async def find_notice(db: Transaction, vault: Vault, secret: str) -> NoticeView | None:
    """The notice behind a link, whatever has become of it."""
    if len(secret) > 64:
        return None
    row = await db.first(
        select(
            Notice.digest,
            Notice.account_id,
            Notice.event,
            Notice.detail,
            Notice.created_at,
            Notice.expires_at,
            Notice.used_at,
            Account.locale,
            Account.data_key,
        )
        .join(Account, Account.id == Notice.account_id)
        .where(Notice.digest == digest(secret))
    )
    if row is None or row.data_key is None:
        return None
    key = vault.data_key(row.account_id, row.data_key)
    return NoticeView(
        digest=row.digest,
        account_id=row.account_id,
        event=row.event,
        detail=_opened(key, row.digest, row.detail),
        language=row.locale or "",
        at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


async def spend(db: Transaction, notice: NoticeView, now: datetime) -> bool:
    """Use the link. Of many that race, the database lets one through."""
    spent = await db.execute(
        update(Notice)
        .where(Notice.digest == notice.digest, Notice.used_at.is_(None), Notice.expires_at > now)
        .values(used_at=now)
    )
    return spent.rowcount == 1


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete notices whose link ran out a day ago: what happened stands in the history."""
    return await delete_some(db, Notice, Notice.digest, Notice.expires_at <= now - timedelta(days=1), Notice.expires_at)


def _opened(key: DataKey, row: bytes, sealed: bytes) -> Detail:
    try:
        return msgspec.json.decode(key.open("notice.detail", row, sealed), type=Detail)
    except SealBroken:
        return Detail()
