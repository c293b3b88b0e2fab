"""The key ring: our keys as a process keeps them, made once from the table and again when it has changed."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from joserfc.jwk import Key
from sqlalchemy import select

from accounts.database import Transaction
from accounts.errors import DatabaseUnavailable
from oidc.document import Document, document_of
from oidc.key_holder import KeyHolder
from oidc.key_schedule import ANNOUNCED
from oidc.protocol.keys import MAX_KEYS, read_key_set
from oidc.revision import Revisions
from oidc.signer import Signer
from oidc.signing_keys import SigningKey

PUBLISHED_WITHIN = 1.0
"""Seconds after which who asks for our keys gets those we know: a database may also be silent."""
_EVER = datetime.max.replace(tzinfo=UTC)


class Keys:
    """Our keys at one revision. `jwks` is the key set as it is published."""

    def __init__(
        self, signers: Mapping[str, Signer], published: list[dict[str, Any]], known: list[dict[str, Any]]
    ) -> None:
        self._signers = signers
        self._known = known
        self.jwks = document_of({"keys": published})

    @cached_property
    def verifying(self) -> tuple[Key, ...]:
        """The public keys that what we signed may be checked with: retired ones too, revoked ones never."""
        return read_key_set({"keys": self._known})

    def signer(self, algorithm: str) -> Signer:
        """The current key of an algorithm. Raises LookupError where there is none: `identity keys rotate` makes one."""
        try:
            return self._signers[algorithm]
        except KeyError as error:
            raise LookupError(f"no current signing key for {algorithm}") from error

    async def ready(self, algorithm: str) -> None:
        """Raises what signing would raise, as far as is known before: LookupError, or a Refusal (R75)."""
        await self.signer(algorithm).ready()

    async def sign(self, claims: Mapping[str, Any], *, algorithm: str, typ: str) -> str:
        """A compact JWS over the claims (RFC 7515 section 7.1)."""
        signer = self.signer(algorithm)
        message = _header(signer.kid, algorithm, typ) + _b64(msgspec.json.encode(claims))
        return (message + b"." + _b64(await signer.sign(message))).decode()


class KeyRing:
    """Hands out `Keys` that are at most a second behind the table."""

    _STATEMENT = (
        select(
            SigningKey.kid,
            SigningKey.algorithm,
            SigningKey.public_jwk,
            SigningKey.private,
            SigningKey.held_at,
            SigningKey.active_at,
            SigningKey.retired_at,
            SigningKey.published_until,
        )
        .where(SigningKey.revoked_at.is_(None))
        # Those in use first, however often another algorithm was rotated since.
        .order_by(SigningKey.retired_at.is_(None).desc(), SigningKey.created_at.desc())
        .limit(MAX_KEYS)
    )

    def __init__(self, holder: KeyHolder, revisions: Revisions) -> None:
        self._holder = holder
        self._revisions = revisions
        self._seen = -1
        self._stale_at = _EVER
        self._known_at = datetime.min.replace(tzinfo=UTC)
        self._rows: Sequence[Any] = ()
        self._keys: Keys | None = None

    async def published(self, db: Transaction, now: datetime) -> Document:
        """The key set. While the database is away what this process knew of it, for as long as no key can sign that is
        not in it: that long before it signs each is announced. Raises `DatabaseUnavailable` after that."""
        db.hurry(PUBLISHED_WITHIN)
        try:
            return (await self.current(db, now)).jwks
        except DatabaseUnavailable:
            if self._keys is None or not now - self._known_at < ANNOUNCED:
                raise
            await db.close()
            if now >= self._stale_at:
                self._keys, self._stale_at = self._made(self._rows, now), _next_change(self._rows, now)
            return self._keys.jwks

    async def current(self, db: Transaction, now: datetime) -> Keys:
        """The keys as of now."""
        number = await self._revisions.number(db, "signing_key", now)
        if self._keys is None or number != self._seen or now >= self._stale_at:
            self._rows = rows = await db.all(self._STATEMENT)
            self._keys, self._stale_at, self._seen = self._made(rows, now), _next_change(rows, now), number
        self._known_at = now
        return self._keys

    def _made(self, rows: Any, now: datetime) -> Keys:
        signers: dict[str, Signer] = {
            row.algorithm: signer
            for row in rows
            if row.active_at is not None and row.retired_at is None
            if (signer := self._holder.signer(row)) is not None
        }
        published = [row.public_jwk for row in rows if row.published_until is None or row.published_until > now]
        return Keys(signers, published, [row.public_jwk for row in rows])


def _next_change(rows: Any, now: datetime) -> datetime:
    """When the key set changes by itself, because a retired key's time is over."""
    ends = (row.published_until for row in rows if row.published_until is not None)
    return min((end for end in ends if end > now), default=_EVER)


@lru_cache(maxsize=64)
def _header(kid: str, algorithm: str, typ: str) -> bytes:
    return _b64(msgspec.json.encode({"alg": algorithm, "kid": kid, "typ": typ})) + b"."


def _b64(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")
