"""Security settings: codes by text message, with honest words about what they are worth (R25)."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.contact import contacts_of
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import KEEPS, N_, Problem, form_of, page, see_other
from accounts.vault import Vault
from identity.own_authenticators import Owner, add_phone
from identity.pages.at_account import OWNER, SECURITY, uuid_of
from identity.policy import IdentityPolicy

PHONE = SECURITY + "/phone"


@get(PHONE, dependencies=OWNER)
async def phone_page(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
) -> Template:
    """What it is worth, what is safer, and which number."""
    return await _page(request, db, vault, owner, identity_policy)


@post(PHONE, dependencies=OWNER, opt={KEEPS: ("phone",)})
async def choose_phone(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """One of the citizen's own verified numbers."""
    chosen = uuid_of((await form_of(request)).get("phone", ""))
    if identity_policy.text.is_offered and await add_phone(db, vault, owner, chosen, now):
        return see_other(f"{SECURITY}?done=phone")
    return await _page(request, db, vault, owner, identity_policy, Problem("phone", N_("Choose a phone number")))


async def _page(
    request: Request[Any, Any, Any],
    db: Transaction,
    vault: Vault,
    owner: Owner,
    policy: IdentityPolicy,
    problem: Problem | None = None,
) -> Template:
    if not policy.text.is_offered:
        raise Refusal("not_found", status=404)
    account_id = owner.citizen.account_id
    found = await contacts_of(db, await data_key_of(db, vault, account_id), account_id)
    numbers = [one for one in found if one.kind == "phone" and one.is_verified]
    return page(
        request,
        "security_phone.html",
        problems=[problem] if problem else (),
        phones=[(str(one.id), one.value) for one in numbers],
        typed={"phone": str(numbers[0].id) if len(numbers) == 1 else ""},
    )


handlers = [phone_page, choose_phone]
