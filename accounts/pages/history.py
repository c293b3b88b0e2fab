"""The history page: what happened to an account, in plain words, the newest first."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from accounts.account import data_key_of
from accounts.activity import Actor, Kind, activity_of
from accounts.citizen import Citizen
from accounts.database import Transaction
from accounts.pages.page import N_, page
from accounts.vault import Vault

LENGTH = 25

WORDS: dict[Kind, str] = {
    "account_created": N_("Your account was created."),
    "signed_in": N_("You signed in."),
    "sign_in_failed": N_("Somebody tried to sign in to your account and failed."),
    "signed_out": N_("You signed out."),
    "session_ended": N_("A session was ended."),
    "authenticator_added": N_("A way to sign in was added."),
    "authenticator_removed": N_("A way to sign in was removed."),
    "recovery_codes_made": N_("New recovery codes were made. Older ones stopped working."),
    "recovery_code_spent": N_("A recovery code was used."),
    "password_changed": N_("Your password was changed."),
    "password_removed": N_("Your password was removed."),
    "profile_changed": N_("Your details were changed."),
    "contact_added": N_("An email address or phone number was added."),
    "contact_removed": N_("An email address or phone number was removed."),
    "consent_given": N_("You agreed to share details with a service."),
    "consent_refused": N_("You refused to share details with a service."),
    "consent_withdrawn": N_("You withdrew a service's access to your details."),
    "service_entered": N_("You signed in to a service."),
    "account_suspended": N_("Your account was suspended."),
    "account_reopened": N_("Your account was opened again."),
    "account_closed": N_("Your account was closed."),
    "recovery_started": N_("Somebody started to recover your account."),
    "recovery_stopped": N_("The recovery of your account was stopped."),
    "recovery_completed": N_("Your account was recovered."),
    "contact_restored": N_("A change of an email address or phone number was undone."),
    "contact_made_primary": N_("Another email address or phone number became the first one."),
    "not_me": N_("Somebody told us, by the link in a message to you, that something was not you."),
    "browser_remembered": N_("A browser was remembered: where a password is enough, it is asked for nothing more."),
    "browser_forgotten": N_("A browser that was remembered was forgotten."),
}

DETAILS: dict[str, str] = {
    "service": N_("Service"),
    "authenticator": N_("Way to sign in"),
    "name": N_("Name you gave it"),
    "device": N_("Device"),
    "address": N_("IP address"),
}
"""The details that are shown, by the key under which they are recorded, in this order."""

AUTHENTICATORS: dict[str, str] = {
    "password": N_("Password"),
    "totp": N_("Authenticator app"),
    "passkey": N_("Passkey"),
    "phone": N_("Code by text message"),
    "recovery_codes": N_("Recovery codes"),
}

ACTORS: dict[Actor, str] = {
    "service": N_("Done by the service"),
    "operator": N_("Done by our staff"),
    "system": N_("Done automatically"),
    "stranger": N_("Done by somebody who was not signed in"),
}


class Event(msgspec.Struct, frozen=True):
    """One line of the page; `words`, `actor` and the labels are message ids."""

    at: Any
    words: str
    actor: str
    details: list[tuple[str, str, str]]
    """Key, label, value."""


@get("/account/history")
async def history(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    citizen: NamedDependency[Citizen],
) -> Template:
    """One page of the history; `before` is the last event of the page before it (R44)."""
    before = _uuid(request.query_params.get("before"))
    key = await data_key_of(db, vault, citizen.account_id)
    found = await activity_of(db, key, citizen.account_id, before=before, limit=LENGTH + 1)
    events = [
        Event(
            at=event.at,
            words=WORDS[event.kind],
            actor=ACTORS.get(event.actor, ""),
            details=[
                (name, label, str(event.detail[name])) for name, label in DETAILS.items() if event.detail.get(name)
            ],
        )
        for event in found[:LENGTH]
    ]
    older = f"/account/history?before={found[LENGTH - 1].id}" if len(found) > LENGTH else ""
    return page(
        request,
        "history.html",
        events=events,
        authenticators=AUTHENTICATORS,
        older=older,
        newer="/account/history" if before else "",
    )


def _uuid(value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


handlers = [history]
