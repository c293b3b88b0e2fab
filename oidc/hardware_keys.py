"""Signing keys in a PKCS #11 token: made there, used there, never readable (FIPS 140 hardware, SoftHSM in tests)."""

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.serialization import load_der_public_key

from accounts.database import new_secret
from oidc.hardware_token import HardwareToken
from oidc.key_holder import MadeKey, SealedKeys
from oidc.signer import RSA_BITS, Signer, public_jwk

if TYPE_CHECKING:
    from pkcs11 import Session

SLOW = 60.0
"""Seconds: finding an RSA key is work for small hardware."""


class HardwareSigner:
    """A key that the token signs with."""

    def __init__(self, token: HardwareToken, kid: str, algorithm: str, name: str) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._token = token
        self._name = name
        self._found: tuple[Session, Any] | None = None

    async def ready(self) -> None:
        """Raises HardwareUnavailable."""
        await self._token.ready()

    async def sign(self, message: bytes) -> bytes:
        """RFC 7518 sections 3.3 and 3.4: PKCS #11 gives an ECDSA signature as r and s already, not in DER."""
        await self._token.ready()
        return await self._token.run(lambda session: self._signed(session, message))

    def _signed(self, session: "Session", message: bytes) -> bytes:
        from pkcs11 import Mechanism

        if self._found is None or self._found[0] is not session:
            self._found = session, _find(session, self._name)
        key, mechanism = self._found[1], Mechanism.SHA256_RSA_PKCS
        if self.algorithm == "ES256":
            # Hashed here: not every token knows a mechanism that hashes for ECDSA.
            message, mechanism = hashlib.sha256(message).digest(), Mechanism.ECDSA
        signature: bytes = key.sign(message, mechanism=mechanism)
        return signature


class HardwareKeys:
    """New keys come to be in the token. Those that lie sealed in the database sign until they are rotated out."""

    def __init__(self, sealed: SealedKeys, token: HardwareToken) -> None:
        self._sealed = sealed
        self._token = token

    async def make(self, algorithm: str) -> MadeKey:
        """A key that cannot leave the token. Raises HardwareUnavailable."""
        name = f"identity-{algorithm}-{new_secret(12)}"
        public = await self._token.run(lambda session: _made(session, algorithm, name), SLOW)
        address = f"pkcs11:token={quote(self._token.label, safe='')};object={quote(name, safe='')};type=private"
        return MadeKey(public_jwk(load_der_public_key(public), algorithm), held_at=address)

    def signer(self, row: Any) -> Signer | None:
        """None where the key lies in another token."""
        if row.held_at is None:
            return self._sealed.signer(row)
        name = name_in(self._token.label, row.held_at)
        return HardwareSigner(self._token, row.kid, row.algorithm, name) if name else None

    async def destroy(self, held_at: str) -> bool:
        """Also where it is gone already. Raises HardwareUnavailable."""
        name = name_in(self._token.label, held_at)
        if not name:
            return False
        await self._token.run(lambda session: _destroyed(session, name))
        return True


def name_in(label: str, held_at: str) -> str:
    """What the key is called in the token; empty where its address names another token (RFC 7512 section 2.3)."""
    pairs = (pair.partition("=") for pair in held_at.removeprefix("pkcs11:").split(";"))
    parts = {name: unquote(value) for name, _, value in pairs}
    return parts.get("object", "") if parts.get("token") == label else ""


def _made(session: "Session", algorithm: str, name: str) -> bytes:
    """The public half in DER, as SubjectPublicKeyInfo or as PKCS #1."""
    from pkcs11 import Attribute, KeyType, MechanismFlag
    from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
    from pkcs11.util.rsa import encode_rsa_public_key

    options: dict[str, Any] = {
        "store": True,
        "label": name,
        "id": name.encode(),
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        "public_template": {Attribute.TOKEN: False},  # its row keeps it
    }
    if algorithm == "ES256":
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
        public, _ = parameters.generate_keypair(**options)
        return encode_ec_public_key(public)
    if algorithm == "RS256":
        public, _ = session.generate_keypair(KeyType.RSA, RSA_BITS, **options)
        return encode_rsa_public_key(public)
    raise ValueError(f"no keys for {algorithm}")


def _find(session: "Session", name: str) -> Any:
    from pkcs11 import ObjectClass

    return session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=name)


def _destroyed(session: "Session", name: str) -> None:
    from pkcs11 import NoSuchKey

    try:
        _find(session, name).destroy()
    except NoSuchKey:
        return
