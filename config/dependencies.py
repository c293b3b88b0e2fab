"""What handlers ask for by name: one transaction, one instant, who is there, and what the house holds."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from litestar import Request
from litestar.di import NamedDependency, Provide

from accounts.citizen import Browser, Citizen, FreshCitizen, Panel
from accounts.database import Transaction
from accounts.errors import FreshSignInRequired, Refusal, SignInRequired
from config.browser import Browsers
from config.house import House
from config.kept_form import give_back
from config.site.frame import LIMIT, language_of
from config.transactions import transaction_of
from identity.cookies import SEEN, session_cookie_name
from identity.session import SessionView, find_session, is_due_for_touch, touch
from identity.time_limit import limit_of
from oidc.services import services_of

AnyRequest = Request[Any, Any, Any]


def dependencies(house: House, browsers: Browsers, panels: Sequence[Panel]) -> dict[str, Provide]:
    """What handlers may ask for, by name. What the house holds is looked up at each request."""
    session_cookie = session_cookie_name(house.settings.is_secure)

    def db(request: AnyRequest) -> Transaction:
        return transaction_of(request.scope["state"], house.database)

    def browser(request: AnyRequest) -> Browser:
        return browsers.browser_of(request)

    def session_secret(request: AnyRequest) -> str | None:
        return request.cookies.get(session_cookie)

    async def session(
        request: AnyRequest, db: NamedDependency[Transaction], now: NamedDependency[datetime]
    ) -> SessionView | None:
        found = await find_session(db, request.cookies.get(session_cookie), now)
        request.state[SEEN] = found
        if found is not None and found.locale:
            # Outranked by what a handler sets (ui_locales), outranks what the browser wishes.
            request.state["languages"] = (found.locale,)
        return found

    async def citizen(
        request: AnyRequest,
        db: NamedDependency[Transaction],
        now: NamedDependency[datetime],
        session: NamedDependency[SessionView | None],
    ) -> Citizen:
        if session is None:
            raise SignInRequired
        if session.account_state != "active":
            raise Refusal(f"account_{session.account_state}", status=403)
        policy = house.identity_policy.session
        if is_due_for_touch(session, policy, now):
            await touch(db, session, policy, now)
        request.state[LIMIT] = limit_of(session, policy, now)
        found = Citizen(session.account_id, session.id, session.acr, session.amr, session.auth_time, session.locale)
        await give_back(request, house, browsers, found, now)
        return found

    def fresh_citizen(
        request: AnyRequest,
        citizen: NamedDependency[Citizen],
        session: NamedDependency[SessionView],
        now: NamedDependency[datetime],
    ) -> FreshCitizen:
        policy = house.identity_policy.session
        if now - citizen.auth_time > policy.fresh:
            raise FreshSignInRequired
        request.state[LIMIT] = limit_of(session, policy, now, fresh=True)
        return FreshCitizen(
            citizen.account_id, citizen.session_id, citizen.acr, citizen.amr, citizen.auth_time, citizen.locale
        )

    def language(request: AnyRequest) -> str:
        return language_of(request)

    def address(request: AnyRequest) -> str:
        return client_address(request, house)

    def value(held: Any) -> Provide:
        return Provide(lambda: held, sync_to_thread=False, use_cache=True)

    def of_house(name: str) -> Provide:
        return Provide(lambda: getattr(house, name), sync_to_thread=False)

    return {
        "db": Provide(db, sync_to_thread=False),
        "now": Provide(lambda: house.clock.now(), sync_to_thread=False),
        "browser": Provide(browser, sync_to_thread=False),
        "session": Provide(session),
        "session_secret": Provide(session_secret, sync_to_thread=False),
        "citizen": Provide(citizen),
        "fresh_citizen": Provide(fresh_citizen, sync_to_thread=False),
        "language": Provide(language, sync_to_thread=False),
        "language_of": value(language_of),
        "address": Provide(address, sync_to_thread=False),
        "vault": of_house("vault"),
        "store": of_house("store"),
        "hasher": of_house("hasher"),
        "identity_policy": of_house("identity_policy"),
        "provider": of_house("provider"),
        "site_name": value(house.identity_policy.totp_issuer),
        "secure_cookies": value(house.settings.is_secure),
        "panels": value(panels),
        "services_of": value(services_of),
    }


def client_address(request: AnyRequest, house: House) -> str:
    """The client's address: the peer's, or what a listed proxy says of it (R71). The rightmost entry that no listed
    proxy made is the one that can be believed."""
    peer = request.client.host if request.client else ""
    if not house.trusted_proxies or not _is_trusted(peer, house):
        return peer
    # Some proxies write a line of their own below that of the client: all lines are one list (RFC 9110 section 5.3).
    lines = request.headers.getall("x-forwarded-for", [])
    for entry in reversed(",".join(lines).split(",")):
        entry = entry.strip()
        if not _is_address(entry):
            return peer
        if not _is_trusted(entry, house):
            return entry
        peer = entry
    return peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(text: str, house: House) -> bool:
    return _is_address(text) and any(ip_address(text) in network for network in house.trusted_proxies)
