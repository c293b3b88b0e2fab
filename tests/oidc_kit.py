"""A provider in a box for tests of the protocol: a database, people, services, and the endpoints that programs call."""

from base64 import b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import httpx2
import msgspec
from litestar import Litestar
from litestar.di import Provide
from services import make_sqlite

from accounts.account import data_key_of, open_account
from accounts.consent import Shown, give_consent
from accounts.contact import add_contact
from accounts.database import Database, Transaction, digest
from accounts.errors import Refusal
from accounts.profile import Claims, write_profile
from accounts.vault import Vault, VaultKeys
from config.database import open_engine
from config.store import MemoryStore
from identity.session import Device, SessionPolicy, SessionView, find_session, start
from oidc.authorization_code import issue_code
from oidc.client import RegisteredClient, find_client, put_client
from oidc.endpoints import discovery, introspection, revocation, token, userinfo
from oidc.fetcher import Fetcher
from oidc.key_holder import KeyHolder, SealedKeys
from oidc.protocol.authorization import AuthorizationRequest
from oidc.protocol.capabilities import SIGNED_USERINFO, Capabilities
from oidc.protocol.claims import ClaimsAsked, claims_of_scopes
from oidc.protocol.client_registration import read_client_metadata
from oidc.protocol.errors import ProtocolError
from oidc.protocol.pkce import s256
from oidc.provider import Provider, ProviderPolicy, new_provider
from oidc.signing_keys import ensure_keys

ISSUER = "https://account.example.gov"
START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
VERIFIER = "a-verifier-that-is-long-enough-for-anybody-0123456789"
CALLBACK = "https://parks.example/callback"
SECRET = "a-secret-of-more-than-enough-entropy-for-anyone"
ADA = Claims(name="Ada Lovelace", given_name="Ada", family_name="Lovelace", birthdate="1815-12-10")


DOORS = (token, userinfo, discovery, revocation, introspection)


def basic(client_id: str, secret: str) -> dict[str, str]:
    """The header of `client_secret_basic` (RFC 6749 section 2.3.1)."""
    return {"authorization": "Basic " + b64encode(f"{quote(client_id)}:{quote(secret)}".encode()).decode()}


def new_vault() -> Vault:
    """Keys that are the same in every test."""
    return Vault(VaultKeys(wrapping={1: b"w" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32))


class Box:
    """One provider. `now` is the instant of every request; move it with `later`."""

    def __init__(self, database: Database, provider: Provider, vault: Vault, holder: KeyHolder) -> None:
        self.database = database
        self.provider = provider
        self.vault = vault
        self.holder = holder
        self.now = START
        self.store = MemoryStore(START - timedelta(days=1))
        app: Any = self._application()
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ISSUER)

    def later(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction, committed at the end."""
        async with self.database.begin() as db:
            yield db

    def _application(self) -> Litestar:
        async def db() -> AsyncIterator[Transaction]:
            async with self.database.begin() as transaction:
                yield transaction

        def value(held: Any) -> Provide:
            return Provide(lambda: held, sync_to_thread=False)

        return Litestar(
            route_handlers=[
                *token.handlers,
                *userinfo.handlers,
                *discovery.handlers,
                *revocation.handlers,
                *introspection.handlers,
            ],
            dependencies={
                "db": Provide(db),
                "now": Provide(lambda: self.now, sync_to_thread=False),
                "vault": value(self.vault),
                "store": value(self.store),
                "provider": value(self.provider),
            },
            openapi_config=None,
            logging_config=None,
            request_max_body_size=64 * 1024,
        )

    async def register(
        self, client_id: str = "parks", *, secret: str | None = SECRET, **metadata: Any
    ) -> RegisteredClient:
        """A service, as `identity client import` would make it; ES256 where nothing is said."""
        given: dict[str, Any] = {
            "client_name": client_id.title(),
            "redirect_uris": [f"https://{client_id}.example/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            **metadata,
        }
        read = read_client_metadata(given, self.provider.capabilities, default_signing_algorithm="ES256").metadata
        kept = digest(secret) if secret and read.uses_secret else None
        async with self.transaction() as db:
            await put_client(db, client_id, read, secret_digest=kept, source="import", now=self.now)
            found = await find_client(db, client_id)
        assert found is not None
        return found

    async def person(
        self, claims: Claims = ADA, email: str = "ada@example.org", phone: str | None = "+34600000001"
    ) -> UUID:
        """An active citizen with a profile and verified contacts."""
        async with self.transaction() as db:
            account_id, key = await open_account(db, self.vault, self.now, state="active", locale="en")
            await write_profile(db, key, account_id, claims, self.now)
            await add_contact(db, self.vault, key, account_id, "email", email, self.now, verified=True, primary=True)
            if phone:
                await add_contact(db, self.vault, key, account_id, "phone", phone, self.now, verified=True)
        return account_id

    async def session(
        self, account_id: UUID, *, acr: str = "aal2", amr: tuple[str, ...] = ("pwd", "otp")
    ) -> SessionView:
        """A fresh session of a citizen."""
        async with self.transaction() as db:
            _, secret = await start(
                db,
                await data_key_of(db, self.vault, account_id),
                account_id,
                browser=b"b" * 32,
                acr=acr,
                amr=amr,
                device=Device("test", "127.0.0.1"),
                policy=SessionPolicy(),
                now=self.now,
            )
            found = await find_session(db, secret, self.now)
        assert found is not None
        return found

    async def consent(
        self, account_id: UUID, client_id: str, scopes: tuple[str, ...], claims: tuple[str, ...] = ()
    ) -> UUID:
        """An agreement to these scopes and single claims."""
        async with self.transaction() as db:
            return await give_consent(
                db,
                account_id,
                client_id,
                scopes=scopes,
                claims=claims_of_scopes(scopes) | set(claims),
                shown=Shown(client_id, "to test", "1", "en"),
                lawful_basis="consent",
                now=self.now,
            )

    async def code(
        self,
        client: RegisteredClient,
        *,
        session: SessionView | None = None,
        scopes: tuple[str, ...] = ("openid", "profile", "email"),
        asked: ClaimsAsked | None = None,
        nonce: str | None = "n-0S6_WzA2Mj",
        pkce: bool = True,
    ) -> str:
        """What `/authorize` answers once a citizen has signed in and agreed."""
        session = session or await self.session(await self.person())
        asked = asked or ClaimsAsked()
        consent_id = await self.consent(session.account_id, client.client_id, scopes, asked.names)
        request = AuthorizationRequest(
            client_id=client.client_id,
            redirect_uri=client.metadata.redirect_uris[0],
            scope=scopes,
            nonce=nonce,
            claims=asked,
            code_challenge=s256(VERIFIER) if pkce else None,
        )
        async with self.transaction() as db:
            return await issue_code(
                db,
                self.vault,
                self.provider.policy,
                client=client,
                session=session,
                consent_id=consent_id,
                request=request,
                scopes=scopes,
                now=self.now,
            )

    async def ask(self, *, auth: tuple[str, str] | None = None, **fields: str | None) -> httpx2.Response:
        """POST /token; `auth` is client_id and secret, for the header."""
        sent = {name: value for name, value in fields.items() if value is not None}
        headers = {"content-type": "application/x-www-form-urlencoded", **(basic(*auth) if auth else {})}
        return await self.http.post("/token", content=urlencode(sent), headers=headers)

    async def revoke(self, token: str, client_id: str = "parks", **fields: str) -> httpx2.Response:
        """POST /revoke as a confidential client with a secret."""
        return await self.http.post("/revoke", data={"token": token, **fields}, headers=basic(client_id, SECRET))

    async def introspect(self, token: str, client_id: str = "parks", **headers: str) -> httpx2.Response:
        """POST /introspect as a confidential client with a secret."""
        return await self.http.post(
            "/introspect", data={"token": token}, headers={**basic(client_id, SECRET), **headers}
        )

    async def redeem(self, code: str | None, client_id: str = "parks", **fields: str | None) -> httpx2.Response:
        """Redeem a code as a confidential client with a secret."""
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"https://{client_id}.example/callback",
            "code_verifier": VERIFIER,
            **fields,
        }
        return await self.ask(auth=(client_id, SECRET), **asked)

    async def refresh(self, refresh_token: str, client_id: str = "parks", **fields: str | None) -> httpx2.Response:
        """Use a refresh token as a confidential client with a secret."""
        asked = {"grant_type": "refresh_token", "refresh_token": refresh_token, **fields}
        return await self.ask(auth=(client_id, SECRET), **asked)

    async def userinfo(self, access_token: str) -> httpx2.Response:
        """GET /userinfo."""
        return await self.http.get("/userinfo", headers={"authorization": f"Bearer {access_token}"})

    async def is_alive(self, access_token: str) -> bool:
        """Whether the token still opens userinfo."""
        answer = await self.userinfo(access_token)
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200


@asynccontextmanager
async def new_box(
    database_url: str,
    *,
    policy: ProviderPolicy | None = None,
    pool_size: int = 10,
    algorithms: tuple[str, ...] = ("ES256",),
    holder: KeyHolder | None = None,
    **capabilities: Any,
) -> AsyncIterator[Box]:
    """A provider on an empty database with every table, or on a SQLite file that is not there yet."""
    make_sqlite(database_url)
    engine = open_engine(database_url, pool_size, durable=False)
    vault = new_vault()
    holder = holder or SealedKeys(vault)
    features = Capabilities(issuer=ISSUER).features | {SIGNED_USERINFO}
    able = Capabilities(issuer=ISSUER, **{"features": features, **capabilities})
    fetcher = Fetcher(allow_loopback=able.loopback_http)
    provider = new_provider(able, policy or ProviderPolicy(), vault, holder, fetcher)
    box = Box(Database(engine, keep=(Refusal, ProtocolError)), provider, vault, holder)
    try:
        async with box.transaction() as db:
            # An RSA key takes a good part of a second: who wants one asks for it.
            await ensure_keys(db, box.holder, box.now, algorithms)
        yield box
    finally:
        await box.http.aclose()
        await provider.fetcher.close()
        await engine.dispose()


def decoded(jwt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT, unverified."""
    header, claims = (
        msgspec.json.decode(urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in jwt.split(".")[:2]
    )
    return header, claims
