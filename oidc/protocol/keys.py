"""Public keys of others: JSON Web Key sets read with suspicion (RFC 7517), thumbprints (RFC 7638)."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

MAX_KEYS = 32
BASE64URL = re.compile(r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?")
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
KEY_TYPES: dict[str, type[ECKey] | type[OKPKey] | type[RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
# The curve an algorithm is tied to; RSA algorithms have none.
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519", "EdDSA": "Ed25519"}


def read_public_key(value: object) -> Key | None:
    """One asymmetric public key, or None where it is malformed, private, symmetric or too weak."""
    if not isinstance(value, Mapping) or PRIVATE_MEMBERS & value.keys():
        return None
    key_class = KEY_TYPES.get(str(value.get("kty")))
    if key_class is None:
        return None
    # Before the library sees it: it would warn about a weak key, and take its time over a monstrous one.
    if key_class is RSAKey and not MIN_RSA_BITS <= bits_of(value.get("n")) <= MAX_RSA_BITS:
        return None
    try:
        key: Key = key_class.import_key(dict(value))
        key.dict_value  # noqa: B018 - fills what is computed lazily, so that nothing is left to fail later
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return key


def bits_of(number: object) -> int:
    """The size of an integer in base64url (RFC 7518 section 2); 0 where it is none, or beyond any size we accept."""
    if not isinstance(number, str) or len(number) > MAX_RSA_BITS // 6 + 4 or not BASE64URL.fullmatch(number):
        return 0
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()


def read_key_set(document: object) -> tuple[Key, ...]:
    """The usable keys of a set. Keys of kinds we do not know are passed over (RFC 7517 section 5)."""
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list | tuple):
        return ()
    keys = (read_public_key(member) for member in members[:MAX_KEYS])
    return tuple(key for key in keys if key is not None)


def problem_of_key_set(document: object) -> str | None:
    """What is wrong with a set that a client registers by value, or None. Here a key we cannot use is a mistake."""
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list | tuple) or not members:
        return "must be a JSON Web Key set with at least one key."
    if len(members) > MAX_KEYS:
        return f"holds more than {MAX_KEYS} keys."
    for number, member in enumerate(members, start=1):
        if isinstance(member, Mapping) and PRIVATE_MEMBERS & member.keys():
            return f"key {number} is private or symmetric. Register public keys only, and replace this one."
        if read_public_key(member) is None:
            return f"key {number} is not a public key that can be used (EC, OKP, or RSA of at least 2048 bits)."
    return None


def keys_for(keys: Sequence[Key], *, kid: str | None, algorithm: str) -> tuple[Key, ...]:
    """The keys that may have made a signature: by type, curve, use and `alg`, and by `kid` where one is named."""
    return tuple(key for key in keys if (kid is None or key.kid == kid) and fits(key, algorithm))


def fits(key: Key, algorithm: str) -> bool:
    """Whether a key may verify signatures of the algorithm (RFC 7517 sections 4.2 to 4.4, RFC 7518 section 3.1)."""
    facts: Mapping[str, Any] = key.dict_value
    key_type = "RSA" if algorithm[:2] in {"RS", "PS"} else "EC" if algorithm[:2] == "ES" else "OKP"
    operations = facts.get("key_ops")
    return (
        facts.get("kty") == key_type
        and facts.get("crv") == CURVES.get(algorithm)
        and facts.get("use") in (None, "sig")
        and (facts.get("alg") is None or facts["alg"] == algorithm or {facts["alg"], algorithm} == {"EdDSA", "Ed25519"})
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def keys_to_encrypt_with(keys: Sequence[Key], algorithm: str) -> tuple[ECKey | OKPKey | RSAKey, ...]:
    """The keys that a key-management algorithm can encrypt to (RFC 7518 sections 4.3 and 4.6, RFC 8037 section 3.2)."""
    kinds = ("RSA",) if algorithm.startswith("RSA") else ("EC", "OKP")
    found = []
    for key in keys:
        facts: Mapping[str, Any] = key.dict_value
        may = facts.get("use") in (None, "enc") and facts.get("alg") in (None, algorithm)
        can = facts.get("kty") in kinds and facts.get("crv") not in ("Ed25519", "Ed448", "secp256k1")
        if may and can and isinstance(key, ECKey | OKPKey | RSAKey):
            found.append(key)
    # One that says it is for this comes before one that does not say.
    return tuple(sorted(found, key=lambda key: key.dict_value.get("use") != "enc"))


def thumbprint(key: Key) -> str:
    """RFC 7638, SHA-256: the `jkt` of a DPoP key."""
    return key.thumbprint()
