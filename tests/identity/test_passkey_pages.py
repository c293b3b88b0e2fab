"""Passkeys at the pages, as the script sends what a device answers."""

import json
import re
from typing import Any

import msgspec
import pytest
from residents import PASSWORD, answer, begin_for, codes_on, give_password, options_on, resident, session_of, sign_in
from soft_passkey import SoftPasskey
from town import ISSUER, Shown, Town
from webauthn.helpers import bytes_to_base64url

from identity.authenticator import authenticators_of

pytestmark = pytest.mark.anyio


def device() -> SoftPasskey:
    """A phone that verifies its owner."""
    return SoftPasskey(origin=ISSUER, rp_id="account.example.gov")


async def with_passkey(town: Town, email: str = "ada@example.org", **has: Any) -> tuple[Any, SoftPasskey]:
    """Somebody who has added a passkey in their security settings."""
    somebody, browser, phone = await resident(town, email, **has), town.browser(), device()
    await sign_in(town, browser, somebody)
    page = await browser.see("/account/security/passkey")
    added = Shown(await browser.follow(await answer(browser, page, phone.create(options_on(page)))))
    assert "Your passkey is set up" in added.text
    return somebody, phone


async def test_a_passkey_is_all_it_takes(town):
    """R20: verified by its device it is two factors, and says whose it is: nothing is typed."""
    ada, phone = await with_passkey(town)
    browser = town.browser()
    page = await browser.see(await begin_for(town, browser, acr="aal2-phr"))

    led = await answer(browser, page, phone.get(options_on(page)))

    assert (led.status_code, led.headers["location"]) == (303, "/privacy")
    session = await session_of(town, browser)
    assert session is not None
    assert (session.account_id, session.acr) == (ada.account_id, "aal2-phr")


async def test_a_page_for_strangers_names_no_passkey(town):
    """R27: the options of the first page are those of nobody."""
    await with_passkey(town)
    page = await town.browser().see("/sign-in")

    assert '"allowCredentials": []' in options_on(page)


async def test_a_passkey_beside_a_password_is_the_second_factor(town):
    """Whatever the account has is offered."""
    ada, phone = await with_passkey(town)
    browser = town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)
    assert page.name == "second-factor"

    led = await answer(browser, page, phone.get(options_on(page)))

    assert Shown(await browser.follow(led)).name == "account"


async def test_a_step_up_to_a_passkey_keeps_the_session(town):
    """A service that asks for a level that cannot be phished, from somebody signed in with a code."""
    ada, phone = await with_passkey(town)
    browser = town.browser()
    await sign_in(town, browser, ada)
    before = await session_of(town, browser)
    page = await browser.see(await begin_for(town, browser, acr="aal2-phr"))
    assert (page.name, page.heading) == ("second-factor", "Use your passkey")

    await answer(browser, page, phone.get(options_on(page)))

    after = await session_of(town, browser)
    assert before is not None
    assert after is not None
    assert (after.id, after.acr, after.auth_time) == (before.id, "aal2-phr", town.clock.now())


async def test_an_answer_works_once_and_where_it_was_asked_for(town):
    """R29, R45: not a second time, not in another sign-in, not in another browser."""
    _, phone = await with_passkey(town)
    browser, thief = town.browser(), town.browser()
    page, other = await browser.see("/sign-in"), await browser.see("/sign-in")
    credential = phone.get(options_on(page))
    stolen = await thief.see("/sign-in")
    stolen.hidden["ceremony"] = page.hidden["ceremony"]
    assert (await answer(thief, stolen, credential)).status_code == 400
    assert await session_of(town, thief) is None

    late = await answer(browser, page, credential)

    assert late.status_code == 400, "the thief's try has used it up"
    fresh = await browser.see(page.action)
    other.hidden["ceremony"] = fresh.hidden["ceremony"]
    assert (await answer(browser, other, phone.get(options_on(fresh)))).status_code == 400
    again = Shown(late)
    assert (again.name, again.status) == ("sign-in", 400)
    assert (await answer(browser, again, phone.get(options_on(again)))).status_code == 303


async def test_anothers_passkey_is_no_second_factor(town):
    """R29: after Ada's password only Ada's passkeys count."""
    ada, _ = await with_passkey(town)
    _, others = await with_passkey(town, "eve@example.org")
    browser = town.browser()
    page = await give_password(browser, await browser.see("/sign-in"), ada)

    refused = await answer(browser, page, others.get(options_on(page)))

    assert refused.status_code == 400
    assert Shown(refused).name == "second-factor"
    assert await session_of(town, browser) is None


async def test_an_unknown_passkey_is_told_calmly(town):
    """Another way stays open on the same page; the browser is told to offer it no more (WebAuthn 5.1.10.1)."""
    browser, stranger = town.browser(), device()
    page = await browser.see("/sign-in")
    stranger.create('{"challenge": "AAAA", "rp": {"id": "account.example.gov"}, "user": {"id": "AAAA"}}')

    refused = Shown(await answer(browser, page, stranger.get(options_on(page))))

    assert (refused.status, refused.name) == (400, "sign-in")
    assert "We do not know this passkey" in refused.text
    signal = re.search(r'id="passkey-unknown">(.*?)</script>', refused.html)
    assert signal
    assert json.loads(signal[1]) == {
        "rpId": "account.example.gov",
        "credentialId": bytes_to_base64url(stranger.credential_id),
    }


async def test_a_plain_key_stands_beside_the_password_and_is_named_by_its_owner(town):
    """A security key without PIN that keeps nothing: touched after the password, listed with the place of its use."""
    ada, browser = await resident(town), town.browser()
    key = msgspec.structs.replace(device(), synced=False, verifies=False, discoverable=False)
    await sign_in(town, browser, ada)
    page = await browser.see("/account/security/passkey?kind=key")
    options = json.loads(options_on(page))
    assert (options["hints"], options["authenticatorSelection"]["residentKey"]) == (["security-key"], "discouraged")
    added = Shown(await browser.follow(await answer(browser, page, key.create(options_on(page)), name=" Blue key ")))
    assert "Blue key" in added.text
    assert "You use it after your password." in added.text

    other = town.browser()
    page = await give_password(other, await other.see(await begin_for(town, other, acr="aal2-phr")), ada)
    await answer(other, page, key.get(options_on(page)))

    session = await session_of(town, other)
    assert session is not None
    assert (session.acr, session.amr) == ("aal2-phr", ("mfa", "pop", "pwd", "user"))
    assert "IP address" in (await other.see("/account/security")).text


@pytest.mark.parametrize("credential", ["", "{}", "null", '{"id": 1}', "x" * 20_000])
async def test_a_malformed_answer_is_refused_in_the_page(town, credential):
    """R29: whatever a script sends."""
    browser = town.browser()
    page = await browser.see("/sign-in")

    refused = await answer(browser, page, credential)

    assert (refused.status_code, Shown(refused).name) == (400, "sign-in")


async def test_guesses_of_strangers_do_not_stop_a_passkey(town):
    """R26: the password is closed to everybody by then, and the passkey opens it again."""
    ada, phone = await with_passkey(town)
    stranger, browser = town.browser(), town.browser()
    page = await stranger.see("/sign-in")
    for _ in range(7):
        closed = await stranger.press(page, "continue", identifier=ada.email, password="wrong")
    assert closed.status_code == 429

    page = await browser.see("/sign-in")
    assert (await answer(browser, page, phone.get(options_on(page)))).status_code == 303

    other = town.browser()
    page = await give_password(other, await other.see("/sign-in"), ada)
    assert page.name == "second-factor"


async def test_an_account_with_a_passkey_instead_of_a_password(town):
    """R31: a passkey with recovery codes is enough; no app is asked for."""
    browser, phone = town.browser(), device()
    page = await browser.see("/register")
    page = Shown(await browser.follow(await browser.press(page, "continue", identifier="nea@example.org")))
    await town.work()
    page = Shown(await browser.follow(await browser.press(page, "continue", code=town.post.sent[-1].code or "")))

    page = Shown(await browser.follow(await answer(browser, page, phone.create(options_on(page)))))

    assert (page.name, page.heading) == ("enrol", "Your recovery codes")
    assert len(codes_on(page)) == 10
    assert Shown(await browser.follow(await browser.press(page, "continue"))).name == "account"
    session = await session_of(town, browser)
    assert session is not None
    assert (session.account_state, session.acr) == ("active", "aal2-phr")
    other = town.browser()
    page = await other.see("/sign-in")
    assert Shown(await other.follow(await answer(other, page, phone.get(options_on(page))))).name == "account"


async def test_who_lacks_a_passkey_sets_one_up_on_the_way(town):
    """A service that demands one gets it, once everything else is proved."""
    ada, browser, phone = await resident(town), town.browser(), device()
    page = await sign_in(town, browser, ada, await begin_for(town, browser, acr="aal2-phr"))
    assert page.heading == "Set up a passkey"

    led = await answer(browser, page, phone.create(options_on(page)))

    assert led.headers["location"] == "/privacy", "recovery codes are there already"
    session = await session_of(town, browser)
    assert session is not None
    assert session.acr == "aal2-phr"
    async with town.transaction() as db:
        assert (await authenticators_of(db, ada.account_id)).passkeys == 1


async def test_a_ceremony_of_the_settings_is_none_of_a_sign_in(town):
    """R29: bound to where it began, create or get, session or sign-in."""
    ada, browser, phone = await resident(town), town.browser(), device()
    await sign_in(town, browser, ada)
    page = await browser.see("/account/security/passkey")
    credential = phone.create(options_on(page))
    other = await browser.see(await begin_for(town, browser, acr="aal2-phr"))
    assert other.name == "enrol"
    other.hidden["ceremony"] = page.hidden["ceremony"]

    refused = await answer(browser, other, credential)

    assert refused.status_code == 400
    async with town.transaction() as db:
        assert (await authenticators_of(db, ada.account_id)).passkeys == 0


async def test_a_passkey_is_removed_when_something_is_left(town):
    """R31: an app and codes remain."""
    ada, _ = await with_passkey(town)
    browser = town.browser()
    await sign_in(town, browser, ada)
    page = await browser.see("/account/security")
    remove = next(link for link in page.links if "/remove/passkey/" in link)

    page = Shown(await browser.follow(await browser.press(await browser.see(remove), "continue")))

    assert "removed" in page.text
    async with town.transaction() as db:
        assert (await authenticators_of(db, ada.account_id)).passkeys == 0
    assert PASSWORD not in page.html


async def test_the_browser_is_told_which_passkeys_we_still_accept(town):
    """WebAuthn Level 3 section 5.1.10.2: a removed one is offered no more; who never had one is told nothing."""
    bob, his = await resident(town, "bob@example.org"), town.browser()
    await sign_in(town, his, bob)
    assert "passkey-accepted" not in (await his.see("/account/security")).html
    _, phone = await with_passkey(town)
    browser = town.browser()
    page = await browser.see("/sign-in?return_to=/account/security")
    page = Shown(await browser.follow(await answer(browser, page, phone.get(options_on(page)))))

    def accepted(page: Shown) -> Any:
        found = re.search(r'id="passkey-accepted">(.*?)</script>', page.html)
        assert found
        return json.loads(found[1])

    told = accepted(page)
    assert told["rpId"] == "account.example.gov"
    assert len(told["allAcceptedCredentialIds"]) == 1
    [remove] = [link for link in page.links if "/remove/passkey/" in link]
    page = Shown(await browser.follow(await browser.press(await browser.see(remove), "continue")))
    assert accepted(page) == {**told, "allAcceptedCredentialIds": []}


async def test_a_passkey_and_recovery_codes_stand_without_a_password(town):
    """R31: removed where that leaves a way back, announced, and never without a passkey."""
    bob, his = await resident(town, "bob@example.org"), town.browser()
    await sign_in(town, his, bob)
    assert (await his.get("/account/security/password/remove")).status_code == 400
    ada, phone = await with_passkey(town)
    browser = town.browser()
    page = await browser.see("/sign-in?return_to=/account/security")
    page = Shown(await browser.follow(await answer(browser, page, phone.get(options_on(page)))))
    assert "/account/security/password/remove" in page.links

    page = await browser.see("/account/security/password/remove")
    page = Shown(await browser.follow(await browser.press(page, "continue")))

    assert "You have no password, and need none." in page.text
    await town.work()
    assert town.post.sent[-1].subject == "Your password was removed"
    other = town.browser()
    refused = await other.press(await other.see("/sign-in"), "continue", identifier=ada.email, password=ada.password)
    assert refused.status_code == 400
    page = await browser.see("/account/security/passkey")
    assert page.name == "security"
