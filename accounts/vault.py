"""The vault: personal fields sealed row by row, looked up blind (R60).

A wrapping key (from a file, never in the database) wraps one data key an account; the data key seals that account's
fields with AES-256-GCM-SIV, bound to table, column and row. Erasing an account is destroying its data key.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12


class SealBroken(Exception):
    """A sealed value does not open: wrong key, wrong row, or changed bytes. Never an expected "no"."""


class VaultKeys(msgspec.Struct, frozen=True):
    """32-byte keys. `wrapping` maps a key's number (0-255) to the key; `current` names the one that seals."""

    wrapping: Mapping[int, bytes]
    current: int
    blind_index: bytes
    pepper: bytes


def _associated(place: str, row: UUID | bytes) -> bytes:
    name = place.encode()
    return len(name).to_bytes(2, "big") + name + (row.bytes if isinstance(row, UUID) else row)


def _seal(cipher: AESGCMSIV, place: str, row: UUID | bytes, value: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + cipher.encrypt(nonce, value, _associated(place, row))


def _open(cipher: AESGCMSIV, place: str, row: UUID | bytes, sealed: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _associated(place, row))
    except (InvalidTag, ValueError) as error:
        raise SealBroken(f"{place} does not open") from error


class DataKey:
    """One account's data key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCMSIV(key)

    def seal(self, place: str, row: UUID | bytes, value: bytes) -> bytes:
        """Seal a value; `place` is "table.column", `row` the row's key."""
        return _seal(self._cipher, place, row, value)

    def open(self, place: str, row: UUID | bytes, sealed: bytes) -> bytes:
        """Open a sealed value, or raise `SealBroken`."""
        return _open(self._cipher, place, row, sealed)


class Vault:
    """Everything that is done with the deployment's keys."""

    def __init__(self, keys: VaultKeys) -> None:
        self.pepper = keys.pepper
        self._blind_index = keys.blind_index
        self._current = keys.current
        # Each use has its own key, derived: a wrapped data key can never be opened as a sealed value.
        self._wrapping = {n: AESGCMSIV(_derive(key, b"wrap")) for n, key in keys.wrapping.items()}
        self._sealing = {n: AESGCMSIV(_derive(key, b"seal")) for n, key in keys.wrapping.items()}
        self._mac = _derive(keys.pepper, b"mac")

    def new_data_key(self, account_id: UUID) -> tuple[DataKey, bytes]:
        """A fresh data key and its wrapped form (first byte: the wrapping key's number)."""
        key = AESGCMSIV.generate_key(256)
        wrapped = _seal(self._wrapping[self._current], "account.data_key", account_id, key)
        return DataKey(key), bytes([self._current]) + wrapped

    def data_key(self, account_id: UUID, wrapped: bytes) -> DataKey:
        """Unwrap an account's data key."""
        return DataKey(_open(self._keyed(self._wrapping, wrapped), "account.data_key", account_id, wrapped[1:]))

    def seal(self, place: str, row: UUID | bytes, value: bytes) -> bytes:
        """Seal a value that belongs to no account (a signing key, a mail to a stranger, a waiting request)."""
        return bytes([self._current]) + _seal(self._sealing[self._current], place, row, value)

    def open(self, place: str, row: UUID | bytes, sealed: bytes) -> bytes:
        """Open what `seal` made."""
        return _open(self._keyed(self._sealing, sealed), place, row, sealed[1:])

    def blind(self, kind: str, canonical: str) -> bytes:
        """The blind index of a canonical value (32 bytes): equal for equal values, and nobody can invert it."""
        return hmac.digest(self._blind_index, kind.encode() + b"\0" + canonical.encode(), hashlib.sha256)

    def mac(self, purpose: str, value: bytes) -> bytes:
        """A keyed hash for one purpose: derived secrets, anti-forgery tokens, digests of short codes (32 bytes)."""
        return hmac.digest(self._mac, purpose.encode() + b"\0" + value, hashlib.sha256)

    @staticmethod
    def _keyed(ciphers: Mapping[int, AESGCMSIV], sealed: bytes) -> AESGCMSIV:
        try:
            return ciphers[sealed[0]]
        except (IndexError, KeyError) as error:
            raise SealBroken(
                f"sealed with wrapping key {sealed[:1].hex()}, which this deployment does not have"
            ) from error


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(key)
