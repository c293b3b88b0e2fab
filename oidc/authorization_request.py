"""Reading an authorization request, at `/authorize` and at `/par` alike: a request object first, then the rules."""

from datetime import datetime

from joserfc.jwk import Key

from accounts.database import Transaction
from oidc.client import RegisteredClient
from oidc.fetcher import FetchFailed
from oidc.protocol.authorization import AuthorizationRequest, read_authorization_request
from oidc.protocol.capabilities import JAR
from oidc.protocol.errors import INVALID_REQUEST_OBJECT, INVALID_REQUEST_URI, ProtocolError
from oidc.protocol.jwt import UnknownKey
from oidc.protocol.parameters import Parameters
from oidc.protocol.request_object import by_value, registered_reference, resolve_request_object
from oidc.provider import Provider

REQUEST_OBJECT = "application/oauth-authz-req+jwt, application/jwt, */*;q=0.1"
UNREACHABLE = "The request_uri could not be fetched."


async def read_request(
    db: Transaction, provider: Provider, client: RegisteredClient, parameters: Parameters, now: datetime
) -> AuthorizationRequest:
    """The request that counts, judged. Raises `AuthorizationError` where the refusal may go to the redirect URI.

    Comes before the request's first write: it may fetch the client's keys.
    """
    counted = await resolved(db, provider, client, parameters, now)
    return read_authorization_request(counted, client, provider.capabilities)


async def resolved(
    db: Transaction, provider: Provider, client: RegisteredClient, parameters: Parameters, now: datetime
) -> Parameters:
    """The parameters of the request object where there is one (RFC 9101, OpenID Connect Core section 6.1)."""
    capabilities = provider.capabilities
    if not capabilities.has(JAR):
        return parameters
    reference = registered_reference(parameters, client)
    if reference is not None:
        parameters = by_value(parameters, reference, await _fetched(db, provider, reference))

    def resolve(keys: tuple[Key, ...]) -> Parameters:
        return resolve_request_object(parameters, client, keys, capabilities, now).parameters

    try:
        # Most requests have no object, and what is wrong with one is mostly seen without a key.
        return resolve(())
    except UnknownKey:
        pass
    try:
        return await provider.client_keys.verified(client, resolve, now, db.pause)
    except FetchFailed as error:
        raise ProtocolError(
            INVALID_REQUEST_OBJECT, "The keys of the client could not be fetched.", detail=error.detail
        ) from error


async def _fetched(db: Transaction, provider: Provider, reference: str) -> bytes:
    await db.pause()  # a stranger's server may take its time; no connection waits for it
    try:
        fetched = await provider.fetcher.get(reference.partition("#")[0], accept=REQUEST_OBJECT)
    except FetchFailed as error:
        raise ProtocolError(INVALID_REQUEST_URI, UNREACHABLE, detail=error.detail) from error
    if fetched.status != 200:
        raise ProtocolError(INVALID_REQUEST_URI, UNREACHABLE, detail=f"status {fetched.status}")
    return fetched.body
