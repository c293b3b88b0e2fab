"""A new e-mail address or phone number: what it is, and the code that it got."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response, Template

from accounts.contact import Kind
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import KEEPS, N_, Problem, form_of, page, see_other
from accounts.store import Store
from accounts.vault import Vault
from identity.contact_change import Change, confirm, find, send_again, start
from identity.own_authenticators import Owner
from identity.pages.at_account import OWNER, uuid_of
from identity.pages.problems import problem_of
from identity.policy import IdentityPolicy

CONTACTS = "/account/contacts"
FIELDS: dict[Kind, str] = {"email": "identifier", "phone": "phone"}
EMPTY: dict[Kind, str] = {"email": N_("Enter an email address"), "phone": N_("Enter a phone number")}


@get(CONTACTS + "/new/{kind:str}", dependencies=OWNER)
async def new_page(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
) -> Template:
    """Asks for it. `replaces` of the address is the one whose place it takes."""
    return _new(request, _kind(kind, identity_policy), {"replaces": request.query_params.get("replaces", "")})


@post(CONTACTS + "/new/{kind:str}", dependencies=OWNER, opt={KEEPS: (*FIELDS.values(), "replaces")})
async def new_contact(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """The new one; it gets a code."""
    form, chosen = await form_of(request), _kind(kind, identity_policy)
    field = FIELDS[chosen]
    if not form.get(field, "").strip():
        return _new(request, chosen, form, Problem(field, EMPTY[chosen]))
    replaces = uuid_of(form["replaces"]) if form.get("replaces") else None
    try:
        change_id = await start(db, vault, store, owner, chosen, form[field], replaces, identity_policy, now)
    except Refusal as refusal:
        return _new(request, chosen, form, problem_of(refusal, field), refusal)
    return see_other(f"{CONTACTS}/changes/{change_id}")


@get(CONTACTS + "/changes/{change_id:uuid}", dependencies=OWNER)
async def code_page(
    request: Request[Any, Any, Any],
    change_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """Asks for the code."""
    change = await find(db, vault, owner, change_id, now)
    if change is None:
        return see_other(CONTACTS)
    return _code(request, change, sent_again=request.query_params.get("sent") == "again")


@post(CONTACTS + "/changes/{change_id:uuid}", dependencies=OWNER)
async def enter_code(
    request: Request[Any, Any, Any],
    change_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """The code; or another one is wanted."""
    form = await form_of(request)
    change = await find(db, vault, owner, change_id, now)
    if change is None:
        return see_other(CONTACTS)
    again = form.get("action") == "again"
    if not again and not form.get("code", "").strip():
        return _code(request, change, Problem("code", N_("Enter the code")))
    try:
        if again:
            await send_again(db, vault, store, owner, change, identity_policy, now)
            return see_other(f"{request.url.path}?sent=again")
        await confirm(db, vault, store, owner, change, form["code"], identity_policy, now)
    except Refusal as refusal:
        return _code(request, change, problem_of(refusal, "code"), refusal)
    return see_other(f"{CONTACTS}?done=added")


def _new(
    request: Request[Any, Any, Any],
    kind: Kind,
    form: dict[str, str],
    problem: Problem | None = None,
    refusal: Refusal | None = None,
) -> Template:
    return page(
        request,
        "contact_new.html",
        problems=[problem] if problem else (),
        refusal=refusal,
        kind=kind,
        typed={
            "identifier": form.get("identifier", ""),
            "phone": form.get("phone", ""),
            "replaces": form.get("replaces", "")[:36],
        },
    )


def _code(
    request: Request[Any, Any, Any],
    change: Change,
    problem: Problem | None = None,
    refusal: Refusal | None = None,
    sent_again: bool = False,
) -> Template:
    return page(
        request,
        "contact_code.html",
        problems=[problem] if problem else (),
        refusal=refusal,
        change=change,
        path=f"{CONTACTS}/changes/{change.id}",
        sent_again=sent_again,
    )


def _kind(kind: str, policy: IdentityPolicy) -> Kind:
    if kind == "email":
        return "email"
    if kind == "phone" and policy.text.is_offered:
        return "phone"
    raise Refusal("not_found", status=404)


handlers = [new_page, new_contact, code_page, enter_code]
