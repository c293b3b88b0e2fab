"""Session Management 1.0: `session_state` with every answer, the browser's state, and the one page that may be framed.
What the frame answers is seen in a real browser by tests/conformance."""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from services import Backend
from town import ADA, Citizen, Service, Town, claims_of, new_town

from config.app import create_app
from oidc.protocol.session_state import session_state

pytestmark = pytest.mark.anyio
COOKIE = "__Host-browser_state"


@pytest.fixture
async def town(backend: Backend) -> AsyncIterator[Town]:
    """Session management is on."""
    async with new_town(backend.database_url, {"logout": {"session_management": True}}) as made:
        yield made


def state_of(citizen: Citizen) -> str:
    return citizen.http.cookies.get(COOKIE) or ""


def fits(citizen: Citizen, service: Service, said: str) -> bool:
    """What the frame would find in this citizen's browser."""
    origin = service.redirect_uri.removesuffix("/callback")
    return said == session_state(service.client_id, origin, state_of(citizen), said.partition(".")[2])


async def told(citizen: Citizen, service: Service, **changes: str) -> dict[str, str]:
    answer = await citizen.follow(await citizen.get(service.address(**changes)))
    return service.answer(answer)


async def test_a_sign_in_has_a_state_until_it_ends(town: Town) -> None:
    """Sections 2 and 3.2: the same while the session lasts, salted each time; another one when it ends, and another
    one for another person."""
    parks, (ada, _) = await town.service(), await town.citizen()
    tokens = await parks.enter(ada)
    first = state_of(ada)
    one, two = [await told(ada, parks) for _ in range(2)]
    assert fits(ada, parks, one["session_state"])
    assert fits(ada, parks, two["session_state"])
    assert one["session_state"] != two["session_state"]
    assert (state_of(ada), len(first)) == (first, 43)

    gone = await ada.get(
        f"/end-session?id_token_hint={tokens['id_token']}&post_logout_redirect_uri=https://parks.example/bye"
    )
    assert gone.headers["location"] == "https://parks.example/bye"
    assert state_of(ada) == ""
    assert not fits(ada, parks, one["session_state"])

    await ada.sign_in(await town.person(ADA, "ben@example.org"))
    await ada.get("/account")
    assert state_of(ada) not in ("", first)


async def test_an_error_tells_the_state_too(town: Town) -> None:
    """Section 2: SHOULD. Also where nobody is signed in, and where the request is refused before anybody looks."""
    parks, (ada, _) = await town.service(), await town.citizen()
    stranger = town.browser()
    nobody = await told(stranger, parks, prompt="none")
    assert nobody["error"] == "login_required"
    assert fits(stranger, parks, nobody["session_state"])
    await parks.enter(ada)

    refused = await told(ada, parks, response_type="token")

    assert refused["error"] == "unsupported_response_type"
    assert fits(ada, parks, refused["session_state"])
    assert not fits(ada, parks, nobody["session_state"])


async def test_a_session_that_was_ended_elsewhere_shows_when_the_browser_comes_by(town: Town) -> None:
    """Section 3.2: a meaningful event. The cookie is put right by whatever page is asked for."""
    parks, (ada, account) = await town.service(), await town.citizen()
    await parks.enter(ada)
    assert state_of(ada)
    other = town.browser()
    await other.sign_in(account)
    await other.press(await other.see("/account/sessions"), "others")

    await ada.get("/account")

    assert state_of(ada) == ""


async def test_the_state_names_nobody_and_opens_nothing(town: Town) -> None:
    """Section 3.2: a script can read it. It is neither the session's secret nor its id, and is Secure and for this very
    host; the session's own cookie stays as it is (R40)."""
    parks, (ada, _) = await town.service(), await town.citizen()
    tokens = await parks.enter(ada)
    answer = await town.wire.get("/account", headers={"cookie": f"__Host-session={ada.http.cookies['__Host-session']}"})
    set_cookie = answer.headers["set-cookie"]

    assert f"{COOKIE}={state_of(ada)}; Path=/; SameSite=None; Secure" in set_cookie
    assert state_of(ada) not in (ada.http.cookies["__Host-session"], claims_of(tokens["id_token"])["sid"])
    alone = await town.wire.get("/account", headers={"cookie": f"{COOKIE}={state_of(ada)}"})
    assert alone.headers["location"].startswith("/sign-in")


async def test_every_worker_makes_the_same_state(town: Town) -> None:
    """Nothing is stored: who has the keys comes to the same value."""
    parks, (ada, _) = await town.service(), await town.citizen()
    await parks.enter(ada)
    other = Town(town.house, create_app(town.house), town.clock, town.post, town.outside)
    ada.http = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=other.app), base_url=str(ada.http.base_url), cookies=ada.http.cookies
    )

    assert fits(ada, parks, (await told(ada, parks))["session_state"])


async def test_one_page_may_be_framed_and_no_other(town: Town) -> None:
    """R70 has this one exception: it shows nothing, asks nothing, and runs one script of ours."""
    frame = await town.wire.get("/check-session")
    policy = frame.headers["content-security-policy"]

    assert "frame-ancestors *" in policy
    assert "script-src 'self'" in policy
    assert "'unsafe-inline'" not in policy
    assert re.findall(r"<(form|button|a|input)\b", frame.text) == []
    assert frame.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "set-cookie" not in frame.headers
    script = re.search(r'src="([^"]+)"', frame.text)
    assert script
    assert (await town.wire.get(script[1])).status_code == 200
    known = await town.wire.get("/check-session", headers={"if-none-match": frame.headers["etag"]})
    assert (known.status_code, known.text) == (304, "")
    for path in ("/sign-in", "/help", "/nowhere"):
        answer = await town.wire.get(path, follow_redirects=True)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path


async def test_an_app_is_told_nothing(town: Town) -> None:
    """Section 2: the state is bound to an origin, and an address of an app's own scheme has none."""
    app = await town.service(
        "walks", redirect_uris=["org.example.walks:/callback"], application_type="native",
        token_endpoint_auth_method="none", post_logout_redirect_uris=None, backchannel_logout_uri=None,
    )  # fmt: skip
    answer = await town.browser().get(app.address(prompt="none"))
    assert dict(parse_qsl(urlsplit(answer.headers["location"]).query)).keys() == {
        "error",
        "error_description",
        "state",
        "iss",
    }


async def test_the_provider_says_so(town: Town) -> None:
    """Section 3.3."""
    found = (await town.wire.get("/.well-known/openid-configuration")).json()
    assert found["check_session_iframe"] == f"{found['issuer']}/check-session"


async def test_it_is_off_unless_switched_on(backend: Backend) -> None:
    """R74: not said, not answered, no cookie."""
    async with new_town(backend.database_url) as town:
        parks, (ada, _) = await town.service(), await town.citizen()
        await parks.enter(ada)
        assert "session_state" not in await told(ada, parks)
        assert COOKIE not in ada.http.cookies
        assert "check_session_iframe" not in (await town.wire.get("/.well-known/openid-configuration")).json()
        assert (await town.wire.get("/check-session")).status_code == 404


async def test_the_privacy_page_names_the_cookie_that_services_may_watch(town: Town, backend: Backend) -> None:
    """R83: said where there is such a cookie, and nowhere else."""
    words = "notice in your browser that you have signed out"
    assert words in (await town.wire.get("/privacy")).text
    async with new_town(backend.database_url) as plain:
        assert words not in (await plain.wire.get("/privacy")).text
