"""The grant type token exchange (RFC 8693): a service passes on less than it holds, in its own name."""

from datetime import datetime

import msgspec

from accounts.database import Transaction
from accounts.vault import Vault
from oidc.client import RegisteredClient
from oidc.endpoints.grants.granted import Granted
from oidc.issuance import new_access_token
from oidc.passing_on import SubjectToken, find_subject_token
from oidc.protocol.client import lifetimes_of
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError
from oidc.protocol.parameters import Parameters
from oidc.protocol.resource import one_audience, read_resources
from oidc.protocol.token_exchange import ACCESS_TOKEN, acting, exchanged_scope, read_exchange_request
from oidc.provider import Provider
from oidc.resource_token import subject_at
from oidc.sender import Sender
from oidc.service_token import PassedOn, keep_service_token
from oidc.subject import subject_of


async def exchange(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    parameters: Parameters,
    sender: Sender,
    now: datetime,
) -> Granted:
    """Delegation, never impersonation: the new token says who acts, holds no more and lives no longer than what it came
    from, and ends with the citizen's agreement. For an API it holds the scopes of that API alone, and knows the citizen
    as its sector does, like any token for it (RFC 9068); else as this service's does."""
    asked = read_exchange_request(parameters)
    subject = await find_subject_token(db, asked.subject_token, now)
    if subject is None or not _may_exchange(provider, client, subject, sender):
        # RFC 8693 section 2.2.2: whatever is wrong with it, it is invalid_request, and all alike.
        raise ProtocolError(INVALID_REQUEST, "The subject_token is not valid for this client.")
    audience = one_audience(read_resources(parameters, provider.capabilities.resources))
    resource = provider.resources[audience] if audience else None
    granted = resource.scope_of(subject.scopes) if resource else subject.scopes
    scopes = exchanged_scope(granted, asked.scope, client.metadata.scope)
    act = acting(client.client_id, subject.act)
    tokens = new_access_token(lifetimes_of(client, provider.policy.lifetimes), scopes, now, sender)
    expires_at = min(tokens.access_expires_at, subject.expires_at)
    if resource is not None:
        sub = await subject_at(db, provider, resource, subject.account_id, now)
    else:
        sub = await subject_of(db, subject.account_id, client.subject_sector, now)
    await db.commit()
    await keep_service_token(
        db,
        tokens.access_token,
        client.client_id,
        scopes=scopes,
        audience=(audience,) if audience else (),
        passed_on=PassedOn(subject.grant_id, sub, act),
        dpop_jkt=sender.jkt,
        certificate_thumbprint=sender.certificate,
        now=now,
        expires_at=expires_at,
    )
    tokens = msgspec.structs.replace(tokens, access_expires_at=expires_at)
    return Granted(None, tokens, more={"issued_token_type": ACCESS_TOKEN})


def _may_exchange(provider: Provider, client: RegisteredClient, subject: SubjectToken, sender: Sender) -> bool:
    """Who got the token, with the key that it is bound to (R7), and the API that it is for, which has seen that key
    used and cannot have it; who merely came by it may not (RFC 8693 section 5)."""
    if subject.client_id == client.client_id:
        return subject.dpop_jkt in (None, sender.jkt) and subject.certificate_thumbprint in (None, sender.certificate)
    resources = (provider.resources.get(uri) for uri in subject.audience)
    return any(resource is not None and resource.introspected_by == client.client_id for resource in resources)
