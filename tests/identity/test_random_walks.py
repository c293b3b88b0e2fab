"""Random walks through sign-in, enrolment and recovery: whatever is done in whatever order, the house tells the truth.

Two browsers with two tabs each go where they like over HTTP: forms filled in rightly, wrongly, with what was removed
or with somebody else's secrets; forms sent twice, out of order, from the other browser; links from the history; pauses
from a second to eight days. After each request every change in the house's records must follow from the walk's own
book (walk_ledger.py): no session whose `acr`, `amr` or `auth_time` is untrue (R10, R20), no open account without a way
back (R31), no step skipped (R45), nothing removed by a recovery (R50, R51), nothing that works once it was removed.

`make walks` walks many more times, longer ways, from a new seed each time.
"""

import asyncio
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from reached import offer_texts
from residents import PASSWORD, codes_on, resident, seed_on
from soft_passkey import SoftPasskey
from town import FORM, ISSUER, NOON, Shown, Town, new_town
from walk_ledger import Ledger, Person, Request, look

from accounts.account import data_key_of
from accounts.citizen import Browser
from accounts.contact import add_contact
from config.tables import metadata
from identity import recovery_code, totp
from identity.passkey_registration import registration_options, verify_registration
from identity.sign_in import Onward, begin
from identity.sms import use_phone

DEEP = int(os.environ.get("WALKS", "0"))
KEPT = {"signing_key", "oidc_revision"}
SETTINGS = {
    "throttle": {"per_address": 100_000},
    "sms": {"per_range": 10_000, "per_country": 10_000, "everyone": 100_000},
}
DOORS = (
    "/sign-in",
    "/sign-in?fresh=1",
    "/sign-in?start=create",
    "/register",
    "/recovery",
    "/recovery/contacts",
    "/account/security",
    "/account/security/app",
    "/account/security/passkey",
    "/account/security/password",
    "/account/security/password/remove",
    "/account/security/phone",
    "/account/security/recovery-codes",
    "/account/sessions",
)
SETTINGS_DOORS = (*(door for door in DOORS if door.startswith("/account/security")), "/account/security")
ROOMS = ("", "/second-factor", "/enrol", "/enrol/passkey", "/passkey", "/recovery-codes", "/password", "/new")
PAUSES = (1, 31, 290, 360, 620, 1810, 3700, 13 * 3600, 25 * 3600, 8 * 86400)
RIGHT, OTHER_WAY, WRONG, EMPTY, ONCE_RIGHT, SOMEBODY_ELSES = "right", "other way", "wrong", "empty", "old", "other's"
HOW = st.sampled_from((RIGHT, RIGHT, RIGHT, OTHER_WAY, OTHER_WAY, WRONG, EMPTY, ONCE_RIGHT, SOMEBODY_ELSES))
BROWSERS = TABS = st.integers(0, 1)
PEOPLE = st.integers(0, 2)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class Tab:
    """A page that is open, and whose it is thought to be."""

    def __init__(self) -> None:
        self.page: Shown | None = None
        self.path = ""
        self.who = 0


class Walk(RuleBasedStateMachine):
    """One walk; the house is the same for all, its records are emptied before each."""

    town: Town
    run: Any
    reached: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.run(self._clear())
        self.serial = 0

    async def _clear(self) -> None:
        town = self.town
        await town.work()
        async with town.house.database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name not in KEPT:
                    await connection.execute(table.delete())
        await town.house.store.close()
        town.clock.moment = NOON
        town.post.sent.clear()  # type: ignore[attr-defined]

    @initialize(app=st.booleans(), texts=st.booleans(), codes=st.sampled_from((1, 10)))
    def begin(self, app: bool, texts: bool, codes: int) -> None:
        """Ada has a password and an app or a phone, Cleo a passkey and codes alone; Nea has nothing yet."""
        self.run(self._begin(app or not texts, texts, codes))

    async def _begin(self, app: bool, texts: bool, codes: int) -> None:
        town = self.town
        ada = await resident(town, "ada@example.org", has_app=app)
        cleo = await resident(town, "cleo@example.org", has_password=False, has_app=False)
        people = [
            Person("ada@example.org", "+442079460958"),
            Person("cleo@example.org", "-"),
            Person("nea@example.org", "-"),
        ]
        people[0].account_id, people[1].account_id = ada.account_id, cleo.account_id
        people[0].password = PASSWORD
        people[0].codes = [code.replace("-", "") for code in ada.codes[:codes]]
        people[1].codes = [code.replace("-", "") for code in cleo.codes]
        async with town.transaction() as db:
            key = await data_key_of(db, town.vault, ada.account_id)
            contact = await add_contact(
                db, town.vault, key, ada.account_id, "phone", people[0].phone, town.clock.now(), verified=True
            )
            await recovery_code.keep_codes(db, town.vault, ada.account_id, people[0].codes, town.clock.now())
            if texts and contact is not None:
                await use_phone(db, ada.account_id, contact, town.clock.now())
                people[0].gets_texts = True
        town.later(days=8)
        seen = await look(town)
        for app_id in seen.apps:
            people[0].apps[app_id] = ada.seed
        self.people, self.ledger = people, Ledger(town, people, seen)
        self.browsers = [town.browser(), town.browser()]
        self.tabs = [[Tab(), Tab()], [Tab(), Tab()]]
        self.posted: list[list[tuple[str, dict[str, str]]]] = [[], []]
        self.paths: list[str] = []
        for browser in self.browsers:
            await browser.get("/recovery")
            secret = browser.http.cookies.get("__Host-browser") or ""
            self.ledger.browsers.append(Browser(secret).digest)
        await self._give_cleo_a_passkey(cleo.account_id)

    async def _give_cleo_a_passkey(self, account_id: Any) -> None:
        town, device, bound = self.town, self._device(), b"a counter of the town hall"
        policy, now = town.house.identity_policy.passkey, town.clock.now()
        async with town.transaction() as db:
            key = await data_key_of(db, town.vault, account_id)
            ceremony = await registration_options(
                db,
                town.house.store,
                policy,
                account_id=account_id,
                bound_to=bound,
                user_name="cleo",
                alone=True,
                now=now,
            )
            answer = device.create(ceremony.options)
            await verify_registration(
                db, key, town.house.store, policy, account_id=account_id, bound_to=bound, ceremony=ceremony.id,
                response=answer, name="", now=now,
            )  # fmt: skip
        self.people[1].passkeys[device.credential_id] = device
        self.ledger.seen = await look(town)

    def _device(self) -> SoftPasskey:
        return SoftPasskey(origin=ISSUER, rp_id="account.example.gov")

    def teardown(self) -> None:
        self.reached.update(self.ledger.reached)

    # Steps.

    @rule(b=BROWSERS, t=TABS, door=st.sampled_from(DOORS))
    def open(self, b: int, t: int, door: str) -> None:
        """Type an address of the site."""
        self.run(self._get(b, t, door))

    @rule(b=BROWSERS, t=TABS, acr=st.sampled_from(("aal2-phr", "aal3")))
    def be_sent_by_a_service(self, b: int, t: int, acr: str) -> None:
        """Come with a demand of a service's."""
        self.run(self._be_sent(b, t, acr))

    @rule(b=BROWSERS, t=TABS, how=HOW, who=PEOPLE)
    def act(self, b: int, t: int, how: str, who: int) -> None:
        """Fill in the form that is open, in one way or another."""
        self.run(self._act(b, t, how, who))

    @rule(b=BROWSERS, t=TABS, times=st.integers(2, 5), how=st.sampled_from((RIGHT, OTHER_WAY)))
    def go_on(self, b: int, t: int, times: int, how: str) -> None:
        """Do what the pages ask for, so many times."""
        for n in range(times):
            self.run(self._act(b, t, how if n < 2 else RIGHT, None))

    @rule(b=BROWSERS, t=TABS, who=PEOPLE, how=st.sampled_from((RIGHT, OTHER_WAY)))
    def come_in(self, b: int, t: int, who: int, how: str) -> None:
        """Sign in, or create an account."""
        has_account = self.people[who].account_id is not None
        self.run(self._get(b, t, "/sign-in?fresh=1" if has_account else "/register"))
        for n in range(3 if has_account else 6):
            self.run(self._act(b, t, how if n == 1 else RIGHT, who))

    @rule(b=BROWSERS, t=TABS, who=PEOPLE, door=st.sampled_from(SETTINGS_DOORS), how=st.sampled_from((RIGHT, OTHER_WAY)))
    def change_something(self, b: int, t: int, who: int, door: str, how: str) -> None:
        """Set something up or remove it in the settings, signing in where that is asked for."""
        tab = self.tabs[b][t]
        self.run(self._get(b, t, door))
        for _ in range(3):
            if tab.path != door:
                self.run(self._act(b, t, RIGHT, who))
        if tab.path == "/account/security":
            gone = [link for link in tab.page.links if "/remove/" in link] if tab.page else []
            if gone:
                self.run(self._get(b, t, gone[0] if how == RIGHT else gone[-1]))
        self.run(self._act(b, t, how, None))

    @rule(b=BROWSERS, t=TABS, wait=st.sampled_from((0, 25 * 3600, 8 * 86400)), who=st.integers(0, 1))
    def ask_to_get_back_in(self, b: int, t: int, wait: int, who: int) -> None:
        """A visit to recovery, as far as it goes."""
        self.town.later(seconds=wait)
        self.run(self._get(b, t, "/recovery/contacts"))
        for n in range(3):
            self.run(self._act(b, t, RIGHT, who if n == 0 else None))

    @rule(b=BROWSERS, t=TABS, n=st.integers(0, 9))
    def follow(self, b: int, t: int, n: int) -> None:
        """Follow a link of the open page."""
        page = self.tabs[b][t].page
        links = [link for link in page.links if link.startswith(("/sign-in", "/re", "/account/s"))] if page else []
        if links:
            self.run(self._get(b, t, links[n % len(links)]))

    @rule(b=BROWSERS, t=TABS, n=st.integers(0, 30), room=st.sampled_from(ROOMS))
    def jump(self, b: int, t: int, n: int, room: str) -> None:
        """Go straight to a step of a journey that somebody has begun."""
        if self.paths:
            self.run(self._get(b, t, self.paths[-1 - n % len(self.paths)] + room))

    @precondition(lambda self: any(self.posted))
    @rule(b=BROWSERS, n=st.integers(0, 30), whose=BROWSERS, room=st.sampled_from((None, None, *ROOMS)))
    def send_again(self, b: int, n: int, whose: int, room: str | None) -> None:
        """A form that was sent before, from this browser or the other, to its own address or another step's."""
        if self.posted[whose]:
            path, fields = self.posted[whose][-1 - n % len(self.posted[whose])]
            if room is not None:
                path = re.sub(r"(/[0-9a-f]{8}-[0-9a-f-]{27}).*", r"\1", path) + room
            self.run(self._send(b, 0, path, {**fields, **self._token(b)}))

    @rule(seconds=st.sampled_from(PAUSES))
    def pause(self, seconds: int) -> None:
        """Let time pass."""
        self.town.later(seconds=seconds)

    @rule(b=BROWSERS, n=st.integers(0, 5))
    def say_it_was_not_me(self, b: int, n: int) -> None:
        """Use the link of a notice."""
        links = [link for mail in self.town.post.sent for link in re.findall(r"/not-me/\S+", mail.text)]  # type: ignore[attr-defined]
        if links:
            self.run(self._get(b, 1, links[-1 - n % len(links)]))
            self.run(self._act(b, 1, RIGHT, None))

    @rule(b=BROWSERS)
    def lose_the_session(self, b: int) -> None:
        """Delete the session's cookie."""
        self.browsers[b].http.cookies.delete("__Host-session")

    # How a step is done.

    async def _be_sent(self, b: int, t: int, acr: str) -> None:
        now, browser = self.town.clock.now(), Browser(self.browsers[b].http.cookies.get("__Host-browser") or "")
        async with self.town.transaction() as db:
            path = await begin(
                db,
                self.town.vault,
                browser,
                required_acr=acr,
                fresh_after=None,
                return_to="/privacy",
                onward=Onward(),
                now=now,
            )
        await self._get(b, t, path)

    async def _get(self, b: int, t: int, path: str) -> None:
        self.town.later(seconds=1)
        await self._arrive(b, t, await self.browsers[b].get(path), Request(b, path, {}, self.town.clock.now()))

    async def _send(self, b: int, t: int, path: str, fields: dict[str, str]) -> None:
        self.town.later(seconds=1)
        request = Request(b, urlsplit(path).path, fields, self.town.clock.now())
        self.ledger.before(request)
        answer = await self.browsers[b].http.post(path, content=urlencode(fields), headers={**FORM, "origin": ISSUER})
        await self._arrive(b, t, answer, request)

    async def _arrive(self, b: int, t: int, answer: httpx2.Response, request: Request) -> None:
        """Judge what the request did; follow where it leads, each redirect being a request of its own."""
        assert answer.status_code < 500, (request.path, answer.status_code)
        led = answer.headers.get("location", "")
        await self.ledger.after(request, led)
        for _ in range(6):
            if answer.status_code != 303 or not led.startswith("/"):
                break
            self.town.later(seconds=1)
            request = Request(b, urlsplit(led).path, {}, self.town.clock.now())
            answer = await self.browsers[b].get(led)
            assert answer.status_code < 500, (request.path, answer.status_code)
            led = answer.headers.get("location", "")
            await self.ledger.after(request, led)
        else:
            raise AssertionError(f"{request.path}: led in a circle")
        tab = self.tabs[b][t]
        tab.page, tab.path = Shown(answer), request.path
        self._read(b, tab.page, request)

    def _read(self, b: int, page: Shown, request: Request) -> None:
        """Write down what the page shows: where the journey is, seeds, codes, ceremonies."""
        place = page.action or request.path
        found = re.match(r"(/(?:sign-in|register|recovery/contacts)/[0-9a-f]{8}-[0-9a-f-]{27})", place)
        if found and found[1] not in self.paths:
            self.paths.append(found[1])
        if page.hidden.get("app"):
            self.ledger.offers[UUID(page.hidden["app"])] = seed_on(page)
        if page.hidden.get("ceremony"):
            # A ceremony of the settings is bound to the session, which has no journey in its path.
            journey = Request(b, place, {}, request.at).journey
            self.ledger.ceremonies[page.hidden["ceremony"]] = (b, journey, request.at)
        codes = [code.replace("-", "") for code in codes_on(page)]
        for one in self.people:
            if codes and one.codes[:1] == ["?"]:
                one.codes = codes

    def _token(self, b: int) -> dict[str, str]:
        for tab in self.tabs[b]:
            if tab.page is not None and "csrf_token" in tab.page.hidden:
                return {"csrf_token": tab.page.hidden["csrf_token"]}
        return {}

    async def _act(self, b: int, t: int, how: str, who: int | None) -> None:
        tab = self.tabs[b][t]
        if tab.page is None or not tab.page.action:
            return
        if who is not None and 'name="identifier"' in tab.page.html:
            tab.who = who
        page, one = tab.page, self.people[tab.who]
        if how == SOMEBODY_ELSES:
            one = self.people[(tab.who + 1) % 3]
        has_none = page.name == "sign-in" and one.password is None
        if page.hidden.get("ceremony") and (has_none or how in (OTHER_WAY, SOMEBODY_ELSES, ONCE_RIGHT, WRONG)):
            sent = self._by_passkey(page, one, how)
            if sent is not None:
                await self._send_form(b, t, *sent)
                return
        action = page.buttons[0] if page.buttons else "continue"
        if how == OTHER_WAY and len(page.buttons) > 1:
            action = page.buttons[1]
        fields = {**page.hidden, "action": action}
        for name in ("identifier", "password", "code", "phone", "lost"):
            if f'name="{name}"' in page.html:
                fields[name] = "" if how == EMPTY else self._value(page, name, one, how)
        await self._send_form(b, t, page.action, fields)

    async def _send_form(self, b: int, t: int, path: str, fields: dict[str, str]) -> None:
        self.posted[b].append((path, fields))
        await self._send(b, t, path, fields)

    def _by_passkey(self, page: Shown, one: Person, how: str) -> tuple[str, dict[str, str]] | None:
        """What the script would send, or None without a passkey to use."""
        options = re.search(r'id="passkey-options">(.*?)</script>', page.html, re.DOTALL)
        action, kind = re.search(r'data-action="([^"]+)"', page.html), re.search(r'data-passkey="(\w+)"', page.html)
        assert options
        assert action
        assert kind
        if kind[1] == "create":
            device = self._device()
            if "preferred" in options[1] or "discouraged" in options[1]:
                device.verifies = how == OTHER_WAY
            answer = device.create(options[1])
        else:
            own = one.old_passkeys if how == ONCE_RIGHT else list(one.passkeys.values())
            if not own:
                return None
            device = own[-1]
            answer = device.get(options[1], **({"key": self._device().key} if how == WRONG else {}))
        if how != WRONG:
            self.ledger.answers[answer] = (page.hidden["ceremony"], device)
        return action[1], {**page.hidden, "credential": answer}

    def _value(self, page: Shown, name: str, one: Person, how: str) -> str:
        """What is typed into a field."""
        if name == "identifier":
            return one.email
        if name == "lost":
            return "yes" if self.serial % 2 else ""
        if name == "phone":
            found = re.search(r'name="phone" value="([^"]+)"', page.html)
            return found[1] if found else ""
        if name == "password":
            return self._password(page, one, how)
        return self._code(page, one, how)

    def _password(self, page: Shown, one: Person, how: str) -> str:
        if how == WRONG:
            return "nothing that anybody chose"
        if how == ONCE_RIGHT:
            return one.old_passwords[-1] if one.old_passwords else "an older one"
        if page.name == "sign-in":
            return one.password or "no password at all"
        self.serial += 1
        return f"several quiet bicycles {self.serial}"

    def _code(self, page: Shown, one: Person, how: str) -> str:
        now = self.town.clock.now() + timedelta(seconds=1)
        if how == WRONG:
            return "000000"
        if page.hidden.get("app"):
            return totp.current_code(seed_on(page), now)
        if how == ONCE_RIGHT:
            gone = [*one.old_codes, *(totp.current_code(seed, now) for seed in one.old_apps)]
            return gone[-1] if gone else "111111"
        if page.name == "second-factor":
            if "use=recovery-code" in page.action or not (one.apps or one.gets_texts):
                return one.codes[0] if one.codes else "222222"
            if "use=text" not in page.action and one.apps:
                return totp.current_code(next(reversed(one.apps.values())), now)
        journey = Request(0, page.action, {}, now).journey
        sent = self.ledger.sent.get(journey, [])
        if (
            page.name == "recovery"
            and "recovery code" in page.text
            and one.codes
            and not (sent and sent[-1].to == one.phone)
        ):
            return one.codes[0]
        return sent[-1].code if sent else "333333"


@pytest.fixture
def walk(loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Walk]]:
    """The walk, through a town of its own."""
    with tempfile.TemporaryDirectory() as folder:
        opened = new_town(f"sqlite+aiosqlite:///{folder}/walks.sqlite", SETTINGS)
        town = loop.run(opened.__aenter__())
        offer_texts(town, per_range=10_000)
        Walk.town, Walk.run = town, staticmethod(loop.run)
        Walk.reached = Counter()
        yield Walk
        loop.run(opened.__aexit__(None, None, None))


def test_no_walk_leads_to_what_is_untrue(walk: type[Walk]) -> None:
    """R20, R31, R45, R50, R51: after every request of every walk."""
    chosen = settings(
        max_examples=DEEP or 25,
        stateful_step_count=60 if DEEP else 30,
        derandomize=not DEEP,
        # To make a failing walk short takes minutes, to explain it many more.
        phases=(Phase.generate, Phase.shrink) if DEEP else (Phase.generate,),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )
    run_state_machine_as_test(walk, settings=chosen)  # type: ignore[no-untyped-call]
    print(walk.reached)
