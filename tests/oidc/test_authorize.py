"""`/authorize`, seen by services and citizens."""

import asyncio
import json
from urllib.parse import urlencode
from uuid import UUID

import pytest
from leading import led_to
from sqlalchemy import func, select
from town import FORM, ISSUER, Shown, Town, claims_of, new_town

from accounts.account import set_state
from identity.session import Session
from oidc.interaction import InteractionRow

pytestmark = pytest.mark.anyio


async def interactions(town: Town) -> int:
    async with town.transaction() as db:
        return int(await db.scalar(select(func.count()).select_from(InteractionRow)))


async def test_a_known_citizen_with_a_known_agreement_gets_a_code_in_one_trip(town: Town) -> None:
    """OpenID Connect Core section 3.1.2.5, RFC 9207, R9: code, state and iss; no page, no row to wait in."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    waiting = await interactions(town)

    answer = parks.answer(await ada.get(parks.address(state="s t/ä")))

    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "s t/ä"
    assert answer["iss"] == ISSUER
    assert await interactions(town) == waiting
    tokens = (await parks.redeem(answer["code"])).json()
    assert claims_of(tokens["id_token"])["nonce"] == "a-nonce"


async def test_a_stranger_is_sent_to_sign_in_and_comes_back_to_consent(town: Town) -> None:
    """Core section 3.1.2.3: authenticated first, then asked, then sent on."""
    parks = await town.service()
    account_id, browser = await town.person(), town.browser()

    shown = await browser.see(parks.address())
    assert shown.name == "sign-in"
    await browser.sign_in(account_id)
    async with town.transaction() as db:
        interaction_id = await db.scalar(select(InteractionRow.id))
    shown = await browser.see(f"/authorize?interaction={interaction_id}")

    assert shown.name == "consent"
    assert "code" in parks.answer(await browser.follow(await browser.press(shown, "allow")))


async def test_a_posted_request_is_judged_before_any_cookie(town: Town) -> None:
    """Core section 3.1.2.1: POST as GET. It comes from another site, so Lax cookies come with the GET after it."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    stranger = town.browser()

    posted = await stranger.http.post(
        "/authorize", content=urlencode(parks.fields()), headers={**FORM, "origin": "https://parks.example"}
    )

    assert posted.status_code == 303
    assert "set-cookie" not in posted.headers
    assert "code" in parks.answer(await ada.get(posted.headers["location"]))


async def test_the_first_browser_that_comes_owns_the_interaction(town: Town) -> None:
    """R45: whoever finds the address later is told so, and gets no further."""
    parks = await town.service()
    ada, _ = await town.citizen()
    posted = await ada.http.post("/authorize", content=urlencode(parks.fields()), headers=FORM)
    address = posted.headers["location"]
    assert (await ada.see(address)).name == "consent"

    mallory, _ = await town.citizen(email="mallory@example.org")
    shown = await mallory.see(address)

    assert shown.status == 403
    assert shown.name == "error"
    assert "Parks" not in shown.text


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"client_id": "nobody"}, 400, "We do not know this service"),
        ({"client_id": None}, 400, "We could not read this request"),
        ({"redirect_uri": "https://parks.example/callback/"}, 400, "We cannot send you back to Parks"),
        ({"redirect_uri": "https://parks.example/callback?x=1"}, 400, "We cannot send you back to Parks"),
        ({"redirect_uri": None}, 400, "We cannot send you back to Parks"),
    ],
)
async def test_what_cannot_be_sent_back_is_shown_on_a_page(
    town: Town, changes: dict[str, str | None], status: int, words: str
) -> None:
    """RFC 6749 section 4.1.2.1, R1: an unknown client and a redirect URI that is not its own never redirect."""
    parks = await town.service()

    answer = await town.browser().get(parks.address(**changes))

    assert answer.status_code == status
    assert "location" not in answer.headers
    shown = Shown(answer)
    assert shown.name == "error"
    assert shown.heading == words


async def test_a_disabled_client_is_unknown(town: Town) -> None:
    """One that was switched off tells nobody that it ever was."""
    from oidc.client import set_disabled

    parks = await town.service()
    async with town.transaction() as db:
        await set_disabled(db, "parks", True, town.clock.now())
    town.later(seconds=1)

    shown = Shown(await town.browser().get(parks.address()))

    assert (shown.status, shown.heading) == (400, "We do not know this service")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"id_token_hint": "not.a.token"}, "invalid_request"),
        ({"request": "e.e."}, "invalid_request_object"),
    ],
)
async def test_every_other_error_goes_back_with_state_and_iss(
    town: Town, changes: dict[str, str | None], error: str
) -> None:
    """RFC 6749 section 4.1.2.1, RFC 9207 section 2: the service learns it, in its own words."""
    parks = await town.service()
    ada, _ = await town.citizen()

    answer = parks.answer(await ada.get(parks.address(**changes)))

    assert answer["error"] == error
    assert answer["error_description"]
    assert (answer["state"], answer["iss"]) == ("a-state", ISSUER)
    assert "code" not in answer


async def test_a_repeated_parameter_is_refused(town: Town) -> None:
    """R12: to the service once the redirect URI is known, on a page where the client itself comes twice."""
    parks = await town.service()
    browser = town.browser()

    twice = parks.answer(await browser.get(parks.address() + "&nonce=another"))
    nobody = await browser.get(parks.address() + "&client_id=taxes")

    assert twice["error"] == "invalid_request"
    assert (nobody.status_code, Shown(nobody).name) == (400, "error")


async def test_broken_utf8_and_large_bodies_are_refused_plainly(town: Town) -> None:
    """R73, R12: said on a page, never a 500."""
    browser = town.browser()

    broken = await browser.get("/authorize?client_id=%ff%fe")
    large = await browser.http.post("/authorize", content=b"a=" + b"b" * 1_000_000, headers=FORM)
    other = await browser.http.post("/authorize", content=b"{}", headers={"content-type": "application/json"})

    assert (broken.status_code, Shown(broken).name) == (400, "error")
    assert (large.status_code, Shown(large).name) == (413, "error")
    assert (other.status_code, Shown(other).name) == (400, "error")


async def test_prompt_none_never_shows_a_page(town: Town) -> None:
    """Core section 3.1.2.6: each page becomes the error that names it."""
    parks = await town.service()
    ada, _ = await town.citizen()

    stranger = parks.answer(await town.browser().get(parks.address(prompt="none")))
    not_agreed = parks.answer(await ada.get(parks.address(prompt="none")))
    await parks.enter(ada)
    agreed = parks.answer(await ada.get(parks.address(prompt="none")))
    town.later(minutes=5)
    too_old = parks.answer(await ada.get(parks.address(prompt="none", max_age="10")))

    assert stranger["error"] == "login_required"
    assert not_agreed["error"] == "consent_required"
    assert "code" in agreed
    assert too_old["error"] == "login_required"


async def test_prompt_none_by_post_never_shows_a_page_either(town: Town) -> None:
    """The same through the row that waits for the cookies, which is over with the answer."""
    parks = await town.service()
    browser = town.browser()
    posted = await browser.http.post("/authorize", content=urlencode(parks.fields(prompt="none")), headers=FORM)

    answer = parks.answer(await browser.get(posted.headers["location"]))
    again = await browser.get(posted.headers["location"])

    assert answer["error"] == "login_required"
    assert again.status_code == 409


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}])
async def test_a_fresh_sign_in_is_asked_once(town: Town, asked: dict[str, str | None]) -> None:
    """Core section 3.1.2.1: `prompt=login` and `max_age` compare `auth_time` with the request's arrival."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    await parks.enter(ada)
    town.later(minutes=3)

    answer = await ada.get(parks.address(**asked))
    assert answer.headers["location"].startswith("/sign-in/")
    town.later(minutes=4)
    await ada.sign_in(account_id)
    town.later(minutes=2)
    address = await latest_interaction(town)

    assert "code" in parks.answer(await ada.get(address))


async def test_a_redirect_uri_keeps_its_own_query(town: Town) -> None:
    """RFC 6749 section 3.1.2, `oidcc-redirect-uri-query-OK`."""
    parks = await town.service(redirect_uris=["https://parks.example/callback?foo=bar"])
    ada, _ = await town.citizen()
    await parks.enter(ada)

    answer = await ada.get(parks.address())

    assert answer.headers["location"].startswith("https://parks.example/callback?foo=bar&code=")


async def test_prompt_create_begins_with_a_new_account(town: Town) -> None:
    """Initiating User Registration 1.0."""
    parks = await town.service()

    browser = town.browser()
    first = await browser.get(parks.address(prompt="create"))  # with this answer it gets its cookie

    answer = await browser.get(first.headers["location"])

    assert answer.headers["location"].startswith("/register?sign_in=")


async def test_a_completed_interaction_never_gives_a_second_code(town: Town) -> None:
    """R45: the back button and the second tab get a page that leads on."""
    parks = await town.service(initiate_login_uri="https://parks.example/start")
    ada, _ = await town.citizen()
    shown = await ada.see(parks.address())
    parks.answer(await ada.follow(await ada.press(shown, "allow")))

    reloaded = await ada.see(f"/authorize?interaction={shown.hidden['interaction']}")
    resent = Shown(await ada.press(shown, "allow"))

    for page in (reloaded, resent):
        assert (page.status, page.name) == (409, "error")
        assert page.heading == "You have already finished here"
        assert f"https://parks.example/start?{urlencode({'iss': ISSUER})}" in page.links


async def test_of_many_tabs_one_gets_the_code(town: Town) -> None:
    """R78: completed by one conditional update."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    posted = await ada.http.post("/authorize", content=urlencode(parks.fields()), headers=FORM)
    await ada.get("/help")

    answers = await asyncio.gather(*(ada.get(posted.headers["location"]) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [303] + [409] * 19


async def test_an_expired_interaction_leads_on(town: Town) -> None:
    """No dead end: what happened, and the way back to the service."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    shown = await ada.see(parks.address())
    town.later(minutes=61)
    await ada.sign_in(account_id)

    late = Shown(await ada.press(shown, "allow"))

    assert (late.status, late.name, late.heading) == (410, "error", "This took too long")
    assert "https://parks.example/" in late.links
    nowhere = await ada.see(f"/authorize?interaction={UUID(int=0)}")
    assert (nowhere.status, nowhere.heading) == (410, "This took too long")
    assert (await ada.see("/authorize?interaction=nonsense")).status == 410


async def test_a_suspended_citizen_is_refused_after_signing_in(town: Town) -> None:
    """R27: who has authenticated learns it, through the service; nobody else does."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    await parks.enter(ada)
    async with town.transaction() as db:
        assert await set_state(db, account_id, "suspended", town.clock.now(), only_from="active")

    town.later(minutes=1)

    answer = parks.answer(await ada.get(parks.address()))
    again = await ada.get(parks.address(prompt="login"))

    assert answer["error"] == "access_denied"
    assert "suspended" in answer["error_description"]
    assert again.headers["location"].startswith("/sign-in/")


async def test_cancel_goes_back_to_the_service_once(town: Town) -> None:
    """RFC 6749 section 4.1.2.1: `access_denied`."""
    parks = await town.service()
    browser = town.browser()
    await browser.get(parks.address())
    cancel = (await latest_interaction(town)).replace("/authorize?", "/authorize/cancel?")

    answer = parks.answer(await browser.get(cancel))
    again = await browser.get(cancel)
    stranger = await town.browser().get(cancel)

    assert (answer["error"], answer["state"]) == ("access_denied", "a-state")
    assert again.status_code == 409
    assert stranger.status_code == 403


async def test_an_essential_acr_is_met_or_an_error(town: Town) -> None:
    """Core section 5.5.1.1: one of the values asked for is reported; what cannot be reached is never issued lower."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)

    def asking(*values: str) -> str:
        return json.dumps({"id_token": {"acr": {"essential": True, "values": list(values)}}})

    met = await parks.enter(ada, claims=asking("aal1"))
    step_up = await ada.get(parks.address(claims=asking("aal3")))
    silent = parks.answer(await ada.get(parks.address(claims=asking("aal3"), prompt="none")))
    unknown = parks.answer(await ada.get(parks.address(claims=asking("gold"))))

    assert claims_of(met["id_token"])["acr"] == "aal1"
    assert step_up.headers["location"].startswith("/sign-in/")
    assert silent["error"] == "unmet_authentication_requirements"  # no make is attested here
    assert unknown["error"] == "unmet_authentication_requirements"


async def test_what_the_session_reached_is_what_is_reported(town: Town) -> None:
    """R10: voluntary `acr_values` raise nothing that was reached already, and lower nothing."""
    parks = await town.service()
    ada, _ = await town.citizen()

    claims = claims_of((await parks.enter(ada, acr_values="aal1 gold"))["id_token"])

    assert (claims["acr"], claims["amr"]) == ("aal2", ["pwd", "otp", "mfa"])
    assert (await ada.get(parks.address(acr_values="aal2-phr"))).headers["location"].startswith("/sign-in/")


async def test_an_id_token_hint_names_the_person(town: Town) -> None:
    """Core section 3.1.2.1: nobody is passed off as the one asked for; an expired token is still a hint."""
    parks = await town.service()
    ada, _ = await town.citizen()
    hint = (await parks.enter(ada))["id_token"]
    eve, _ = await town.citizen(email="eve@example.org")
    await parks.enter(eve)
    town.later(minutes=20)

    same = parks.answer(await ada.get(parks.address(prompt="none", id_token_hint=hint)))
    other = parks.answer(await eve.get(parks.address(prompt="none", id_token_hint=hint)))
    asked = await eve.get(parks.address(id_token_hint=hint))

    assert "code" in same
    assert other["error"] == "login_required"
    assert asked.headers["location"].startswith("/sign-in/")


async def test_a_hint_for_another_service_is_refused(town: Town) -> None:
    """R11: an ID token is for its own audience."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, _ = await town.citizen()
    hint = (await taxes.enter(ada))["id_token"]

    assert parks.answer(await ada.get(parks.address(id_token_hint=hint)))["error"] == "invalid_request"


async def test_using_a_session_moves_its_idle_limit_now_and_then(town: Town) -> None:
    """R41: alive while it is used, and few writes."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)

    async def seen_at() -> object:
        async with town.transaction() as db:
            return await db.scalar(select(Session.seen_at))

    before = await seen_at()
    await ada.get(parks.address())
    assert await seen_at() == before
    town.later(minutes=20)
    await ada.get(parks.address())
    assert await seen_at() == town.clock.now()


async def test_pages_speak_the_language_the_service_asks_for(town: Town) -> None:
    """Core section 3.1.2.1, `ui_locales`: before the account's, after what the citizen chose by hand."""
    parks = await town.service(**{"client_name#es": "Parques"})
    ada, _ = await town.citizen(locale="fr")

    spanish = await ada.see(parks.address(ui_locales="xx es fr"))
    french = await ada.see(parks.address(ui_locales="xx"))

    assert 'lang="es"' in spanish.html
    assert "Parques" in spanish.heading
    assert 'lang="fr"' in french.html


async def test_no_page_decides_where_a_service_leads_after_its_callback(town: Town) -> None:
    """R82: forms lead to us alone, and the way to the service begins anew with a page that no form asked for."""
    parks = await town.service()
    ada, _ = await town.citizen()

    answer = await ada.follow(await ada.get(parks.address()))

    assert "form-action 'self';" in answer.headers["content-security-policy"]
    assert answer.headers["cross-origin-opener-policy"] == "unsafe-none"
    onward = await ada.follow(await ada.press(Shown(answer), "allow"))
    address = led_to(onward)
    assert (onward.status_code, "location" in onward.headers) == (200, False)
    assert set(parks.answer(onward)) == {"code", "state", "iss"}
    assert onward.headers["refresh"] == f"0; url={address}"
    assert onward.headers["cache-control"] == "no-store"
    assert onward.headers["referrer-policy"] == "no-referrer"
    assert onward.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert "You are being sent to Parks." in Shown(onward).text


async def test_a_posted_request_that_needs_no_page_is_answered_by_a_redirect(town: Town) -> None:
    """R82: the page is for what follows a form of ours alone. A link back is no form either."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)
    posted = await ada.http.post("/authorize", content=urlencode(parks.fields()), headers=FORM)
    assert (await ada.get(posted.headers["location"])).status_code == 303

    asking = await ada.follow(await ada.get(parks.address(prompt="consent")))
    interaction = Shown(asking).hidden["interaction"]
    assert (await ada.get(f"/authorize/cancel?interaction={interaction}")).status_code == 303


async def test_a_redirect_uri_that_was_taken_back_is_answered_no_more(town: Town) -> None:
    """R1: judged again when the citizen returns."""
    parks = await town.service()
    ada, _ = await town.citizen()
    shown = await ada.see(parks.address())
    await town.service(redirect_uris=["https://parks.example/other"])

    late = Shown(await ada.press(shown, "allow"))

    assert (late.status, late.name) == (400, "error")
    assert late.heading == "We cannot send you back to Parks"


async def test_no_public_and_no_pairwise_subject_is_mixed_up(town: Town) -> None:
    """Core section 8: two sectors know two subjects, clients of one sector one."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, _ = await town.citizen()

    at_parks = claims_of((await parks.enter(ada))["id_token"])
    at_taxes = claims_of((await taxes.enter(ada))["id_token"])
    again = claims_of((await parks.enter(ada))["id_token"])

    assert at_parks["sub"] == again["sub"] != at_taxes["sub"]
    assert at_parks["sid"] == again["sid"] != at_taxes["sid"]


async def latest_interaction(town: Town) -> str:
    """The address of the interaction that was opened last."""
    async with town.transaction() as db:
        found = await db.scalar(select(InteractionRow.id).order_by(InteractionRow.id.desc()).limit(1))
    return f"/authorize?interaction={found}"


EIDAS = "http://eidas.europa.eu/LoA/"


async def test_who_asks_in_the_names_of_eidas_is_answered_in_them(tmp_path):
    """Voluntary or essential: the strongest name that is true, and to who does not ask so, our own."""
    settings = {
        "assurance": {
            "eidas": {"low": "aal1", "substantial": "aal2", "high": "aal3"},
            "trustmark": "https://account.example.gov/trust",
        }
    }
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/identity.sqlite", settings) as town:
        browser, _ = await town.citizen()
        service = await town.service()
        told = (await town.wire.get("/.well-known/openid-configuration")).json()
        low = await service.enter(browser, acr_values=EIDAS + "low")
        essential = {"id_token": {"acr": {"essential": True, "values": [EIDAS + "low"]}}}
        insisted = await service.enter(browser, claims=json.dumps(essential))
        plain = await service.enter(browser, vtr='["P1.Cc"]')
        seen = [await service.userinfo(tokens["access_token"]) for tokens in (low, insisted, plain)]

    assert {EIDAS + "low", EIDAS + "high"} < set(told["acr_values_supported"])
    assert {"vot", "vtm"} < set(told["claims_supported"])
    acrs = [claims_of(tokens["id_token"])["acr"] for tokens in (low, insisted, plain)]
    assert acrs == [EIDAS + "substantial", EIDAS + "low", "aal2"]
    assert [answer.status_code for answer in seen] == [200, 200, 200], "by whatever name, it was reached"
    assert claims_of(plain["id_token"])["vot"] == "P1.Cc.Cd.Ma.Ac"
    assert claims_of(plain["id_token"])["vtm"] == "https://account.example.gov/trust"
