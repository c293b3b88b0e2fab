"""`/end-session` and `/sign-out`: every case of RP-Initiated Logout 1.0, and what the citizen sees of it."""

import base64
import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from leading import led_to
from sqlalchemy import func, select
from town import FORM, Citizen, Shown, Town, claims_of

from accounts.account import data_key_of
from identity.remembered_browser import RememberedBrowser, remember
from identity.session import Device

pytestmark = pytest.mark.anyio

BYE = "https://parks.example/bye"


def asked(**fields: str) -> str:
    return f"/end-session?{urlencode(fields)}"


async def is_signed_in(citizen: Citizen) -> bool:
    return (await citizen.get("/account/services")).status_code == 200


def unsigned(token: str) -> str:
    """The same claims under `alg: none`."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


async def test_the_only_service_gets_its_citizen_back_at_once(town: Town) -> None:
    """RP-Initiated Logout 1.0 section 3: hint and address are valid, nobody else is concerned; `state` comes back."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    tokens = await parks.enter(ada)

    answer = await ada.get(
        asked(id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE, state="s t", ui_locales="cy")
    )

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{BYE}?state=s+t"
    assert not await is_signed_in(ada)
    assert (await parks.userinfo(tokens["access_token"])).status_code == 401
    assert (await parks.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await town.history(account_id))[-1] == "signed_out"


async def test_without_state_none_comes_back(town: Town) -> None:
    """Section 3, `oidcc-rp-initiated-logout-no-state`."""
    parks = await town.service()
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)

    answer = await ada.get(asked(id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE))

    assert answer.headers["location"] == BYE


async def test_an_old_hint_is_still_a_hint(town: Town) -> None:
    """Section 4: expired ID tokens are accepted, and those signed with a key that was retired since."""
    from oidc.signing_keys import rotate

    parks = await town.service()
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)
    async with town.transaction() as db:
        await rotate(db, town.house.key_holder, town.clock.now(), algorithms=["ES256"])
    town.later(minutes=25)

    answer = await ada.get(asked(id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE))

    assert answer.headers["location"] == BYE


async def test_a_posted_request_works_as_one_by_get(town: Town) -> None:
    """Section 2: the form comes without our cookies; the GET it is answered with brings them."""
    parks = await town.service()
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)
    fields = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": BYE, "state": "x"}

    posted = await town.browser().http.post(
        "/end-session", content=urlencode(fields), headers={**FORM, "origin": "https://parks.example"}
    )

    assert posted.status_code == 303
    assert "set-cookie" not in posted.headers
    assert tokens["id_token"] not in posted.headers["location"]
    assert (await ada.get(posted.headers["location"])).headers["location"] == f"{BYE}?state=x"
    assert not await is_signed_in(ada)


async def test_without_a_hint_the_citizen_is_asked(town: Town) -> None:
    """Section 2, `oidcc-rp-initiated-logout-no-params` and `-no-id-token-hint`: else any page could sign people out."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)

    for fields in ({}, {"state": "x"}, {"post_logout_redirect_uri": BYE, "state": "x"}):
        shown = await ada.see(asked(**fields))
        assert (shown.status, shown.name, shown.buttons) == (200, "sign-out", ["continue"])
        assert "Parks" in shown.text
    assert await is_signed_in(ada)
    answer = await ada.follow(await ada.press(shown, "continue"))

    assert Shown(answer).name == "signed-out"
    assert BYE not in answer.text
    assert not await is_signed_in(ada)


async def test_a_client_id_alone_leads_on_by_a_link_after_the_question(town: Town) -> None:
    """Section 2: the address is registered, but nothing proves who asked, so the citizen decides to go."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)

    shown = await ada.see(asked(client_id="parks", post_logout_redirect_uri=BYE, state="x"))
    assert shown.name == "sign-out"
    assert "Parks asks to sign you out" in shown.text
    ended = Shown(await ada.follow(await ada.press(shown, "continue")))

    assert ended.name == "signed-out"
    assert f"{BYE}?state=x" in ended.links


@pytest.mark.parametrize("forge", ["unsigned", "changed", "garbage", "access_token", "logout_token"])
async def test_a_hint_that_is_not_ours_is_worth_nothing(town: Town, forge: str) -> None:
    """Sections 2 and 4, R11, `oidcc-rp-initiated-logout-modified-id-token-hint` and `-bad-id-token-hint`."""
    parks = await town.service()
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)
    other = town.browser()
    await other.sign_in(await town.person(email="b@example.org"))
    await parks.enter(other)
    await other.press(await other.see("/end-session"), "continue")
    await town.work()
    hint = {
        "unsigned": unsigned(tokens["id_token"]),
        "changed": tokens["id_token"][:-8] + "AAAAAAAA",
        "garbage": "nothing",
        "access_token": tokens["access_token"],
        "logout_token": town.outside.received[0][1]["logout_token"],
    }[forge]

    shown = await ada.see(asked(id_token_hint=hint, client_id="parks", post_logout_redirect_uri=BYE, state="x"))
    assert (shown.status, shown.name) == (200, "sign-out")
    ended = await ada.follow(await ada.press(shown, "continue"))

    assert Shown(ended).name == "signed-out"
    assert BYE not in ended.text


@pytest.mark.parametrize("address", ["https://evil.example/bye", f"{BYE}?foo=bar", f"{BYE}/", "https://parks.example"])
async def test_an_address_that_is_not_registered_is_never_followed(town: Town, address: str) -> None:
    """Section 3, R1, `oidcc-rp-initiated-logout-bad-post-logout-redirect-uri` and `-query-added-...`: an error page,
    from which the citizen can still sign out."""
    parks = await town.service()
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)

    shown = await ada.see(asked(id_token_hint=tokens["id_token"], post_logout_redirect_uri=address, state="x"))

    assert (shown.status, shown.name, shown.buttons) == (400, "error", ["continue"])
    assert await is_signed_in(ada)
    ended = await ada.follow(await ada.press(shown, "continue"))
    assert Shown(ended).name == "signed-out"
    assert address not in ended.text
    assert not await is_signed_in(ada)


async def test_hint_and_client_id_name_one_client(town: Town) -> None:
    """Section 2: a mismatch is an error, on a page."""
    parks, _ = await town.service(), await town.service("taxes")
    ada, _ = await town.citizen()
    tokens = await parks.enter(ada)

    shown = await ada.see(asked(id_token_hint=tokens["id_token"], client_id="taxes", post_logout_redirect_uri=BYE))

    assert (shown.status, shown.name) == (400, "error")
    assert await is_signed_in(ada)


async def test_a_repeated_parameter_is_refused(town: Town) -> None:
    """R12."""
    shown = await town.browser().see("/end-session?state=a&state=b")

    assert (shown.status, shown.name) == (400, "error")


async def test_a_hint_about_somebody_else_asks_first(town: Town) -> None:
    """Section 2: the citizen at the keyboard is not the one the hint is about."""
    parks = await town.service()
    ada, _ = await town.citizen()
    hint = (await parks.enter(ada))["id_token"]
    eve, _ = await town.citizen(email="eve@example.org")
    await parks.enter(eve)

    shown = await eve.see(asked(id_token_hint=hint, post_logout_redirect_uri=BYE))

    assert shown.name == "sign-out"
    assert await is_signed_in(eve)
    assert await is_signed_in(ada)


async def test_a_hint_of_an_older_session_asks_first(town: Town) -> None:
    """The service speaks of another session of the same citizen than the one in this browser."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    hint = (await parks.enter(ada))["id_token"]
    await ada.sign_in(account_id)

    assert (await ada.see(asked(id_token_hint=hint, post_logout_redirect_uri=BYE))).name == "sign-out"


async def test_who_is_not_signed_in_is_led_on(town: Town) -> None:
    """Nothing to end, nothing to ask; with a hint at once, without one by our page."""
    parks = await town.service()
    ada, _ = await town.citizen()
    hint = (await parks.enter(ada))["id_token"]
    stranger = town.browser()

    known = await stranger.get(asked(id_token_hint=hint, post_logout_redirect_uri=BYE, state="x"))
    shown = await stranger.see(asked())

    assert known.headers["location"] == f"{BYE}?state=x"
    assert (shown.status, shown.name) == (200, "signed-out")
    assert "You were not signed in" in shown.text


async def test_other_services_are_shown_before_the_way_back(town: Town) -> None:
    """Issue of single sign-out: a page lists each with its state, refreshed by a link, readable after the session has
    ended, and leads on."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, _ = await town.citizen()
    hint = (await parks.enter(ada))["id_token"]
    await taxes.enter(ada)
    town.outside.answers["https://taxes.example/logout"] = None

    answer = await ada.get(asked(id_token_hint=hint, post_logout_redirect_uri=BYE, state="x"))
    address = answer.headers["location"]
    assert address.startswith("/signed-out/")
    first = await ada.see(address)
    await town.work()
    second = await town.browser().see(address)

    assert first.name == second.name == "signed-out"
    assert "Parks On its way" in first.text
    assert "Taxes On its way" in first.text
    assert address in first.links
    assert "Parks Signed out" in second.text
    assert "Taxes Not reached yet, we keep trying" in second.text
    assert f"{BYE}?state=x" in second.links
    town.later(minutes=31)
    late = await ada.see(address)
    assert (late.status, late.name) == (410, "signed-out")
    assert "Taxes" not in late.text


async def test_a_service_without_a_logout_address_is_said_to_be_unreachable(town: Town) -> None:
    """The truth, from the first look."""
    parks = await town.service(backchannel_logout_uri=None)
    ada, _ = await town.citizen()
    await parks.enter(ada)

    ended = Shown(await ada.follow(await ada.press(await ada.see("/end-session"), "continue")))
    await town.work()

    assert "Parks Could not be reached" in ended.text
    assert town.outside.received == []


async def test_the_account_has_a_way_out_too(town: Town) -> None:
    """Without a service that asks: the same page, and the cookie is taken away."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    page = await ada.see("/account/services")

    answer = await ada.http.post(
        "/sign-out",
        content=urlencode({"csrf_token": (await ada.see("/end-session")).hidden["csrf_token"]}),
        headers=FORM,
    )

    assert page.name == "services"
    assert answer.status_code == 303
    assert "__Host-session" in answer.headers["set-cookie"]
    assert "__Host-session" not in ada.http.cookies
    assert (await ada.see(answer.headers["location"])).name == "signed-out"


async def test_a_citizen_signs_out_everywhere_at_once(town: Town) -> None:
    """R42: every session of theirs and nobody else's ends, in every service; no browser stays remembered."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    phone, eve = town.browser(), (await town.citizen(email="eve@example.org"))[0]
    await phone.sign_in(account_id)
    town.later(seconds=1)
    await parks.enter(ada)
    await taxes.enter(phone)
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, account_id)
        await remember(db, key, account_id, b"a library's", Device("", ""), timedelta(days=1), town.clock.now())
    page = await ada.see("/account/sessions")
    page.action = "/sign-out"

    ended = Shown(await ada.follow(await ada.press(page, "everywhere")))
    await town.work()

    assert ended.name == "signed-out"
    assert "Everywhere else you are signed out too" in ended.text
    assert [await is_signed_in(one) for one in (ada, phone, eve)] == [False, False, True]
    assert {address for address, _ in town.outside.received} == {
        "https://parks.example/logout",
        "https://taxes.example/logout",
    }
    async with town.transaction() as db:
        assert await db.scalar(select(func.count()).select_from(RememberedBrowser)) == 0


async def test_another_site_cannot_sign_a_citizen_out(town: Town) -> None:
    """Ending without a valid hint needs the form of our own page."""
    ada, _ = await town.citizen()

    forged = await ada.http.post("/sign-out", content=b"csrf_token=x", headers=FORM)
    posted = await ada.http.post("/end-session", content=b"state=x", headers=FORM)
    shown = await ada.see(posted.headers["location"])

    assert forged.status_code == 403
    assert shown.name == "sign-out"
    assert await is_signed_in(ada)


async def test_pressing_twice_is_as_good_as_once(town: Town) -> None:
    """The back button after signing out."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    shown = await ada.see("/end-session")

    await ada.press(shown, "continue")
    again = Shown(await ada.follow(await ada.press(shown, "continue")))

    assert again.name == "signed-out"


async def test_a_hint_of_another_session_leads_back_once_the_citizen_agreed(town: Town) -> None:
    """Section 3: hint and address are valid, nobody else was signed in."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    hint = (await parks.enter(ada))["id_token"]
    await ada.sign_in(account_id)
    shown = await ada.see(asked(id_token_hint=hint, post_logout_redirect_uri=BYE, state="x"))

    answer = await ada.press(shown, "continue")

    assert answer.status_code == 200, "a form led here (R82)"
    assert led_to(answer) == f"{BYE}?state=x"
    assert claims_of(hint)["aud"] == "parks"


async def test_the_page_speaks_as_the_service_wishes(town: Town) -> None:
    """Section 2, `ui_locales`."""
    ada, _ = await town.citizen()

    assert 'lang="ar"' in (await ada.see(asked(ui_locales="xx ar"))).html
