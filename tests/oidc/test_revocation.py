"""POST /revoke, as relying parties meet it (RFC 7009)."""

from typing import Any

import pytest
from oidc_kit import Box

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tokens(box: Box) -> dict[str, Any]:
    """Tokens of Ada at Parks."""
    made: dict[str, Any] = (await box.redeem(await box.code(await box.register()))).json()
    return made


async def test_a_revoked_access_token_ends_alone(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 7009 section 2.1: the refresh token beside it goes on."""
    answer = await box.revoke(tokens["access_token"])

    assert answer.status_code == 200
    assert not await box.is_alive(tokens["access_token"])
    assert (await box.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "access_token"}])
async def test_a_revoked_refresh_token_takes_its_grant_along(
    box: Box, tokens: dict[str, Any], hint: dict[str, str]
) -> None:
    """RFC 7009 section 2.1: every token of the grant is dead; a hint that is wrong does not matter."""
    assert (await box.revoke(tokens["refresh_token"], **hint)).status_code == 200

    assert not await box.is_alive(tokens["access_token"])
    assert (await box.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_an_unknown_token_and_another_clients_token_are_answered_alike(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 7009 section 2.2: 200, and what is another's stays as it is."""
    await box.register("taxes")

    unknown = await box.revoke("never-issued", "taxes")
    foreign = [await box.revoke(tokens[kind], "taxes") for kind in ("access_token", "refresh_token")]

    assert {(answer.status_code, answer.content) for answer in (unknown, *foreign)} == {(200, b"")}
    assert await box.is_alive(tokens["access_token"])
    assert (await box.refresh(tokens["refresh_token"])).status_code == 200


async def test_who_does_not_authenticate_revokes_nothing(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 7009 section 2.1: a confidential client proves to be it first."""
    answer = await box.http.post("/revoke", data={"token": tokens["access_token"], "client_id": "parks"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert await box.is_alive(tokens["access_token"])


async def test_a_request_without_a_token_is_named(box: Box, tokens: dict[str, Any]) -> None:
    """RFC 7009 section 2.2.1."""
    answer = await box.revoke("")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "token" in answer.json()["error_description"]
