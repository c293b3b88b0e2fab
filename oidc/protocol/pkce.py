"""Proof Key for Code Exchange, S256 only (RFC 7636, RFC 9700 section 2.1.1, R3)."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

from oidc.protocol.errors import INVALID_GRANT, INVALID_REQUEST, ProtocolError
from oidc.protocol.parameters import Parameters

S256 = "S256"
# A SHA-256 in base64url without padding.
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
# RFC 7636 section 4.1
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def read_code_challenge(parameters: Parameters, *, required: bool) -> str | None:
    """RFC 7636 section 4.3. `plain`, also by leaving the method out, is refused."""
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if challenge is None:
        if required:
            raise ProtocolError(INVALID_REQUEST, "The parameter code_challenge is missing: PKCE is required.")
        if method is not None:
            raise ProtocolError(INVALID_REQUEST, "There is a code_challenge_method without a code_challenge.")
        return None
    if method != S256:
        raise ProtocolError(INVALID_REQUEST, "The code_challenge_method must be S256.")
    if not CHALLENGE.fullmatch(challenge):
        raise ProtocolError(INVALID_REQUEST, "The code_challenge is not a SHA-256 in base64url.")
    return challenge


def verify_code_verifier(challenge: str | None, verifier: str | None) -> None:
    """RFC 7636 section 4.6; a verifier without challenge is refused too (RFC 9700 section 2.1.1: PKCE downgrade)."""
    if challenge is None:
        if verifier is not None:
            raise ProtocolError(INVALID_GRANT, "There is a code_verifier, but the request had no code_challenge.")
        return
    if verifier is None:
        raise ProtocolError(INVALID_GRANT, "The parameter code_verifier is missing.", detail="no verifier")
    if not VERIFIER.fullmatch(verifier):
        raise ProtocolError(INVALID_GRANT, "The code_verifier does not match.", detail="malformed verifier")
    if not hmac.compare_digest(s256(verifier), challenge):
        raise ProtocolError(INVALID_GRANT, "The code_verifier does not match.", detail="wrong verifier")


def s256(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 section 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")
