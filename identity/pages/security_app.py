"""Security settings: add an authenticator app."""

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
from accounts.pages.page import KEEPS, N_, Problem, form_of, page, see_other
from accounts.vault import Vault
from identity.own_authenticators import Owner, add_app
from identity.pages.at_account import OWNER, SECURITY, uuid_of
from identity.pages.problems import problem_of
from identity.pages.totp_setup import app_setup
from identity.policy import IdentityPolicy
from identity.totp import MAX_NAME, offer

APP = SECURITY + "/app"


@get(APP, dependencies=OWNER)
async def app_page(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template:
    """The code to scan, the key to type."""
    return await _page(request, db, vault, browser, owner, identity_policy, now)


@post(APP, dependencies=OWNER, opt={KEEPS: ("name",)})
async def set_up_app(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """The app's first code, and what its owner calls it."""
    form = await form_of(request)
    name = " ".join(form.get("name", "").split())[:MAX_NAME]
    try:
        if not form.get("code", "").strip():
            problem = Problem("code", N_("Enter the code that the app shows"))
            return await _page(request, db, vault, browser, owner, identity_policy, now, problem, name)
        await add_app(db, vault, owner, uuid_of(form.get("app", "")), form["code"], name, now)
    except Refusal as refusal:
        return await _page(request, db, vault, browser, owner, identity_policy, now, problem_of(refusal, "code"), name)
    return see_other(f"{SECURITY}?done=app")


async def _page(
    request: Request[Any, Any, Any],
    db: Transaction,
    vault: Vault,
    browser: Browser,
    owner: Owner,
    policy: IdentityPolicy,
    now: datetime,
    problem: Problem | None = None,
    name: str = "",
) -> Template:
    account_id = owner.citizen.account_id
    key = await data_key_of(db, vault, account_id)
    contacts = await contacts_of(db, key, account_id)
    label = next((contact.value for contact in contacts if contact.kind == "email"), policy.totp_issuer)
    offered = await offer(db, key, account_id, now, to=browser.digest + owner.citizen.session_id.bytes)
    return page(
        request,
        "security_app.html",
        problems=[problem] if problem else (),
        typed={"name": name},
        app=app_setup(offered, label, policy.totp_issuer),
    )


handlers = [app_page, set_up_app]
