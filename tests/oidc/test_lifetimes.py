"""A client's own lifetimes: what every grant type gives lives as long as it is registered, and the answer says so."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fapi_kit import fapi
from services import Backend
from town import Citizen, Service, Shown, Town, claims_of, new_town

from oidc.endpoints.token import EXCHANGES
from oidc.protocol.client_metadata import CIBA_GRANT, CLIENT_CREDENTIALS, DEVICE_CODE, TOKEN_EXCHANGE_GRANT
from oidc.protocol.token_exchange import ACCESS_TOKEN

pytestmark = pytest.mark.anyio

API = "https://bookings.example/api"
RESOURCE = {"uri": API, "name": {"en": "Bookings"}, "scopes": {"bookings:read": {"en": "See your bookings"}}}
WHOLE: dict[str, Any] = {"grant_types": list(EXCHANGES), "backchannel_token_delivery_mode": "poll"}
ACCESS, ID, REFRESH = 120, 60, 3600
OWN = {"access_token_lifetime": ACCESS, "id_token_lifetime": ID, "refresh_token_lifetime": REFRESH}
SCOPE = "openid profile"


@pytest.fixture
async def city(backend: Backend) -> AsyncIterator[Town]:
    """A town with an API."""
    async with new_town(backend.database_url, {"resource": [RESOURCE]}) as made:
        yield made


async def allow(citizen: Citizen, shown: Shown) -> None:
    await citizen.follow(await citizen.press(shown, "allow"))


async def from_a_device(parks: Service, ada: Citizen) -> httpx2.Response:
    begun = (await parks.post("/device_authorization", scope=SCOPE)).json()
    typed = await ada.press(await ada.see("/device"), "continue", user_code=begun["user_code"])
    await allow(ada, Shown(await ada.follow(typed)))
    return await parks.post("/token", grant_type=DEVICE_CODE, device_code=begun["device_code"])


async def from_the_account(parks: Service, ada: Citizen) -> httpx2.Response:
    begun = (await parks.post("/backchannel-authentication", scope=SCOPE, login_hint="ada@example.org")).json()
    links = (await ada.see("/account/requests")).links
    await allow(ada, await ada.see(next(link for link in links if link.startswith("/account/requests/"))))
    return await parks.post("/token", grant_type=CIBA_GRANT, auth_req_id=begun["auth_req_id"])


async def lives(service: Service, token: str) -> int:
    """How long it was given, as introspection sees it."""
    facts = (await service.post("/introspect", token=token)).json()
    assert facts["active"], facts
    return int(facts["exp"] - facts["iat"])


async def test_every_grant_type_keeps_to_the_clients_own_lifetimes(city: Town) -> None:
    """RFC 6749 section 5.1: `expires_in` is what the token lives, by whichever grant type it came. What is exchanged
    came from a token that outlives it, from the days when the client was allowed more than the default."""
    ada, _ = await city.citizen()
    patient = await city.service(**WHOLE, access_token_lifetime=3600)
    outliving = await patient.enter(ada, scope=SCOPE)
    parks = await city.service(**WHOLE, **OWN)

    entered = await parks.enter(ada, scope=SCOPE)
    subject = {"subject_token": outliving["access_token"], "subject_token_type": ACCESS_TOKEN}
    given = {
        "authorization_code": entered,
        "refresh_token": (await parks.refresh(entered["refresh_token"])).json(),
        CLIENT_CREDENTIALS: (await parks.post("/token", grant_type=CLIENT_CREDENTIALS)).json(),
        DEVICE_CODE: (await from_a_device(parks, ada)).json(),
        CIBA_GRANT: (await from_the_account(parks, ada)).json(),
        TOKEN_EXCHANGE_GRANT: (await parks.post("/token", grant_type=TOKEN_EXCHANGE_GRANT, **subject)).json(),
    }

    assert given.keys() == EXCHANGES.keys()
    assert outliving["expires_in"] == await lives(parks, outliving["access_token"]) == 3600
    assert {name: tokens["expires_in"] for name, tokens in given.items()} == dict.fromkeys(EXCHANGES, ACCESS)
    assert {await lives(parks, tokens["access_token"]) for tokens in given.values()} == {ACCESS}
    with_citizen = [tokens for tokens in given.values() if "id_token" in tokens]
    assert len(with_citizen) == 4
    ends = [claims_of(tokens["id_token"]) for tokens in with_citizen]
    assert {claims["exp"] - claims["iat"] for claims in ends} == {ID}
    current = [tokens["refresh_token"] for tokens in with_citizen if tokens is not entered]
    assert {await lives(parks, token) for token in current} == {REFRESH}


async def test_a_token_for_an_api_lives_as_long_as_its_client_says(city: Town) -> None:
    """RFC 9068 section 2.2: `exp` of the JWT and `expires_in` are one."""
    ada, _ = await city.citizen()
    parks = await city.service(**OWN)

    tokens = await parks.enter(ada, resource=API, scope="openid bookings:read")

    claims = claims_of(tokens["access_token"])
    assert claims["aud"] == API
    assert tokens["expires_in"] == claims["exp"] - claims["iat"] == ACCESS


async def test_a_refresh_token_that_is_kept_is_renewed_for_as_long_as_its_client_says(city: Town) -> None:
    """FAPI 2.0 section 5.3.2.1 rotates none; used after most of its hour it has an hour again, and no more."""
    ada, _ = await city.citizen()
    parks = await fapi(city, dpop_bound_access_tokens=True, refresh_token_lifetime=REFRESH)
    token = (await parks.tokens(ada, scope="openid offline_access", prompt="consent"))["refresh_token"]

    for _ in range(2):
        city.later(seconds=REFRESH - 60)
        assert (await parks.refresh(token)).status_code == 200
    city.later(seconds=REFRESH)

    assert (await parks.refresh(token)).json()["error"] == "invalid_grant"
