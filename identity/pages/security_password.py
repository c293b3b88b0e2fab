"""Security settings: change the password, make new recovery codes."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Response, Template

from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import N_, Problem, form_of, page, see_other
from accounts.store import Store
from accounts.vault import Vault
from identity.authenticator import Authenticators, authenticators_of
from identity.new_codes import find_shown, forget_shown
from identity.own_authenticators import Owner, change_password, give_up_password, make_codes, needs_no_password
from identity.pages.at_account import OWNER, SECURITY, has_second
from identity.pages.problems import problem_of
from identity.password import Hasher
from identity.policy import IdentityPolicy

PASSWORD = SECURITY + "/password"
CODES = SECURITY + "/recovery-codes"


@get(PASSWORD, dependencies=OWNER)
async def password_page(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
) -> Template:
    """Asks for the new password alone: who the citizen is was proved minutes ago."""
    having = await authenticators_of(db, owner.citizen.account_id)
    return _page(request, having, identity_policy)


@post(PASSWORD, dependencies=OWNER)
async def new_password(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    hasher: NamedDependency[Hasher],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """The new password."""
    typed = (await form_of(request)).get("password", "")
    having = await authenticators_of(db, owner.citizen.account_id)
    if not typed:
        return _page(request, having, identity_policy, Problem("password", N_("Choose a password")))
    try:
        await change_password(db, vault, hasher, owner, typed, identity_policy, now)
    except Refusal as refusal:
        return _page(request, having, identity_policy, problem_of(refusal, "password"))
    return see_other(f"{SECURITY}?done=password")


@get(PASSWORD + "/remove", dependencies=OWNER)
async def no_password_page(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
) -> Template | Response[bytes]:
    """Asks once more, where it is possible."""
    having = await authenticators_of(db, owner.citizen.account_id)
    if not having.has_password:
        return see_other(SECURITY)
    if not needs_no_password(having, identity_policy):
        raise Refusal("password_needed")
    return page(request, "security_no_password.html")


@post(PASSWORD + "/remove", dependencies=OWNER)
async def remove_password(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """No password at all, from now on."""
    await form_of(request)
    await give_up_password(db, vault, owner, identity_policy, now)
    return see_other(f"{SECURITY}?done=no_password")


@get(CODES, dependencies=OWNER)
async def codes_page(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    owner: NamedDependency[Owner],
    now: NamedDependency[datetime],
) -> Template:
    """New codes while they wait to be written down; else what making new ones means."""
    having = await authenticators_of(db, owner.citizen.account_id)
    codes = await find_shown(store, vault, owner.citizen.session_id, now)
    return page(request, "security_codes.html", codes=codes, left=having.recovery_codes_left)


@post(CODES, dependencies=OWNER)
async def new_codes(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    store: NamedDependency[Store],
    owner: NamedDependency[Owner],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """Makes new codes, or they are written down."""
    form = await form_of(request)
    if form.get("action") == "make":
        await make_codes(db, vault, store, owner, now)
        return see_other(CODES)
    await forget_shown(store, owner.citizen.session_id, now)
    return see_other(f"{SECURITY}?done=codes")


def _page(
    request: Request[Any, Any, Any], having: Authenticators, policy: IdentityPolicy, problem: Problem | None = None
) -> Template:
    rules = policy.password
    return page(
        request,
        "security_password.html",
        problems=[problem] if problem else (),
        has_password=having.has_password,
        shortest=rules.shortest_with_second if has_second(having) else rules.shortest_alone,
    )


handlers = [password_page, new_password, no_password_page, remove_password, codes_page, new_codes]
