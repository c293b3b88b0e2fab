"""The userinfo endpoint: what the citizen agreed to tell this service (OpenID Connect Core section 5.3)."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException

from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.vault import Vault
from oidc.access_token import find_released
from oidc.endpoints.bearer import challenge, presented_token
from oidc.endpoints.cors import ANYONE, preflight
from oidc.endpoints.errors import json_response
from oidc.protocol.errors import INSUFFICIENT_SCOPE, INVALID_TOKEN, ProtocolError
from oidc.protocol.token_response import NO_STORE
from oidc.provider import Provider
from oidc.release import released_claims

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
    provider: NamedDependency[Provider],
) -> Response[bytes]:
    """One statement says whether the token and everything it leans on stands, and what it releases."""
    token = await presented_token(request)
    row = await find_released(db, token, now)
    client = None if row is None else await provider.clients.find(db, row.client_id, now)
    if row is None or client is None:
        raise ProtocolError(INVALID_TOKEN, "The access token is not valid, or not any more.")
    if "openid" not in row.scopes:
        raise ProtocolError(INSUFFICIENT_SCOPE, "The access token was issued without the scope openid.")
    claims = {"sub": row.sub, **released_claims(vault, row, "userinfo", row.scopes)}
    algorithm = client.metadata.userinfo_signed_response_alg
    if algorithm is None:
        return json_response(claims, HEADERS)
    keys = await provider.keys.current(db, now)
    signed = await keys.sign(
        {**claims, "iss": provider.issuer, "aud": client.client_id}, algorithm=algorithm, typ="userinfo+jwt"
    )
    return Response(signed.encode(), headers=HEADERS, media_type="application/jwt", status_code=200)


@route("/userinfo", http_method=[HttpMethod.OPTIONS], opt={"csrf": False})
async def userinfo_preflight() -> Response[bytes]:
    """A browser asks before it sends an Authorization header."""
    return preflight("GET, POST")


handlers = (userinfo_preflight, userinfo)
