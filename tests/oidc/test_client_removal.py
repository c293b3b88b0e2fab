"""A client that is suspended, resumed and removed, as its citizens and its own tokens meet it."""

import pytest
from sqlalchemy import select
from town import Town

from accounts.consent import Consent
from oidc.client import set_disabled
from oidc.client_removal import end_some_agreements

pytestmark = pytest.mark.anyio


async def disable(town: Town, client_id: str, disabled: bool) -> None:
    async with town.transaction() as db:
        assert await set_disabled(db, client_id, disabled, town.clock.now())
    town.later(seconds=1)  # until every worker has heard of it


async def test_a_suspended_client_is_unknown_everywhere_and_a_resumed_one_goes_on(town: Town) -> None:
    """R42: within a second, on every path; nothing that citizens agreed to is lost by it."""
    parks = await town.service()
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)
    assert (await parks.userinfo(tokens["access_token"])).status_code == 200

    await disable(town, "parks", True)

    assert (await parks.userinfo(tokens["access_token"])).status_code == 401
    for path in ("/token", "/par", "/introspect", "/revoke", "/device_authorization", "/backchannel-authentication"):
        assert (await parks.post(path, token="x")).status_code == 401, path
    assert (await ada.see(parks.address())).name == "error"
    await disable(town, "parks", False)
    assert (await parks.userinfo(tokens["access_token"])).status_code == 200
    assert "code" in parks.answer(await ada.get(parks.address()))


async def test_a_removed_client_is_told_and_its_agreements_and_tokens_are_over_for_good(town: Town) -> None:
    """R13: what was agreed to stays on record, with its end and why; resumed, the service has to ask again."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    tokens, others = await parks.enter(ada), await taxes.enter(ada)

    await disable(town, "parks", True)
    async with town.transaction() as db:
        assert await end_some_agreements(db, town.vault, "parks", town.clock.now()) == 1
    async with town.transaction() as db:
        assert await end_some_agreements(db, town.vault, "parks", town.clock.now()) == 0
    await town.work()

    assert [url for url, _ in town.outside.received] == ["https://parks.example/logout"]
    async with town.transaction() as db:
        kept = select(Consent.client_id, Consent.end_reason).where(Consent.account_id == account_id)
        assert {tuple(row) for row in await db.all(kept)} == {("parks", "service_removed"), ("taxes", None)}
    await disable(town, "parks", False)
    assert (await parks.userinfo(tokens["access_token"])).status_code == 401
    assert (await ada.see(parks.address())).name == "consent"
    assert (await taxes.userinfo(others["access_token"])).status_code == 200
