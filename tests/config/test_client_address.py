"""Whose address counts: the peer's, and behind a listed proxy the one that the proxy saw (R71)."""

import httpx2
import pytest
from residents import resident, sign_in
from town import ISSUER, Town, new_town

pytestmark = pytest.mark.anyio
PROXY, CLIENT, FORGED = "10.1.2.3", "192.0.2.7", "198.51.100.66"
LISTED = ("10.0.0.0/8",)


async def seen_as(town: Town, peer: str, *lines: str) -> str:
    """The address under which a sign-in from this peer, with these lines, stands in the list of sessions."""
    ada, browser = await resident(town), town.browser()
    await browser.http.aclose()
    transport = httpx2.ASGITransport(app=town.app, client=(peer, 4711))
    forwarded = [("x-forwarded-for", line) for line in lines]
    browser.http = httpx2.AsyncClient(transport=transport, base_url=ISSUER, headers=forwarded)
    await sign_in(town, browser, ada)
    said = (await browser.see("/account/sessions")).text
    [seen] = [address for address in (PROXY, CLIENT, FORGED) if address in said]
    return seen


@pytest.mark.parametrize(
    ("trusted", "peer", "lines", "expected"),
    [
        pytest.param(LISTED, PROXY, [CLIENT], CLIENT, id="told by the proxy"),
        pytest.param(LISTED, PROXY, [f"{FORGED}, {CLIENT}"], CLIENT, id="added to the client's line"),
        pytest.param(LISTED, PROXY, [FORGED, CLIENT], CLIENT, id="added below the client's line"),
        pytest.param(LISTED, PROXY, [FORGED, f"{CLIENT}, 10.9.9.9"], CLIENT, id="two proxies"),
        pytest.param(LISTED, PROXY, ["what is this"], PROXY, id="no address"),
        pytest.param(LISTED, PROXY, [], PROXY, id="nothing said"),
        pytest.param(LISTED, CLIENT, [FORGED], CLIENT, id="by somebody else"),
        pytest.param((), PROXY, [FORGED], PROXY, id="no proxy listed"),
    ],
)
async def test_a_client_cannot_choose_its_address(tmp_path, trusted, peer, lines, expected):
    """R71, R26: whoever could would have every limit by address anew."""
    settings = {"proxy": {"trusted": trusted}}
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/identity.sqlite", settings) as town:
        assert await seen_as(town, peer, *lines) == expected
