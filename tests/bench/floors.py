"""What no implementation can avoid, measured in the same run: one password hash, one signature."""

import time

from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey

from identity.password import HashParameters

_PARAMETERS = HashParameters()
_HASHER = PasswordHasher(
    time_cost=_PARAMETERS.passes, memory_cost=_PARAMETERS.memory_kib, parallelism=_PARAMETERS.lanes
)
_HASH = _HASHER.hash("a password")
_KEY = ECKey.generate_key("P-256")


def argon2_floor(times: int = 20) -> float:
    """CPU milliseconds of one verification with our parameters."""
    began = time.process_time()
    for _ in range(times):
        _HASHER.verify(_HASH, "a password")
    return (time.process_time() - began) * 1000 / times


def signature_floor(times: int = 500) -> float:
    """CPU milliseconds of one signed ID token."""
    claims = {"iss": "https://account.example.gov", "sub": "x" * 32, "aud": "parks", "exp": 1, "iat": 0}
    began = time.process_time()
    for _ in range(times):
        jwt.encode({"alg": "ES256", "kid": "k"}, claims, _KEY)
    return (time.process_time() - began) * 1000 / times
