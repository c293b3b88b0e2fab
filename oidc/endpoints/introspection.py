"""The introspection endpoint: whether a token is worth anything now, and what (RFC 7662, signed: RFC 9701)."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from accounts.database import Transaction
from accounts.store import Store
from accounts.vault import Vault
from oidc.access_token import find_facts
from oidc.client import RegisteredClient
from oidc.encryption import recipient_of
from oidc.endpoints.caller import calling_client
from oidc.endpoints.errors import ERRORS, json_response
from oidc.protocol.introspection import (
    INACTIVE,
    MEDIA_TYPE,
    TYP,
    introspection_response,
    may_see,
    signed_introspection_claims,
    wants_jwt,
)
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.refresh_token import find_refresh_facts
from oidc.resource import resources_of
from oidc.resource_token import find_resource_token_facts, is_resource_token
from oidc.service_token import find_service_facts


@post("/introspect", status_code=200, opt={"csrf": False}, exception_handlers=ERRORS)
async def introspection(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """For clients that authenticate. Whatever is not a live token that the caller may see is inactive, all alike."""
    client, parameters = await calling_client(request, db, store, provider, now, may_be_public=False)
    token = parameters.require("token")
    if is_resource_token(token):
        facts = await find_resource_token_facts(db, vault, provider, token, now)
    else:
        facts = (
            await find_facts(db, vault, token, now)
            or await find_refresh_facts(db, token, now)
            or await find_service_facts(db, token, now)
        )
    held = resources_of(provider.resources, client.client_id)
    visible = facts is not None and may_see(client.client_id, held, facts)
    answer = introspection_response(facts, provider.issuer) if facts is not None and visible else INACTIVE
    algorithm = client.metadata.introspection_signed_response_alg
    is_sealed = client.metadata.introspection_encrypted_response_alg is not None
    if algorithm is None and not is_sealed and not wants_jwt(request.headers.get("accept")):
        return json_response(answer, NO_STORE)
    return await _signed(db, provider, client, algorithm or "ES256", answer, now)


async def _signed(
    db: Transaction, provider: Provider, client: RegisteredClient, algorithm: str, answer: dict[str, Any], now: datetime
) -> Response[bytes]:
    keys = await provider.keys.current(db, now)
    claims = signed_introspection_claims(answer, issuer=provider.issuer, asking_client_id=client.client_id, now=now)
    recipient = await recipient_of(db, provider, client, "introspection", now)
    signed = await keys.sign(claims, algorithm=algorithm, typ=TYP)
    signed = recipient.seal(signed) if recipient else signed
    return Response(signed.encode(), status_code=200, headers=NO_STORE, media_type=MEDIA_TYPE)


handlers = (introspection,)
