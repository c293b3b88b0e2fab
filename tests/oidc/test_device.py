"""Signing in on a device without a keyboard: `/device_authorization`, `/device`, and polling (RFC 8628)."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import httpx2
import pytest
from sqlalchemy import func, select
from town import Citizen, Service, Shown, Town, claims_of

from accounts.consent import Consent, find_consent, withdraw_consent
from oidc.access_token import AccessToken
from oidc.grant import Grant
from oidc.protocol.client_metadata import DEVICE_CODE
from oidc.waiting_request import WaitingRequest

pytestmark = pytest.mark.anyio

TELEVISION: dict[str, Any] = {
    "grant_types": [DEVICE_CODE],
    "redirect_uris": None,
    "post_logout_redirect_uris": None,
    "client_name": "City Television",
}


async def television(town: Town, client_id: str = "tv", **registered: Any) -> Service:
    return await town.service(client_id, **{**TELEVISION, **registered})


async def begin(service: Service, **fields: str | None) -> dict[str, Any]:
    answer = await service.post("/device_authorization", **{"scope": "openid profile", **fields})
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def poll(service: Service, begun: dict[str, Any], **fields: str | None) -> httpx2.Response:
    return await service.post("/token", **{"grant_type": DEVICE_CODE, "device_code": begun["device_code"], **fields})


async def typed(citizen: Citizen, code: str) -> httpx2.Response:
    return await citizen.press(await citizen.see("/device"), "continue", user_code=code)


async def question(citizen: Citizen, begun: dict[str, Any]) -> Shown:
    return Shown(await citizen.follow(await typed(citizen, begun["user_code"])))


async def allowed(town: Town, service: Service, citizen: Citizen, **fields: str | None) -> dict[str, Any]:
    begun = await begin(service, **fields)
    shown = await question(citizen, begun)
    assert shown.name == "consent", shown.text
    await citizen.press(shown, "allow")
    return begun


def error(answer: httpx2.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


async def test_a_citizen_signs_in_on_the_television(town: Town) -> None:
    """RFC 8628 sections 3.1 to 3.5: code shown, typed, allowed; one token answer, with the sector's own `sub`."""
    service = await television(town)
    citizen, account_id = await town.citizen()
    begun = await begin(service)
    before = await poll(service, begun)
    shown = await question(citizen, begun)
    done = Shown(await citizen.follow(await citizen.press(shown, "allow")))
    town.later(seconds=5)
    tokens = await poll(service, begun)

    assert error(before) == "authorization_pending"
    assert "City Television" in shown.heading
    assert "another device" in shown.text
    assert done.heading == "You have allowed it"
    assert tokens.status_code == 200, tokens.text
    assert tokens.headers["cache-control"] == "no-store"
    claims = claims_of(tokens.json()["id_token"])
    assert (claims["aud"], claims["acr"]) == ("tv", "aal2")
    assert (await service.userinfo(tokens.json()["access_token"])).json()["name"] == "Ada Lovelace"
    assert "consent_given" in await town.history(account_id)


async def test_the_answer_says_where_to_type_what(town: Town) -> None:
    """RFC 8628 sections 3.2 and 6.1: a code without vowels in two halves, an address with and without it."""
    begun = await begin(await television(town))
    assert set(begun["user_code"].replace("-", "")) <= set("BCDFGHJKLMNPQRSTVWXZ")
    assert begun["verification_uri"] == "https://account.example.gov/device"
    assert begun["verification_uri_complete"] == f"{begun['verification_uri']}?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)


async def test_discovery_names_the_endpoint_and_the_grant_type(town: Town) -> None:
    """RFC 8628 section 4."""
    found = (await town.wire.get("/.well-known/openid-configuration")).json()
    assert found["device_authorization_endpoint"] == "https://account.example.gov/device_authorization"
    assert DEVICE_CODE in found["grant_types_supported"]


async def test_codes_are_kept_as_digests(town: Town) -> None:
    """R66: neither what the client polls with nor what the citizen types stands in the database."""
    begun = await begin(await television(town))
    async with town.transaction() as db:
        rows = str(await db.all(select(WaitingRequest)))
    assert begun["device_code"] not in rows
    assert begun["user_code"].replace("-", "") not in rows


async def test_a_client_without_the_grant_type_gets_no_code(town: Town) -> None:
    """RFC 8628 section 3.1, RFC 6749 section 5.2."""
    parks = await town.service()
    answer = await parks.post("/device_authorization", scope="openid")
    assert error(answer) == "unauthorized_client"


async def test_a_public_client_may_be_a_device(town: Town) -> None:
    """RFC 8628 section 3.1: most are; nobody needs a secret, and nobody else can poll for it."""
    await television(town, token_endpoint_auth_method="none")
    answer = await town.wire.post("/device_authorization", data={"client_id": "tv", "scope": "openid"})
    assert answer.status_code == 200
    fields = {"grant_type": DEVICE_CODE, "client_id": "tv", "device_code": answer.json()["device_code"]}
    assert error(await town.wire.post("/token", data=fields)) == "authorization_pending"


async def test_who_asks_too_often_is_slowed(town: Town) -> None:
    """RFC 8628 section 3.5: `slow_down` adds five seconds, for every later poll."""
    service = await television(town)
    begun = await begin(service)
    said = [error(await poll(service, begun))]
    for seconds in (2, 8, 15):
        town.later(seconds=seconds)
        said.append(error(await poll(service, begun)))
    assert said == ["authorization_pending", "slow_down", "slow_down", "authorization_pending"]


async def test_a_refusal_is_told(town: Town) -> None:
    """RFC 8628 section 3.5: `access_denied`; nothing is shared."""
    service = await television(town)
    citizen, account_id = await town.citizen()
    begun = await begin(service)
    done = Shown(await citizen.follow(await citizen.press(await question(citizen, begun), "refuse")))

    assert done.heading == "You did not allow it"
    assert error(await poll(service, begun)) == "access_denied"
    assert await town.history(account_id) == ["consent_refused"]
    async with town.transaction() as db:
        assert await find_consent(db, account_id, "tv") is None


async def test_a_code_ends(town: Town) -> None:
    """RFC 8628 section 3.5: after its time neither typing nor allowing helps."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    begun = await begin(service)
    shown = await question(citizen, begun)
    town.later(minutes=10)
    late = Shown(await citizen.follow(await citizen.press(shown, "allow")))

    assert late.heading == "This took too long"
    assert (await typed(citizen, begun["user_code"])).status_code == 400
    assert error(await poll(service, begun)) == "expired_token"


async def test_tokens_come_once_and_a_second_redemption_ends_them(town: Town) -> None:
    """RFC 8628 section 3.5, R4 in spirit: one redemption; a copy takes the tokens along."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    begun = await allowed(town, service, citizen)
    tokens = (await poll(service, begun)).json()
    town.later(seconds=5)

    assert error(await poll(service, begun)) == "invalid_grant"
    assert (await service.userinfo(tokens["access_token"])).status_code == 401


async def test_of_many_polls_that_race_one_gets_tokens(town: Town) -> None:
    """R78: 20 at once."""
    service = await television(town)
    begun = await allowed(town, service, (await town.citizen())[0])
    codes: list[int] = []

    async def ask() -> None:
        codes.append((await poll(service, begun)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    async with town.transaction() as db:
        tokens = await db.scalar(select(func.count()).select_from(AccessToken))
    assert sorted(codes) == [200, *[400] * 19]
    assert tokens == 1


async def test_of_many_answers_that_race_one_counts(town: Town) -> None:
    """R45, R78: a form posted ten times makes one agreement and one grant."""
    service = await television(town)
    citizen, account_id = await town.citizen()
    shown = await question(citizen, await begin(service))
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(citizen.press, shown, "allow")
    async with town.transaction() as db:
        grants = await db.scalar(select(func.count()).select_from(Grant))
        agreements = await db.scalar(select(func.count()).select_from(Consent).where(Consent.account_id == account_id))
    assert (grants, agreements) == (1, 1)


async def test_another_clients_code_is_no_code(town: Town) -> None:
    """RFC 8628 section 3.4, RFC 6749 section 5.2; the owner notices nothing."""
    service, other = await television(town), await television(town, "radio")
    begun = await allowed(town, service, (await town.citizen())[0])
    stolen = await other.post("/token", grant_type=DEVICE_CODE, device_code=begun["device_code"])
    assert error(stolen) == "invalid_grant"
    assert (await poll(service, begun)).status_code == 200


async def test_the_code_may_be_typed_as_people_type(town: Town) -> None:
    """RFC 8628 section 6.1: case, spaces, dashes and full-width letters do not matter."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    code = (await begin(service))["user_code"]
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in code)
    for spelled in (code.lower(), f" {code.replace('-', ' ')} ", wide):
        assert (await typed(citizen, spelled)).status_code == 303


async def test_a_code_in_the_address_is_only_filled_in(town: Town) -> None:
    """RFC 8628 section 5.4: following a link allows nothing and shows no question."""
    begun = await begin(await television(town))
    citizen = (await town.citizen())[0]
    shown = await citizen.see(begun["verification_uri_complete"].removeprefix("https://account.example.gov"))
    assert shown.name == "device"
    assert f'value="{begun["user_code"]}"' in shown.html
    assert "City Television" not in shown.text


async def test_guessing_codes_is_slowed(town: Town) -> None:
    """RFC 8628 section 5.1: 20 tries from one address in ten minutes; the right code does not help after them, nor does
    a store that loses its memory (R75)."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    codes = [(await typed(citizen, "BCDF-GHJK")).status_code for _ in range(14)]
    await town.house.store.close()
    codes += [(await typed(citizen, "BCDF-GHJK")).status_code for _ in range(7)]
    after = await typed(citizen, (await begin(service))["user_code"])
    town.later(minutes=10)
    again = await typed(citizen, (await begin(service))["user_code"])

    assert codes == [*[400] * 20, 429]
    assert after.status_code == 429
    assert again.status_code == 303


async def test_right_codes_are_not_counted(town: Town) -> None:
    """RFC 8628 section 5.1: a town hall's kiosk signs in many."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    begun = await begin(service)
    assert (await typed(citizen, "BCDF-GHJK")).status_code == 400
    assert {(await typed(citizen, begun["user_code"])).status_code for _ in range(25)} == {303}


async def test_the_question_is_for_the_browser_in_which_the_code_was_typed(town: Town) -> None:
    """RFC 8628 section 5.4: an address that somebody sends shows nothing, signed in or not."""
    begun = await begin(await television(town))
    citizen, other = (await town.citizen())[0], (await town.citizen(email="bob@example.org"))[0]
    address = (await typed(citizen, begun["user_code"])).headers["location"]
    shown = await citizen.see(address)
    assert (await other.get(address)).status_code == 404
    assert (await other.press(shown, "allow")).status_code in (403, 404)


async def test_who_is_not_signed_in_signs_in_first_and_comes_back(town: Town) -> None:
    """RFC 8628 section 3.3: at the level that the client asked for."""
    begun = await begin(await television(town))
    stranger = town.browser()
    await stranger.get("/authorize")
    answer = await stranger.follow(await typed(stranger, begun["user_code"]))
    assert Shown(answer).name == "sign-in"
    assert "City Television" in answer.text


async def test_a_session_that_is_too_weak_steps_up(town: Town) -> None:
    """RFC 9470: `acr_values` of the request."""
    begun = await begin(await television(town), acr_values="aal2-phr")
    citizen = (await town.citizen())[0]
    assert (await question(citizen, begun)).name in ("second-factor", "enrol")


async def test_a_suspended_citizen_allows_nothing(town: Town) -> None:
    """R75: whoever lets a citizen act looks at the account."""
    begun = await begin(await television(town))
    citizen = (await town.citizen(state="suspended"))[0]
    answer = await citizen.follow(await typed(citizen, begun["user_code"]))
    assert answer.status_code == 403


async def test_it_lasts_where_the_client_may_renew_and_the_page_says_so(town: Town) -> None:
    """R13: the lasting is named; the grant outlives the browser's session, and withdrawing ends it at once."""
    service = await television(town, grant_types=[DEVICE_CODE, "refresh_token"])
    citizen, account_id = await town.citizen()
    begun = await begin(service)
    shown = await question(citizen, begun)
    await citizen.press(shown, "allow")
    tokens = (await poll(service, begun)).json()
    await citizen.press(await citizen.see("/end-session"), "continue")
    renewed = await service.refresh(tokens["refresh_token"])
    async with town.transaction() as db:
        await withdraw_consent(db, account_id, "tv", town.clock.now())
    ended = await service.refresh(renewed.json()["refresh_token"])

    assert "This lasts." in shown.text
    assert renewed.status_code == 200, renewed.text
    assert error(ended) == "invalid_grant"


async def test_without_a_refresh_token_nothing_lasts(town: Town) -> None:
    """R13."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    shown = await question(citizen, await begin(service))
    assert "This lasts." not in shown.text


async def test_a_citizen_who_agreed_before_is_asked_again(town: Town) -> None:
    """RFC 8628 section 5.4: the question is also where it comes from; the agreement is the one there is."""
    service = await television(town)
    citizen, account_id = await town.citizen()
    for _ in range(2):
        await allowed(town, service, citizen)
    async with town.transaction() as db:
        found = await db.all(select(Consent.id).where(Consent.account_id == account_id))
    assert len(found) == 1


async def test_a_form_that_does_not_fit_what_was_shown_changes_nothing(town: Town) -> None:
    """R45: empty, changed or another's, it leads back to the question."""
    service = await television(town)
    citizen = (await town.citizen())[0]
    begun = await begin(service)
    shown = await question(citizen, begun)
    right = shown.hidden["shown"]
    for wrong in ("", "0" * 32):
        shown.hidden["shown"] = wrong
        assert (await citizen.press(shown, "allow")).headers["location"] == shown.action
    shown.hidden["shown"] = right
    assert (await citizen.press(shown, "something")).headers["location"] == shown.action
    assert error(await poll(service, begun)) == "authorization_pending"


async def test_one_address_cannot_flood_the_requests(town: Town) -> None:
    """R73, R75: nor where the store loses its memory."""
    service = await television(town)
    for number in range(100):
        if number == 60:
            await town.house.store.close()
        await begin(service)
    answer = await service.post("/device_authorization", scope="openid")
    assert answer.status_code == 429
    assert answer.headers["retry-after"]


async def test_an_unknown_request_is_not_there(town: Town) -> None:
    """R45."""
    citizen = (await town.citizen())[0]
    assert (await citizen.get(f"/device/{UUID(int=7)}")).status_code == 404


def test_a_code_lives_minutes() -> None:
    """RFC 8628 section 3.2: long enough to type, too short to guess."""
    from oidc.provider import ProviderPolicy

    assert ProviderPolicy().waiting <= timedelta(minutes=30)


async def test_offline_access_is_dropped_where_a_client_may_not_have_it(town: Town) -> None:
    """OpenID Connect Core section 11: libraries add it to every request."""
    service = await television(town, scope="openid profile")
    answer = await service.post("/device_authorization", scope="openid profile offline_access")
    assert answer.status_code == 200, answer.text
