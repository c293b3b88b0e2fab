"""Until when a form can be sent: said beside it, moved by staying, and never later than the session lasts."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from config.house import TEMPLATE_FOLDERS
from identity.session import SessionPolicy, SessionView
from identity.time_limit import limit_of

POLICY = SessionPolicy()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPED_INTO = re.compile(r"c\.(text|email|password|code|date|select)_field\(|c\.radios\(|app_steps\.html|type=\"radio\"")


def session(since: timedelta, unused_for: timedelta = timedelta()) -> SessionView:
    """One that began so long ago."""
    seen_at, ends_at = NOON - unused_for, NOON - since + POLICY.absolute
    return SessionView(
        id=UUID(int=1), account_id=UUID(int=2), acr="aal2", amr=(), auth_time=NOON - since, seen_at=seen_at,
        alive_until=min(seen_at + POLICY.idle, ends_at), ends_at=ends_at, account_state="active", locale=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("since", "fresh", "minutes", "can_stay"),
    [
        pytest.param(timedelta(hours=1), False, 30, True, id="idle, from now on"),
        pytest.param(timedelta(hours=11, minutes=50), False, 10, False, id="the absolute limit, which nothing moves"),
        pytest.param(timedelta(minutes=2), True, 3, False, id="what only a fresh sign-in may do"),
    ],
)
def test_the_nearest_limit_counts(since, fresh, minutes, can_stay):
    """R30, R41: the page that says so is itself a use of the session, which moves the idle limit."""
    limit = limit_of(session(since, unused_for=timedelta(minutes=20)), POLICY, NOON, fresh=fresh)

    assert (limit.at - NOON, limit.can_stay) == (timedelta(minutes=minutes), can_stay)
    assert limit.seconds == minutes * 60


def test_every_page_of_the_account_that_is_typed_into_says_until_when():
    """WCAG 2.2, 2.2.1 and 2.2.6."""
    silent, speaking = [], []
    for folder in TEMPLATE_FOLDERS:
        for template in folder.glob("*.html"):
            source = template.read_text("utf-8")
            if '{% extends "account.html" %}' in source and TYPED_INTO.search(source):
                (speaking if "c.time_limit()" in source else silent).append(template.name)
    assert not silent
    assert len(speaking) >= 9


@pytest.mark.anyio
async def test_it_says_the_time_and_offers_to_stay_where_that_helps(town):
    """Without JavaScript it is a plain sentence, and a link to a page whose visit is what moves the limit."""
    browser, _ = await town.citizen()
    page = await browser.see("/account/profile/name")
    assert "Send this page before 12:30 UTC" in page.text
    assert "/account/sessions/stay" in page.links
    town.later(minutes=20)

    stayed = await browser.see("/account/sessions/stay")

    assert stayed.heading == "You are still signed in"
    assert "before 12:50 UTC" in stayed.text
    town.later(minutes=20)
    assert (await browser.see("/account/profile/name")).name == "profile"


@pytest.mark.anyio
async def test_what_needs_a_fresh_sign_in_says_its_own_limit(town):
    """R30: five minutes; staying does not move it."""
    browser, _ = await town.citizen()

    page = await browser.see("/account/contacts/new/email")

    assert "Send this page before 12:05 UTC" in page.text
    assert "/account/sessions/stay" not in page.links
