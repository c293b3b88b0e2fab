"""The grant type `client_credentials`: services that speak for themselves (RFC 6749 section 4.4)."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from oidc_kit import ISSUER, SECRET, Box, new_box
from services import Backend

from oidc.client import set_disabled
from oidc.protocol.errors import MetadataError

pytestmark = pytest.mark.anyio

ABLE = {
    "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
    "service_scopes": ("parks:read", "parks:write", "taxes:read"),
}
MACHINE = {"grant_types": ["client_credentials"], "redirect_uris": [], "scope": "openid parks:read parks:write"}


@pytest.fixture
async def box(backend: Backend) -> AsyncIterator[Box]:
    async with new_box(backend.database_url, **ABLE) as made:
        yield made


async def ask(box: Box, client_id: str = "robot", **fields: str) -> httpx2.Response:
    return await box.ask(auth=(client_id, SECRET), grant_type="client_credentials", **fields)


async def test_a_service_gets_a_token_for_itself(box: Box) -> None:
    """RFC 6749 sections 4.4.3 and 5.1: an access token and its scope; neither refresh token nor ID token."""
    await box.register("robot", **MACHINE)

    answer = await ask(box, scope="parks:read")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope"}
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 600, "parks:read")


async def test_without_a_scope_it_gets_all_that_is_registered(box: Box) -> None:
    """RFC 6749 section 3.3: a default, and it is told. What speaks of citizens is none of it."""
    await box.register("robot", **MACHINE)
    assert (await ask(box)).json()["scope"] == "parks:read parks:write"


async def test_a_service_without_scopes_gets_a_token_that_says_who_it_is(box: Box) -> None:
    """RFC 6749 section 4.4."""
    await box.register("robot", grant_types=["client_credentials"], redirect_uris=[])
    tokens = (await ask(box)).json()
    assert "scope" not in tokens
    assert (await box.introspect(tokens["access_token"], "robot")).json()["client_id"] == "robot"


@pytest.mark.parametrize("scope", ["taxes:read", "parks:read taxes:read", "openid", "profile", "nonsense"])
async def test_more_than_is_registered_is_refused(box: Box, scope: str) -> None:
    """RFC 6749 sections 3.3 and 5.2."""
    await box.register("robot", **MACHINE)
    answer = await ask(box, scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_only_who_registered_for_it_may_use_it(box: Box) -> None:
    """RFC 6749 section 5.2."""
    await box.register()
    answer = await ask(box, "parks")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


async def test_a_wrong_secret_gives_nothing(box: Box) -> None:
    """RFC 6749 section 5.2."""
    await box.register("robot", **MACHINE)
    answer = await box.ask(auth=("robot", "wrong"), grant_type="client_credentials")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_public_client_cannot_register_for_it(box: Box) -> None:
    """RFC 6749 section 4.4: only confidential clients may."""
    with pytest.raises(MetadataError):
        await box.register("robot", **{**MACHINE, "token_endpoint_auth_method": "none"})


async def test_introspection_describes_the_token_to_its_own_service_alone(box: Box) -> None:
    """RFC 7662 sections 2.2 and 4, RFC 9068 section 2.2: without a citizen the service is the subject."""
    await box.register("robot", **MACHINE)
    await box.register()
    token = (await ask(box, scope="parks:read")).json()["access_token"]
    now = int(box.now.timestamp())

    assert (await box.introspect(token, "robot")).json() == {
        "active": True,
        "iss": ISSUER,
        "client_id": "robot",
        "sub": "robot",
        "scope": "parks:read",
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 600,
    }
    assert (await box.introspect(token)).json() == {"active": False}


async def test_the_token_opens_no_citizens_details(box: Box) -> None:
    """OpenID Connect Core section 5.3, R11: userinfo is about a citizen, and there is none."""
    await box.register("robot", **MACHINE)
    token = (await ask(box)).json()["access_token"]
    assert (await box.userinfo(token)).status_code == 401


async def test_the_token_ends(box: Box) -> None:
    """RFC 7662 section 2.2: expired, revoked (RFC 7009) or of a disabled service, it is worth nothing."""
    await box.register("robot", **MACHINE)
    await box.register("judge")
    revoked, spared, late = [(await ask(box)).json()["access_token"] for _ in range(3)]

    assert (await box.revoke(spared, "judge")).status_code == 200
    assert (await box.revoke(revoked, "robot")).status_code == 200
    active = [(await box.introspect(token, "robot")).json()["active"] for token in (revoked, spared)]
    box.later(minutes=10)
    expired = (await box.introspect(late, "robot")).json()

    assert active == [False, True]
    assert expired == {"active": False}


async def test_disabling_the_service_ends_its_tokens(box: Box) -> None:
    """R75: what leans on a service that is gone does not stand."""
    from oidc.service_token import find_service_facts

    await box.register("robot", **MACHINE)
    token = (await ask(box)).json()["access_token"]
    async with box.transaction() as db:
        before = await find_service_facts(db, token, box.now)
        await set_disabled(db, "robot", True, box.now)
        after = await find_service_facts(db, token, box.now)

    assert before is not None
    assert after is None


async def test_a_token_is_kept_as_its_digest(box: Box) -> None:
    """R66: the database never holds what opens something."""
    from sqlalchemy import select

    from accounts.database import digest
    from oidc.service_token import ServiceToken

    await box.register("robot", **MACHINE)
    token = (await ask(box)).json()["access_token"]
    async with box.transaction() as db:
        rows = await db.all(select(ServiceToken))
    assert [row.digest for row in rows] == [digest(token)]
    assert token not in str(rows)
