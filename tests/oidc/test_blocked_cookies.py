"""A browser that keeps no cookies: it is told so, once, and not sent in circles; the service hears of it."""

from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlencode

import pytest
from town import FORM, Citizen, Shown, Town

pytestmark = pytest.mark.anyio

HEADING = "Your browser does not keep our cookies"


def forgetful(town: Town) -> Citizen:
    """Its settings block cookies."""
    citizen = town.browser()
    citizen.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return citizen


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_blocked_cookies_are_named_and_lead_back_to_the_service(town: Town, method: str, mode: str) -> None:
    """The page says what to do. Its link brings the usual error answer; the account is there as well."""
    parks, ada = await town.service(), forgetful(town)
    asked = parks.fields(response_mode=mode)
    if method == "POST":
        begun = await ada.http.post("/authorize", content=urlencode(asked), headers=FORM)
        shown = await ada.see(begun.headers["location"])
    else:
        shown = await ada.see(parks.address(response_mode=mode))

    assert (shown.status, shown.heading, shown.name) == (400, HEADING, "error")
    assert "account.example.gov" in shown.text
    assert "/account" in shown.links
    (back,) = [link for link in shown.links if link.startswith("/authorize/cancel")]
    answer = await ada.get(back)
    if mode == "form_post":
        assert Shown(answer).hidden["error"] == "access_denied"
    else:
        assert parks.answer(answer)["error"] == "access_denied"
        assert parks.answer(answer)["state"] == "a-state"


async def test_who_must_not_see_a_page_sees_none(town: Town) -> None:
    """`prompt=none` in a frame, where browsers keep no cookies of others: the error, at once, also after a POST."""
    parks, ada = await town.service(), forgetful(town)
    posted = await ada.http.post("/authorize", content=urlencode(parks.fields(prompt="none")), headers=FORM)

    assert parks.answer(await ada.get(posted.headers["location"]))["error"] == "login_required"
    assert parks.answer(await ada.get(parks.address(prompt="none")))["error"] == "login_required"


async def test_a_first_visit_with_cookies_goes_on(town: Town) -> None:
    """One redirect more, and the sign-in is there."""
    parks = await town.service()

    shown = await town.browser().see(parks.address())

    assert (shown.status, shown.name) == (200, "sign-in")


async def test_a_link_of_another_browser_is_still_that_and_names_no_service(town: Town) -> None:
    """A browser that has never been here is no browser that blocks; one that blocks is told nothing of another's."""
    parks, ada = await town.service(), (await town.citizen())[0]
    begun = await ada.get(parks.address(prompt="consent"))
    link = begun.headers["location"]

    fresh, blocking = await town.browser().see(link), await forgetful(town).see(link)

    assert (fresh.status, fresh.heading) == (403, "This sign-in belongs to another browser")
    assert (blocking.status, blocking.heading) == (400, HEADING)
    assert "Parks" not in fresh.text + blocking.text
    assert not [page for page in (fresh, blocking) for link in page.links if "cancel" in link or "parks" in link]


async def test_the_account_too_says_that_cookies_are_blocked(town: Town) -> None:
    """Without a service there were circles as well."""
    shown = await forgetful(town).see("/account")

    assert (shown.status, shown.heading) == (400, "Your browser does not accept our cookies")
