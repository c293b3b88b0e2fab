"""Token exchange: a service passes on less than it holds, and says who acts (RFC 8693)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from oidc_kit import SECRET, Box, decoded, new_box
from services import Backend
from sqlalchemy import update

from accounts.consent import withdraw_consent
from oidc.access_token import AccessToken
from oidc.client import set_disabled
from oidc.passing_on import find_subject_token
from oidc.protocol.client_metadata import TOKEN_EXCHANGE_GRANT
from oidc.protocol.token_exchange import ACCESS_TOKEN
from oidc.service_token import ServiceToken, find_service_facts

pytestmark = pytest.mark.anyio

GRANT_TYPES = ("authorization_code", "refresh_token", TOKEN_EXCHANGE_GRANT)


@pytest.fixture
async def box(backend: Backend) -> AsyncIterator[Box]:
    async with new_box(backend.database_url, grant_types=GRANT_TYPES) as made:
        yield made


@pytest.fixture
async def tokens(box: Box) -> dict[str, Any]:
    """Ada's tokens at Parks, which may pass them on."""
    client = await box.register(grant_types=list(GRANT_TYPES))
    made: dict[str, Any] = (await box.redeem(await box.code(client))).json()
    return made


async def exchange(box: Box, subject_token: str, client_id: str = "parks", **fields: str | None) -> httpx2.Response:
    asked: dict[str, str | None] = {
        "grant_type": TOKEN_EXCHANGE_GRANT,
        "subject_token": subject_token,
        "subject_token_type": ACCESS_TOKEN,
        **fields,
    }
    return await box.ask(auth=(client_id, SECRET), **asked)


def error(answer: httpx2.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


async def test_a_narrower_token_says_who_acts(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 8693 sections 2.2.1 and 4.1: the citizen stays the subject, the service is the actor."""
    box.later(minutes=4)
    answer = await exchange(box, tokens["access_token"], scope="email")

    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert given["issued_token_type"] == ACCESS_TOKEN
    assert (given["token_type"], given["scope"], given["expires_in"]) == ("Bearer", "email", 360)
    assert "refresh_token" not in given
    assert "id_token" not in given
    facts = (await box.introspect(given["access_token"])).json()
    assert facts["sub"] == decoded(tokens["id_token"])[1]["sub"]
    assert facts["act"] == {"client_id": "parks", "sub": "parks"}


async def test_without_a_scope_all_that_can_be_passed_on_is(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 8693 section 2.1: `openid` and `offline_access` stay behind."""
    assert (await exchange(box, tokens["access_token"])).json()["scope"] == "profile email"


@pytest.mark.parametrize("scope", ["address", "email address", "openid", "offline_access"])
async def test_it_never_grows(box: Box, tokens: dict[str, Any], scope: str) -> None:
    """RFC 8693 section 1.1: scope can only shrink."""
    assert error(await exchange(box, tokens["access_token"], scope=scope)) == "invalid_scope"


async def test_an_exchanged_token_shrinks_further_and_remembers_its_way(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 8693 section 4.1: the chain stays visible, and ends after three."""
    token = tokens["access_token"]
    for _ in range(3):
        answer = await exchange(box, token)
        token = answer.json()["access_token"]
    act = (await box.introspect(token)).json()["act"]
    assert act["act"]["act"] == {"client_id": "parks", "sub": "parks"}
    assert error(await exchange(box, token)) == "invalid_request"


async def test_it_opens_no_userinfo(box: Box, tokens: dict[str, Any]) -> None:
    """R11: claims leave to the service that the citizen agreed with."""
    token = (await exchange(box, tokens["access_token"])).json()["access_token"]
    assert (await box.userinfo(token)).status_code == 401


async def test_it_ends_with_the_citizens_agreement(box: Box, tokens: dict[str, Any]) -> None:
    """R13: withdrawing ends what was passed on as well; so does revoking the grant."""
    from sqlalchemy import select

    from oidc.grant import Grant

    token = (await exchange(box, tokens["access_token"])).json()["access_token"]
    before = (await box.introspect(token)).json()["active"]
    async with box.transaction() as db:
        account_id = await db.scalar(select(Grant.account_id))
        await withdraw_consent(db, account_id, "parks", box.now)
    assert before is True
    assert (await box.introspect(token)).json() == {"active": False}


async def test_another_service_cannot_exchange_what_it_came_by(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 8693 section 5: only who got the token, or the API it is for."""
    await box.register("taxes", grant_types=list(GRANT_TYPES))
    assert error(await exchange(box, tokens["access_token"], "taxes")) == "invalid_request"


@pytest.mark.parametrize("column", [AccessToken.dpop_jkt, AccessToken.certificate_thumbprint])
async def test_a_bound_token_is_not_exchanged_without_its_key(box: Box, tokens: dict[str, Any], column: Any) -> None:
    """R7: else exchanging would be the way to use a stolen one."""
    async with box.transaction() as db:
        await db.execute(update(AccessToken).values({column: "the thumbprint of a key that stays where it is"}))

    assert error(await exchange(box, tokens["access_token"])) == "invalid_request"


async def test_only_who_registered_for_it_may_exchange(box: Box) -> None:
    """RFC 6749 section 5.2."""
    await box.register()
    assert error(await exchange(box, "x")) == "unauthorized_client"


@pytest.mark.parametrize(
    "fields",
    [
        {"subject_token": "unknown"},
        {"subject_token": None},
        {"subject_token_type": None},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
        {"audience": "taxes"},
    ],
)
async def test_what_is_not_offered_is_refused(box: Box, tokens: dict[str, Any], fields: dict[str, str | None]) -> None:
    """RFC 8693 sections 2.1 and 2.2.2."""
    token = tokens["access_token"]
    answer = await exchange(box, **{"subject_token": token, **fields})  # type: ignore[arg-type]
    assert error(answer) == "invalid_request"


@pytest.mark.parametrize("which", ["id_token", "refresh_token"])
async def test_no_other_artefact_is_taken_for_an_access_token(box: Box, tokens: dict[str, Any], which: str) -> None:
    """R11."""
    assert error(await exchange(box, tokens[which])) == "invalid_request"


async def test_nothing_is_passed_on_from_a_suspended_client_and_what_was_is_dead_too(
    box: Box, tokens: dict[str, Any]
) -> None:
    """R42: in another service's name as little as in its own; resumed, what has not run out counts again."""
    await box.register("taxes", grant_types=list(GRANT_TYPES))
    given = (await exchange(box, tokens["access_token"], scope="email")).json()["access_token"]
    async with box.transaction() as db:  # as if it had been exchanged by the API that it is for
        await db.execute(update(ServiceToken).values(client_id="taxes"))
    seen = []
    for disabled in (True, False):
        async with box.transaction() as db:
            assert await set_disabled(db, "parks", disabled, box.now)
            seen.append(await find_subject_token(db, tokens["access_token"], box.now) is not None)
            seen.append(await find_subject_token(db, given, box.now) is not None)
            seen.append(await find_service_facts(db, given, box.now) is not None)
    assert seen == [False] * 3 + [True] * 3
