"""What the security pages share: the citizen who may change them, and at which device."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency, Provide

from accounts.citizen import FreshCitizen
from accounts.database import Transaction
from identity.authenticator import Authenticators
from identity.own_authenticators import Owner, verify_own_level
from identity.pages.at_sign_in import LONGEST_AGENT
from identity.policy import IdentityPolicy
from identity.session import Device

SECURITY = "/account/security"


async def owner(
    request: Request[Any, Any, Any],
    db: NamedDependency[Transaction],
    fresh_citizen: NamedDependency[FreshCitizen],
    address: NamedDependency[str],
    identity_policy: NamedDependency[IdentityPolicy],
    now: NamedDependency[datetime],
) -> Owner:
    """A citizen who proved minutes ago, at the account's own level, who they are (R30)."""
    await verify_own_level(db, fresh_citizen, identity_policy)
    return Owner(fresh_citizen, Device(request.headers.get("user-agent", "")[:LONGEST_AGENT], address))


OWNER = {"owner": Provide(owner)}


def has_second(having: Authenticators) -> bool:
    """Whether something stands beside the password, or instead of it."""
    return having.has_second


def uuid_of(value: str) -> UUID:
    """An id from a form; one that nothing has, where it is none."""
    try:
        return UUID(value)
    except ValueError:
        return UUID(int=0)
