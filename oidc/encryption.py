"""What we say to one client alone: JWTs encrypted for a key of its own (RFC 7516, OpenID Connect Core section 10.2)."""

from datetime import datetime
from typing import Literal

import msgspec
from joserfc import jwe
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from accounts.database import Transaction
from oidc.client import RegisteredClient
from oidc.fetcher import FetchFailed
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError
from oidc.protocol.jwt import UnknownKey
from oidc.protocol.keys import keys_to_encrypt_with
from oidc.provider import Provider

What = Literal["id_token", "userinfo", "authorization", "introspection"]
DEFAULT_CONTENT = "A128CBC-HS256"
"""OpenID Connect Registration section 2, where `alg` is registered without `enc`."""


class Recipient(msgspec.Struct, frozen=True):
    """For whom: the client's key, and the algorithms it registered."""

    key: ECKey | OKPKey | RSAKey
    algorithm: str
    content: str

    def seal(self, content: str | bytes, kind: str = "JWT") -> str:
        """A compact JWE. `kind` says what is inside: a signed JWT, or claims as JSON."""
        header = {"alg": self.algorithm, "enc": self.content, "cty": kind}
        if self.key.kid:
            header["kid"] = self.key.kid
        plain = content.encode() if isinstance(content, str) else content
        return jwe.encrypt_compact(header, plain, self.key, algorithms=[self.algorithm, self.content])


async def recipient_of(
    db: Transaction, provider: Provider, client: RegisteredClient, what: What, now: datetime
) -> Recipient | None:
    """None where the client did not register to get it encrypted. Comes before what cannot be done twice: it may fetch
    the client's keys, and where there is none that fits, nothing goes out in the open instead."""
    metadata = client.metadata
    algorithm = getattr(metadata, f"{what}_encrypted_response_alg")
    if algorithm is None:
        return None

    def fitting(keys: tuple[Key, ...]) -> ECKey | OKPKey | RSAKey:
        found = keys_to_encrypt_with(keys, algorithm)
        if not found:
            raise UnknownKey(INVALID_REQUEST, "The client has no key that we could encrypt for.")
        return found[0]

    try:
        key = await provider.client_keys.verified(client, fitting, now, db.pause)
    except FetchFailed as error:
        raise ProtocolError(
            INVALID_REQUEST, "The keys of the client could not be fetched.", detail=error.detail
        ) from error
    return Recipient(key, algorithm, getattr(metadata, f"{what}_encrypted_response_enc") or DEFAULT_CONTENT)
