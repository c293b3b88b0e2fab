"""What text messages may cost: limits by number, range of numbers, country and in all, against SMS pumping (R26)."""

from datetime import datetime

import msgspec
import phonenumbers

from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from identity import throttle
from identity.throttle_policy import ThrottlePolicy
from identity.window import Window, require_room

HOUR = 3600


class TextPolicy(msgspec.Struct, frozen=True):
    """Messages in an hour. Who pumps earns from each message to a range of numbers that is theirs."""

    is_offered: bool = False
    """Whether there is a gateway; without one nobody is asked for a phone number."""
    per_range: int = 10
    """To numbers that differ in the last three digits alone."""
    per_country: int = 1000
    everyone: int = 5000
    countries: tuple[str, ...] = ()
    """Calling codes to which we send ("44"); empty: to all."""


async def take_message(
    db: Transaction,
    store: Store,
    vault: Vault,
    number: str,
    address: str,
    policy: TextPolicy,
    attempts: ThrottlePolicy,
    now: datetime,
) -> None:
    """One message to a number (E.164) may leave; call it before the request's first write.

    What one number gets is counted in SQL, the rest in windows: both survive a lost store.
    Raises Refusal "too_many_attempts" or "phone_country".
    """
    country = str(phonenumbers.parse(number).country_code)
    if policy.countries and country not in policy.countries:
        raise Refusal("phone_country")
    subject = vault.blind("phone", number)
    throttle.permitted(await throttle.take(db, store, vault, "message", subject, address, attempts, now))
    limits = ((number[:-3], policy.per_range), ("+" + country, policy.per_country), ("everyone", policy.everyone))
    windows = [Window(f"texts to {place}", limit, HOUR) for place, limit in limits]
    await require_room(db, store, vault, windows, now, "too_many_attempts")
