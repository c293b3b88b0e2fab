"""Sign-ins: one attempt to show who is at the keyboard, bound to one browser, completed once."""

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    Uuid,
    insert,
    select,
    text,
    true,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from accounts.citizen import Browser
from accounts.database import Base, Instant, Json, Transaction, new_id
from accounts.errors import Refusal
from accounts.sweeping import delete_some
from accounts.vault import Vault
from identity.assurance import Method

TRUE: ColumnElement[bool] = true()

LIFETIME = timedelta(hours=1)
"""How long a started sign-in waits for its citizen; as long as an authorization request does."""

Start = Literal["sign_in", "create", "choose"]
"""Where to begin. `choose`: another person than the one who is signed in; their session counts for nothing."""


class SignIn(Base):
    __tablename__ = "sign_in"
    __table_args__ = (
        Index("ix_sign_in_expires_at", "expires_at"),
        Index(
            "ix_sign_in_account",
            "account_id",
            sqlite_where=text("account_id IS NOT NULL AND completed_at IS NULL"),
            postgresql_where=text("account_id IS NOT NULL AND completed_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    browser: Mapped[bytes] = mapped_column(LargeBinary)
    """Digest of the browser's cookie."""
    return_to: Mapped[str] = mapped_column(Text)
    """A path of ours, never a URL."""
    required_acr: Mapped[str] = mapped_column(String(64))
    fresh_after: Mapped[datetime | None] = mapped_column(Instant)
    """What was proved before this instant does not count; null: any age."""
    onward: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of `Onward`: the hint names a person."""
    identifier: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed; what was typed last, known to us or not."""
    account_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("account.id"))
    """Whose proofs these are; null until something was proved."""
    proofs: Mapped[list[dict[str, str]]] = mapped_column(Json)
    codes: Mapped[str | None] = mapped_column(String(8))
    """`shown` while new recovery codes wait to be written down, `saved` afterwards."""
    version: Mapped[int] = mapped_column(Integer)
    """Counts the steps: each one is taken from the state its page was made from, or not at all (R45)."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    completed_at: Mapped[datetime | None] = mapped_column(Instant)


class Onward(msgspec.Struct, frozen=True):
    """What the pages say and offer besides, in plain values: identity does not know who sent the citizen.

    `service_name` in the citizen's language, where a service sent them;
    `cancel`: a path of ours; `hint`: an address to fill in; `language`: preferred languages, the dearest first.
    """

    service_name: str | None = None
    cancel: str | None = None
    hint: str | None = None
    language: tuple[str, ...] = ()
    start: Start = "sign_in"


class Proof(msgspec.Struct, frozen=True):
    """One method that was really used, and when."""

    method: Method
    at: datetime


class SignInView(msgspec.Struct, frozen=True):
    """One sign-in, opened."""

    id: UUID
    return_to: str
    required_acr: str
    fresh_after: datetime | None
    onward: Onward
    identifier: str
    account_id: UUID | None
    proofs: tuple[Proof, ...]
    codes: Literal["shown", "saved"] | None
    version: int
    expires_at: datetime
    completed_at: datetime | None

    @property
    def path(self) -> str:
        """Its one dispatcher: every step comes back here, and the next is computed from what is stored."""
        return path_of(self.id)


def path_of(sign_in_id: UUID) -> str:
    """The path of a sign-in."""
    return f"/sign-in/{sign_in_id}"


async def begin(
    db: Transaction,
    vault: Vault,
    browser: Browser,
    *,
    required_acr: str,
    fresh_after: datetime | None,
    return_to: str,
    onward: Onward,
    now: datetime,
    lifetime: timedelta = LIFETIME,
) -> str:
    """Begin a sign-in; the path of ours to send this browser to.

    `return_to`, a path of ours, is where it leads when `required_acr` is reached by proofs not older than
    `fresh_after`. What a live session has proved counts, so a step-up asks only for what is missing.
    """
    sign_in_id = new_id(now)
    await db.execute(
        insert(SignIn).values(
            id=sign_in_id,
            browser=browser.digest,
            return_to=return_to,
            required_acr=required_acr,
            fresh_after=fresh_after,
            onward=vault.seal("sign_in.onward", sign_in_id, msgspec.json.encode(onward)),
            proofs=[],
            version=0,
            created_at=now,
            expires_at=now + lifetime,
        )
    )
    return f"/register?sign_in={sign_in_id}" if onward.start == "create" else path_of(sign_in_id)


async def find(db: Transaction, vault: Vault, sign_in_id: UUID, browser: Browser) -> SignInView | None:
    """The sign-in, also when it is over: whoever shows it tells expired and completed apart.
    Raises Refusal("wrong_browser") for every browser but the one it began in."""
    row = await db.first(select(SignIn.browser, *_COLUMNS).where(SignIn.id == sign_in_id))
    if row is None:
        return None
    if not hmac.compare_digest(row.browser, browser.digest):
        raise Refusal("wrong_browser", status=403)
    opened: dict[str, Any] = {name: getattr(row, name) for name in SignInView.__struct_fields__}
    opened["onward"] = msgspec.json.decode(vault.open("sign_in.onward", row.id, row.onward), type=Onward)
    opened["proofs"] = msgspec.convert(row.proofs, tuple[Proof, ...])
    typed = row.identifier
    opened["identifier"] = "" if typed is None else vault.open("sign_in.identifier", row.id, typed).decode()
    return SignInView(**opened)


_COLUMNS = tuple(getattr(SignIn, name) for name in SignInView.__struct_fields__)


def is_open(sign_in: SignInView, now: datetime) -> bool:
    """Whether it still waits for its citizen."""
    return sign_in.completed_at is None and now < sign_in.expires_at


async def step(
    db: Transaction, sign_in: SignInView, now: datetime, *, provided: ColumnElement[bool] = TRUE, **values: Any
) -> bool:
    """Take one step from exactly this state, `provided` that what was read earlier still holds. False, and nothing
    changes, when the sign-in has moved on or is over: a step that is posted twice, late or from another tab never
    advances it (R45, R78)."""
    taken = await db.execute(
        update(SignIn)
        .where(SignIn.id == sign_in.id, SignIn.version == sign_in.version)
        .where(SignIn.completed_at.is_(None), SignIn.expires_at > now, provided)
        .values(version=SignIn.version + 1, **values)
    )
    return taken.rowcount == 1


async def add_proofs(
    db: Transaction, sign_in: SignInView, account_id: UUID, methods: Collection[Method], now: datetime, **values: Any
) -> bool:
    """Write down what was proved just now; `values` as for `step`. Proofs of another account are dropped: a password
    of one and a code of another are nobody's sign-in."""
    kept = sign_in.proofs if sign_in.account_id == account_id else ()
    proofs = [proof for proof in kept if proof.method not in methods]
    proofs += [Proof(method, now) for method in sorted(methods)]
    return await step(
        db, sign_in, now, account_id=account_id, proofs=[msgspec.to_builtins(proof) for proof in proofs], **values
    )


async def keep_identifier(db: Transaction, vault: Vault, sign_in: SignInView, identifier: str, now: datetime) -> None:
    """Remember what was typed, known or not, for when the page is shown again. No step: it proves nothing."""
    await db.execute(
        update(SignIn)
        .where(SignIn.id == sign_in.id, SignIn.completed_at.is_(None), SignIn.expires_at > now)
        .values(identifier=sealed_identifier(vault, sign_in, identifier))
    )


def sealed_identifier(vault: Vault, sign_in: SignInView, identifier: str) -> bytes:
    """The typed identifier as its row keeps it."""
    return vault.seal("sign_in.identifier", sign_in.id, identifier.encode())


async def start_over(db: Transaction, sign_in: SignInView, now: datetime) -> bool:
    """Forget what was proved here: somebody else wants to sign in."""
    return await step(db, sign_in, now, account_id=None, identifier=None, proofs=[], codes=None)


async def forget_proofs(db: Transaction, account_id: UUID, now: datetime, *, but: UUID | None = None) -> None:
    """Credentials changed: no open sign-in of this account may lean on what was proved with the old ones."""
    await db.execute(
        update(SignIn)
        .where(SignIn.account_id == account_id, SignIn.completed_at.is_(None), SignIn.id != (but or UUID(int=0)))
        .values(account_id=None, proofs=[], codes=None, version=SignIn.version + 1)
    )


async def sweep(db: Transaction, now: datetime) -> int:
    """Delete sign-ins that ran out two days ago: by then the registrations that lean on them are gone, which are begun
    within a sign-in's life and last an hour themselves."""
    return await delete_some(db, SignIn, SignIn.id, SignIn.expires_at <= now - timedelta(days=2), SignIn.expires_at)
