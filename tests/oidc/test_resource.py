"""Access tokens for one API: resource indicators (RFC 8707) and the JWT profile (RFC 9068)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fapi_kit import PROOF_KEY, Fapi, fapi, jkt
from joserfc import jwt
from joserfc.jwk import KeySet
from services import Backend
from sqlalchemy import func, select
from town import ISSUER, Citizen, Service, Shown, Town, claims_of, new_town

from accounts.consent import withdraw_consent
from config.settings import SettingsError, read_settings
from oidc.access_token import AccessToken
from oidc.client import set_disabled
from oidc.protocol.client_metadata import TOKEN_EXCHANGE_GRANT
from oidc.protocol.token_exchange import ACCESS_TOKEN

pytestmark = pytest.mark.anyio

BOOKINGS, MAPS = "https://bookings.example/api", "https://maps.example"
SETTINGS: dict[str, Any] = {
    "resource": [
        {
            "uri": BOOKINGS,
            "name": {"en": "Park bookings", "es": "Reservas de parques"},
            "scopes": {
                "bookings:read": {"en": "See your bookings", "es": "Ver sus reservas"},
                "bookings:write": {"en": "Make bookings for you"},
            },
            "introspected_by": "bookings",
        },
        {"uri": MAPS, "name": {"en": "Maps"}, "scopes": {"maps": {"en": "See your saved places"}}},
    ]
}
ASKED = {"resource": BOOKINGS, "scope": "openid bookings:read"}


@pytest.fixture
async def city(backend: Backend) -> AsyncIterator[Town]:
    """A town with two APIs; the first is guarded by a service that introspects."""
    async with new_town(backend.database_url, SETTINGS) as made:
        await made.service("bookings")
        yield made


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def entered(city: Town, **registered: Any) -> tuple[Service, Citizen]:
    parks = await city.service(**registered)
    ada, _ = await city.citizen()
    return parks, ada


async def facts(service: Service, token: str) -> dict[str, Any]:
    given: dict[str, Any] = (await service.post("/introspect", token=token)).json()
    return given


async def test_a_token_for_an_api_is_a_jwt_that_the_api_verifies_alone(city: Town) -> None:
    """RFC 9068 sections 2 and 4: typ at+jwt, one audience, the scopes of this API; and it is kept nowhere."""
    parks, ada = await entered(city)

    tokens = await parks.enter(ada, **ASKED)

    keys = KeySet.import_key_set((await city.wire.get("/jwks")).json())
    token = jwt.decode(tokens["access_token"], keys, algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (ISSUER, BOOKINGS, "parks")
    assert claims["scope"] == tokens["scope"] == "bookings:read"
    assert claims["acr"] == "aal2"
    assert {"sub", "jti", "iat", "exp", "auth_time"} <= set(claims)
    async with city.transaction() as db:
        assert await db.scalar(select(func.count()).select_from(AccessToken)) == 0


async def test_it_says_nothing_that_links(city: Town) -> None:
    """R10: the `sub` is the API's own, another one than the service's; the jti is another one each time."""
    parks, ada = await entered(city)
    one, two = await parks.enter(ada, **ASKED), await parks.enter(ada, **ASKED)
    first, second = claims_of(one["access_token"]), claims_of(two["access_token"])
    bookings = await city.service("bookings")
    own = claims_of((await bookings.enter(ada))["id_token"])

    assert first["sub"] != claims_of(one["id_token"])["sub"]
    assert first["sub"] == second["sub"] == own["sub"]
    assert first["jti"] != second["jti"]


async def test_the_citizen_reads_what_the_service_may_do_there(city: Town) -> None:
    """R13: the API by its name, each scope in words, in the citizen's language; asked anew for what is new."""
    parks, ada = await entered(city)

    shown = await ada.see(parks.address(**ASKED))
    spanish = await ada.see(parks.address(**ASKED, ui_locales="es"))
    await parks.enter(ada, **ASKED)
    more = await ada.see(parks.address(resource=BOOKINGS, scope="openid bookings:read bookings:write"))

    assert "Park bookings" in shown.text
    assert "See your bookings" in shown.text
    assert "Make bookings" not in shown.text
    assert "Ver sus reservas" in spanish.text
    assert more.name == "consent"
    assert "Make bookings for you" in more.text


async def test_it_does_not_open_userinfo(city: Town) -> None:
    """R11: an API's token is not ours."""
    parks, ada = await entered(city)
    tokens = await parks.enter(ada, resource=BOOKINGS, scope="openid profile bookings:read")

    assert refusal(await parks.userinfo(tokens["access_token"])) == (401, "invalid_token")


async def test_it_is_introspected_by_its_api_and_its_client(city: Town) -> None:
    """RFC 7662 section 4: to all others it is inactive; and it ends with its grant there at once (R13)."""
    parks = await city.service()
    bookings, taxes = await city.service("bookings"), await city.service("taxes")
    ada, account_id = await city.citizen()
    token = (await parks.enter(ada, **ASKED))["access_token"]

    seen = await facts(bookings, token)
    assert seen["active"] is True
    assert seen["aud"] == BOOKINGS
    assert seen["sub"] == claims_of(token)["sub"]
    assert (await facts(parks, token))["active"] is True
    assert await facts(taxes, token) == {"active": False}

    head, body, signature = token.split(".")
    assert await facts(bookings, f"{head}.{body}.{signature[:-4]}AAAA") == {"active": False}
    async with city.transaction() as db:
        await withdraw_consent(db, account_id, "parks", city.clock.now())
    assert await facts(bookings, token) == {"active": False}


async def test_at_its_api_it_is_worth_nothing_while_its_client_is_suspended(city: Town) -> None:
    """R42: whoever asks, within a second."""
    parks, bookings = await city.service(), await city.service("bookings")
    ada, _ = await city.citizen()
    token = (await parks.enter(ada, **ASKED))["access_token"]
    seen = []
    for disabled in (True, False):
        async with city.transaction() as db:
            assert await set_disabled(db, "parks", disabled, city.clock.now())
        city.later(seconds=1)  # until every worker has heard of it
        seen.append((await facts(bookings, token))["active"])
    assert seen == [False, True]


async def test_it_expires_to_the_second(city: Town) -> None:
    """RFC 9068 section 4."""
    parks, ada = await entered(city)
    bookings = await city.service("bookings")
    token = (await parks.enter(ada, **ASKED))["access_token"]
    left = claims_of(token)["exp"] - city.clock.now().timestamp()

    city.later(seconds=left - 1)
    assert (await facts(bookings, token))["active"] is True
    city.later(seconds=1)
    assert await facts(bookings, token) == {"active": False}


async def test_an_id_token_is_no_access_token(city: Town) -> None:
    """R11: offered where an API's token is expected."""
    parks, ada = await entered(city)
    id_token = (await parks.enter(ada, **ASKED))["id_token"]

    assert await facts(parks, id_token) == {"active": False}
    assert refusal(await parks.userinfo(id_token)) == (401, "invalid_token")


async def test_a_token_request_names_one_of_several(city: Town) -> None:
    """RFC 8707 section 2.2: a token is for one API; which, says the token request, also at refresh."""
    parks, ada = await entered(city)
    both = f"{parks.address(scope='openid bookings:read maps offline_access', prompt='consent')}&resource={BOOKINGS}"
    shown = await ada.see(f"{both}&resource={MAPS}")
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]

    assert refusal(await parks.redeem(code)) == (400, "invalid_target")
    tokens = (await parks.redeem(code, resource=MAPS)).json()
    city.later(seconds=1)
    again = (
        await parks.post("/token", grant_type="refresh_token", refresh_token=tokens["refresh_token"], resource=BOOKINGS)
    ).json()

    assert (claims_of(tokens["access_token"])["aud"], tokens["scope"]) == (MAPS, "maps")
    assert (claims_of(again["access_token"])["aud"], again["scope"]) == (BOOKINGS, "bookings:read")
    refused = await parks.post(
        "/token", grant_type="refresh_token", refresh_token=again["refresh_token"], resource="https://other.example"
    )
    assert refusal(refused) == (400, "invalid_target")


@pytest.mark.parametrize("resource", ["https://other.example", BOOKINGS + "#x", "bookings", BOOKINGS + "/"])
async def test_an_api_that_is_not_known_is_refused(city: Town, resource: str) -> None:
    """RFC 8707 section 2: invalid_target; addresses compare byte for byte."""
    parks, ada = await entered(city)

    assert parks.answer(await ada.get(parks.address(resource=resource)))["error"] == "invalid_target"


async def test_more_than_was_granted_is_refused_and_spends_nothing(city: Town) -> None:
    """RFC 8707 section 2.2."""
    parks, ada = await entered(city)
    shown = await ada.see(parks.address(**ASKED))
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]

    assert refusal(await parks.redeem(code, resource=MAPS)) == (400, "invalid_target")
    assert (await parks.redeem(code, resource=BOOKINGS)).status_code == 200


async def test_it_is_bound_to_the_key(city: Town) -> None:
    """RFC 9449 section 6.1: cnf with jkt inside the JWT."""
    parks: Fapi = await fapi(city, profile="fapi2")
    ada, _ = await city.citizen()

    tokens = await parks.tokens(ada, **ASKED)

    assert tokens["token_type"] == "DPoP"
    assert claims_of(tokens["access_token"])["cnf"] == {"jkt": jkt(PROOF_KEY)}


async def test_it_cannot_be_revoked_alone(city: Town) -> None:
    """RFC 7009 section 2.2.1: unsupported_token_type says so; its refresh token takes the grant along."""
    parks, ada = await entered(city)
    bookings = await city.service("bookings")
    shown = await ada.see(
        parks.address(resource=BOOKINGS, scope="openid bookings:read offline_access", prompt="consent")
    )
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]
    tokens = (await parks.redeem(code)).json()

    assert refusal(await parks.post("/revoke", token=tokens["access_token"])) == (400, "unsupported_token_type")
    assert (await facts(bookings, tokens["access_token"]))["active"] is True
    assert (await parks.post("/revoke", token=tokens["refresh_token"])).status_code == 200
    assert (await facts(bookings, tokens["access_token"])) == {"active": False}


async def test_a_code_replayed_ends_it_too(city: Town) -> None:
    """R4: what the first redemption gave is dead, where anyone asks."""
    parks, ada = await entered(city)
    shown = Shown(await ada.follow(await ada.get(parks.address(**ASKED))))
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]
    token = (await parks.redeem(code)).json()["access_token"]

    assert refusal(await parks.redeem(code)) == (400, "invalid_grant")
    assert (await facts(parks, token)) == {"active": False}


async def test_a_token_that_is_passed_on_to_an_api_is_like_any_other_for_it(city: Town) -> None:
    """RFC 8693 section 2.1, RFC 8707: this API's scopes alone, and the citizen as its own sector knows them, so that
    two services cannot link one (OpenID Connect Core section 8.1)."""
    parks, ada = await entered(city, grant_types=["authorization_code", TOKEN_EXCHANGE_GRANT])
    bookings = await city.service("bookings")
    held = await parks.enter(ada, scope="openid profile bookings:read maps")
    asked = {"subject_token": held["access_token"], "subject_token_type": ACCESS_TOKEN, "resource": BOOKINGS}
    asked["grant_type"] = TOKEN_EXCHANGE_GRANT

    passed_on = (await parks.post("/token", **asked)).json()
    beyond = await parks.post("/token", **asked, scope="maps")

    direct = claims_of((await parks.enter(ada, **ASKED))["access_token"])
    said = await facts(bookings, passed_on["access_token"])
    assert (said["sub"], said["scope"], said["aud"]) == (direct["sub"], "bookings:read", BOOKINGS)
    assert said["sub"] != claims_of(held["id_token"])["sub"]
    assert refusal(beyond) == (400, "invalid_scope")


async def test_without_the_setting_the_parameter_is_ignored(town: Town) -> None:
    """OpenID Connect Core section 3.1.2.1: unknown parameters are ignored; tokens stay opaque."""
    parks = await town.service()
    ada, _ = await town.citizen()

    tokens = await parks.enter(ada, resource=BOOKINGS)

    assert "." not in tokens["access_token"]


def test_a_setting_that_a_citizen_could_not_read_is_named(tmp_path: Path) -> None:
    """R74: words in English are always there."""
    text = f'issuer = "{ISSUER}"\nmode = "demo"\n[[resource]]\nuri = "x"\nname = {{es = "Parques"}}\n'
    text += 'scopes = {openid = {en = "x"}, "a:b" = {es = "x"}}\nsigning_algorithm = "none"\n'
    path = tmp_path / "settings.toml"
    path.write_text(text)

    with pytest.raises(SettingsError) as caught:
        read_settings(path, {})

    for key in ("resource.1.uri", "resource.1.name.en", "scopes: 'openid'", "scopes.a:b.en", "signing_algorithm"):
        assert key in str(caught.value)
