"""The contacts page: add, replace and remove an e-mail address or a phone number, and say which comes first."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.activity import record
from accounts.citizen import Citizen
from accounts.contact import ContactView, contacts_of, make_primary
from accounts.database import Transaction
from accounts.pages.page import N_, form_of, page, see_other
from accounts.vault import Vault
from identity.contact_undo import remove
from identity.own_authenticators import Owner
from identity.pages import contact_new
from identity.pages.at_account import OWNER, uuid_of
from identity.pages.contact_new import CONTACTS
from identity.policy import IdentityPolicy

DONE: dict[str, str] = {
    "added": N_("It is confirmed. We have told your other contacts."),
    "removed": N_("It is removed. We have told it and your other contacts."),
    "primary": N_("It comes first now: services that you agree to share it with see this one."),
}


@get(CONTACTS)
async def contacts(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    identity_policy: NamedDependency[IdentityPolicy],
) -> Template:
    """How we reach the citizen."""
    key = await data_key_of(db, vault, citizen.account_id)
    found = await contacts_of(db, key, citizen.account_id)
    return page(
        request,
        "contacts.html",
        emails=[contact for contact in found if contact.kind == "email"],
        phones=[contact for contact in found if contact.kind == "phone"],
        has_texts=identity_policy.text.is_offered,
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


@post(CONTACTS, dependencies=OWNER)
async def put_first(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    owner: NamedDependency[Owner],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """Which one comes first."""
    chosen = uuid_of((await form_of(request)).get("contact", ""))
    if not await make_primary(db, owner.citizen.account_id, chosen):
        return see_other(CONTACTS)
    await record(db, owner.citizen.account_id, "contact_made_primary", now)
    return see_other(f"{CONTACTS}?done=primary")


@get(CONTACTS + "/remove/{contact_id:uuid}", dependencies=OWNER)
async def ask_to_remove(
    request: Request[Any, Any, Any],
    contact_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
) -> Template | Response[bytes]:
    """Asks once more."""
    contact = await _own(db, vault, owner, contact_id)
    if contact is None:
        return see_other(CONTACTS)
    return page(request, "contact_remove.html", chosen=contact, action=request.url.path)


@post(CONTACTS + "/remove/{contact_id:uuid}", dependencies=OWNER)
async def remove_contact(
    request: Request[Any, Any, Any],
    contact_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """Removes it, unless it is the last address."""
    await form_of(request)
    contact = await _own(db, vault, owner, contact_id)
    if contact is None:
        return see_other(CONTACTS)
    await remove(db, vault, owner, contact, identity_policy, now)
    return see_other(f"{CONTACTS}?done=removed")


async def _own(db: Transaction, vault: Vault, owner: Owner, contact_id: UUID) -> ContactView | None:
    key = await data_key_of(db, vault, owner.citizen.account_id)
    found = await contacts_of(db, key, owner.citizen.account_id)
    return next((contact for contact in found if contact.id == contact_id), None)


handlers = [contacts, put_first, ask_to_remove, remove_contact, *contact_new.handlers]
