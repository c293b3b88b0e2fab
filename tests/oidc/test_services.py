"""Services you use: seen and withdrawn by the citizen alone."""

import pytest
from town import FORM, Citizen, Town, claims_of

from accounts.consent import consents_of
from oidc.services import services_of

pytestmark = pytest.mark.anyio


async def test_each_service_is_listed_with_what_it_gets(town: Town) -> None:
    """R13, R65: what, since when, on what basis, last used."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    await parks.enter(ada, scope="openid email")
    town.later(hours=1)
    await ada.sign_in(account_id)
    await parks.enter(ada, scope="openid email")
    await taxes.enter(ada, scope="openid offline_access", prompt="consent")

    shown = await ada.see("/account/services")

    assert shown.name == "services"
    assert "What it gets Email address Since 22 November 2026, 12:00" in shown.text
    assert "You agreed to it" in shown.text
    assert "You last signed in to it 22 November 2026, 13:00" in shown.text
    assert "Access after you have signed out, until you stop it" in shown.text
    assert shown.text.index("Parks") < shown.text.index("Taxes")


async def test_nothing_shared_is_said_kindly(town: Town) -> None:
    """An empty list is no blank page."""
    ada, _ = await town.citizen()

    assert "No service has access to your details." in (await ada.see("/account/services")).text


async def test_withdrawing_bites_at_once(town: Town) -> None:
    """R13: one update downstairs; tokens, refresh tokens and the next visit feel it without a worker."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    tokens = await parks.enter(ada)
    others = await taxes.enter(ada)
    listed = await ada.see("/account/services")
    address = next(link for link in listed.links if link.startswith("/account/services/"))

    asked = await ada.see(address)
    assert asked.name == "service-withdraw"
    assert "Parks" in asked.heading
    done = await ada.follow(await ada.press(asked, "continue"))

    assert "Parks gets nothing from your account any more." in done.text
    assert (await parks.userinfo(tokens["access_token"])).status_code == 401
    assert (await parks.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await taxes.userinfo(others["access_token"])).status_code == 200
    assert parks.answer(await ada.get(parks.address(prompt="none")))["error"] == "consent_required"
    assert (await town.history(account_id))[-1] == "consent_withdrawn"
    assert "Ended agreements" in done.text


async def test_withdrawing_tells_that_service_alone(town: Town) -> None:
    """A logout token with its `sid` and `sub`, for each session it holds; the citizen stays signed in elsewhere."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    here = claims_of((await parks.enter(ada))["id_token"])
    await taxes.enter(ada)
    elsewhere = town.browser()
    await elsewhere.sign_in(account_id)
    there = claims_of((await parks.enter(elsewhere))["id_token"])
    gone = town.browser()
    await gone.sign_in(account_id)
    await parks.enter(gone)
    await gone.press(await gone.see("/end-session"), "continue")
    await town.work()
    town.outside.received.clear()

    await withdraw(town, ada, "Parks")
    await town.work()

    told = [(to, claims_of(fields["logout_token"])) for to, fields in town.outside.received]
    assert {to for to, _ in told} == {"https://parks.example/logout"}
    assert {claims["sid"] for _, claims in told} == {here["sid"], there["sid"]}
    assert {claims["sub"] for _, claims in told} == {here["sub"]}
    assert (await ada.get("/account/services")).status_code == 200


async def test_agreeing_again_revives_nothing(town: Town) -> None:
    """A new row, and no old grant: what was withdrawn stays withdrawn."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    tokens = await parks.enter(ada)
    await withdraw(town, ada, "Parks")

    again = await parks.enter(ada)

    assert (await parks.userinfo(tokens["access_token"])).status_code == 401
    assert (await parks.userinfo(again["access_token"])).status_code == 200
    async with town.transaction() as db:
        ends = [given.ended_at is None for given in await consents_of(db, account_id)]
    assert ends == [True, False]


async def test_signing_out_after_a_withdrawal_tells_again_only_who_was_entered_again(town: Town) -> None:
    """R14: a second occasion is told of; a service that was left behind is not."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, _ = await town.citizen()
    await parks.enter(ada)
    await taxes.enter(ada)
    await withdraw(town, ada, "Taxes")
    await withdraw(town, ada, "Parks")
    await parks.enter(ada)
    await town.work()
    assert len(town.outside.received) == 2

    await ada.press(await ada.see("/end-session"), "continue")
    await town.work()

    assert [to for to, _ in town.outside.received[2:]] == ["https://parks.example/logout"]


async def test_a_strangers_agreement_is_not_there(town: Town) -> None:
    """Another citizen's address leads nowhere, by GET and by POST."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    tokens = await parks.enter(ada)
    async with town.transaction() as db:
        (given,) = await consents_of(db, account_id)
    eve, _ = await town.citizen(email="eve@example.org")
    await parks.enter(eve)
    own = await eve.see(next(link for link in (await eve.see("/account/services")).links if "/services/" in link))

    looked = await eve.get(f"/account/services/{given.id}")
    own.action = f"/account/services/{given.id}"
    pressed = await eve.follow(await eve.press(own, "continue"))

    assert looked.status_code == 404
    assert "gets nothing from your account any more" not in pressed.text
    assert (await parks.userinfo(tokens["access_token"])).status_code == 200
    assert "Parks" not in (await eve.get(f"/account/services?withdrawn={given.id}")).text.split("<h1>")[0]


async def test_only_the_citizen_gets_in(town: Town) -> None:
    """Without a session: to the sign-in and back; without the form's token: not at all."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    address = next(link for link in (await ada.see("/account/services")).links if "/services/" in link)

    assert (await town.browser().get("/account/services")).headers["location"].startswith("/sign-in?return_to=")
    assert (await ada.http.post(address, content=b"action=continue", headers=FORM)).status_code == 403


async def test_ended_agreements_are_paged_by_key(town: Town) -> None:
    """R44: a long history is read page by page."""
    parks = await town.service()
    ada, _ = await town.citizen()
    for _ in range(27):
        await parks.enter(ada, scope="openid")
        await withdraw(town, ada, "Parks")

    first = await ada.see("/account/services")
    (older,) = [link for link in first.links if "before=" in link]
    second = await ada.see(older)

    assert first.text.count("until 22 November 2026") == 25
    assert second.text.count("until 22 November 2026") == 2


async def test_the_list_of_sessions_is_told_names(town: Town) -> None:
    """What `identity` shows beside each session."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    first = await ada.sign_in(account_id)
    await taxes.enter(ada)
    await parks.enter(ada)
    second = await ada.sign_in(account_id)

    async with town.transaction() as db:
        named = await services_of(db, [first, second])
        none = await services_of(db, [])

    assert named == {first: ["Parks", "Taxes"], second: []}
    assert none == {}


async def withdraw(town: Town, citizen: Citizen, name: str) -> None:
    """Go through the pages."""
    listed = await citizen.see("/account/services")
    for address in [link for link in listed.links if link.startswith("/account/services/")]:
        asked = await citizen.see(address)
        if name in asked.heading:
            await citizen.press(asked, "continue")
            return
    raise AssertionError(f"{name} is not listed: {listed.text}")
