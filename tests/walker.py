"""Whoever walks at random: two browsers with two tabs each, three people, and how they fill in what they meet."""

import re
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import httpx2
from residents import PASSWORD, codes_on, resident, seed_on
from soft_passkey import SoftPasskey
from town import FORM, ISSUER, NOON, Shown, Town
from walk_ledger import FRESH, Ledger, Person, Request, look

from accounts.account import data_key_of
from accounts.citizen import Browser
from accounts.contact import add_contact
from config.tables import metadata
from identity import recovery_code, totp
from identity.passkey_registration import registration_options, verify_registration
from identity.sign_in import Onward, begin
from identity.sms import use_phone

KEPT = {"signing_key", "oidc_revision"}
RIGHT, OTHER_WAY, WRONG, EMPTY, ONCE_RIGHT, SOMEBODY_ELSES = "right", "other way", "wrong", "empty", "old", "other's"
STEP = timedelta(seconds=31)
"""An app shows another code by then."""
SECURITY = "/account/security"


class Beginning(NamedTuple):
    """What Ada has beside her password, and Cleo beside her passkey. Nea has nothing yet."""

    app: bool = False
    texts: bool = False
    passkey: bool = False
    codes: int = 10
    cleos_app: bool = False


class Tab:
    """A page that is open, and whose it is thought to be."""

    def __init__(self) -> None:
        self.page: Shown | None = None
        self.path = ""
        self.who = 0


class Walker:
    """One walk through a town whose records are empty but for its people's."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.browsers = [town.browser(), town.browser()]
        self.tabs = [[Tab(), Tab()], [Tab(), Tab()]]
        self.posted: list[list[tuple[str, dict[str, str]]]] = [[], []]
        self.paths: list[str] = []
        self.serial = 0
        self.people = [
            Person("ada@example.org", "+442079460958"),
            Person("cleo@example.org", "-"),
            Person("nea@example.org", "-"),
        ]

    async def clear(self) -> None:
        """Empty the town."""
        town = self.town
        await town.work()
        async with town.house.database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name not in KEPT:
                    await connection.execute(table.delete())
        await town.house.store.close()
        town.clock.moment = NOON
        town.post.sent.clear()  # type: ignore[attr-defined]

    async def settle(self, beginning: Beginning) -> None:
        """Give the people what they have, a week before the walk: younger contacts prove nothing to recovery."""
        town, (ada, cleo, _) = self.town, self.people
        for one, app in ((ada, beginning.app), (cleo, beginning.cleos_app)):
            settled = await resident(town, one.email, has_password=one is ada, has_app=app)
            one.account_id = settled.account_id
            one.codes = [code.replace("-", "") for code in settled.codes]
            seen = await look(town)
            one.apps = {id_: settled.seed for id_, row in seen.apps.items() if row.account_id == one.account_id}
        ada.password, ada.codes = PASSWORD, ada.codes[: beginning.codes]
        assert ada.account_id is not None
        async with town.transaction() as db:
            key, now = await data_key_of(db, town.vault, ada.account_id), town.clock.now()
            contact = await add_contact(db, town.vault, key, ada.account_id, "phone", ada.phone, now, verified=True)
            await recovery_code.keep_codes(db, town.vault, ada.account_id, ada.codes, now)
            if beginning.texts and contact is not None:
                await use_phone(db, ada.account_id, contact, now)
                ada.gets_texts = True
        town.later(days=8)
        for one in (cleo, ada) if beginning.passkey else (cleo,):
            await self._give_a_passkey(one)
        self.ledger = Ledger(town, self.people, await look(town))
        for browser in self.browsers:
            await browser.get("/recovery")
            secret = browser.http.cookies.get("__Host-browser") or ""
            self.ledger.browsers.append(Browser(secret).digest)

    async def _give_a_passkey(self, one: Person) -> None:
        town, device, bound = self.town, self._device(), b"a counter of the town hall"
        policy, now = town.house.identity_policy.passkey, town.clock.now()
        assert one.account_id is not None
        async with town.transaction() as db:
            key = await data_key_of(db, town.vault, one.account_id)
            ceremony = await registration_options(
                db,
                town.house.store,
                policy,
                account_id=one.account_id,
                bound_to=bound,
                user_name=one.email,
                alone=True,
                now=now,
            )
            answer = device.create(ceremony.options)
            await verify_registration(
                db, key, town.house.store, policy, account_id=one.account_id, bound_to=bound, ceremony=ceremony.id,
                response=answer, name="", now=now,
            )  # fmt: skip
        one.passkeys[device.credential_id] = device

    def _device(self) -> SoftPasskey:
        return SoftPasskey(origin=ISSUER, rp_id="account.example.gov")

    # Ways that lead far.

    async def come_in(self, b: int, t: int, who: int, how: str = RIGHT) -> None:
        """Sign in, or create an account."""
        one, tab = self.people[who], self.tabs[b][t]
        if one.apps:
            self.town.later(seconds=STEP.seconds)
        await self.get(b, t, "/register" if one.account_id is None else "/sign-in?fresh=1")
        for n in range(7):
            if not tab.path.startswith(("/sign-in", "/register")):
                break
            await self.act(b, t, how if n == 1 else RIGHT, who)

    async def be_in(self, b: int, t: int, who: int) -> None:
        """Come in, but where this browser has done so minutes ago."""
        account_id, now = self.people[who].account_id, self.town.clock.now()
        mine = [s for s in self.ledger.seen.sessions.values() if s.is_alive and s.browser == self.ledger.browsers[b]]
        if not any(s.account_id == account_id and now - s.auth_time <= FRESH / 2 for s in mine):
            await self.come_in(b, t, who)

    async def go_to_second_step(self, b: int, t: int, who: int) -> bool:
        """Whether the page that asks for a code is open."""
        await self.get(b, t, "/sign-in?fresh=1")
        await self.act(b, t, RIGHT, who)
        page = self.tabs[b][t].page
        return page is not None and page.name == "second-factor"

    async def type_code(self, b: int, t: int, code: str) -> None:
        """Send this very code, whatever the open page asks for."""
        page = self.tabs[b][t].page
        if page is not None and page.action:
            await self._send_form(b, t, page.action, {**page.hidden, "action": "continue", "code": code})

    async def change(self, b: int, t: int, door: str, how: str) -> None:
        """Set something up or change it in the settings."""
        await self.get(b, t, door)
        if self.tabs[b][t].path == door:
            await self.act(b, t, how, None)

    async def remove(self, b: int, t: int, n: int) -> None:
        """Take one of the authenticators away, if the house lets it go."""
        if self.tabs[b][t].path != SECURITY:
            await self.get(b, t, SECURITY)
        page = self.tabs[b][t].page
        links = [link for link in page.links if "/remove" in link] if page is not None else []
        if links:
            await self.get(b, t, links[n % len(links)])
            await self.act(b, t, RIGHT, None)
            page = self.tabs[b][t].page
            self.ledger.reached["last way back kept"] += (
                page is not None and page.heading == "You need this to get back in"
            )

    async def visit_recovery(self, b: int, t: int, who: int) -> str:
        """A visit, as far as the waiting time; its path, "" where there is none."""
        await self.get(b, t, "/recovery/contacts")
        for n in range(3):
            await self.act(b, t, RIGHT, who if n == 0 else None)
        path = self.tabs[b][t].path.removesuffix("/new")
        return path if path.count("/") == 3 else ""

    async def choose_password(self, b: int, t: int, visit: str) -> None:
        """The form of a recovery that is ready, sent whether it is or not."""
        self.serial += 1
        self.ledger.reached["recovery tried too early"] += self.ledger.is_too_early(visit, self.town.clock.now())
        typed = {"action": "continue", "password": f"several hasty bicycles {self.serial}", **self.token(b)}
        await self._send_form(b, t, f"{visit}/new", typed)

    # How a step is done.

    async def be_sent(self, b: int, t: int, acr: str) -> None:
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
        await self.get(b, t, path)

    async def get(self, b: int, t: int, path: str) -> None:
        self.town.later(seconds=1)
        await self._arrive(b, t, await self.browsers[b].get(path), Request(b, path, {}, self.town.clock.now()))

    async def send(self, b: int, t: int, path: str, fields: dict[str, str]) -> None:
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

    def token(self, b: int) -> dict[str, str]:
        for tab in self.tabs[b]:
            if tab.page is not None and "csrf_token" in tab.page.hidden:
                return {"csrf_token": tab.page.hidden["csrf_token"]}
        return {}

    async def act(self, b: int, t: int, how: str, who: int | None) -> None:
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
        await self.send(b, t, path, fields)

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
