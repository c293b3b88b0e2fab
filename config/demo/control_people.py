"""People of a running simulator: signed in without a form, added, changed, with what they agreed to forgotten."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from accounts.account import Account, data_key_of
from accounts.citizen import Browser
from accounts.consent import Consent, withdraw_consent
from accounts.database import Transaction, insert_ignoring, new_secret
from accounts.profile import Claims, write_profile
from config.demo.people import CLAIMS, PeopleError, create_people, read_entries
from config.house import House
from identity import session as sessions
from identity.assurance import Method, amr_of, reached
from identity.cookies import cookie_name
from oidc.client import clients_of, find_client
from oidc.subject import Subject

PROOFS: Sequence[Sequence[Method]] = (("pwd",), ("pwd", "otp"), ("passkey_uv",), ("passkey_hardware",))
"""What reaches each level, the lowest first."""
ROWS = 1000
"""In one statement: databases have a limit for its values."""
DEVICE = sessions.Device("Control listener", "127.0.0.1")


async def sign_in(house: House, account_id: UUID, acr: str | None) -> dict[str, Any]:
    """A session at this level, as if its proofs had been given just now, and its cookies as browsers under test take
    them (`name`, `value`, `url`). Raises ValueError for a level that there is not."""
    policy, now = house.identity_policy, house.clock.now()
    by_level = {str(reached(methods, policy.assurance)): methods for methods in PROOFS}
    level = acr or policy.assurance.minimum
    if level not in by_level:
        raise ValueError(f"acr: one of {', '.join(by_level)}")
    browser, amr = new_secret(), amr_of(by_level[level])
    async with house.database.begin() as db:
        state = await db.scalar(select(Account.state).where(Account.id == account_id))
        if state != "active":
            raise ValueError(f"the account is {state}: only an active one can be signed in")
        key = await data_key_of(db, house.vault, account_id)
        _, secret = await sessions.start(
            db,
            key,
            account_id,
            browser=Browser(browser).digest,
            acr=level,
            amr=amr,
            device=DEVICE,
            policy=policy.session,
            now=now,
        )
    url, secure = house.settings.issuer, house.settings.is_secure
    cookies = [
        {"name": cookie_name(name, secure), "value": value, "url": url}
        for name, value in (("session", secret), ("browser", browser))
    ]
    return {"acr": level, "amr": amr, "auth_time": now, "cookies": cookies}


async def add_person(house: House, entry: Any) -> tuple[str, UUID]:
    """One person as an entry of people.toml says it, in JSON. Raises `PeopleError` naming each mistake."""
    [person] = read_entries([entry] if isinstance(entry, dict) else [{}], "the person")
    made = await create_people(house, [person], house.clock.now())
    if person.handle not in made:
        raise PeopleError("the person: email: somebody has this address already")
    return person.handle, made[person.handle]


async def change_claims(house: House, account_id: UUID, given: Any) -> None:
    """What a person says of themselves, all of it anew. Raises `PeopleError` or `msgspec.ValidationError`."""
    if not isinstance(given, dict) or (unknown := sorted(set(given) - set(CLAIMS))):
        named = f"{', '.join(unknown)}: unknown; " if isinstance(given, dict) else ""
        raise PeopleError(f"claims: {named}there are {', '.join(CLAIMS)}")
    claims, now = msgspec.convert(given, Claims), house.clock.now()
    async with house.database.begin() as db:
        await write_profile(db, await data_key_of(db, house.vault, account_id), account_id, claims, now)


async def forget_consents(house: House, account_id: UUID) -> int:
    """End what this person agreed to; at how many services."""
    now = house.clock.now()
    async with house.database.begin() as db:
        standing = select(Consent.client_id).where(Consent.account_id == account_id, Consent.ended_at.is_(None))
        services = {row.client_id for row in await db.all(standing)}
        for client_id in services:
            await withdraw_consent(db, account_id, client_id, now)
    return len(services)


async def settle_subjects(db: Transaction, people: Mapping[str, UUID], now: datetime) -> None:
    """Give every person the same `sub` at each start, in every sector there is: a function of handle and sector. Who
    has one already keeps it."""
    rows = [
        {"account_id": account_id, "sector": sector, "sub": _sub(handle, sector), "created_at": now}
        for sector in await _sectors(db)
        for handle, account_id in people.items()
    ]
    for start in range(0, len(rows), ROWS):
        await db.execute(insert_ignoring(db, Subject).values(rows[start : start + ROWS]))


async def _sectors(db: Transaction) -> set[str]:
    sectors: set[str] = set()
    after = ""
    while listed := await clients_of(db, after=after):
        for one in listed:
            client = await find_client(db, one.client_id)
            sectors |= {client.subject_sector} if client else set()
        after = listed[-1].client_id
    return sectors


def _sub(handle: str, sector: str) -> str:
    return sha256(f"{sector}\0{handle}".encode()).hexdigest()[:32]
