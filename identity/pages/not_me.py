""" "It was not me": what a notice was about, and one button that stops everything (R51, R67)."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response, Template

from accounts.database import Transaction
from accounts.pages.page import N_, form_of, page, see_other
from accounts.vault import Vault
from identity.cookies import SEEN, expired_session_cookie
from identity.not_me import stop_everything
from identity.notice import NoticeView, find_notice
from identity.pages.at_sign_in import LONGEST_AGENT
from identity.session import Device

EVENTS: dict[str, str] = {
    "new_device": N_("Somebody signed in to your account with a browser we had not seen before."),
    "sign_in_failed": N_("Somebody tried several times to sign in to your account and failed."),
    "authenticator_added": N_("A new way to sign in was added to your account."),
    "authenticator_removed": N_("A way to sign in was removed from your account."),
    "password_changed": N_("The password of your account was changed."),
    "password_removed": N_("The password of your account was removed."),
    "recovery_codes_made": N_("New recovery codes were made for your account."),
    "recovery_code_spent": N_("A recovery code was used to sign in to your account."),
    "account_created": N_("An account was created with your email address."),
    "consent_given": N_("You agreed to share details with a service."),
    "contact_added": N_("An email address or phone number was added to your account."),
    "contact_replaced": N_("An email address or phone number of your account was replaced by another one."),
    "contact_removed": N_("An email address or phone number was removed from your account."),
    "recovery_started": N_("Somebody started to get back into your account with your email address and a second code."),
    "recovery_ready": N_("The waiting time for getting back into your account is over."),
    "recovery_completed": N_("Your account was recovered: a new way to sign in was set up."),
    "stopped": N_("Somebody told us by the link in a message that something was not you, and we stopped everything."),
}
"""What happened, by the notice's event."""


@get("/not-me/{secret:str}")
async def ask(
    request: Request[Any, Any, Any],
    secret: FromPath[str],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> Template:
    """Shows what happened. Nothing changes by opening it: programs that look through mail follow every link."""
    notice = await find_notice(db, vault, secret)
    return _page(request, notice, now, path=request.url.path)


@post("/not-me/{secret:str}")
async def stop(
    request: Request[Any, Any, Any],
    secret: FromPath[str],
    db: NamedDependency[Transaction],
    vault: NamedDependency[Vault],
    address: NamedDependency[str],
    secure_cookies: NamedDependency[bool],
    now: NamedDependency[datetime],
) -> Template | Response[bytes]:
    """Stops everything. It asks for no password: who needs it may have none that works any more."""
    await form_of(request)
    notice = await find_notice(db, vault, secret)
    device = Device(request.headers.get("user-agent", "")[:LONGEST_AGENT], address)
    if notice is None or (notice.used_at is None and await stop_everything(db, vault, notice, device, now) is None):
        return _page(request, notice, now, path=request.url.path)
    response = see_other(request.url.path)
    request.state[SEEN] = None
    response.set_cookie(expired_session_cookie(secure_cookies))
    return response


def _page(request: Request[Any, Any, Any], notice: NoticeView | None, now: datetime, path: str) -> Template:
    is_over = notice is None or (notice.used_at is None and notice.expires_at <= now)
    return page(
        request,
        "not_me.html",
        status=404 if notice is None else 200,
        languages=[notice.language] if notice is not None and notice.language else (),
        notice=None if is_over else notice,
        happened=EVENTS.get(notice.event, "") if notice is not None else "",
        path=path,
    )


handlers = [ask, stop]
