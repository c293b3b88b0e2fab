"""The citizen's own record, as they see and change it."""

import pytest
from residents import resident, sign_in
from town import ADA, Shown, Town

from accounts.account import data_key_of, set_state
from accounts.activity import activity_of, record
from accounts.profile import Address, Claims, profile_of, write_profile

pytestmark = pytest.mark.anyio
PROFILE = "/account/profile"


async def claims_of(town: Town, account_id) -> Claims:
    """What is stored."""
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, account_id)
        return (await profile_of(db, key, account_id)).claims


async def change(browser, path: str, **fields: str) -> Shown:
    """Fill in a page of the profile and send it."""
    page = await browser.see(PROFILE + path)
    return Shown(await browser.follow(await browser.press(page, "continue", **fields)))


async def test_everything_is_shown_with_what_releases_it(town):
    """Journey 6: each part beside the scope that a service asks for it by."""
    browser, _ = await town.citizen(locale="en")

    page = await browser.see(PROFILE)

    assert page.name == "profile"
    for said in ("Ada Lovelace", "10 December 1815", "English", "ada@example.org"):
        assert said in page.text
    for scope in ("profile", "address", "email", "phone"):
        assert f"<code>{scope}</code>" in page.html


@pytest.mark.parametrize("path", ["", "/name", "/birth-date", "/address", "/language"])
async def test_nobody_sees_it_without_signing_in(town, path):
    """And who does sign in comes back to where they wanted to go."""
    ada, browser = await resident(town), town.browser()
    page = await browser.see(PROFILE + path)
    assert page.name == "sign-in"

    await sign_in(town, browser, ada, PROFILE + path)

    assert (await browser.see(PROFILE + path)).name == "profile"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Suharto", "Suharto"),
        ("毛泽东", "毛泽东"),
        ("  Ada   King  ", "Ada King"),
        ("Nguyễn Thị Minh Khai", "Nguyễn Thị Minh Khai"),
        ("O’Brien-Ó Séaghdha", "O’Brien-Ó Séaghdha"),
        ("محمد\u200cرضا", "محمد\u200cرضا"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("A" * 200, "A" * 200),
    ],
)
async def test_names_of_the_world(town, written, kept):
    """One word, any script, joiners, long ones: nothing but a name is needed, and none is markup."""
    browser, account_id = await town.citizen()

    page = await change(browser, "/name", name=written, given_name="", family_name="")

    assert "are saved" in page.text
    assert (await claims_of(town, account_id)).name == kept
    assert "<script>alert" not in page.html


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"name": " "}, "Enter your full name"), ({"name": "A" * 201}, "200 characters or fewer")],
)
async def test_what_is_no_name_is_said_and_nothing_typed_is_lost(town, fields, said):
    """Plain words, the rest of the form as it was typed."""
    browser, account_id = await town.citizen()

    page = await change(browser, "/name", given_name="Augusta", **fields)

    assert page.status == 400
    assert said in page.text
    assert 'value="Augusta"' in page.html
    assert await claims_of(town, account_id) == ADA


async def test_what_is_not_on_the_page_stays(town):
    """All standard claims have their storage; a page changes its own."""
    browser, account_id = await town.citizen(claims=Claims(name="Ada", website="https://ada.example", gender="female"))

    await change(browser, "/name", name="Ada King")

    assert await claims_of(town, account_id) == Claims(name="Ada King", website="https://ada.example", gender="female")


@pytest.mark.parametrize(
    ("day", "month", "year", "kept"),
    [
        ("27", "3", "1985", "1985-03-27"),
        (" 1 ", "02", "2000", "2000-02-01"),
        ("٢٧", "٣", "١٩٨٥", "1985-03-27"),
        ("", "", "", None),
    ],
)
async def test_a_birth_date_in_any_digits_or_none(town, day, month, year, kept):
    """Three fields, no format to guess; leaving it empty takes it away."""
    browser, account_id = await town.citizen()

    await change(browser, "/birth-date", **{"birthdate-day": day, "birthdate-month": month, "birthdate-year": year})

    assert (await claims_of(town, account_id)).birthdate == kept


@pytest.mark.parametrize(
    ("day", "month", "year"),
    [("31", "2", "1985"), ("27", "", "1985"), ("x", "3", "1985"), ("27", "3", "85"), ("27", "3", "2999")],
)
async def test_a_day_that_never_was_is_refused(town, day, month, year):
    """And what was typed stays."""
    browser, account_id = await town.citizen()

    page = await change(
        browser, "/birth-date", **{"birthdate-day": day, "birthdate-month": month, "birthdate-year": year}
    )

    assert page.status == 400
    assert f'value="{year}"' in page.html
    assert (await claims_of(town, account_id)).birthdate == ADA.birthdate


async def test_an_address_of_any_country(town):
    """OpenID Connect Core section 5.1.1: in parts, and as it is written."""
    browser, account_id = await town.citizen()

    await change(
        browser,
        "/address",
        street_address="Unter den Linden 77",
        locality="Berlin",
        postal_code="10117",
        region="",
        country="Deutschland",
    )

    address = (await claims_of(town, account_id)).address
    assert address is not None
    assert address.formatted == "Unter den Linden 77\n10117 Berlin\nDeutschland"
    assert (address.postal_code, address.region) == ("10117", None)
    assert "Unter den Linden 77" in (await browser.see(PROFILE)).text
    await change(browser, "/address", street_address="", locality="", postal_code="", region="", country="")
    assert (await claims_of(town, account_id)).address is None


async def test_an_address_that_came_in_parts_shows_whole(town):
    """What another system brought has no formatted form."""
    claims = Claims(name="Ada", address=Address(street_address="12 St James's Square", locality="London"))
    browser, _ = await town.citizen(claims=claims)

    page = await browser.see(PROFILE)

    assert "12 St James's Square London" in page.text


async def test_another_language_is_spoken_from_then_on(town):
    """On the pages at once, and in the mails."""
    browser, _ = await town.citizen(locale="en")

    await change(browser, "/language", language="cy")

    assert '<html lang="cy"' in (await browser.get("/account")).text
    refused = await browser.press(await browser.see(PROFILE + "/language"), "continue", language="<b>")
    assert refused.status_code == 400


async def test_a_change_is_in_the_history_and_saving_the_same_is_not(town):
    """R62: what changed is named, what it was is not told."""
    browser, account_id = await town.citizen()
    await change(browser, "/name", name="Ada King", given_name="Ada", family_name="Lovelace")
    await change(browser, "/name", name="Ada King", given_name="Ada", family_name="Lovelace")

    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, account_id)
        [event] = await activity_of(db, key, account_id)

    assert (event.kind, event.detail) == ("profile_changed", {"fields": ["name"]})


async def test_the_home_page_leads_everywhere(town):
    """Each part of the account is a step away, and so is the way out."""
    browser, _ = await town.citizen()

    page = await browser.see("/account")

    assert page.name == "account"
    assert "Ada Lovelace" in page.text
    for link in (PROFILE, "/account/services", "/account/security", "/account/sessions", "/account/history"):
        assert link in page.links
        assert (await browser.see(link)).status == 200
    assert page.action == "/sign-out"


async def test_the_history_is_in_plain_words_and_paged(town):
    """R44: the newest first, by key."""
    browser, account_id = await town.citizen()
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, account_id)
        for n in range(30):
            town.later(seconds=1)
            now = town.clock.now()
            await record(db, account_id, "signed_in", now, key=key, device=f"Browser {n}", address="192.0.2.7")
        town.later(seconds=1)
        await record(db, account_id, "account_suspended", town.clock.now(), actor="operator")

    page = await browser.see("/account/history")
    assert page.text.index("Your account was suspended") < page.text.index("Browser 29")
    older = await browser.see(next(link for link in page.links if "before=" in link))

    assert "Browser 0" in older.text
    assert "Browser 29" not in older.text
    assert "/account/history" in older.links
    assert (await browser.see("/account/history?before=nonsense")).status == 200


async def test_a_suspended_citizen_sees_that_alone(town):
    """Every page of the account says so, and what to do."""
    browser, account_id = await town.citizen()
    async with town.transaction() as db:
        await set_state(db, account_id, "suspended", town.clock.now(), only_from="active")

    for path in ("/account", PROFILE, PROFILE + "/name", "/account/history", "/account/security", "/account/sessions"):
        page = await browser.see(path)
        assert (page.status, page.heading) == (403, "Your account is suspended")


async def test_a_profile_that_was_never_written_is_empty(town):
    """A new citizen."""
    browser, account_id = await town.citizen(claims=Claims())
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, account_id)
        await write_profile(db, key, account_id, Claims(birthdate="1985"), town.clock.now())

    page = await browser.see(PROFILE)

    assert "1985" in page.text
    assert (await browser.see(PROFILE + "/birth-date")).status == 200
