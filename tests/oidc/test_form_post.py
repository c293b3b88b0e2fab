"""`response_mode=form_post`: the answer in a form that sends itself (OAuth 2.0 Form Post Response Mode)."""

from typing import Any

import pytest
from town import ISSUER, Citizen, Service, Shown, Town

pytestmark = pytest.mark.anyio


async def entered(town: Town, **registered: Any) -> tuple[Service, Citizen]:
    """A service and a citizen who has agreed to it."""
    parks = await town.service(**registered)
    ada, _ = await town.citizen()
    await parks.enter(ada)
    return parks, ada


async def test_the_answer_is_a_form_to_the_redirect_uri(town: Town) -> None:
    """Form Post section 2: code, state and iss (RFC 9207) as fields and nothing else; never kept by a cache."""
    parks, ada = await entered(town)

    answer = await ada.get(parks.address(response_mode="form_post"))

    assert answer.status_code == 200
    shown = Shown(answer)
    assert shown.action == parks.redirect_uri
    assert set(shown.hidden) == {"code", "state", "iss"}
    assert shown.hidden["state"] == "a-state"
    assert shown.hidden["iss"] == ISSUER
    assert answer.headers["cache-control"] == "no-store"
    assert (await parks.redeem(shown.hidden["code"])).status_code == 200


async def test_the_browser_may_post_there_and_nothing_on_the_page_is_inline(town: Town) -> None:
    """R70, R82: no limit for the form, the script is our file, a button does it without JavaScript."""
    parks, ada = await entered(town)

    answer = await ada.get(parks.address(response_mode="form_post"))

    policy = answer.headers["content-security-policy"]
    assert "form-action" not in policy
    assert "unsafe" not in policy
    assert '<script src="/static/form_post.' in answer.text
    assert "<button" in answer.text.partition("<form")[2]


async def test_an_error_is_posted_as_well(town: Town) -> None:
    """OAuth 2.0 Multiple Response Types section 2.1: the response mode carries errors too."""
    parks = await town.service()

    shown = Shown(await town.browser().get(parks.address(response_mode="form_post", prompt="none")))

    assert shown.action == parks.redirect_uri
    assert shown.hidden["error"] == "login_required"
    assert shown.hidden["iss"] == ISSUER


async def test_what_a_service_sent_is_only_text_on_the_page(town: Town) -> None:
    """R66: a state cannot become markup."""
    parks, ada = await entered(town)
    state = '"><script>alert(1)</script>'

    answer = await ada.get(parks.address(response_mode="form_post", state=state))

    assert "<script>alert" not in answer.text
    assert Shown(answer).hidden["state"] == state


async def test_a_mode_that_the_service_did_not_register_is_refused(town: Town) -> None:
    """R2: response modes are limited per client; the refusal goes the plain way."""
    parks, ada = await entered(town, response_modes=["query"])

    refused = parks.answer(await ada.get(parks.address(response_mode="form_post")))

    assert refused["error"] == "invalid_request"


async def test_fragment_and_unknown_modes_are_refused(town: Town) -> None:
    """OAuth 2.0 Multiple Response Types section 2.1, R2: a code does not travel in a fragment here."""
    parks, ada = await entered(town)

    for mode in ("fragment", "fragment.jwt", "web_message"):
        assert parks.answer(await ada.get(parks.address(response_mode=mode)))["error"] == "invalid_request"
