"""The token endpoint: the phases every grant type shares; none of them can be forgotten (RFC 6749 section 3.2)."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, post, route
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from accounts.database import Transaction, new_secret
from accounts.store import Store
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.encryption import Recipient, recipient_of
from oidc.endpoints.caller import calling_client
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import ERRORS, HEADERS, json_response
from oidc.endpoints.grants import authorization_code, client_credentials, refresh_token, token_exchange, waiting
from oidc.endpoints.grants.granted import Exchange, Granted
from oidc.endpoints.shown import shown_sender
from oidc.key_ring import Keys
from oidc.protocol.client import lifetimes_of, require_grant_type
from oidc.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CIBA_GRANT,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE_GRANT,
)
from oidc.protocol.errors import UNSUPPORTED_GRANT_TYPE, Detail, ProtocolError
from oidc.protocol.id_token import half_hash, id_token_claims
from oidc.protocol.parameters import Parameters
from oidc.protocol.token_response import NO_STORE, token_response
from oidc.protocol.vector import vector_of
from oidc.provider import Provider
from oidc.release import claims_of_grant
from oidc.resource_token import sign_access_token, subject_at
from oidc.sender import binding_of

EXCHANGES: dict[str, Exchange] = {
    AUTHORIZATION_CODE: authorization_code.exchange,
    REFRESH_TOKEN: refresh_token.exchange,
    CLIENT_CREDENTIALS: client_credentials.exchange,
    DEVICE_CODE: waiting.exchange_device_code,
    CIBA_GRANT: waiting.exchange_auth_req_id,
    TOKEN_EXCHANGE_GRANT: token_exchange.exchange,
}


@post("/token", status_code=200, opt={"csrf": False}, exception_handlers=ERRORS)
async def token(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """RFC 6749 sections 4.1.3, 5 and 6, OpenID Connect Core sections 3.1.3 and 12."""
    client, parameters = await calling_client(request, db, store, provider, now)
    exchange = allowed_exchange(parameters, client)
    sender = binding_of(client, await shown_sender(request, store, vault, provider, now, client=client))
    keys = await provider.keys.current(db, now)
    await keys.ready(client.metadata.id_token_signed_response_alg)  # else nothing shall be spent in vain
    recipient = await recipient_of(db, provider, client, "id_token", now)
    granted = await exchange(db, vault, provider, client, parameters, sender, now)
    answer = await answered(db, vault, provider, client, keys, recipient, granted, now)
    answer.headers.update(request.state.get(HEADERS, {}))
    return answer


def allowed_exchange(parameters: Parameters, client: RegisteredClient) -> Exchange:
    """RFC 6749 section 5.2: a grant type we have, and one this client registered for."""
    grant_type = parameters.require("grant_type")
    exchange = EXCHANGES.get(grant_type)
    if exchange is None:
        detail = Detail("unknown grant type", grant_type, tuple(EXCHANGES))
        raise ProtocolError(UNSUPPORTED_GRANT_TYPE, "The grant_type is not supported.", detail=detail)
    require_grant_type(client, grant_type)
    return exchange


async def answered(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    keys: Keys,
    recipient: Recipient | None,
    granted: Granted,
    now: datetime,
) -> Response[bytes]:
    """The ID token, signed outside the transaction, and the answer."""
    grant, tokens = granted.grant, granted.tokens
    id_token, access_token, scopes, claims = None, tokens.access_token, tokens.scopes, {}
    is_openid = grant is not None and "openid" in tokens.scopes
    if grant is not None and is_openid:
        claims = await claims_of_grant(db, vault, grant, "id_token", tokens.scopes, now)
    resource = provider.resources.get(tokens.audience) if tokens.audience else None
    sub = await subject_at(db, provider, resource, grant.account_id, now) if resource and grant else ""
    await db.commit()
    if resource is not None and grant is not None:
        access_token = await sign_access_token(db, vault, provider, resource, grant, tokens, sub, now)
        scopes = resource.scope_of(tokens.scopes)
    if grant is not None and is_openid:
        algorithm = client.metadata.id_token_signed_response_alg
        body = id_token_claims(
            issuer=provider.issuer,
            sub=grant.sub,
            client_id=client.client_id,
            now=now,
            lifetime=lifetimes_of(client, provider.policy.lifetimes).id_token,
            auth_time=grant.auth_time,
            acr=grant.acr,
            amr=grant.amr,
            nonce=granted.nonce,
            sid=grant.sid,
            jti=new_secret(16),
            at_hash=half_hash(access_token, algorithm),
            # RFC 8485 section 4: the one is nothing without the other.
            vot=vector_of(grant.amr, encrypted=recipient is not None) if provider.capabilities.trustmark else None,
            vtm=provider.capabilities.trustmark or None,
            claims=claims,
        )
        id_token = await keys.sign(body, algorithm=algorithm, typ="JWT")
        id_token = recipient.seal(id_token) if recipient else id_token
    members = token_response(
        access_token=access_token,
        expires_in=tokens.access_expires_at - now,
        scope=scopes,
        id_token=id_token,
        refresh_token=tokens.refresh_token,
        more={**({"authorization_details": tokens.details} if tokens.details else {}), **granted.more},
        token_type=tokens.sender.token_type,
    )
    return json_response(members, {**NO_STORE, **ANYONE})


@route("/token", http_method=["OPTIONS"], opt={"csrf": False})
async def token_preflight() -> Response[bytes]:
    """A browser asks before it posts."""
    return preflight("POST")


# The preflight comes first: else Litestar makes an OPTIONS of its own.
handlers = (token_preflight, token)
