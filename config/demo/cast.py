"""The demo's people, and what puts each of them into a state worth seeing."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from accounts.account import data_key_of
from accounts.contact import canonical_email, find_account_by_email
from accounts.database import Transaction, digest, new_secret
from accounts.errors import Refusal
from config.demo.inbox_page import CastMember
from config.demo.people import Person, create_people, read_people
from config.house import House
from config.settings import SettingsError
from identity.session import Device, sessions_of, start
from identity.throttle import LockedOut, take
from identity.totp import current_code, seeds_of

CAST = Path(__file__).with_name("people.toml")
SHOWS = {
    "ada": "Everything set up: password, authenticator app, recovery codes, phone, address.",
    "ben": "No second authenticator: the sign-in asks for one before anything else.",
    "cara": "Locked after too many wrong passwords.",
    "dan": "Signed in on three other devices: see Security, then ended one by one. Writes and reads Welsh.",
    "eve": "Suspended: can sign in, but reaches no service.",
    "fatima": "One name, and it is Arabic: pages and mail read from right to left.",
}
DEVICES = (
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0", "192.0.2.17", 150),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Version/19.1 Mobile Safari/604.1",
     "198.51.100.4", 55),
    ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36",
     "203.0.113.80", 5),
)  # fmt: skip
"""What dan is signed in with: browser, address, minutes ago."""


def read_cast() -> list[Person]:
    """The demo's people."""
    return read_people(CAST.read_text("utf-8"), CAST.name)


async def prepare(house: House) -> None:
    """Create who is missing, lock cara, sign dan in."""
    people = {person.handle: person for person in read_cast()}
    await create_people(house, list(people.values()), house.clock.now())
    await _lock(house, people["cara"])
    await _sign_in_elsewhere(house, people["dan"])


async def _lock(house: House, person: Person) -> None:
    """So many wrong passwords, as long ago as it takes to be allowed each of them."""
    policy, now = house.identity_policy.throttle, house.clock.now()
    subject = house.vault.blind("email", canonical_email(person.email))
    moment = now - (policy.failures + 1) * policy.longest_wait
    async with house.database.begin() as db:
        while moment < now:
            attempt = await take(db, house.store, house.vault, "password", subject, "192.0.2.66", policy, moment)
            if isinstance(attempt, LockedOut):
                return
            moment += policy.longest_wait


async def _sign_in_elsewhere(house: House, person: Person) -> None:
    now, policy = house.clock.now(), house.identity_policy.session
    async with house.database.begin() as db:
        account_id = await _account(db, house, person.email)
        if account_id is None:
            return
        key = await data_key_of(db, house.vault, account_id)
        there = {it.device.address for it in await sessions_of(db, key, account_id, now) if it.device}
        for user_agent, address, minutes in DEVICES:
            if address not in there:
                await start(
                    db,
                    key,
                    account_id,
                    browser=digest(new_secret()),
                    acr=house.settings.assurance.levels[1],
                    amr=("pwd", "otp", "mfa"),
                    device=Device(user_agent, address),
                    policy=policy,
                    now=now - timedelta(minutes=minutes),
                )


async def _account(db: Transaction, house: House, email: str) -> UUID | None:
    return await find_account_by_email(db, house.vault, canonical_email(email))


async def _code(db: Transaction, house: House, account_id: UUID) -> str | None:
    key = await data_key_of(db, house.vault, account_id)
    seeds = await seeds_of(db, key, account_id)
    return current_code(seeds[-1], house.clock.now()) if seeds else None


async def cast_members(house: House) -> list[CastMember]:
    """Everyone of the cast as the inbox shows them."""
    shown = []
    async with house.database.begin() as db:
        for person in read_cast():
            account_id = await _account(db, house, person.email)
            code = None if account_id is None else await _code(db, house, account_id)
            name = person.claims.name or person.handle
            shown.append(CastMember(person.handle, person.email, name, SHOWS[person.handle], code))
    return shown


async def code_of(house: House, who: str) -> str | None:
    """The present code of a handle of the cast, or of any address of the demo; None without an authenticator app."""
    email = next((person.email for person in read_cast() if person.handle == who.casefold()), who)
    async with house.database.begin() as db:
        try:
            account_id = await _account(db, house, email)
        except Refusal:
            account_id = None
        if account_id is None:
            handles = ", ".join(person.handle for person in read_cast())
            raise SettingsError(f"{who}: nobody in the demo has this name or address; there are {handles}")
        return await _code(db, house, account_id)
