"""Values the protocol's rules are tried with: a provider, clients, keys, and JWTs signed by hand."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client import Client
from oidc.protocol.client_registration import read_client_metadata
from oidc.protocol.parameters import Parameters, parameters_of

ISSUER = "https://id.example"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CALLBACK = "https://parks.example/callback"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture(scope="session")
def now() -> datetime:
    """One instant."""
    return NOW


@pytest.fixture(scope="session")
def capabilities() -> Capabilities:
    """The provider as the first release has it."""
    return Capabilities(issuer=ISSUER)


@pytest.fixture(scope="session")
def metadata_of() -> Callable[..., dict[str, Any]]:
    """Registration metadata of a plain service, with changes; None takes a field away."""

    def make(**changes: Any) -> dict[str, Any]:
        plain = {"client_name": "Parks", "redirect_uris": [CALLBACK]}
        return {name: value for name, value in (plain | changes).items() if value is not None}

    return make


@pytest.fixture(scope="session")
def client_of(capabilities: Capabilities, metadata_of: Callable[..., dict[str, Any]]) -> Callable[..., Client]:
    """A registered client, with changes to its metadata; `with_` is another provider to register it at."""

    def make(with_: Capabilities = capabilities, **changes: Any) -> Client:
        return Client("parks", read_client_metadata(metadata_of(**changes), with_).metadata)

    return make


@pytest.fixture(scope="session")
def asked() -> Callable[..., Parameters]:
    """The parameters of a plain authorization request, with changes; None takes one away."""

    def make(**changes: str | None) -> Parameters:
        plain: dict[str, str | None] = {
            "client_id": "parks",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile",
            "state": "s-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return parameters_of({name: value for name, value in (plain | changes).items() if value is not None})

    return make


@pytest.fixture(scope="session")
def keys() -> dict[str, Key]:
    """One private key for each algorithm family, with a kid of that name; "other" belongs to somebody else."""
    return {
        "ec": ECKey.generate_key("P-256", {"kid": "ec"}),
        "rsa": RSAKey.generate_key(2048, {"kid": "rsa"}),
        "okp": OKPKey.generate_key("Ed25519", {"kid": "okp"}),
        "other": ECKey.generate_key("P-256", {"kid": "other"}),
    }


@pytest.fixture(scope="session")
def public_keys(keys: dict[str, Key]) -> tuple[Key, ...]:
    """What the client has published: all but "other"."""
    return tuple(type(key).import_key(key.as_dict(private=False)) for name, key in keys.items() if name != "other")


@pytest.fixture(scope="session")
def sign(keys: dict[str, Key]) -> Callable[..., str]:
    """A compact JWS over exactly these claims and this header, good or bad; `header` values of None are left out."""

    def make(claims: object, *, key: str = "ec", alg: str = "ES256", **header: Any) -> str:
        whole = {"alg": alg, "typ": "JWT", "kid": key} | header
        parts = [{name: value for name, value in whole.items() if value is not None}, claims]
        signed = b".".join(encode(json.dumps(part).encode()) for part in parts)
        return (signed + b"." + encode(JWSRegistry.algorithms[alg].sign(signed, keys[key]))).decode()

    return make


def encode(raw: bytes) -> bytes:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=")
