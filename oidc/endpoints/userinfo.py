"""The userinfo endpoint: what the citizen agreed to tell this service (OpenID Connect Core section 5.3)."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.params import SkipValidation

from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from oidc.access_token import fate_of, find_released
from oidc.client import RegisteredClient
from oidc.encryption import recipient_of
from oidc.endpoints.bearer import Presented, challenge, presented_token
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import CLAIMED, CLIENT, json_response
from oidc.endpoints.errors import HEADERS as ANSWER_HEADERS
from oidc.endpoints.shown import shown_sender
from oidc.fate import why_not
from oidc.protocol.dpop import require_scheme_of_binding
from oidc.protocol.errors import INSUFFICIENT_SCOPE, INVALID_TOKEN, ProtocolError
from oidc.protocol.step_up import require_least_acr
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.release import released_claims
from oidc.sender import require_bound_sender

HEADERS = {**NO_STORE, **ANYONE}


@route(
    "/userinfo",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    status_code=200,
    opt={"csrf": False},
    exception_handlers={ProtocolError: challenge, Refusal: challenge, HTTPException: challenge, Exception: challenge},
)
async def userinfo(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    store: NamedDependency[SkipValidation[Store]],
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """One statement says whether the token and everything it leans on stands, and what it releases."""
    presented = await presented_token(request)
    row = await find_released(db, presented.token, now)
    client = None if row is None else await provider.clients.find(db, row.client_id, now)
    if row is None or client is None:
        fate = await fate_of(db, presented.token)
        request.state[CLAIMED] = fate.client_id if fate else None
        why = why_not(fate, fate.client_id if fate else "", now)
        raise ProtocolError(INVALID_TOKEN, "The access token is not valid, or not any more.", detail=why)
    request.state[CLIENT] = row.client_id  # it was given the token
    require_scheme_of_binding(presented.scheme, row.dpop_jkt)
    if row.dpop_jkt is not None or row.certificate_thumbprint is not None:
        await _require_holder(request, store, vault, provider, client, presented, row, now)
    if "openid" not in row.scopes:
        raise ProtocolError(INSUFFICIENT_SCOPE, "The access token was issued without the scope openid.")
    require_least_acr(row.acr, provider.capabilities)
    claims = {"sub": row.sub, **released_claims(vault, row, "userinfo", row.scopes)}
    headers = {**HEADERS, **request.state.get(ANSWER_HEADERS, {})}
    algorithm = client.metadata.userinfo_signed_response_alg
    recipient = await recipient_of(db, provider, client, "userinfo", now)
    if algorithm is None and recipient is None:
        return json_response(claims, headers)
    # Meant for this client alone, whatever becomes of it on the way (OpenID Connect Core section 5.3.2).
    claims |= {"iss": provider.issuer, "aud": client.client_id}
    if algorithm is None and recipient is not None:
        sealed = recipient.seal(msgspec.json.encode(claims), "json")
        return Response(sealed.encode(), headers=headers, media_type="application/jwt", status_code=200)
    keys = await provider.keys.current(db, now)
    signed = await keys.sign(claims, algorithm=algorithm or "ES256", typ="userinfo+jwt")
    signed = recipient.seal(signed) if recipient else signed
    return Response(signed.encode(), headers=headers, media_type="application/jwt", status_code=200)


async def _require_holder(
    request: Request[Any, Any, Any],
    store: Store,
    vault: Vault,
    provider: Provider,
    client: RegisteredClient,
    presented: Presented,
    row: Any,
    now: datetime,
) -> None:
    """A bound token is worth nothing without what it is bound to (RFC 9449 section 7.1, RFC 8705 section 3)."""
    try:
        sender = await shown_sender(request, store, vault, provider, now, client=client, access_token=presented.token)
    except ProtocolError as error:
        # At a resource a bad proof is a failed authentication, not a bad request.
        raise ProtocolError(error.code, error.description, detail=error.detail, status=401) from error
    certificate = row.certificate_thumbprint
    require_bound_sender(sender, jkt=row.dpop_jkt, certificate=certificate, error=INVALID_TOKEN)


@route("/userinfo", http_method=[HttpMethod.OPTIONS], opt={"csrf": False})
async def userinfo_preflight() -> Response[bytes]:
    """A browser asks before it sends an Authorization header."""
    return preflight("GET, POST")


handlers = (userinfo_preflight, userinfo)
