"""Signing: "sign these bytes with this kid". A key in memory does it here; hardware can stand behind the same call."""

from typing import Any, Protocol

import anyio.to_thread
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ("ES256", "RS256")
"""ES256 signs in a tenth of the time; RS256 is what OpenID Connect wants every provider to have."""
RSA_BITS = 2048

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Signer(Protocol):
    """One key that signs. It may be far away: signing is awaited, and never inside a database transaction that
    could have ended before."""

    @property
    def kid(self) -> str: ...

    @property
    def algorithm(self) -> str: ...

    async def ready(self) -> None:
        """Raises `Refusal` where it is known that signing would fail: ask before something is spent for a signature."""

    async def sign(self, message: bytes) -> bytes:
        """The signature as JWS wants it (RFC 7518 section 3)."""


class FileSigner:
    """A private key in this process's memory."""

    def __init__(self, kid: str, algorithm: str, pkcs8: bytes) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._key = load_der_private_key(pkcs8, None)

    async def ready(self) -> None:
        """Always."""

    async def sign(self, message: bytes) -> bytes:
        """Cheap enough to happen on the spot: 24 microseconds (ES256), 250 (RS256)."""
        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(key.sign(message, _ES256))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(message, _PKCS1, _SHA256)
        raise TypeError(f"no way to sign with {self.algorithm}")


_SHA256 = hashes.SHA256()
_ES256 = ec.ECDSA(_SHA256)
_PKCS1 = padding.PKCS1v15()


async def new_private_key(algorithm: str) -> PrivateKey:
    """A fresh key. In a thread: an RSA key takes a good part of a second to find."""
    return await anyio.to_thread.run_sync(_new_private_key, algorithm)


def _new_private_key(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, RSA_BITS)
    raise ValueError(f"no keys for {algorithm}")


def pkcs8(key: PrivateKey) -> bytes:
    """A private key as it is kept."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def public_jwk(key: object, algorithm: str) -> dict[str, Any]:
    """A public key as our key set shows it (RFC 7517); its `kid` is its thumbprint (RFC 7638)."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        imported: ECKey | RSAKey = ECKey(key, key)
    elif isinstance(key, rsa.RSAPublicKey):
        imported = RSAKey(key, key)
    else:
        raise TypeError(f"no public form for {algorithm}")
    jwk = dict(imported.as_dict(private=False))
    return {**jwk, "kid": imported.thumbprint(), "use": "sig", "alg": algorithm}
