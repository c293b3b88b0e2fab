"""The consent page: what is asked, what is written down, who is told."""

import asyncio
import json
import re
from urllib.parse import urlencode

import pytest
from leading import led_to
from town import FORM, ISSUER, Citizen, Service, Town, claims_of

from accounts.consent import ConsentView, consents_of
from accounts.profile import Claims

pytestmark = pytest.mark.anyio


async def agreements(town: Town, account_id: object) -> list[ConsentView]:
    async with town.transaction() as db:
        return await consents_of(db, account_id)  # type: ignore[arg-type]


async def allow(citizen: Citizen, service: Service, **changes: str | None) -> dict[str, str]:
    """Come in and agree; what the service is answered."""
    shown = await citizen.see(service.address(**changes))
    assert shown.name == "consent", shown.text
    return service.answer(await citizen.follow(await citizen.press(shown, "allow")))


async def test_the_page_shows_the_very_details_that_would_leave(town: Town) -> None:
    """R13: the service's name, why, and the citizen's own values; what is missing is said."""
    parks = await town.service(purpose="To reserve a place for your tent.")
    ada, _ = await town.citizen()

    shown = await ada.see(parks.address(scope="openid profile email phone"))

    assert shown.name == "consent"
    assert shown.buttons == ["allow", "refuse"]
    for words in ("Parks", "To reserve a place for your tent.", "Ada Lovelace", "10 December 1815", "ada@example.org"):
        assert words in shown.text
    assert "the service will see it as well: Middle names · Nickname" in shown.text
    assert "Access after you have signed out" not in shown.text


async def test_an_agreement_says_what_was_shown(town: Town) -> None:
    """R65: one row with scopes, claims, purpose, notice version, language and lawful basis."""
    parks = await town.service(purpose="To camp.", **{"purpose#es": "Para acampar.", "client_name#es": "Parques"})
    ada, account_id = await town.citizen(locale="es")

    assert "code" in await allow(ada, parks, scope="openid email")

    (given,) = await agreements(town, account_id)
    assert given.scopes == ("email", "openid")
    assert given.claims == ("email", "email_verified")
    assert (given.shown.service_name, given.shown.purpose, given.shown.language) == ("Parques", "Para acampar.", "es")
    assert given.shown.notice_version
    assert given.lawful_basis == "consent"
    assert given.given_at == town.clock.now()
    assert "consent_given" in await town.history(account_id)


async def test_only_what_is_new_is_asked(town: Town) -> None:
    """R13: a second visit asks nothing; a new scope asks for itself, and the new agreement names all."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    await allow(ada, parks, scope="openid email")

    assert "code" in parks.answer(await ada.get(parks.address(scope="openid email")))
    shown = await ada.see(parks.address(scope="openid email profile"))
    assert shown.heading == "Parks asks for something new"
    assert shown.text.index("What is new") < shown.text.index("Ada Lovelace")
    assert shown.text.index("Ada Lovelace") < shown.text.index("What you agreed to before")
    assert shown.text.index("What you agreed to before") < shown.text.index("ada@example.org")
    parks.answer(await ada.follow(await ada.press(shown, "allow")))

    newest, _ = await agreements(town, account_id)
    assert newest.scopes == ("email", "openid", "profile")


async def test_what_was_agreed_by_name_stays_agreed(town: Town) -> None:
    """R13: a new agreement names everything, also what no scope of the new request covers."""
    parks = await town.service()
    ada, _ = await town.citizen()
    claims = json.dumps({"userinfo": {"birthdate": None}})
    await allow(ada, parks, scope="openid", claims=claims)
    await allow(ada, parks, scope="openid email")

    assert "code" in parks.answer(await ada.get(parks.address(scope="openid email", claims=claims)))


async def test_a_grant_in_another_browser_lives_on_when_more_is_agreed(town: Town) -> None:
    """An agreement is never changed, only ended: a new one stands beside it."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    tokens = await parks.enter(ada, scope="openid email")
    elsewhere = town.browser()
    await elsewhere.sign_in(account_id)

    await parks.enter(elsewhere, scope="openid email profile")

    assert (await parks.userinfo(tokens["access_token"])).json().keys() == {"sub", "email", "email_verified"}


async def test_a_claim_asked_for_by_name_is_asked_for_by_name(town: Town) -> None:
    """Core section 5.5: `claims` beside scopes; agreed to one by one, released one by one."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    claims = json.dumps({"userinfo": {"birthdate": None}, "id_token": {"given_name": {"essential": True}}})

    shown = await ada.see(parks.address(scope="openid", claims=claims))
    assert "Date of birth 10 December 1815" in shown.text
    assert "Lovelace" not in shown.text
    answer = parks.answer(await ada.follow(await ada.press(shown, "allow")))

    tokens = (await parks.redeem(answer["code"])).json()
    assert claims_of(tokens["id_token"])["given_name"] == "Ada"
    assert (await parks.userinfo(tokens["access_token"])).json().keys() == {"sub", "birthdate"}
    (given,) = await agreements(town, account_id)
    assert given.claims == ("birthdate", "given_name")


async def test_a_refusal_goes_back_and_leaves_nothing(town: Town) -> None:
    """RFC 6749 section 4.1.2.1: `access_denied`; the refusal is in the history, and asking again asks again."""
    parks = await town.service()
    ada, account_id = await town.citizen()

    answer = parks.answer(await ada.press(await ada.see(parks.address()), "refuse"))

    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "a-state", ISSUER)
    assert await agreements(town, account_id) == []
    assert await town.history(account_id) == ["consent_refused"]
    assert (await ada.see(parks.address())).name == "consent"


async def test_a_form_posted_many_times_is_one_agreement(town: Town) -> None:
    """R78: of many that race, one makes a row; one code leaves."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    shown = await ada.see(parks.address())

    answers = await asyncio.gather(*(ada.press(shown, "allow") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {303}
    assert len(await agreements(town, account_id)) == 1
    ends = await asyncio.gather(*(ada.follow(answer) for answer in answers))
    assert sum("code=" in led_to(end) for end in ends) == 1


async def test_an_answer_fits_the_question_that_was_shown(town: Town) -> None:
    """R45: another citizen, or another interaction, is asked anew."""
    parks, taxes = await town.service(), await town.service("taxes")
    ada, account_id = await town.citizen()
    shown = await ada.see(parks.address())
    other = await ada.see(taxes.address())

    mixed = await ada.press(shown, "allow", interaction=other.hidden["interaction"])
    bob = await town.person(email="bob@example.org")
    await ada.sign_in(bob)
    switched = await ada.press(shown, "allow")
    nothing = await ada.press(shown, "continue")

    assert [answer.status_code for answer in (mixed, switched, nothing)] == [303, 303, 303]
    assert await agreements(town, account_id) == await agreements(town, bob) == []
    assert (await ada.see(switched.headers["location"])).name == "consent"


async def test_consent_needs_the_page_that_asked(town: Town) -> None:
    """Another site cannot agree for the citizen: the form carries a token of this browser."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    shown = await ada.see(parks.address())
    data = urlencode({**shown.hidden, "action": "allow"})
    forged = urlencode({**shown.hidden, "csrf_token": "x", "action": "allow"})

    across = await ada.http.post(shown.action, content=data, headers={**FORM, "origin": "https://evil.example"})
    without = await ada.http.post(shown.action, content=forged, headers={**FORM, "origin": ISSUER})

    assert (across.status_code, without.status_code) == (403, 403)
    assert await agreements(town, account_id) == []


async def test_prompt_consent_asks_again_and_makes_a_new_agreement(town: Town) -> None:
    """Core section 3.1.2.1: once more for everything, and once only."""
    parks = await town.service()
    ada, account_id = await town.citizen()
    await allow(ada, parks)

    assert "code" in await allow(ada, parks, prompt="consent")

    assert len(await agreements(town, account_id)) == 2


async def test_lasting_access_is_said_plainly_and_needs_consent(town: Town) -> None:
    """Core section 11: `offline_access` counts with `prompt=consent` alone; then the grant outlives the session."""
    parks = await town.service()
    ada, account_id = await town.citizen()

    without = await ada.see(parks.address(scope="openid offline_access"))
    assert "This lasts." not in without.text
    shown = await ada.see(parks.address(scope="openid offline_access", prompt="consent"))
    assert "This lasts." in shown.text
    answer = parks.answer(await ada.follow(await ada.press(shown, "allow")))

    tokens = (await parks.redeem(answer["code"])).json()
    (given,) = await agreements(town, account_id)
    assert "offline_access" in given.scopes
    await ada.press(await ada.see("/end-session"), "continue")
    assert (await parks.refresh(tokens["refresh_token"])).status_code == 200


async def test_every_contact_is_told_of_a_new_agreement(town: Town) -> None:
    """R67: in the citizen's language, with what was shared, when, from where, and one link, which is no sign-in."""
    parks = await town.service()
    ada, _ = await town.citizen()

    await allow(ada, parks, scope="openid profile offline_access", prompt="consent")
    await town.work()

    (mail,) = town.post.sent
    assert mail.to == "ada@example.org"
    assert "Parks" in mail.subject
    for words in ("Full name", "Date of birth", "until you stop it", "2026-11-22 12:00 UTC", "127.0.0.1"):
        assert words in mail.text
    assert re.findall(r"https?://\S+?/[\w-]+", mail.text) == [f"{ISSUER}/not-me"]
    assert "Ada Lovelace" not in mail.text


async def test_only_an_identifier_is_said_to_be_only_that(town: Town) -> None:
    """R13: `openid` alone shows none of the details."""
    parks = await town.service()
    ada, _ = await town.citizen(claims=Claims())

    shown = await ada.see(parks.address(scope="openid"))

    assert "It sees none of your details." in shown.text
    assert "code" in parks.answer(await ada.follow(await ada.press(shown, "allow")))


async def test_words_of_the_service_are_shown_as_they_are(town: Town) -> None:
    """Whatever a registration holds is text: no markup, and no placeholder of ours."""
    parks = await town.service(client_name="Parks <b>100%</b> %(x)s", purpose="50% off <script>")
    ada, _ = await town.citizen()

    shown = await ada.see(parks.address())

    assert "Parks <b>100%</b> %(x)s" in shown.text
    assert "50% off <script>" in shown.text
    assert "<script>" not in shown.html.replace('<script src="', "")
