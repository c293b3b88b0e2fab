"""Citizens of the town with authenticators of their own, and what they do at the sign-in pages without JavaScript."""

import re
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from town import FORM, ISSUER, Citizen, Shown, Town

from accounts.account import data_key_of
from accounts.citizen import Browser
from identity import password, recovery_code, totp
from identity.assurance import AssurancePolicy
from identity.cookies import session_cookie_name
from identity.session import SessionView, find_session
from identity.sign_in import Onward, begin

PASSWORD = "seven green bicycles"
COOKIE = session_cookie_name(True)


class Resident(msgspec.Struct, frozen=True):
    """What a citizen knows and has. `codes` are the recovery codes, `seed` is the app's."""

    account_id: UUID
    email: str
    password: str
    seed: str
    codes: list[str]


def allow_password_alone(town: Town) -> None:
    """`assurance.minimum=aal1`."""
    policy = msgspec.structs.replace(town.house.identity_policy, assurance=AssurancePolicy(minimum="aal1"))
    town.house.identity_policy = policy


async def resident(
    town: Town,
    email: str = "ada@example.org",
    *,
    has_password: bool = True,
    has_app: bool = True,
    has_codes: bool = True,
    **person: Any,
) -> Resident:
    """Somebody with an account in the town."""
    account_id = await town.person(email=email, **person)
    hashed = await town.house.hasher.hash(PASSWORD)
    now, seed, codes = town.clock.now(), totp.new_seed(), []
    async with town.transaction() as db:
        key = await data_key_of(db, town.vault, account_id)
        if has_password:
            await password.set_password(db, account_id, hashed, now)
        if has_app:
            await totp.add(db, key, account_id, seed, "Phone", now)
        if has_codes:
            codes = await recovery_code.make_codes(db, town.vault, account_id, now)
    return Resident(account_id, email, PASSWORD, seed, codes)


def code_of(town: Town, somebody: Resident) -> str:
    """What the app shows now."""
    return totp.current_code(somebody.seed, town.clock.now())


async def begin_for(
    town: Town, browser: Citizen, *, acr: str = "aal2", onward: Onward | None = None, **asked: Any
) -> str:
    """A sign-in that somebody else than our own pages began; its path."""
    await browser.get("/recovery")  # a page that knows its browser
    secret = browser.http.cookies.get("__Host-browser") or ""
    async with town.transaction() as db:
        return await begin(
            db,
            town.vault,
            Browser(secret),
            required_acr=acr,
            fresh_after=asked.get("fresh_after"),
            return_to=asked.get("return_to", "/privacy"),
            onward=onward or Onward(),
            now=town.clock.now(),
        )


async def give_password(browser: Citizen, page: Shown, somebody: Resident) -> Shown:
    """The first page, filled in; whatever page comes of it."""
    answer = await browser.press(page, "continue", identifier=somebody.email, password=somebody.password)
    return Shown(await browser.follow(answer))


async def sign_in(town: Town, browser: Citizen, somebody: Resident, path: str = "/sign-in") -> Shown:
    """Password and app, from the first page to where it leads."""
    page = await give_password(browser, await browser.see(path), somebody)
    if page.name == "second-factor":
        answer = await browser.press(page, "continue", code=code_of(town, somebody))
        page = Shown(await browser.follow(answer))
    town.later(seconds=31)  # the app shows a new code by the next time
    return page


async def session_of(town: Town, browser: Citizen) -> SessionView | None:
    """The session that this browser's cookie stands for."""
    async with town.transaction() as db:
        return await find_session(db, browser.http.cookies.get(COOKIE), town.clock.now())


def seed_on(page: Shown) -> str:
    """The key that a set-up page shows for typing."""
    found = re.search(r"<code>([A-Z2-7]{4}(?: [A-Z2-7]{4})+)</code>", page.html)
    assert found, page.text
    return found[1].replace(" ", "")


def codes_on(page: Shown) -> list[str]:
    """The recovery codes that a page shows."""
    return re.findall(r"<li><code>([^<]+)</code>", page.html)


def options_on(page: Shown) -> str:
    """The options of the ceremony that waits on a page."""
    found = re.search(r'<script type="application/json" id="passkey-options">(.*?)</script>', page.html, re.DOTALL)
    assert found, page.text
    return found[1]


async def answer(browser: Citizen, page: Shown, credential: str, **typed: str) -> Any:
    """What the script does: the credential into the form, the form to the button's own address."""
    action = re.search(r'data-action="([^"]+)"', page.html)
    assert action
    data = {**page.hidden, **typed, "credential": credential}
    return await browser.http.post(action[1], content=urlencode(data), headers={**FORM, "origin": ISSUER})
