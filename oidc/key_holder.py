"""Where the private halves of signing keys lie: sealed in the database, or in hardware that never gives them away."""

from typing import Any, Protocol

import msgspec

from accounts.vault import Vault
from oidc.signer import FileSigner, Signer, new_private_key, pkcs8, public_jwk


class MadeKey(msgspec.Struct, frozen=True):
    """A fresh key as its row will keep it: either the sealed private half, or where the hardware holds it."""

    public_jwk: dict[str, Any]
    private: bytes | None = None
    held_at: str | None = None


class KeyHolder(Protocol):
    """Makes keys, signs with them, destroys them. All but `signer` may be slow: call them outside a transaction."""

    async def make(self, algorithm: str) -> MadeKey:
        """A fresh key. Its `kid` is the thumbprint of its public half."""

    def signer(self, row: Any) -> Signer | None:
        """Signs with the key of a row (`kid`, `algorithm`, `private`, `held_at`); None where its private half cannot
        be reached from here."""

    async def destroy(self, held_at: str) -> bool:
        """Take the private half out of the hardware for good. False where it is not within reach."""


class SealedKeys:
    """Private halves in the database, sealed by the vault (R61)."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def make(self, algorithm: str) -> MadeKey:
        """In a thread: an RSA key takes a good part of a second to find."""
        private = await new_private_key(algorithm)
        jwk = public_jwk(private.public_key(), algorithm)
        return MadeKey(jwk, self._vault.seal("signing_key.private", jwk["kid"].encode(), pkcs8(private)))

    def signer(self, row: Any) -> Signer | None:
        """A key in this process's memory."""
        if row.private is None:
            return None
        opened = self._vault.open("signing_key.private", row.kid.encode(), row.private)
        return FileSigner(row.kid, row.algorithm, opened)

    async def destroy(self, held_at: str) -> bool:
        """There is no hardware here."""
        return False
