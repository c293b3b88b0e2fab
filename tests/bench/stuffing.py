"""`make stuffing`: leaked passwords tried at 10,000 accounts from 500 addresses, while citizens sign in (R26, R28).

A simulated quarter of an hour through the real verbs (the page's ticket, `prove_password`), on a copy of the same
PostgreSQL database each time, with the cheapest hashes: guesses are counted here, not milliseconds. Prints, for limits
alone and for three kinds of machines under work, what was judged of what they tried, and which citizens were hindered.
"""

import asyncio
import heapq
import os
import random
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count, repeat
from multiprocessing import get_context
from statistics import median
from uuid import UUID

import msgspec
from bench import services
from servers import conninfo, postgres_port

import psycopg  # isort: skip

from accounts.account import open_account
from accounts.citizen import Browser
from accounts.contact import add_contact
from accounts.database import Database, Transaction, new_secret
from accounts.errors import Refusal
from accounts.vault import Vault, VaultKeys
from config.database import open_engine
from config.store import MemoryStore
from config.tables import metadata
from identity.journey import Here
from identity.known_browser import recognise
from identity.pages.ticket import ticket_for
from identity.passkey import PasskeyPolicy
from identity.password import CHEAPEST, Hasher, set_password
from identity.policy import IdentityPolicy
from identity.proof_of_work import LONGEST, Shown, Ticket, is_solved
from identity.session import Device
from identity.sign_in import Onward, SignInView, begin, find
from identity.sign_in_proofs import Typed, prove_password
from identity.throttle_policy import ThrottlePolicy

BEGINNING = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNTS, MACHINES, NETWORKS = 10_000, 500, 25
TARGETS, MORE = 200, 20
"""One leaked password is tried at each account, and so many more at so many of them."""
GUESSES = ACCOUNTS + TARGETS * MORE
RIGHT = 0.02
"""So many of the accounts still have the password that was leaked."""
ATTACK, LASTS = 600, 900
"""Seconds in which the machines mean to be through, and that are simulated."""
PATIENCE = 60
"""Seconds: a citizen who is not in by then is hindered."""
CITIZENS = {"known browser": 200, "unknown, scripts": 200, "unknown, no scripts": 50}
"""Each is at an address of their own; every tenth has machines for neighbours, every fifth mistypes once."""
LIMITS = ThrottlePolicy(everyone=5000, proof_bits=2)
"""`everyone` as an operator of so many accounts would set it. Few bits, because the work is really done."""
DEAR = 2 ** (ThrottlePolicy().proof_bits - LIMITS.proof_bits)
"""How much more of it the default asks."""
OPENED = "right"
RUNS = (
    ("limits alone", "", msgspec.structs.replace(LIMITS, proof_bits=0)),
    ("machines ignore the work", "", LIMITS),
    ("machines wait for turns", "wait", LIMITS),
    ("machines do the work", "work", LIMITS),
)


class Visit(msgspec.Struct):
    """Somebody before the sign-in page. `does`: what becomes of a ticket (`work`, `wait`, or nothing)."""

    account: int
    passwords: list[str]
    address: str
    does: str
    browser: Browser = msgspec.field(default_factory=lambda: Browser(new_secret()))
    began: float = 0
    not_before: float = 0
    sign_in: SignInView | None = None
    ticket: Ticket | None = None


class Tally(msgspec.Struct):
    """What came of it."""

    tried: int = 0
    judged: Counter[int] = msgspec.field(default_factory=Counter)
    """Of the machines' guesses, by account."""
    opened: set[int] = msgspec.field(default_factory=set)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    hashes: int = 0
    waits: dict[str, list[float]] = msgspec.field(default_factory=lambda: {kind: [] for kind in CITIZENS})
    """Of citizens who got in: seconds from their first press."""


class Town:
    """The accounts of a database, and what counts the attempts."""

    def __init__(self, url: str, vault: Vault, hasher: Hasher, throttle: ThrottlePolicy) -> None:
        self.engine = open_engine(url, 2, durable=False)
        self.database = Database(self.engine, keep=(Refusal,))
        self.store = MemoryStore(BEGINNING - timedelta(days=1))
        self.vault, self.hasher, self.hashes = vault, hasher, 0
        passkey = PasskeyPolicy("account.example.gov", "Account", ("https://account.example.gov",))
        self.policy = IdentityPolicy(passkey=passkey, totp_issuer="Account", throttle=throttle)

    async def press(self, visit: Visit, at: float) -> tuple[str, int]:
        """Fill in the page and send it: what it was refused for (or OPENED), and how long to wait."""
        now, device = BEGINNING + timedelta(seconds=at), Device("Firefox on Linux", visit.address)
        browser = visit.browser
        if visit.sign_in is None:
            async with self.database.begin() as db:
                visit.sign_in = await self._begin(db, browser, now)
                visit.ticket = await ticket_for(self._here(db, visit, now), bound_to(visit), None, None)
        text = visit.ticket.text if visit.ticket else ""
        proof = self._proof(visit.ticket) if visit.ticket and visit.does == "work" else ""
        typed = Typed(email_of(visit.account), visit.passwords[0], text, proof)
        async with self.database.begin() as db:
            try:
                await prove_password(
                    db,
                    self.vault,
                    self.store,
                    self.hasher,
                    visit.sign_in,
                    typed,
                    browser.digest,
                    device,
                    self.policy,
                    now,
                )
            except Refusal as refusal:
                left = refusal.retry_after or 0
                if refusal.reason != "credentials_wrong" or visit.passwords[1:]:  # they come back
                    sent = Shown(bound_to(visit), text, proof)
                    visit.ticket = await ticket_for(self._here(db, visit, now), bound_to(visit), sent, refusal)
                    if refusal.reason == "slowed" and visit.ticket is not None:
                        left = visit.ticket.left(now) or LONGEST
                return refusal.reason, left
        return OPENED, 0

    def _here(self, db: Transaction, visit: Visit, now: datetime) -> Here:
        device = Device("Firefox on Linux", visit.address)
        return Here(db, self.vault, self.store, visit.browser, None, device, self.policy, now)

    async def _begin(self, db: Transaction, browser: Browser, now: datetime) -> SignInView:
        path = await begin(
            db,
            self.vault,
            browser,
            required_acr="aal2",
            fresh_after=None,
            return_to="/account",
            onward=Onward(),
            now=now,
        )
        found = await find(db, self.vault, UUID(path.rpartition("/")[2]), browser)
        assert found is not None
        return found

    async def close(self) -> None:
        """End its threads and connections."""
        self.hasher.close()
        await self.engine.dispose()

    def _proof(self, ticket: Ticket) -> str:
        found = next(number for number in count() if is_solved(ticket, str(number)))
        self.hashes += found + 1
        return str(found)


def main() -> None:
    began = time.monotonic()
    known = [Browser(new_secret()) for _ in range(CITIZENS["known browser"])]
    with services():
        asyncio.run(found_town(new_town(database("accounts"), LIMITS), known))
        print(
            f"{ACCOUNTS:,} accounts, {RIGHT:.0%} with a password that was leaked; {MACHINES} machines in {NETWORKS} "
            f"networks try {GUESSES:,} in {ATTACK // 60} minutes.\n"
            f"Limits in ten minutes: {LIMITS.per_address} an address, {LIMITS.per_prefix:,} a network, "
            f"{LIMITS.everyone:,} everyone; work from {LIMITS.proof_from:.0%} of the wider two.\n"
        )
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as processes:
            urls = [database(f"run{number}", "accounts") for number in range(len(RUNS))]
            tallies = processes.map(one_run, RUNS, urls, repeat([browser.secret for browser in known]))
            for (title, *_), tally in zip(RUNS, tallies, strict=True):
                report(title, tally)
    print(f"{time.monotonic() - began:.0f} seconds")


def database(name: str, template: str = "template1") -> str:
    """A new one, empty or a copy; its address."""
    port = postgres_port()
    with psycopg.connect(conninfo(port), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"postgresql+psycopg://identity@127.0.0.1:{port}/{name}"


def one_run(run: tuple[str, str, ThrottlePolicy], url: str, known: list[str]) -> Tally:
    """In a process of its own, on a copy of the accounts."""
    _, machines, throttle = run

    async def whole() -> Tally:
        town = new_town(url, throttle)
        tally = await attacked(town, machines, [Browser(secret) for secret in known])
        await town.close()
        return tally

    return asyncio.run(whole())


def new_town(url: str, throttle: ThrottlePolicy) -> Town:
    """The same keys each time, so that a copy of the accounts can be read."""
    vault = Vault(VaultKeys(wrapping={1: b"w" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32))
    return Town(url, vault, Hasher(vault, CHEAPEST), throttle)


async def found_town(town: Town, known: list[Browser]) -> None:
    """Everybody with a password; the first ones are known in a browser each."""
    async with town.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    opened_at = BEGINNING - timedelta(days=30)
    async with town.database.begin() as db:
        for number in range(ACCOUNTS):
            account_id, key = await open_account(db, town.vault, opened_at, state="active")
            await add_contact(db, town.vault, key, account_id, "email", email_of(number), opened_at, verified=True)
            await set_password(db, account_id, await town.hasher.hash(password_of(number)), opened_at)
            if number < len(known):
                await recognise(db, account_id, known[number].digest, opened_at)
    await town.close()


async def attacked(town: Town, machines: str, known: list[Browser]) -> Tally:
    """What happens in the quarter of an hour, in its order."""
    chance, tally, order = random.Random(4), Tally(), count()
    due: list[tuple[float, int, Visit | deque[Visit], str]] = []
    lists = leaked(chance, machines)
    for tries in lists:
        heapq.heappush(due, (chance.uniform(0, ATTACK / len(tries)), next(order), tries, ""))
    for visit, kind in citizens(chance, known):
        heapq.heappush(due, (visit.began, next(order), visit, kind))
    while due and due[0][0] < LASTS:
        at, _, who, kind = heapq.heappop(due)
        if isinstance(who, deque):
            again = await guess(town, who, at, tally)
        else:
            again = await sign_in(town, who, at, kind, tally)
        if again is not None:
            heapq.heappush(due, (again, next(order), who, kind))
    tally.hashes = town.hashes
    return tally


def leaked(chance: random.Random, machines: str) -> list[deque[Visit]]:
    """What each machine is going to try."""
    still_right = set(chance.sample(range(ACCOUNTS), round(ACCOUNTS * RIGHT)))
    tries = [
        (account, password_of(account) if account in still_right else "leaked")
        for account in chance.sample(range(ACCOUNTS), ACCOUNTS)
    ]
    tries += [(account, f"leaked-{n}") for n in range(MORE) for account in range(ACCOUNTS - TARGETS, ACCOUNTS)]
    chance.shuffle(tries)
    return [
        deque(Visit(account, [typed], f"198.51.{n % NETWORKS}.{n // NETWORKS}", machines) for account, typed in part)
        for n, part in ((n, tries[n::MACHINES]) for n in range(MACHINES))
    ]


def citizens(chance: random.Random, known: list[Browser]) -> list[tuple[Visit, str]]:
    """Who signs in meanwhile."""
    visits, account = [], 0
    for kind, many in CITIZENS.items():
        for number in range(many):
            address = (
                f"198.51.{number % NETWORKS}.200" if number % 10 == 0 else f"10.{account % 250}.{account // 250}.7"
            )
            typed = [*(["mistyped"] if number % 5 == 0 else []), password_of(account)]
            does = "work" if kind == "unknown, scripts" else "wait"
            visit = Visit(account, typed, address, does, began=chance.uniform(0, LASTS - 2 * PATIENCE))
            if kind == "known browser":
                visit.browser = known[account]
            visits.append((visit, kind))
            account += 1
    return visits


async def guess(town: Town, tries: deque[Visit], at: float, tally: Tally) -> float | None:
    """A machine's next press; when it presses again."""
    pause = ATTACK * MACHINES / GUESSES
    for _ in range(len(tries)):
        if tries[0].not_before <= at:
            break
        tries.rotate(-1)
    else:
        return at + pause if tries else None
    visit = tries.popleft()
    tally.tried += 1
    reason, wait = await town.press(visit, at)
    if reason in (OPENED, "credentials_wrong"):
        tally.judged[visit.account] += 1
        if reason == OPENED:
            tally.opened.add(visit.account)
    else:
        tally.refused[reason] += 1
        if reason != "slowed" or visit.does:  # who ignores the work does not come back for the turn either
            visit.not_before = at + (wait if visit.does == "wait" or reason != "slowed" else 0)
            tries.append(visit)
    return at + pause


async def sign_in(town: Town, visit: Visit, at: float, kind: str, tally: Tally) -> float | None:
    """A citizen's next press; when they press again."""
    reason, wait = await town.press(visit, at)
    if reason == OPENED:
        tally.waits[kind].append(at - visit.began)
        return None
    if reason == "credentials_wrong":
        visit.passwords.pop(0)
        return at + 5 if visit.passwords else None
    return at + max(wait, 1)


def report(title: str, tally: Tally) -> None:
    """One run's figures."""
    judged, most = tally.judged.total(), max(tally.judged.values(), default=0)
    print(title)
    print(f"  presses by machines {tally.tried:>8,}   refused: {dict(tally.refused) or 'none'}")
    print(f"  guesses judged      {judged:>8,}   {judged / GUESSES:.0%} of the list; at most {most} at one account")
    print(f"  passwords found     {len(tally.opened):>8,}   of {round(ACCOUNTS * RIGHT)} that are right")
    if tally.hashes:
        print(f"  hashes by everybody {tally.hashes:>8,}   ({tally.hashes * DEAR:,} with the default's bits)")
    for kind, many in CITIZENS.items():
        waits = tally.waits[kind]
        late = many - sum(wait <= PATIENCE for wait in waits)
        usual = f"median {median(waits):.0f} s, longest {max(waits):.0f} s" if waits else "nobody got in"
        print(f"  {kind:<20}{late:>4} of {many} hindered; {usual}")
    print()


def bound_to(visit: Visit) -> bytes:
    """To which a ticket is bound."""
    assert visit.sign_in is not None
    return visit.browser.digest + visit.sign_in.id.bytes


def email_of(account: int) -> str:
    return f"citizen{account}@example.org"


def password_of(account: int) -> str:
    return f"a password of citizen {account}"


if __name__ == "__main__":
    main()
