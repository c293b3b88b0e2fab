"""Phones that get codes by text message: which of an account's verified numbers is one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, Index, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from accounts.contact import Contact
from accounts.database import Base, Instant


class SmsPhone(Base):
    __tablename__ = "sms_phone"
    __table_args__ = (Index("ix_sms_phone_account", "account_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"))
    contact_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("contact.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


def stands() -> ColumnElement[bool]:
    """The condition, on a join with its contact, under which a phone counts: it goes with its number."""
    return SmsPhone.removed_at.is_(None) & Contact.removed_at.is_(None) & Contact.verified_at.is_not(None)
