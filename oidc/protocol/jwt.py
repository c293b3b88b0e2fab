"""Verifying a signed JWT of others, or our own coming back: one place, one kind at a time (RFC 7515, 8725, R11)."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from oidc.protocol.errors import Detail, ProtocolError
from oidc.protocol.keys import keys_for, read_public_key
from oidc.protocol.legible import all_legible
from oidc.protocol.strict_json import json_object

MAX_JWT = 16_384
# FAPI 2.0 Security Profile section 5.3.2.1: up to 10 s ahead are accepted, more than 60 s are not.
SKEW = timedelta(seconds=10)
SEGMENT = re.compile(r"[A-Za-z0-9_-]*")
# Header members that point to keys elsewhere, change how the content is read, or that a verifier must understand.
REFUSED_HEADERS = ("crit", "jku", "jwk", "x5u", "x5c", "zip", "b64", "enc")
MAX_TRIED_KEYS = 4


class JwtKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of artefact: what it is called in refusals, its `typ` values, its algorithms, the error of its place.

    `typ` is in lower case without "application/"; None in it means that the header may leave `typ` out.
    `embeds_key` is for DPoP proofs alone: there, and nowhere else, the key comes in the header.
    """

    name: str
    error: str
    typ: frozenset[str | None]
    algorithms: tuple[str, ...]
    embeds_key: bool = False


class Jwt(msgspec.Struct, frozen=True):
    """A JWT in its parts. Made by `parse_jwt` it is unverified; made by `verify_jwt` its signature holds."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """`alg` of the header."""
        return str(self.header.get("alg"))

    @property
    def kid(self) -> str | None:
        """`kid` of the header."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None


class UnknownKey(ProtocolError):
    """No key fits: the client may have rotated its keys, so they are worth fetching once more."""


def parse_jwt(token: str, kind: JwtKind) -> Jwt:
    """The parts of a compact JWS. Nothing is verified: use it to find out whose keys to look at, and for no more."""
    if len(token) > MAX_JWT:
        raise ProtocolError(kind.error, f"The {kind.name} is too long.")
    parts = token.split(".")
    if len(parts) != 3:
        raise ProtocolError(kind.error, f"The {kind.name} is not a signed JWT.")
    header, claims = (json_object(decode_segment(part, kind)) for part in parts[:2])
    if header is None or claims is None:
        raise ProtocolError(kind.error, f"The {kind.name} is not a signed JWT.")
    signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    return Jwt(header, claims, signed, decode_segment(parts[2], kind))


def verify_jwt(token: str, keys: Sequence[Key], kind: JwtKind) -> Jwt:
    """The JWT, once its header keeps the rules of its kind and one of the keys made its signature.

    Times, issuer, audience and the rest are the caller's: see `require_current` and the rule of each kind.
    Raises the kind's error; `UnknownKey` where no key fits.
    """
    jwt = parse_jwt(token, kind)
    require_header(jwt, kind)
    if "kid" in jwt.header and jwt.kid is None:
        raise ProtocolError(kind.error, f"The {kind.name} has a kid that is no text.")
    candidates = keys_for(keys, kid=jwt.kid, algorithm=jwt.algorithm)
    if not candidates:
        detail = Detail("unknown kid", jwt.kid or "", tuple(key.kid for key in keys if key.kid))
        raise UnknownKey(kind.error, f"The {kind.name} is signed with a key that is not known.", detail=detail)
    if not any(signed_by(jwt, key) for key in candidates[:MAX_TRIED_KEYS]):
        raise ProtocolError(kind.error, f"The signature of the {kind.name} is not valid.", detail="wrong signature")
    return jwt


def verify_with_embedded_key(token: str, kind: JwtKind) -> tuple[Jwt, Key]:
    """RFC 9449 section 4.3: the key in the header made the signature. It proves possession and says nothing of who."""
    jwt = parse_jwt(token, kind)
    require_header(jwt, kind)
    key = read_public_key(jwt.header.get("jwk"))
    if key is None or not keys_for((key,), kid=None, algorithm=jwt.algorithm):
        raise ProtocolError(kind.error, f"The {kind.name} does not hold a public key that fits its algorithm.")
    if not signed_by(jwt, key):
        raise ProtocolError(kind.error, f"The signature of the {kind.name} is not valid.")
    return jwt, key


def require_header(jwt: Jwt, kind: JwtKind) -> None:
    """RFC 8725 sections 3.1 and 3.11: the algorithm and the type are ours to choose, not the sender's."""
    if jwt.header.get("alg") not in kind.algorithms:
        detail = Detail("wrong algorithm", jwt.algorithm, tuple(kind.algorithms))
        raise ProtocolError(
            kind.error, f"The {kind.name} is signed with an algorithm that is not accepted.", detail=detail
        )
    refused = [name for name in REFUSED_HEADERS if name in jwt.header and not (name == "jwk" and kind.embeds_key)]
    if refused:
        raise ProtocolError(kind.error, f"The header of the {kind.name} holds {refused[0]}, which is not accepted.")
    typ = jwt.header.get("typ")
    plain = typ.lower().removeprefix("application/") if isinstance(typ, str) else None
    if plain not in kind.typ or (typ is not None and plain is None):
        raise ProtocolError(kind.error, f"The {kind.name} has the wrong typ.")


def signed_by(jwt: Jwt, key: Key) -> bool:
    """Whether the key made the signature."""
    # The old name of the same algorithm (RFC 9864); the key has been matched to the algorithm by now.
    name = "Ed25519" if jwt.algorithm == "EdDSA" else jwt.algorithm
    try:
        return JWSRegistry.algorithms[name].verify(jwt.signed, jwt.signature, key)
    except (JoseError, ValueError, TypeError):
        return False


def decode_segment(segment: str, kind: JwtKind) -> bytes:
    """Base64url without padding, exactly (RFC 7515 section 2)."""
    if not SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise ProtocolError(kind.error, f"The {kind.name} is not a signed JWT.")
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def read_instant(claims: Mapping[str, Any], name: str, kind: JwtKind) -> float | None:
    """A NumericDate (RFC 7519 section 2), in seconds since 1970; None where the claim is missing."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise ProtocolError(
            kind.error, f"The {name} of the {kind.name} is no time in seconds since 1970 (milliseconds are not read)."
        )
    return float(value)


def require_instant(claims: Mapping[str, Any], name: str, kind: JwtKind) -> float:
    """A NumericDate that has to be there."""
    instant = read_instant(claims, name, kind)
    if instant is None:
        raise ProtocolError(kind.error, f"The {kind.name} has no {name}.")
    return instant


def require_current(claims: Mapping[str, Any], kind: JwtKind, now: datetime, *, required: Collection[str] = ()) -> None:
    """RFC 7519 sections 4.1.4 to 4.1.6: not expired, not from the future. Clocks may differ by `SKEW`."""
    for name in required:
        if claims.get(name) is None:
            raise ProtocolError(kind.error, f"The {kind.name} has no {name}.")
    moment, skew = now.timestamp(), SKEW.total_seconds()
    expires = read_instant(claims, "exp", kind)
    if expires is not None and expires + skew <= moment:
        raise ProtocolError(kind.error, f"The {kind.name} has expired.", detail="expired")
    for name in ("nbf", "iat"):
        instant = read_instant(claims, name, kind)
        if instant is not None and instant > moment + skew:
            raise ProtocolError(kind.error, f"The {kind.name} comes from the future.", detail=f"{name} ahead")


def require_lifetime(
    claims: Mapping[str, Any], kind: JwtKind, now: datetime, longest: timedelta, *, since: str | None = None
) -> None:
    """`exp` lies at most `longest` after now, or after the claim `since`."""
    expires = read_instant(claims, "exp", kind)
    begins = read_instant(claims, since, kind) if since else now.timestamp()
    if expires is not None and begins is not None and expires - begins > (longest + SKEW).total_seconds():
        raise ProtocolError(kind.error, f"The {kind.name} is valid for too long.")


def require_jti(claims: Mapping[str, Any], kind: JwtKind) -> str:
    """RFC 7519 section 4.1.7: what makes it usable once."""
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 512:
        raise ProtocolError(kind.error, f"The {kind.name} has no jti of at most 512 characters.")
    return jti


def wrong_audience(kind: JwtKind, audience: object, accepted: Sequence[str]) -> ProtocolError:
    """Says what came and what is accepted: an `aud` names services, and who sees the refusal is who wrote it."""
    came = tuple(str(name) for name in (audience if isinstance(audience, list) else [audience]))
    told = "missing" if audience is None else " ".join(all_legible(came)) or "empty"
    text = f"The aud of the {kind.name} is {told}; it must be {' or '.join(accepted)}."
    return ProtocolError(kind.error, text, detail=Detail("wrong aud", came, tuple(accepted)))
