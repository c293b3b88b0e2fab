"""Client authentication: who is asking at the token endpoint and at every other that clients call (R6, R12)."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from joserfc.jwk import Key

from accounts.database import Transaction, digest
from accounts.store import Store
from oidc.client import RegisteredClient
from oidc.fetcher import FetchFailed
from oidc.mutual_tls import Certificate, verify_certificate
from oidc.protocol.client_assertion import UsedAssertion, verify_client_assertion
from oidc.protocol.client_metadata import TLS_CLIENT_AUTH
from oidc.protocol.errors import INVALID_CLIENT, ChangedPlaces, ProtocolError
from oidc.protocol.jwt import SKEW
from oidc.protocol.token_request import ClientCredentials, require_registered_method
from oidc.provider import Provider


async def authenticate(
    db: Transaction,
    store: Store,
    provider: Provider,
    credentials: ClientCredentials,
    now: datetime,
    *,
    endpoints: Sequence[str] = (),
    certificate: Certificate | None = None,
) -> RegisteredClient:
    """The client, once it has proved to be it in the way it registered. Raises `invalid_client`.

    `endpoints` are the addresses that an assertion may name as its audience besides our issuer; `certificate` is that
    of the connection.
    Comes before the request's first write: it may fetch the client's keys, and then gives the connection back.
    """
    client = None
    for client_id in credentials.client_ids:
        client = client or await provider.clients.find(db, client_id, now)
    if client is None:
        for secret in credentials.secrets:
            if await provider.clients.find(db, secret, now):
                raise ChangedPlaces
        raise ProtocolError(INVALID_CLIENT, "The client is not known.", detail="unknown client")
    require_registered_method(credentials, client)
    if credentials.secrets:
        _verify_secret(client, credentials.secrets)
    elif credentials.assertion is not None:
        await _verify_assertion(db, store, provider, client, credentials.assertion, now, endpoints)
    elif not client.metadata.is_public:
        await _verify_certificate(db, provider, client, certificate, now)
    return client


async def _verify_certificate(
    db: Transaction, provider: Provider, client: RegisteredClient, certificate: Certificate | None, now: datetime
) -> None:
    """It gave its name alone, and is no public client: a certificate has to speak for it (RFC 8705 section 2)."""
    authorities = provider.mutual_tls.authorities if provider.mutual_tls else ()
    metadata = client.metadata

    def verify(keys: tuple[Key, ...]) -> None:
        verify_certificate(certificate, metadata, keys, authorities, now)

    if metadata.token_endpoint_auth_method == TLS_CLIENT_AUTH:
        return verify(())
    try:
        await provider.client_keys.verified(client, verify, now, db.pause)
    except FetchFailed as error:
        raise ProtocolError(
            INVALID_CLIENT, "The keys of the client could not be fetched.", detail=error.detail
        ) from error


def _verify_secret(client: RegisteredClient, secrets: Sequence[str]) -> None:
    """One of the readings has to be it. A secret of high entropy needs no slow hash: SHA-256 costs a thief as much as
    guessing does."""
    # `b""` is no digest: a client without a stored secret is compared like any other and never matches.
    fits = [hmac.compare_digest(client.secret_digest or b"", digest(secret)) for secret in secrets]
    if not any(fits):
        raise ProtocolError(INVALID_CLIENT, "The client secret is wrong.", detail="wrong secret")


async def _verify_assertion(
    db: Transaction,
    store: Store,
    provider: Provider,
    client: RegisteredClient,
    assertion: str,
    now: datetime,
    endpoints: Sequence[str],
) -> None:
    def verify(keys: tuple[Key, ...]) -> UsedAssertion:
        return verify_client_assertion(assertion, client, keys, provider.capabilities, now, endpoints=endpoints)

    try:
        used = await provider.client_keys.verified(client, verify, now, db.pause)
    except FetchFailed as error:
        raise ProtocolError(
            INVALID_CLIENT, "The keys of the client could not be fetched.", detail=error.detail
        ) from error
    # As long as `exp` and the skew allow; hashed, because a jti may be long and a client_id may hold anything.
    seconds = int((used.expires_at + SKEW - now).total_seconds()) + 1
    name = hashlib.sha256(f"{len(client.client_id)}:{client.client_id}{used.jti}".encode()).hexdigest()
    if not await store.first_use(f"jti:{name}", used.issued_at, seconds, now):
        raise ProtocolError(INVALID_CLIENT, "The client assertion was used before.", detail="jti seen or too old")
