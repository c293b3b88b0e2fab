"""Session management: the frame of ours in a page of another site, in a real browser."""

from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page

from conformance.kit import End, Party, Suite, check_code, check_error
from conformance.modules import SESSION
from conformance.stand import Stand, stand, visit

PLANS = (SESSION,)
ASK = """(message) => new Promise((answer) => {
  addEventListener("message", ({ data }) => answer(data), { once: true });
  parent.frames.provider.postMessage(message, "*");
})"""
pytestmark = [pytest.mark.anyio, pytest.mark.journey]


def test_oidcc_session_management_discovery_endpoint_verification(suite: Suite) -> None:
    """Session Management section 3.3."""
    assert suite.metadata["check_session_iframe"].startswith(f"{suite.issuer}/")
    assert suite.metadata["end_session_endpoint"].startswith(f"{suite.issuer}/")


async def check(suite: Suite, ours: Stand, page: Page, message: str, asking: Stand | None = None) -> str:
    """What the provider's frame answers to one beside it, of the same page unless somebody else is `asking`."""
    query = {"provider": suite.metadata["check_session_iframe"], "own": (asking or ours).origin}
    await page.goto(f"{ours.origin}/session_verify?{urlencode(query)}")
    frame = page.frame(name="own")
    assert frame is not None
    answer: str = await frame.evaluate(ASK, message)
    return answer


async def test_oidcc_session_management_rp_initiated_logout(suite: Suite, whole_browser: Browser) -> None:
    """Sections 2, 3.1 and 3.2: unchanged while signed in, changed after signing out; and what the suite does not ask:
    words that are no message, another client's name, another site, and a person who is nobody yet."""
    with stand() as ours, stand("taxes.localhost") as theirs:
        gone = f"{ours.origin}/post_logout_redirect"
        party = suite.party(redirect_uris=[f"{ours.origin}/callback"], post_logout_redirect_uris=[gone])
        context = await whole_browser.new_context()
        await context.grant_permissions(["storage-access"])
        page, person = await context.new_page(), suite.browser()

        def said(end: End) -> str:
            state = end.fields["session_state"]
            assert " " not in state
            return f"{party.client_id} {state}"

        async def come(**changes: str) -> tuple[dict[str, str], End]:
            asked = party.request(**changes)
            return asked, await visit(page, party.address(asked), person, ours.origin)

        asked, end = await come(prompt="none")
        check_error(end, asked, suite.issuer, "login_required")
        nobody = said(end)
        assert await check(suite, ours, page, nobody) == "unchanged"

        asked, end = await come()
        signed_in, first = party.finish(asked, check_code(end, asked, suite.issuer)), said(end)
        assert await check(suite, ours, page, first) == "unchanged"
        assert await check(suite, ours, page, nobody) == "changed"
        assert said((await come(prompt="none"))[1]) != first, "it is salted"
        assert await check(suite, ours, page, first) == "unchanged", "the same sign-in"
        assert await check(suite, ours, page, f"somebody-else {first.split()[1]}") == "changed"
        assert await check(suite, ours, page, "no message") == "error"
        assert await check(suite, theirs, page, first) == "changed", "bound to the origin"
        assert await check(suite, ours, page, first, asking=theirs) == "error", "not the page that shows the frame"

        await leave(suite, party, page, signed_in.tokens["id_token"], gone)
        assert await check(suite, ours, page, first) == "changed"
        assert await check(suite, ours, page, nobody) == "unchanged"
        await context.clear_permissions()
        assert await check(suite, ours, page, first) == "error", "where cookies are kept from frames"
        await context.close()


async def leave(suite: Suite, party: Party, page: Page, hint: str, gone: str) -> None:
    """Sign out, and come back with `state`."""
    leaving = {"id_token_hint": hint, "post_logout_redirect_uri": gone, "state": "bye"}
    await page.goto(f"{suite.metadata['end_session_endpoint']}?{urlencode(leaving)}")
    await page.wait_for_url(f"{gone}?state=bye")
