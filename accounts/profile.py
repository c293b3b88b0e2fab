"""The profile: the standard claims of OpenID Connect Core section 5.1, kept as one sealed value an account."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ForeignKey, LargeBinary, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from accounts.account import Account
from accounts.database import Base, Instant, Transaction, upsert
from accounts.vault import DataKey


class Profile(Base):
    __tablename__ = "profile"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"), primary_key=True)
    claims: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of `Claims`: one value, so that reading a profile is one row and one decryption."""
    updated_at: Mapped[datetime] = mapped_column(Instant)


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """OpenID Connect Core section 5.1.1."""

    formatted: str | None = None
    street_address: str | None = None
    locality: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Claims(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a citizen may tell of themselves. Names are the specification's; `email`, `phone_number` and `locale`
    are kept elsewhere (contacts, account)."""

    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    middle_name: str | None = None
    nickname: str | None = None
    preferred_username: str | None = None
    profile: str | None = None
    picture: str | None = None
    website: str | None = None
    gender: str | None = None
    birthdate: str | None = None
    zoneinfo: str | None = None
    address: Address | None = None


class ProfileView(msgspec.Struct, frozen=True):
    """The claims and when they last changed."""

    claims: Claims
    updated_at: datetime | None


def open_claims(key: DataKey, account_id: UUID, sealed: bytes) -> dict[str, Any]:
    """The sealed claims as a plain mapping by claim name."""
    claims: dict[str, Any] = msgspec.json.decode(key.open("profile.claims", account_id, sealed))
    return claims


async def profile_of(db: Transaction, key: DataKey, account_id: UUID) -> ProfileView:
    """The profile; empty when nothing was ever written."""
    row = await db.first(select(Profile.claims, Profile.updated_at).where(Profile.account_id == account_id))
    if row is None:
        return ProfileView(Claims(), None)
    claims = msgspec.convert(open_claims(key, account_id, row.claims), Claims)
    return ProfileView(claims, row.updated_at)


async def write_profile(db: Transaction, key: DataKey, account_id: UUID, claims: Claims, now: datetime) -> None:
    """Replace the profile."""
    sealed = key.seal("profile.claims", account_id, msgspec.json.encode(claims))
    await db.execute(
        upsert(db, Profile)
        .values(account_id=account_id, claims=sealed, updated_at=now)
        .on_conflict_do_update(index_elements=["account_id"], set_={"claims": sealed, "updated_at": now})
    )


async def change_profile(db: Transaction, key: DataKey, account_id: UUID, now: datetime, **changes: Any) -> list[str]:
    """Change some claims and leave the others; the names of those that are different now. The account is locked
    meanwhile: all claims are one value, and two tabs must not undo each other's change."""
    await db.begin()
    await db.execute(select(Account.id).where(Account.id == account_id).with_for_update())
    before = (await profile_of(db, key, account_id)).claims
    after = msgspec.structs.replace(before, **changes)
    changed = sorted(name for name in changes if getattr(before, name) != getattr(after, name))
    if changed:
        await write_profile(db, key, account_id, after, now)
    return changed
