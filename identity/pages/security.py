"""The security page: every way to sign in, and removing one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response, Template
from markupsafe import Markup

from accounts.account import data_key_of
from accounts.citizen import Citizen
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.pages.page import N_, form_of, page, see_other
from accounts.vault import Vault
from identity.authenticator import authenticators_of
from identity.credential_change import Authenticator
from identity.own_authenticators import Owner, needs_no_password, remove_one
from identity.pages import security_app, security_password, security_phone
from identity.pages.at_account import OWNER, SECURITY, has_second
from identity.passkey import passkeys_of
from identity.passkey_signal import accepted_credentials
from identity.policy import IdentityPolicy
from identity.recovery_code import COUNT
from identity.sms import phone_of
from identity.totp import totps_of

DONE: dict[str, str] = {
    "app": N_("Your authenticator app is set up. Every other browser is signed out of your account."),
    "passkey": N_("Your passkey is set up. Every other browser is signed out of your account."),
    "password": N_("Your password is changed. Every other browser is signed out of your account."),
    "no_password": N_("Your password is removed. You sign in with your passkeys alone."),
    "codes": N_("You have new recovery codes. Older ones no longer work."),
    "phone": N_("You can sign in with codes by text message. Every other browser is signed out of your account."),
    "removed": N_("It is removed. Every other browser is signed out of your account."),
}
"""What has just been done, by the `done` of the address."""


@get(SECURITY)
async def security(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
    identity_policy: NamedDependency[IdentityPolicy],
) -> Template:
    """What the citizen signs in with."""
    key = await data_key_of(db, vault, citizen.account_id)
    having = await authenticators_of(db, citizen.account_id)
    accepted = await accepted_credentials(db, citizen.account_id, identity_policy.passkey.rp_id)
    return page(
        request,
        "security.html",
        having=having,
        apps=await totps_of(db, key, citizen.account_id),
        passkeys=await passkeys_of(db, key, citizen.account_id),
        codes_made=COUNT,
        accepted=Markup(accepted) if accepted else "",  # noqa: S704 - JSON of base64url
        may_drop_password=having.has_password and needs_no_password(having, identity_policy),
        phone=await phone_of(db, key, citizen.account_id),
        has_texts=identity_policy.text.is_offered,
        needs_second=not has_second(having),
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


@get(SECURITY + "/remove/{kind:str}/{authenticator_id:uuid}", dependencies=OWNER)
async def ask_to_remove(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    authenticator_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
) -> Template | Response[bytes]:
    """Asks once more."""
    name = await _name_of(db, vault, owner, _kind(kind), authenticator_id)
    if name is None:
        return see_other(SECURITY)
    return page(request, "security_remove.html", kind=kind, name=name, action=request.url.path)


@post(SECURITY + "/remove/{kind:str}/{authenticator_id:uuid}", dependencies=OWNER)
async def remove(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    authenticator_id: FromPath[UUID],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    owner: NamedDependency[Owner],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """Removes it, unless it is the last way back."""
    await form_of(request)
    await remove_one(db, vault, owner, _kind(kind), authenticator_id, identity_policy, now)
    return see_other(f"{SECURITY}?done=removed")


def _kind(kind: str) -> Authenticator:
    if kind == "app":
        return "totp"
    if kind == "passkey":
        return "passkey"
    if kind == "phone":
        return "phone"
    raise Refusal("not_found", status=404)


async def _name_of(
    db: Transaction, vault: Vault, owner: Owner, kind: Authenticator, authenticator_id: UUID
) -> str | None:
    """Its name (which may be empty), or None where the account has no such one."""
    account_id = owner.citizen.account_id
    key = await data_key_of(db, vault, account_id)
    if kind == "phone":
        phone = await phone_of(db, key, account_id)
        return phone.number if phone is not None and phone.id == authenticator_id else None
    found = await totps_of(db, key, account_id) if kind == "totp" else await passkeys_of(db, key, account_id)
    return next((one.name for one in found if one.id == authenticator_id), None)


handlers = [
    security,
    ask_to_remove,
    remove,
    *security_app.handlers,
    *security_password.handlers,
    *security_phone.handlers,
]
