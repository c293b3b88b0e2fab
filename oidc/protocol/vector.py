"""Vectors of trust: what was done, part by part, beside the one level of `acr` (RFC 8485)."""

import json
from collections.abc import Collection, Sequence

from oidc.protocol.capabilities import Capabilities
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError

MAX_VECTORS = 10
# Appendix A.2: a shared secret, a shared key, a key of its own, and one that its hardware keeps.
_USED = (("pwd", ("Cc",)), ("otp", ("Cd",)), ("pop", ("Ce",)), ("hwk", ("Ce", "Cf")))
# The level, from 0, at which a part is used for certain; parts that every sign-in has need none.
_LEAST = {"P0": 0, "P1": 0, "Ma": 0, "Aa": 0, "Ab": 0, "Ac": 0, "Ad": 0, "Cc": 0, "Cd": 1, "Ce": 2, "Cf": 3}


def vector_of(amr: Collection[str], *, encrypted: bool) -> str:
    """`vot` for what was really done (R10).

    P1: attributes are the citizen's own word, of one who stays the same; nobody's papers were looked at. Ma: the
    citizen chose the credentials. Ac: signed, straight to the service; Ad: and only for its eyes. A text message is
    none of the parts that the RFC names, so it adds nothing.
    """
    used = sorted({part for method, parts in _USED if method in amr for part in parts})
    return ".".join(["P1", *used, "Ma", "Ad" if encrypted else "Ac"])


def levels_of(vtr: str | None, capabilities: Capabilities) -> tuple[str, ...]:
    """Section 4.1: the level to seek for the first of the vectors asked for of which we know every part; none where
    no trustmark says what they mean. As with `acr_values`, it is sought and not promised: `vot` says what was done."""
    if vtr is None or not capabilities.trustmark:
        return ()
    for vector in _read(vtr):
        ranks = [_LEAST.get(part) for part in vector.split(".")]
        known = [rank for rank in ranks if rank is not None]
        if len(known) == len(ranks):
            return (capabilities.acr_values[max(known)],)
    return ()


def _read(vtr: str) -> Sequence[str]:
    try:
        vectors = json.loads(vtr)
    except (ValueError, RecursionError):
        vectors = None
    if not isinstance(vectors, list) or not all(isinstance(vector, str) for vector in vectors):
        raise ProtocolError(INVALID_REQUEST, "vtr is not a JSON array of vectors.")
    return vectors[:MAX_VECTORS]
