"""Front-channel logout, in a real browser."""

import pytest
from playwright.async_api import Browser, expect

from conformance.kit import Suite, check_code, check_error
from conformance.modules import FRONTCHANNEL
from conformance.stand import stand, visit

PLANS = (FRONTCHANNEL,)
pytestmark = [pytest.mark.anyio, pytest.mark.journey]


def test_oidcc_frontchannel_logout_discovery_endpoint_verification(suite: Suite) -> None:
    """Front-Channel Logout section 3; the plan wants sessions supported as well."""
    said = suite.metadata
    assert said["end_session_endpoint"].startswith(f"{suite.issuer}/")
    assert said["frontchannel_logout_supported"] is True
    assert said["frontchannel_logout_session_supported"] is True


async def test_oidcc_frontchannel_rp_initiated_logout(suite: Suite, browser: Browser) -> None:
    """Sections 2 and 3: the frame is loaded with `iss` and `sid` and nothing else, the person comes back with `state`,
    and is signed out."""
    with stand() as ours:
        party = suite.party(
            redirect_uris=[f"{ours.origin}/callback"],
            post_logout_redirect_uris=[f"{ours.origin}/post_logout_redirect"],
            frontchannel_logout_uri=f"{ours.origin}/frontchannel_logout",
            frontchannel_logout_session_required=True,
        )
        context = await browser.new_context()
        page, person, asked = await context.new_page(), suite.browser(), party.request()
        end = await visit(page, party.address(asked), person, ours.origin)
        signed_in = party.finish(asked, check_code(end, asked, suite.issuer))

        leaving = {
            "id_token_hint": signed_in.tokens["id_token"],
            "post_logout_redirect_uri": f"{ours.origin}/post_logout_redirect",
            "state": "bye",
        }
        request = suite.http.build_request("GET", suite.metadata["end_session_endpoint"], params=leaving)
        await page.goto(str(request.url))
        await expect(page).to_have_url(f"{ours.origin}/post_logout_redirect?state=bye", timeout=20_000)

        told = ours.asked_for("/frontchannel_logout")
        assert told == {"iss": suite.issuer, "sid": signed_in.claims["sid"]}
        again = party.request(prompt="none")
        end = await visit(page, party.address(again), person, ours.origin)
        check_error(end, again, suite.issuer, "login_required", "interaction_required")
        await context.close()
