"""The profile pages: what a citizen tells of themselves, which service gets what, and one page for each change."""

from datetime import date, datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of, set_locale
from accounts.activity import record
from accounts.citizen import Citizen
from accounts.contact import contacts_of
from accounts.database import Transaction
from accounts.pages.page import KEEPS, form_of, page, see_other
from accounts.pages.profile_form import (
    ADDRESS,
    BIRTHDATE,
    FIELDS,
    NAMES,
    address_lines,
    address_of,
    birthdate_of,
    language_of,
    names_of,
)
from accounts.profile import Address, Claims, change_profile, profile_of
from accounts.vault import DataKey, Vault

PROFILE = "/account/profile"


def birthday(claims: Claims) -> date | None:
    """The birth date as a day; None where there is none, or only its year (Core section 5.1 allows that)."""
    try:
        return date.fromisoformat(claims.birthdate or "")
    except ValueError:
        return None


@get(PROFILE)
async def profile(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
) -> Template:
    """Everything in the profile, by the part that a service may ask for."""
    key = await data_key_of(db, vault, citizen.account_id)
    claims = (await profile_of(db, key, citizen.account_id)).claims
    contacts = await contacts_of(db, key, citizen.account_id)
    return page(
        request,
        "profile.html",
        claims=claims,
        labels=FIELDS,
        born=birthday(claims),
        address_lines=address_lines(claims.address),
        emails=[contact for contact in contacts if contact.kind == "email"],
        phones=[contact for contact in contacts if contact.kind == "phone"],
        locale=citizen.locale,
        changed=request.query_params.get("changed") == "yes",
    )


@get(PROFILE + "/name")
async def name_form(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
) -> Template:
    """The name parts, to change."""
    claims = await _claims(db, vault, citizen)
    typed = {name: getattr(claims, name) or "" for name in NAMES}
    return page(request, "profile_name.html", labels=FIELDS, typed=typed)


@post(PROFILE + "/name", opt={KEEPS: NAMES})
async def change_name(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """New name parts."""
    form = await form_of(request)
    changes, problems = names_of(form)
    if problems:
        return page(request, "profile_name.html", problems=problems, typed=form, labels=FIELDS)
    return await _change(db, vault, citizen, now, changes)


@get(PROFILE + "/birth-date")
async def birthdate_form(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
) -> Template:
    """The birth date, to change."""
    born = birthday(await _claims(db, vault, citizen))
    parts = {"day": born.day, "month": born.month, "year": born.year} if born else {}
    return page(request, "profile_birthdate.html", typed={f"birthdate-{part}": str(n) for part, n in parts.items()})


@post(PROFILE + "/birth-date", opt={KEEPS: BIRTHDATE})
async def change_birthdate(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """A new birth date, or none."""
    form = await form_of(request)
    changes, problems = birthdate_of(form, now.date())
    if problems:
        return page(request, "profile_birthdate.html", problems=problems, typed=form)
    return await _change(db, vault, citizen, now, changes)


@get(PROFILE + "/address")
async def address_form(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
) -> Template:
    """The address, to change."""
    address = (await _claims(db, vault, citizen)).address or Address()
    typed = {name: getattr(address, name) or "" for name in ADDRESS}
    return page(request, "profile_address.html", labels=FIELDS, typed=typed)


@post(PROFILE + "/address", opt={KEEPS: ADDRESS})
async def change_address(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """A new address, or none."""
    form = await form_of(request)
    changes, problems = address_of(form)
    if problems:
        return page(request, "profile_address.html", problems=problems, typed=form, labels=FIELDS)
    return await _change(db, vault, citizen, now, changes)


@get(PROFILE + "/language")
async def language_form(request: Request[Any, Any, Any], citizen: NamedDependency[Citizen]) -> Template:
    """The language in which we write to the citizen."""
    return page(request, "profile_language.html", typed={"language": citizen.locale or ""})


@post(PROFILE + "/language", opt={KEEPS: ("language",)})
async def change_language(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    citizen: NamedDependency[Citizen],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """Another language for mail and pages; the browser's own choice follows."""
    form = await form_of(request)
    tag, problems = language_of(form)
    if problems:
        return page(request, "profile_language.html", problems=problems, typed=form)
    await set_locale(db, citizen.account_id, tag, now)
    await record(db, citizen.account_id, "profile_changed", now)
    return see_other(f"{PROFILE}?changed=yes&lang={tag}")


async def _claims(db: Transaction, vault: Vault, citizen: Citizen) -> Claims:
    key = await data_key_of(db, vault, citizen.account_id)
    return (await profile_of(db, key, citizen.account_id)).claims


async def _change(
    db: Transaction, vault: Vault, citizen: Citizen, now: datetime, changes: dict[str, Any]
) -> Response[bytes]:
    key: DataKey = await data_key_of(db, vault, citizen.account_id)
    changed = await change_profile(db, key, citizen.account_id, now, **changes)
    if changed:
        await record(db, citizen.account_id, "profile_changed", now, key=key, fields=changed)
    return see_other(f"{PROFILE}?changed=yes")


handlers = [
    profile,
    name_form,
    change_name,
    birthdate_form,
    change_birthdate,
    address_form,
    change_address,
    language_form,
    change_language,
]
