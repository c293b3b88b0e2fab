"""Test people from a TOML file: read with every mistake named, created through the packages' own verbs."""

import asyncio
import base64
import binascii
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec

from accounts.account import State, open_account
from accounts.activity import record
from accounts.contact import add_contact, canonical_email, canonical_phone
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.profile import Address, Claims, write_profile
from accounts.vault import Vault
from config.house import House
from identity.password import CHEAPEST, Hasher, HashParameters, set_password
from identity.recovery_code import keep_codes
from identity.totp import add as add_totp

STATES: tuple[str, ...] = get_args(State)
CLAIMS = {field.name: field.type for field in msgspec.structs.fields(Claims)}
ADDRESS = {field.name for field in msgspec.structs.fields(Address)}
# Claims that are kept elsewhere than in the profile, and what they may say here.
ELSEWHERE = ("email_verified", "phone_number_verified", "updated_at", "locale", "phone_number")


class PeopleError(Exception):
    """The file cannot be used; one line a mistake, each naming person and key."""


class Person(msgspec.Struct, frozen=True):
    """One test person. `totp` is a base32 seed, `claims` go into the profile."""

    handle: str
    email: str
    password: str
    totp: str | None = None
    recovery_codes: tuple[str, ...] = ()
    phone_number: str | None = None
    phone_number_verified: bool = True
    locale: str | None = None
    state: State = "active"
    claims: Claims = Claims()
    updated_at: datetime | None = None


def read_people(text: str, source: str) -> list[Person]:
    """The people of a file. Raises `PeopleError`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PeopleError(f"{source}: not TOML: {error}") from None
    problems = [f"{source}: {key}: unknown; people are [[people]] tables" for key in tree if key != "people"]
    entries = tree.get("people", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PeopleError(f"{source}: people: write each person as a [[people]] table")
    people, found = [], problems
    try:
        people = read_entries(entries, source)
    except PeopleError as error:
        found = [*problems, str(error)]
    if found:
        raise PeopleError("\n".join(found))
    return people


def read_entries(entries: Sequence[Mapping[str, Any]], source: str) -> list[Person]:
    """People as their tables say it. Raises `PeopleError`."""
    problems, people = list[str](), []
    for number, entry in enumerate(entries, 1):
        handle = entry.get("handle")
        who = f"{source}: person {number}" + (f" ({handle})" if isinstance(handle, str) and handle else "")
        mistakes = list(_mistakes(entry))
        if mistakes:
            problems += [f"{who}: {mistake}" for mistake in mistakes]
        else:
            people.append(_person(entry))
    for what, values in (
        ("handle", [person.handle for person in people]),
        ("email", [canonical_email(person.email) for person in people]),
    ):
        problems += [f"{source}: {what}: {v} is given to more than one person" for v in _repeated(values)]
    if problems:
        raise PeopleError("\n".join(problems))
    return people


def _mistakes(entry: Mapping[str, Any]) -> Iterator[str]:
    known = set(Person.__struct_fields__) - {"phone_number_verified", "updated_at"}
    yield from (f"{key}: unknown; known are {', '.join(sorted(known))}" for key in entry if key not in known)
    for key in ("handle", "email", "password"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            yield f"{key}: must be a text"
    if isinstance(entry.get("handle"), str) and "/" in entry["handle"]:
        yield "handle: must not hold a slash; it is part of the control listener's addresses"
    yield from _wrong_contact("email", entry.get("email"), canonical_email)
    yield from _wrong_contact("phone_number", entry.get("phone_number"), canonical_phone)
    if "totp" in entry and not (isinstance(entry["totp"], str) and _is_base32(entry["totp"])):
        yield "totp: must be a seed in base32, such as JBSWY3DPEHPK3PXP"
    codes = entry.get("recovery_codes", [])
    if not isinstance(codes, list) or not all(isinstance(code, str) and code.strip() for code in codes):
        yield "recovery_codes: must be a list of texts"
    if "locale" in entry and not isinstance(entry["locale"], str):
        yield "locale: must be a language tag, such as fr"
    if entry.get("state", "active") not in STATES:
        yield f"state: must be one of {', '.join(STATES)}"
    claims = entry.get("claims", {})
    if not isinstance(claims, dict):
        yield "claims: must be a [people.claims] table"
        return
    for name, value in claims.items():
        if problem := _wrong_claim(name, value):
            yield f"claims.{name}: {problem}"


def _wrong_contact(key: str, value: Any, canonical: Any) -> Iterator[str]:
    if value is None:
        return
    try:
        canonical(value)
    except (Refusal, AttributeError, TypeError):
        form = "an address like ada@example.org" if key == "email" else "a number with its country code, +44..."
        yield f"{key}: must be {form}"


def _wrong_claim(name: str, value: Any) -> str | None:
    if name in ELSEWHERE:
        expected: dict[str, Any] = {"updated_at": int | datetime, "locale": str, "phone_number": str}
        if not isinstance(value, expected.get(name, bool)):
            return "has the wrong type"
        return "people sign in with it, so it is verified" if name == "email_verified" and not value else None
    if name not in CLAIMS:
        return f"unknown; known are {', '.join(sorted([*CLAIMS, *ELSEWHERE]))}"
    if name == "address":
        if not isinstance(value, dict):
            return "must be a table"
        wrong = [key for key, part in value.items() if key not in ADDRESS or not isinstance(part, str)]
        return f"{', '.join(wrong)}: unknown or not a text; known are {', '.join(sorted(ADDRESS))}" if wrong else None
    if name == "birthdate" and isinstance(value, date):
        return None
    return None if isinstance(value, str) else "must be a text"


def _person(entry: Mapping[str, Any]) -> Person:
    """The person of an entry without mistakes."""
    claims = dict(entry.get("claims", {}))
    aside = {name: claims.pop(name) for name in ELSEWHERE if name in claims}
    if isinstance(claims.get("birthdate"), date):
        claims["birthdate"] = claims["birthdate"].isoformat()
    updated = aside.get("updated_at")
    return Person(
        handle=entry["handle"].strip(),
        email=entry["email"].strip(),
        password=entry["password"],
        totp=_seed(entry["totp"]) if "totp" in entry else None,
        recovery_codes=tuple(entry.get("recovery_codes", ())),
        phone_number=entry.get("phone_number", aside.get("phone_number")),
        phone_number_verified=aside.get("phone_number_verified", True),
        locale=entry.get("locale", aside.get("locale")),
        state=entry.get("state", "active"),
        claims=msgspec.convert(claims, Claims),
        updated_at=datetime.fromtimestamp(updated, UTC) if isinstance(updated, int) else updated,
    )


def _seed(written: str) -> str:
    """A base32 seed without the spaces that make it readable, in capitals."""
    return written.replace(" ", "").replace("-", "").rstrip("=").upper()


def _is_base32(written: str) -> bool:
    seed = _seed(written)
    try:
        return bool(base64.b32decode(seed + "=" * (-len(seed) % 8)))
    except binascii.Error:
        return False


def _repeated(values: Sequence[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})


PROPERLY_HASHED = 500


async def create_people(house: House, people: Sequence[Person], now: datetime) -> dict[str, UUID]:
    """Create them, and return the accounts by handle. A person whose address is known already is left as they are.

    Beyond `PROPERLY_HASHED` people passwords get the cheapest hash, so that a thousand cost no minute; the first
    sign-in makes a proper one. Fewer are hashed as citizens are, so that known and unknown addresses take the same
    time (R27). Raises `PeopleError` outside simulator and demo.
    """
    if not house.settings.is_throwaway:
        raise PeopleError("test people are for the simulator and the demo alone")
    vault = house.vault
    parameters = HashParameters() if len(people) <= PROPERLY_HASHED else CHEAPEST
    hasher = Hasher(vault, parameters, queue=len(people))
    try:
        hashes = await asyncio.gather(*(hasher.hash(person.password) for person in people))
    finally:
        hasher.close()
    accounts = {}
    async with house.database.begin() as db:
        for person, hashed in zip(people, hashes, strict=True):
            account_id = await _create(db, vault, person, hashed, now)
            if account_id is not None:
                accounts[person.handle] = account_id
    return accounts


async def _create(db: Transaction, vault: Vault, person: Person, hashed: str, now: datetime) -> UUID | None:
    from accounts.contact import find_account_by_email

    if await find_account_by_email(db, vault, canonical_email(person.email)) is not None:
        return None
    account_id, key = await open_account(db, vault, now, state=person.state, locale=person.locale)
    await add_contact(db, vault, key, account_id, "email", person.email, now, verified=True, primary=True)
    if person.phone_number:
        verified = person.phone_number_verified
        await add_contact(db, vault, key, account_id, "phone", person.phone_number, now, verified=verified)
    if person.claims != Claims():
        await write_profile(db, key, account_id, person.claims, person.updated_at or now)
    await set_password(db, account_id, hashed, now)
    if person.totp:
        await add_totp(db, key, account_id, person.totp, "", now)
    if person.recovery_codes:
        await keep_codes(db, vault, account_id, person.recovery_codes, now)
    await record(db, account_id, "account_created", now, actor="operator")
    return account_id
