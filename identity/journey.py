"""A sign-in with everything that decides its next step, and the step itself."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select

from accounts.account import Account
from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.store import Store
from accounts.vault import Vault
from identity.authenticator import authenticators_of
from identity.enrolment import Enrolling
from identity.pardon import pardon, pardoned_by
from identity.policy import IdentityPolicy
from identity.remembered_browser import is_remembered
from identity.session import Device, SessionView
from identity.sign_in import SignInView, find, is_open
from identity.sign_in_completion import Completed, complete
from identity.sign_in_rules import Needed, Proven, Standing, may_remember, needed, proven


class Here(msgspec.Struct, frozen=True):
    """One request, as the verbs of identity want it: at which browser and device, in which session, when."""

    db: Transaction
    vault: Vault
    store: Store
    browser: Browser
    session: SessionView | None
    device: Device
    policy: IdentityPolicy
    now: datetime


class Journey(msgspec.Struct, frozen=True):
    """A sign-in, the account it is about as far as that is known, and what is needed next."""

    sign_in: SignInView
    standing: Standing | None
    proved: Proven
    needed: Needed
    is_open: bool

    @property
    def place(self) -> str:
        """The path of the page for the next step."""
        pages = {"second": "/second-factor", "enrol": "/enrol", "codes": "/recovery-codes"}
        return self.sign_in.path + (pages.get(self.needed, "") if self.is_open else "")


async def find_journey(here: Here, sign_in_id: UUID) -> Journey:
    """Raises Refusal "sign_in_unknown" or "wrong_browser"."""
    sign_in = await find(here.db, here.vault, sign_in_id, here.browser)
    if sign_in is None:
        raise Refusal("sign_in_unknown", status=404)
    proved = proven(sign_in, here.session, here.now)
    standing = None if proved.account_id is None else await _standing_of(here, proved.account_id)
    step = needed(sign_in, standing, here.session, here.policy, here.now)
    return Journey(sign_in, standing, proved, step, is_open(sign_in, here.now))


async def finish(here: Here, journey: Journey) -> Completed | None:
    """Complete a sign-in that needs nothing more; None where something is missing, or it was completed meanwhile."""
    if journey.standing is None or journey.needed != "done" or not journey.is_open:
        return None
    completed = await complete(
        here.db,
        here.vault,
        journey.sign_in,
        journey.standing,
        here.session,
        browser=here.browser.digest,
        device=here.device,
        policy=here.policy,
        now=here.now,
    )
    if completed is not None:
        await here.db.commit()
        await pardon(here.db, here.vault, journey.standing.account_id, here.now, pardoned_by(journey.proved.here))
    return completed


def enrolling_in(here: Here, journey: Journey) -> Enrolling:
    """The enrolment of a journey that has come as far as its account."""
    if journey.standing is None:
        raise AssertionError("nobody to enrol")
    return Enrolling(journey.sign_in, journey.standing, here.session, here.device)


async def _standing_of(here: Here, account_id: UUID) -> Standing | None:
    state = await here.db.scalar(select(Account.state).where(Account.id == account_id))
    if state is None:
        return None
    standing = Standing(account_id, state, await authenticators_of(here.db, account_id))
    # Asked only where it could spare anything: no deployment that wants two factors of everybody pays for it.
    if may_remember(standing, here.policy) and await is_remembered(here.db, account_id, here.browser.digest, here.now):
        return msgspec.structs.replace(standing, is_remembered=True)
    return standing
