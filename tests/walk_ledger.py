"""What really happened on a random walk: who proved what in which browser and when, and whether the house says so."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from soft_passkey import SoftPasskey
from sqlalchemy import select
from town import Town

from accounts.account import Account
from accounts.contact import Contact
from identity import totp
from identity.passkey import Passkey
from identity.password import Password
from identity.recovery import Recovery
from identity.recovery_code import RecoveryCode
from identity.session import Session
from identity.sms_phone import SmsPhone
from identity.totp import Totp

LEVELS = ("", "aal1", "aal2", "aal2-phr")
AMR = {"pwd": {"pwd"}, "otp": {"otp"}, "recovery": {"otp"}, "sms": {"sms"},
       "passkey": {"pop", "user"}, "passkey_uv": {"pop", "user"}}  # fmt: skip
PROOF = timedelta(minutes=30)
"""How long a proof waits for the next one."""
CODE = timedelta(minutes=10)
CEREMONY = timedelta(minutes=5)
FRESH = timedelta(minutes=5)
VISIT = timedelta(minutes=30)
DAY = timedelta(days=1)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def rank(methods: set[str]) -> int:
    """R20, written down a second time: 1 is AAL1, 2 AAL2, 3 AAL2 phishing-resistant."""
    if "passkey_uv" in methods or {"pwd", "passkey"} <= methods:
        return 3
    if "pwd" in methods and methods & {"otp", "recovery", "sms"}:
        return 2
    return 1 if methods else 0


class Person(msgspec.Struct):
    """What somebody knows and has, and what they once had."""

    email: str
    phone: str
    account_id: UUID | None = None
    password: str | None = None
    old_passwords: list[str] = []
    apps: dict[UUID, str] = {}
    old_apps: list[str] = []
    passkeys: dict[bytes, SoftPasskey] = {}
    old_passkeys: list[SoftPasskey] = []
    codes: list[str] = []
    old_codes: list[str] = []
    gets_texts: bool = False
    has_run_out: bool = False
    """The last recovery code was spent, and nobody has signed in since."""

    @property
    def methods(self) -> set[str]:
        """Everything that could be proved now."""
        keys = {"passkey_uv" if key.verifies else "passkey" for key in self.passkeys.values()}
        has = {"pwd": self.password, "otp": self.apps, "sms": self.gets_texts, "recovery": self.codes}
        return keys | {method for method, what in has.items() if what}

    @property
    def has_way_back(self) -> bool:
        """R31, written down a second time: two factors without recovery codes; and codes, or still two factors when
        any one thing is lost."""
        if rank(self.methods - {"recovery"}) < 2:
            return False
        return bool(self.codes) or all(rank(left) >= 2 for left in self._after_a_loss())

    def _after_a_loss(self) -> Iterator[set[str]]:
        things = [("pwd", 1)] if self.password else []
        things += [("otp", len(self.apps)), ("sms", int(self.gets_texts))]
        things += [(m, sum((m == "passkey_uv") == k.verifies for k in self.passkeys.values())) for m in ("passkey_uv", "passkey")]  # noqa: E501  # fmt: skip
        for lost, _ in [thing for thing in things if thing[1]]:
            yield {m for m, n in things if n - (m == lost) > 0}


class Request(NamedTuple):
    """One request and when it was sent."""

    browser: int
    path: str
    fields: dict[str, str]
    at: datetime

    @property
    def journey(self) -> str:
        """The id of the sign-in, registration or visit that its path names."""
        found = ID.search(self.path)
        return found[0] if found else ""


class Proof(NamedTuple):
    browser: int
    account_id: UUID
    method: str
    at: datetime


class Sent(NamedTuple):
    """A one-time code that went out for a journey."""

    to: str
    code: str
    at: datetime


class SessionRow(NamedTuple):
    account_id: UUID
    browser: bytes
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    secret: bytes
    is_alive: bool


class Seen(NamedTuple):
    """What the database holds after a step."""

    states: dict[UUID, str]
    owners: dict[bytes, UUID]
    passwords: dict[UUID, datetime]
    apps: dict[UUID, Any]
    passkeys: dict[bytes, Any]
    codes: dict[UUID, tuple[datetime, int]]
    phones: dict[UUID, UUID]
    sessions: dict[UUID, SessionRow]
    recoveries: dict[UUID, Any]


async def look(town: Town) -> Seen:
    """The house's own records."""
    now = town.clock.now()
    async with town.transaction() as db:
        codes: dict[UUID, tuple[datetime, int]] = {}
        for row in await db.all(select(RecoveryCode.account_id, RecoveryCode.made_at, RecoveryCode.spent_at)):
            left = codes.get(row.account_id, (row.made_at, 0))[1] + (row.spent_at is None)
            codes[row.account_id] = (row.made_at, left)
        sessions = await db.all(
            select(Session.id, Session.account_id, Session.browser, Session.acr, Session.amr, Session.auth_time,
                   Session.secret_digest, Session.ended_at, Session.alive_until)
        )  # fmt: skip
        opened = await db.all(select(Password.account_id, Password.set_at))
        apps = await db.all(select(Totp.id, Totp.account_id, Totp.confirmed_at, Totp.removed_at, Totp.last_step))
        passkeys = await db.all(select(Passkey.credential_id, Passkey.account_id, Passkey.removed_at))
        phones = await db.all(select(SmsPhone.id, SmsPhone.account_id).where(SmsPhone.removed_at.is_(None)))
        recoveries = await db.all(
            select(Recovery.account_id, Recovery.started_at, Recovery.stopped_at, Recovery.completed_at).order_by(
                Recovery.id
            )
        )
        emails = await db.all(select(Contact.blind_index, Contact.account_id).where(Contact.kind == "email"))
        return Seen(
            states={row.id: row.state for row in await db.all(select(Account.id, Account.state))},
            owners={row.blind_index: row.account_id for row in emails},
            passwords={row.account_id: row.set_at for row in opened},
            apps={row.id: row for row in apps},
            passkeys={row.credential_id: row for row in passkeys},
            codes=codes,
            phones={row.account_id: row.id for row in phones},
            sessions={
                row.id: SessionRow(
                    row.account_id,
                    row.browser,
                    row.acr,
                    tuple(row.amr),
                    row.auth_time,
                    row.secret_digest,
                    row.ended_at is None and row.alive_until > now,
                )
                for row in sessions
            },
            recoveries={row.account_id: row for row in recoveries},
        )


class Ledger:
    """The walk's own book. `before` each request it writes down what the request proves; `after` it, every change in
    the house's records has to follow from the book."""

    def __init__(self, town: Town, people: list[Person], seen: Seen) -> None:
        self.town, self.people, self.seen = town, people, seen
        self.browsers: list[bytes] = []
        self.proofs: list[Proof] = []
        self.sent: dict[str, list[Sent]] = {}
        self.offers: dict[UUID, str] = {}
        """Seeds that a page has shown, by the app's id."""
        self.ceremonies: dict[str, tuple[int, str, datetime]] = {}
        """Browser, journey and instant of each page that began one."""
        self.answers: dict[str, tuple[str, SoftPasskey]] = {}
        """What a device has answered: the ceremony, and by which passkey."""
        self.confirmed: set[tuple[int, str]] = set()
        """Browser and registration whose address was proved."""
        self.visits: dict[str, dict[str, tuple[int, datetime]]] = {}
        """What was proved on a visit to recovery: `email`, `second`."""
        self.reached: Counter[str] = Counter()
        """How often what was seen: a walk that comes nowhere proves nothing."""
        self._mail = len(town.post.sent)  # type: ignore[attr-defined]

    def owner(self, account_id: UUID) -> Person:
        return next(one for one in self.people if one.account_id == account_id)

    def before(self, request: Request) -> None:
        """Write down what is true about what is being sent."""
        at, b, fields = request.at, request.browser, request.fields
        code = re.sub(r"\W", "", fields.get("code", "")).upper()
        if re.fullmatch(r"/sign-in/[^/]+", request.path):
            for one in self.people:
                if one.email == fields.get("identifier") and one.password == fields.get("password") is not None:
                    self._prove(b, one, "pwd", at)
        elif request.path.endswith("/second-factor") and code:
            for one in self.people:
                for app_id, seed in one.apps.items():
                    if self._fresh_step(app_id, seed, code, at):
                        self._prove(b, one, "otp", at)
                    elif _steps(seed, code, at):
                        self.reached["code sent again"] += 1
                if code in one.codes:
                    self._prove(b, one, "recovery", at)
                self.reached["code sent again"] += code in one.old_codes
                if one.gets_texts and self._was_sent(request, one.phone, code):
                    self._prove(b, one, "sms", at)
        elif re.fullmatch(r"/sign-in/[^/]+/passkey", request.path):
            ceremony, device = self.answers.get(fields.get("credential", ""), ("", None))
            began = self.ceremonies.pop(fields.get("ceremony", ""), None)
            if device is not None and began is not None and fields["ceremony"] == ceremony:
                for one in self.people:
                    is_here = began[:2] == (b, request.journey) and at - began[2] <= CEREMONY
                    if is_here and one.passkeys.get(device.credential_id) is device:
                        self._prove(b, one, "passkey_uv" if device.verifies else "passkey", at)
        elif re.fullmatch(r"/register/[^/]+", request.path):
            if any(self._was_sent(request, one.email, code) for one in self.people):
                self.confirmed.add((b, request.journey))
        elif re.fullmatch(r"/recovery/contacts/[^/]+", request.path) and code:
            visit = self.visits.setdefault(request.journey, {})
            for one in self.people:
                if self._was_sent(request, one.email, code):
                    visit.setdefault("email", (b, at))
                elif "email" in visit and (code in one.codes or self._was_sent(request, one.phone, code)):
                    visit.setdefault("second", (b, at))

    async def after(self, request: Request, answer: str) -> None:
        """Hold every change against the book. `answer` is where the request led."""
        town, was = self.town, self.seen
        await town.work()
        led = ID.search(answer)
        journey = request.journey or (led[0] if led else "")
        for message in town.post.sent[self._mail :]:  # type: ignore[attr-defined]
            if message.code:
                self.sent.setdefault(journey, []).append(Sent(message.to, message.code, request.at))
        self._mail = len(town.post.sent)  # type: ignore[attr-defined]
        self.seen = now = await look(town)
        for one in self.people:
            one.account_id = now.owners.get(town.vault.blind("email", one.email))
        changed = self._credentials(request, was, now)
        self._sessions(request, was, now, changed)
        self._recoveries(request, was, now)
        for one in self.people:
            if one.account_id is not None and now.states.get(one.account_id) == "active":
                assert one.has_way_back or one.has_run_out, f"{request.path}: no way back (R31)"
                if was.states.get(one.account_id) == "enrolling":
                    self.reached["account opened"] += 1
                    assert one.codes, f"{request.path}: open without recovery codes (R31)"

    def is_too_early(self, visit: str, now: datetime) -> bool:
        """Whether both proofs of a visit to recovery were given, and the waiting time is all that lacks."""
        proved = self.visits.get(visit.rpartition("/")[2], {})
        running = [r for r in self.seen.recoveries.values() if r.stopped_at is None and r.completed_at is None]
        return set(proved) == {"email", "second"} and any(now - row.started_at < DAY for row in running)

    # What may change an account's authenticators.

    def _credentials(self, request: Request, was: Seen, now: Seen) -> set[UUID]:
        """The accounts whose authenticators changed, each by somebody who may."""
        changed: set[UUID] = set()
        for account_id in now.states:
            one = next((one for one in self.people if one.account_id == account_id), None)
            if one is None:
                continue
            could = one.methods
            added, removed, recoded = self._changes_of(one, request, was, now)
            if not (added or removed or recoded):
                continue
            is_right = self._may_change(request, one, could, was, is_removal=removed)
            assert is_right, f"{request.path}: changed by nobody who may (R30)"
            self.reached.update(f"{what} added" for what in added)
            self.reached.update({"removed": removed, "codes made": recoded})
            if removed and was.states.get(account_id) == "active":
                assert one.has_way_back, f"{request.path}: the last way back removed (R31)"
            for what in added:
                if request.path.startswith(("/sign-in/", "/register/")):
                    self._prove(request.browser, one, what, request.at)
            if added or removed:
                changed.add(account_id)
        return changed

    def _changes_of(self, one: Person, request: Request, was: Seen, now: Seen) -> tuple[set[str], bool, bool]:
        added, removed, account_id = set[str](), False, one.account_id
        assert account_id is not None
        if now.passwords.get(account_id) != was.passwords.get(account_id):
            if one.password is not None:
                one.old_passwords.append(one.password)
            one.password = request.fields["password"] if account_id in now.passwords else None
            added |= {"pwd"} if one.password else set()
            removed |= one.password is None
        for app_id, row in now.apps.items():
            before = was.apps.get(app_id)
            if row.account_id != account_id or row == before:
                continue
            if row.confirmed_at and not (before and before.confirmed_at):
                seed = self.offers[app_id]
                assert row.last_step in _steps(seed, request.fields["code"], request.at), "a wrong first code"
                one.apps[app_id] = seed
                added.add("otp")
            if row.removed_at and app_id in one.apps:
                one.old_apps.append(one.apps.pop(app_id))
                removed = True
        for credential_id, row in now.passkeys.items():
            if row.account_id != account_id:
                continue
            if credential_id not in was.passkeys:
                ceremony, device = self.answers[request.fields["credential"]]
                began = self.ceremonies.pop(ceremony)
                assert began[0] == request.browser, "another browser's ceremony (R29)"
                assert began[1] == request.journey, "another journey's ceremony (R29)"
                assert request.at - began[2] <= CEREMONY
                one.passkeys[credential_id] = device
                added.add("passkey_uv" if device.verifies else "passkey")
            if row.removed_at and credential_id in one.passkeys:
                one.old_passkeys.append(one.passkeys.pop(credential_id))
                removed = True
        if one.gets_texts != (account_id in now.phones):
            one.gets_texts = not one.gets_texts
            added |= {"sms"} if one.gets_texts else set()
            removed |= not one.gets_texts
        return added, removed, self._recovery_codes(one, request, was, now)

    def _recovery_codes(self, one: Person, request: Request, was: Seen, now: Seen) -> bool:
        """Whether there are new ones. Of the old ones at most the one that was typed has gone."""
        assert one.account_id is not None
        made, left = now.codes.get(one.account_id, (None, 0))
        had, before = was.codes.get(one.account_id, (None, 0))
        if made != had:
            one.old_codes += one.codes
            one.codes = ["?"] * left  # until a page shows them
            one.has_run_out = False
            return True
        if left < before:
            typed = re.sub(r"\W", "", request.fields["code"]).upper()
            assert left == before - 1, "more than one code spent"
            assert typed in one.codes, "a wrong code spent"
            one.codes.remove(typed)
            one.old_codes.append(typed)
            one.has_run_out = not one.codes
        return False

    def _may_change(self, request: Request, one: Person, could: set[str], was: Seen, *, is_removal: bool) -> bool:
        assert one.account_id is not None
        b, at = request.browser, request.at
        if was.states.get(one.account_id) == "enrolling":
            here = any(p.account_id == one.account_id and p.browser == b and at - p.at <= PROOF for p in self.proofs)
            return here or (b, request.journey) in self.confirmed
        if request.path.startswith("/recovery/"):
            return not is_removal and self._is_recovered(request, one.account_id, was)
        needed = min(2, rank(could))
        if request.path.startswith("/account/"):
            fresh = [s for s in was.sessions.values() if s.is_alive and s.browser == self.browsers[b]
                     and s.account_id == one.account_id and at - s.auth_time <= FRESH]  # fmt: skip
            return any(LEVELS.index(s.acr) >= needed for s in fresh)
        assert not is_removal, f"{request.path} removes"
        proved = {p.method for p in self.proofs if p[:2] == (b, one.account_id) and at - p.at <= PROOF + FRESH}
        return rank(proved) >= needed

    def _is_recovered(self, request: Request, account_id: UUID, was: Seen) -> bool:
        running, visit = was.recoveries.get(account_id), self.visits.get(request.journey, {})
        proved = {what for what, (b, at) in visit.items() if b == request.browser and request.at - at <= VISIT}
        return (
            proved == {"email", "second"}
            and running is not None
            and running.stopped_at is None
            and running.completed_at is None
            and request.at - running.started_at >= DAY
        )

    # What a session may say.

    def _sessions(self, request: Request, was: Seen, now: Seen, changed: set[UUID]) -> None:
        for session_id, row in now.sessions.items():
            before = was.sessions.get(session_id)
            if row.is_alive:
                is_here = row.browser == self.browsers[request.browser] and not request.path.startswith("/recovery/")
                assert is_here or row.account_id not in changed, f"{request.path}: still signed in elsewhere (R30)"
            elif row.account_id in changed and session_id in was.sessions and was.sessions[session_id].is_alive:
                self.reached["signed out elsewhere"] += 1
            if before is not None and before[:6] == row[:6]:
                continue
            assert row.browser == self.browsers[request.browser], "a session of another browser"
            assert before is None or before.is_alive, "a session came back"
            assert now.states[row.account_id] == "active", f"{request.path}: in before enrolment was over (R45)"
            one = self.owner(row.account_id)
            assert one.has_way_back, f"{request.path}: in without a way back (R31)"
            self.reached["session raised" if before else f"session {row.acr}"] += 1
            known = [p for p in self.proofs if p[:2] == (request.browser, row.account_id)]
            methods = {p.method for p in known if row.auth_time - PROOF <= p.at}
            assert row.auth_time in {p.at for p in known}, f"auth_time {row.auth_time}: nothing was proved then"
            assert LEVELS.index(row.acr) <= rank(methods), f"acr {row.acr} by {methods}"
            told = set().union(*(AMR[method] for method in methods)) | ({"mfa"} if rank(methods) >= 2 else set())
            assert set(row.amr) <= told, f"amr {row.amr} by {methods}"
            assert ("mfa" in row.amr) == (LEVELS.index(row.acr) >= 2)

    def _recoveries(self, request: Request, was: Seen, now: Seen) -> None:
        for account_id, row in now.recoveries.items():
            before = was.recoveries.get(account_id)
            if row == before:
                continue
            if before is None or row.started_at != before.started_at:
                visit = self.visits.get(request.journey, {})
                proved = {what for what, (b, at) in visit.items() if b == request.browser and request.at - at <= VISIT}
                assert proved == {"email", "second"}, "begun by one proof (R50)"
                self.reached["recovery begun"] += 1
            if row.completed_at and not (before and before.completed_at):
                assert self._is_recovered(request, account_id, was), "completed too early (R51)"
                self.reached["recovery completed"] += 1

    # What is right.

    def _prove(self, browser: int, one: Person, method: str, at: datetime) -> None:
        if one.account_id is not None:
            self.proofs.append(Proof(browser, one.account_id, method, at))

    def _fresh_step(self, app_id: UUID, seed: str, code: str, at: datetime) -> bool:
        last = self.seen.apps[app_id].last_step
        return any(step > last for step in _steps(seed, code, at))

    def _was_sent(self, request: Request, to: str, code: str) -> bool:
        """It is the latest that went there for this journey, and young."""
        latest = [sent for sent in self.sent.get(request.journey, ()) if sent.to == to]
        return bool(latest) and latest[-1].code == code and request.at - latest[-1].at <= CODE


def _steps(seed: str, code: str, at: datetime) -> list[int]:
    """The steps around `at` at which an app with this seed shows this code."""
    shown = {
        int(t.timestamp()) // 30: totp.current_code(seed, t)
        for n in (-1, 0, 1)
        if (t := at + n * timedelta(seconds=30))
    }
    return [step for step, shows in shown.items() if shows == re.sub(r"\W", "", code)]
