"""Front-channel logout: the signed-out page asks the browser to load each service's address (Front-Channel 1.0)."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from services import Backend
from town import ISSUER, Citizen, Town, claims_of, new_town

pytestmark = pytest.mark.anyio


@pytest.fixture
async def town(backend: Backend) -> AsyncIterator[Town]:
    """Front-channel logout is on."""
    async with new_town(backend.database_url, {"logout": {"front_channel": True}}) as made:
        yield made


async def entered(town: Town, citizen: Citizen, client_id: str, **registered: Any) -> tuple[Any, dict[str, Any]]:
    address = f"https://{client_id}.example/frontchannel"
    service = await town.service(client_id, **{"frontchannel_logout_uri": address, **registered})
    return service, await service.enter(citizen)


def frames(html: str) -> list[str]:
    return [found.replace("&amp;", "&") for found in re.findall(r'<iframe src="([^"]+)"', html)]


async def test_every_service_with_an_address_is_framed_with_iss_and_sid(town: Town) -> None:
    """Sections 2 and 3: `iss` and `sid`, so that a service can tell a true call; frames of these origins and no
    others."""
    citizen = (await town.citizen())[0]
    tokens = {name: (await entered(town, citizen, name))[1] for name in ("parks", "taxes")}
    await entered(town, citizen, "plain", frontchannel_logout_uri=None)
    answer = await citizen.follow(await citizen.press(await citizen.see("/end-session"), "continue"))

    shown = {urlsplit(frame).hostname: dict(parse_qsl(urlsplit(frame).query)) for frame in frames(answer.text)}
    assert shown == {
        f"{name}.example": {"iss": ISSUER, "sid": claims_of(given["id_token"])["sid"]} for name, given in tokens.items()
    }
    policy = answer.headers["content-security-policy"]
    assert "frame-src https://parks.example https://taxes.example" in policy
    assert "frame-ancestors 'none'" in policy


async def test_who_asked_gets_its_citizen_back_after_the_frames(town: Town) -> None:
    """RP-Initiated Logout 1.0 section 2 with Front-Channel 1.0 section 3: frames first, then on by itself."""
    citizen = (await town.citizen())[0]
    tokens = (await entered(town, citizen, "parks"))[1]
    asked = (
        f"/end-session?id_token_hint={tokens['id_token']}"
        "&post_logout_redirect_uri=https://parks.example/bye&state=a-state"
    )
    answer = await citizen.follow(await citizen.get(asked))

    assert len(frames(answer.text)) == 1
    assert answer.headers["refresh"] == "3; url=https://parks.example/bye?state=a-state"
    assert 'href="https://parks.example/bye?state=a-state"' in answer.text


async def test_without_frames_the_way_back_is_a_redirect(town: Town) -> None:
    """RP-Initiated Logout 1.0 section 2."""
    citizen = (await town.citizen())[0]
    _, tokens = await entered(town, citizen, "parks", frontchannel_logout_uri=None)
    asked = f"/end-session?id_token_hint={tokens['id_token']}&post_logout_redirect_uri=https://parks.example/bye"
    assert (await citizen.get(asked)).headers["location"] == "https://parks.example/bye"


async def test_the_provider_says_so(town: Town) -> None:
    """Section 3."""
    found = (await town.wire.get("/.well-known/openid-configuration")).json()
    assert (found["frontchannel_logout_supported"], found["frontchannel_logout_session_supported"]) == (True, True)


async def test_it_is_off_unless_switched_on(backend: Backend) -> None:
    """R74: neither said nor registered."""
    async with new_town(backend.database_url) as town:
        assert "frontchannel_logout_supported" not in (await town.wire.get("/.well-known/openid-configuration")).json()
        with pytest.raises(Exception, match="frontchannel_logout_uri"):
            await town.service(frontchannel_logout_uri="https://parks.example/frontchannel")
