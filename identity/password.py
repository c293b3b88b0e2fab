"""Passwords: what makes one acceptable, and how it is kept and checked (R22, R23)."""

import asyncio
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ForeignKey, String, Uuid, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from accounts.database import Base, Instant, Transaction, upsert
from accounts.errors import Refusal
from accounts.vault import Vault
from identity.common_password import breached_list, is_common

T = TypeVar("T")
_NOBODY = UUID(int=0)


class PasswordPolicy(msgspec.Struct, frozen=True):
    """NIST SP 800-63B-4 section 3.1.1.2: length and a blocklist, no composition rule, no expiry."""

    shortest_alone: int = 15
    shortest_with_second: int = 8
    longest: int = 128
    context_words: tuple[str, ...] = ()
    """The deployment's own: its service's name, its domain."""
    breached_file: str | None = None
    """A larger list: lines of upper-case SHA-1 in hex, sorted, each with an optional `:count`, as Pwned Passwords
    is distributed. It is searched on disk, not loaded."""


class HashParameters(msgspec.Struct, frozen=True):
    """Argon2id. The defaults are OWASP's floor (Password Storage Cheat Sheet): 19 MiB, two passes, one lane."""

    memory_kib: int = 19456
    passes: int = 2
    lanes: int = 1


CHEAPEST = HashParameters(memory_kib=8, passes=1)
"""For tests and the simulator's people: about as fast as no hash at all. Never for a real citizen."""


class Password(Base):
    __tablename__ = "password"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id"), primary_key=True)
    hash: Mapped[str] = mapped_column(String(255))
    """PHC string of Argon2id over the peppered password."""
    set_at: Mapped[datetime] = mapped_column(Instant)


class Checked(msgspec.Struct, frozen=True):
    """`is_right`, and a `new_hash` to keep when the old one was made with weaker parameters."""

    is_right: bool
    new_hash: str | None = None


class Hasher:
    """Hashes in threads, no more at once than there are cores, and refuses when too many wait: a storm of sign-ins
    saturates this and nothing else. Holds no connection: pause the transaction before calling it."""

    def __init__(
        self,
        vault: Vault,
        parameters: HashParameters = HashParameters(),  # noqa: B008 - frozen
        *,
        threads: int | None = None,
        queue: int = 100,
    ) -> None:
        self._vault = vault
        self._argon2 = PasswordHasher(
            time_cost=parameters.passes, memory_cost=parameters.memory_kib, parallelism=parameters.lanes
        )
        threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(threads, "argon2")
        self._limit = threads + queue
        self._inside = 0
        self._lock = threading.Lock()
        self._dummy = self._argon2.hash(secrets.token_bytes(32))

    async def hash(self, password: str) -> str:
        """A new hash. Raises Refusal("busy") when too many wait."""
        return await self._run(lambda: self._argon2.hash(self._peppered(password)))

    async def check(self, stored: str | None, password: str) -> Checked:
        """Whether the password belongs to the stored hash. Without one the same work is done on a dummy (R27).
        Raises Refusal("busy") when too many wait."""
        return await self._run(lambda: self._check(stored, password))

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _peppered(self, password: str) -> bytes:
        # Keyed outside the database: hashes alone cannot be attacked (NIST section 3.1.1.2, "secret salt").
        return self._vault.mac("password", unicodedata.normalize("NFC", password).encode(errors="surrogatepass"))

    def _check(self, stored: str | None, password: str) -> Checked:
        peppered = self._peppered(password)
        try:
            self._argon2.verify(stored or self._dummy, peppered)
        except (VerificationError, InvalidHashError):
            return Checked(False)
        if stored is None:
            return Checked(False)
        return Checked(True, self._argon2.hash(peppered) if self._argon2.check_needs_rehash(stored) else None)

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._inside >= self._limit:
                raise Refusal("busy", status=503, retry_after=5, detail="password hashing queue is full")
            self._inside += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[Any]) -> None:
        with self._lock:
            self._inside -= 1


def verify_acceptable(password: str, context: Collection[str], *, alone: bool, policy: PasswordPolicy) -> None:
    """Raise Refusal "password_too_short", "password_too_long", "password_common" or "password_context", or return.

    `context`: what belongs to this citizen (the address's local part, the name); the deployment's own words come
    from the policy. `alone`: no second authenticator stands beside it, nor is one about to (R22).
    """
    normal = unicodedata.normalize("NFC", password)
    if len(normal) < (policy.shortest_alone if alone else policy.shortest_with_second):
        raise Refusal("password_too_short")
    if len(normal) > policy.longest:
        raise Refusal("password_too_long")
    if is_common(normal) or (policy.breached_file and normal in breached_list(policy.breached_file)):
        raise Refusal("password_common")
    if _leans_on(normal, [*context, *policy.context_words], policy):
        raise Refusal("password_context")


async def set_password(db: Transaction, account_id: UUID, hashed: str, now: datetime) -> None:
    """Set or replace the account's password by what `Hasher.hash` made."""
    await db.execute(
        upsert(db, Password)
        .values(account_id=account_id, hash=hashed, set_at=now)
        .on_conflict_do_update(index_elements=["account_id"], set_={"hash": hashed, "set_at": now})
    )


async def remove_password(db: Transaction, account_id: UUID) -> bool:
    """Take the password away; False when there was none."""
    removed = await db.execute(delete(Password).where(Password.account_id == account_id).returning(Password.account_id))
    return removed.first() is not None


async def verify(db: Transaction, hasher: Hasher, account_id: UUID | None, password: str) -> bool:
    """Whether this is the account's password; without an account or a password the same work is done for nothing.

    It pauses the transaction (commits what was written, gives the connection back) while it hashes. A hash with
    weaker parameters is replaced, unless the password was changed meanwhile."""
    owner = account_id or _NOBODY
    stored = await db.scalar(select(Password.hash).where(Password.account_id == owner))
    await db.pause()
    checked = await hasher.check(stored, password)
    if checked.new_hash is not None:
        await db.execute(
            update(Password).where(Password.account_id == owner, Password.hash == stored).values(hash=checked.new_hash)
        )
    return checked.is_right


def _leans_on(password: str, context: Collection[str], policy: PasswordPolicy) -> bool:
    """Whether little is left of the password without these words."""
    rest = _folded(password)
    words = {word for text in context for word in (_folded(text), *_words(text)) if len(word) >= 3}
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "\0")
    if "\0" not in rest:
        return False
    rest = "".join(character for character in rest if character.isalnum())
    return len(rest) < policy.shortest_with_second or is_common(rest)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _words(text: str) -> list[str]:
    return "".join(character if character.isalnum() else " " for character in _folded(text)).split()
