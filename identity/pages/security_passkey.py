"""Security settings: add a passkey, or a security key."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.account import data_key_of
from accounts.citizen import Browser
from accounts.contact import contacts_of
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import KEEPS, Problem, form_of, page, see_other
from accounts.store import Store
from accounts.vault import Vault
from identity.authenticator import authenticators_of
from identity.own_authenticators import Owner, add_passkey
from identity.pages.at_account import OWNER, SECURITY
from identity.pages.at_sign_in import answer_in, embedded
from identity.pages.problems import problem_of
from identity.passkey_registration import registration_options
from identity.policy import IdentityPolicy

PASSKEY = SECURITY + "/passkey"


@get(PASSKEY, dependencies=OWNER)
async def passkey_page(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    browser: NamedDependency[Browser],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template:
    """Begins a registration: of a passkey, or with `kind=key` of a plain security key beside the password, or with
    `kind=checked` of one whose make this deployment trusts."""
    return await _page(request, db, vault, store, browser, owner, identity_policy, now)


@post(PASSKEY, dependencies=OWNER, opt={KEEPS: ("name",)})
async def register_passkey(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    browser: NamedDependency[Browser],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """The browser's answer."""
    form = await form_of(request)
    answer = answer_in(form, _bound_to(browser, owner))
    try:
        await add_passkey(db, vault, store, owner, answer, form.get("name", ""), identity_policy, now)
    except Refusal as refusal:
        problem = problem_of(refusal, "")
        return await _page(request, db, vault, store, browser, owner, identity_policy, now, problem, form)
    return see_other(f"{SECURITY}?done=passkey")


async def _page(
    request: Request[Any, Any, Any],
    db: Transaction,
    vault: Vault,
    store: Store,
    browser: Browser,
    owner: Owner,
    policy: IdentityPolicy,
    now: datetime,
    problem: Problem | None = None,
    form: dict[str, str] | None = None,
) -> Template:
    account_id = owner.citizen.account_id
    kinds = await _kinds(db, owner, policy)
    kind = request.query_params.get("kind", "")
    kind = kind if kind in kinds else ""
    key = await data_key_of(db, vault, account_id)
    contacts = await contacts_of(db, key, account_id)
    ceremony = await registration_options(
        db,
        store,
        policy.passkey,
        account_id=account_id,
        bound_to=_bound_to(browser, owner),
        user_name=next((contact.value for contact in contacts if contact.kind == "email"), policy.passkey.rp_name),
        alone=kind != "key",
        is_key=kind == "key",
        attested=kind == "checked",
        now=now,
    )
    return page(
        request,
        "security_passkey.html",
        problems=[problem] if problem else (),
        typed={"name": (form or {}).get("name", "")},
        kind=kind,
        kinds=kinds,
        passkey=embedded(ceremony),
    )


async def _kinds(db: Transaction, owner: Owner, policy: IdentityPolicy) -> tuple[str, ...]:
    """What else can be added: a plain key is of use beside a password alone, a checked one where somebody vouches."""
    having = await authenticators_of(db, owner.citizen.account_id)
    beside = ("key",) if having.has_password else ()
    return (*beside, "checked") if policy.passkey.attestation is not None else beside


def _bound_to(browser: Browser, owner: Owner) -> bytes:
    return browser.digest + owner.citizen.session_id.bytes


handlers = [passkey_page, register_passkey]
