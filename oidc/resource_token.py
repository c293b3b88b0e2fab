"""JWT access tokens for one API: nothing of them is kept, and where they are introspected they end with their grant
(RFC 9068)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

from accounts.database import Transaction
from accounts.vault import SealBroken, Vault
from oidc.grant import GrantView, find_standing_grant
from oidc.issuance import NewTokens
from oidc.protocol.access_token import TYP, access_token_claims
from oidc.protocol.errors import INVALID_TOKEN, ProtocolError
from oidc.protocol.introspection import TokenFacts
from oidc.protocol.jwt import JwtKind, parse_jwt, require_current, verify_jwt
from oidc.protocol.uris import host_of
from oidc.provider import Provider
from oidc.resource import Resource
from oidc.subject import subject_of

KIND = JwtKind(name="access token", error=INVALID_TOKEN, typ=frozenset({TYP}), algorithms=())
PLACE = "access_token.jti"


async def subject_at(db: Transaction, provider: Provider, resource: Resource, account_id: UUID, now: datetime) -> str:
    """How this API knows the citizen: its own pairwise `sub` (OpenID Connect Core section 8.1), never the client's."""
    holder = await provider.clients.find(db, resource.introspected_by, now)
    sector = holder.subject_sector if holder else host_of(resource.uri) or resource.uri
    return await subject_of(db, account_id, sector, now)


async def sign_access_token(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    resource: Resource,
    grant: GrantView,
    tokens: NewTokens,
    sub: str,
    now: datetime,
) -> str:
    """RFC 9068 section 2. The `jti` is the grant's name under our seal: another one each time, and it links nothing."""
    keys = await provider.keys.current(db, now)
    claims = access_token_claims(
        issuer=provider.issuer,
        audience=resource.uri,
        sub=sub,
        client_id=grant.client_id,
        jti=urlsafe_b64encode(vault.seal(PLACE, b"", grant.id.bytes)).rstrip(b"=").decode(),
        now=now,
        lifetime=tokens.access_expires_at - now,
        scope=resource.scope_of(tokens.scopes),
        auth_time=grant.auth_time,
        acr=grant.acr,
        amr=grant.amr,
        cnf=tokens.sender.confirmation,
        authorization_details=tokens.details,
    )
    return await keys.sign(claims, algorithm=resource.signing_algorithm, typ=TYP)


def is_resource_token(token: str) -> bool:
    """Whether it looks like one of these, which an opaque token never does."""
    try:
        return parse_jwt(token, KIND).header.get("typ") == TYP
    except ProtocolError:
        return False


async def find_resource_token_facts(
    db: Transaction, vault: Vault, provider: Provider, token: str, now: datetime
) -> TokenFacts | None:
    """What introspection may say of it; None where it is not ours, has expired, or its grant does not stand."""
    keys = await provider.keys.current(db, now)
    kind = JwtKind(name=KIND.name, error=KIND.error, typ=KIND.typ, algorithms=provider.capabilities.signing_algorithms)
    try:
        claims = verify_jwt(token, keys.verifying, kind).claims
        require_current(claims, kind, now, required=("exp", "iat"))
        jti = str(claims.get("jti"))
        grant_id = UUID(bytes=vault.open(PLACE, b"", urlsafe_b64decode(jti + "=" * (-len(jti) % 4))))
    except (ProtocolError, SealBroken, ValueError):
        return None
    # Our own clock wrote it: no allowance for another's.
    if claims["exp"] <= now.timestamp() or claims.get("iss") != provider.issuer:
        return None
    grant = await find_standing_grant(db, grant_id, now)
    if grant is None:
        return None
    return TokenFacts(
        client_id=grant.client_id,
        scope=tuple(str(claims.get("scope", "")).split()),
        token_type="DPoP" if "jkt" in claims.get("cnf", {}) else "Bearer",
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        sub=claims["sub"],
        audience=(claims["aud"],),
        auth_time=grant.auth_time,
        acr=grant.acr,
        cnf=claims.get("cnf", {}),
        authorization_details=tuple(claims.get("authorization_details", ())),
    )
