"""What a sign-in needs next, computed from what is stored; pure, so that no step can be skipped by its order."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from identity.assurance import Method, completing, meets, methods_of, reached
from identity.authenticator import Authenticators, can_reach, has_run_out
from identity.policy import IdentityPolicy
from identity.session import SessionView
from identity.sign_in import SignInView

Needed = Literal["first", "second", "enrol", "codes", "done"]
"""`first`: who are you; `second`: another proof of this account; `enrol`: set up what is missing;
`codes`: new recovery codes wait to be written down; `done`: nothing."""

PROOF_STANDS = timedelta(minutes=30)
"""How long a proof waits for the next one: time to set up an app, too short for a page left open over lunch."""


class Standing(msgspec.Struct, frozen=True):
    """The account that a sign-in is about, as it is now."""

    account_id: UUID
    state: str
    authenticators: Authenticators
    is_remembered: bool = False
    """The citizen asked, in this browser, to be let in with less wherever less is enough."""


class Proven(msgspec.Struct, frozen=True):
    """What stands proved of one account. `here`: by this sign-in; `methods`: with what its live session has proved;
    `leans_since`: the session's `auth_time` where the session adds something, else None."""

    account_id: UUID | None
    here: frozenset[Method] = frozenset()
    methods: frozenset[Method] = frozenset()
    leans_since: datetime | None = None
    in_session: bool = False
    """Whether the account's session counts. It says nothing of codes by e-mail: none begins without."""


def proven(sign_in: SignInView, session: SessionView | None, now: datetime) -> Proven:
    """What counts: proofs of this sign-in, and those of the same account's session, unless they are too old for what
    is asked (`max_age`, `prompt=login`) or another or a new account is wanted."""
    floor = max(sign_in.fresh_after or now - PROOF_STANDS, now - PROOF_STANDS)
    here = frozenset(proof.method for proof in sign_in.proofs if proof.at >= floor)
    if (
        session is None
        or sign_in.onward.start != "sign_in"
        or sign_in.account_id not in (None, session.account_id)
        or (sign_in.fresh_after is not None and session.auth_time < sign_in.fresh_after)
    ):
        return Proven(sign_in.account_id if here else None, here, here)
    earlier = methods_of(session.amr)
    return Proven(session.account_id, here, here | earlier, None if earlier <= here else session.auth_time, True)


def own_level(authenticators: Authenticators, policy: IdentityPolicy) -> str:
    """The level at which this account always signs in: who has set up a second authenticator is asked for it.
    Recovery codes are not asked for of themselves: they are few."""
    two_factors = policy.assurance.levels[1]
    if authenticators.has_second and not meets(policy.assurance.minimum, two_factors, policy.assurance):
        return two_factors
    return policy.assurance.minimum


def wanted_level(sign_in: SignInView, standing: Standing, policy: IdentityPolicy) -> str:
    """What the sign-in must reach: what was asked for, and no less than the account's own level, of which a
    remembered browser asks no more than the deployment does; not where the citizen is to prove it anew."""
    is_spared = standing.is_remembered and sign_in.fresh_after is None
    own = policy.assurance.minimum if is_spared else own_level(standing.authenticators, policy)
    return _higher(sign_in.required_acr, own, policy)


def has_email_step(standing: Standing, policy: IdentityPolicy) -> bool:
    """Whether a code to its address follows this account's password: nothing else stands beside it. Who is setting an
    account up has confirmed the address just so."""
    having = standing.authenticators
    is_alone = having.has_password and not having.has_second
    return policy.assurance.email_codes and is_alone and standing.state == "active"


def may_remember(standing: Standing, policy: IdentityPolicy) -> bool:
    """Whether remembering this browser would spare this account anything: a second step that the account set up and
    the deployment does not ask for."""
    having, lowest = standing.authenticators, policy.assurance.levels[0]
    is_of_use = having.has_password and own_level(having, policy) != policy.assurance.minimum == lowest
    return is_of_use and bool(policy.remember) and not standing.is_remembered


def sought_level(sign_in: SignInView, standing: Standing, policy: IdentityPolicy) -> str:
    """What the account's own authenticators shall reach now: what was asked for; or, where they cannot, the best
    they can, before something is added to them (R30)."""
    wanted = wanted_level(sign_in, standing, policy)
    if can_reach(standing.authenticators, wanted, policy.assurance):
        return wanted
    own = own_level(standing.authenticators, policy)
    if can_reach(standing.authenticators, own, policy.assurance):
        return own
    return reached(standing.authenticators.methods, policy.assurance) or policy.assurance.levels[0]


def needed(
    sign_in: SignInView, standing: Standing | None, session: SessionView | None, policy: IdentityPolicy, now: datetime
) -> Needed:
    """The next step. Asking again with the same facts gives the same step; the order in which pages were opened
    does not matter."""
    proved = proven(sign_in, session, now)
    level = reached(proved.methods, policy.assurance)
    if standing is None or level is None or standing.state == "closed":
        return "first"
    having = standing.authenticators
    wanted = wanted_level(sign_in, standing, policy)
    awaits_email = _awaits_email(standing, proved, policy)
    # They are shown to nobody who has not proved all that the account demands: each of them is a second proof.
    if sign_in.codes == "shown" and meets(level, own_level(having, policy), policy.assurance) and not awaits_email:
        return "codes"
    is_enrolling = standing.state == "enrolling" and not having.has_second
    if not is_enrolling and meets(level, wanted, policy.assurance):
        if awaits_email:
            return "second"
        if standing.state == "enrolling":
            return "codes"
        if not has_run_out(having, policy.assurance):
            return "done"
        # R31: the last code let the citizen in; the next thing they lose would keep them out for good.
        step = _before_enrolment(sign_in, standing, session, policy, now)
        return "codes" if step == "enrol" else step
    if not is_enrolling and can_reach(having, wanted, policy.assurance):
        return "second"
    return _before_enrolment(sign_in, standing, session, policy, now)


def _before_enrolment(
    sign_in: SignInView, standing: Standing, session: SessionView | None, policy: IdentityPolicy, now: datetime
) -> Needed:
    """Something has to be set up. R30: only within minutes of proving all that the account can prove already."""
    is_recent = session is not None and now - session.auth_time <= policy.session.fresh
    recent = proven(sign_in, session if is_recent else None, now)
    level = reached(recent.methods, policy.assurance)
    # Without the code, asking for more than the account can reach would be the way past it.
    if meets(level, sought_level(sign_in, standing, policy), policy.assurance):
        return "second" if _awaits_email(standing, recent, policy) else "enrol"
    return "first" if level is None else "second"


def _awaits_email(standing: Standing, proved: Proven, policy: IdentityPolicy) -> bool:
    """Whether the password is all that was proved, where a code follows it."""
    has_less = not meets(reached(proved.methods, policy.assurance), policy.assurance.levels[1], policy.assurance)
    return has_email_step(standing, policy) and has_less and not proved.in_session and "email" not in proved.here


def useful(sign_in: SignInView, standing: Standing, proved: Proven, policy: IdentityPolicy) -> frozenset[Method]:
    """The authenticators of this account of which any single one completes the second step."""
    wanted, having = sought_level(sign_in, standing, policy), standing.authenticators.methods
    if has_email_step(standing, policy):
        having |= {"email"}
    return completing(proved.methods, wanted, policy.assurance) & having


def can_ever_reach(sign_in: SignInView, standing: Standing, policy: IdentityPolicy) -> bool:
    """Whether setting up an app or a passkey can reach what is asked for; else the page says so honestly."""
    having = standing.authenticators
    with_new = msgspec.structs.replace(
        having,
        totps=having.totps + 1,
        passkeys=having.passkeys + 1,
        verifying_passkeys=having.verifying_passkeys + 1,
        # Without a policy nobody's word makes a key AAL3 (R20).
        hardware_passkeys=having.hardware_passkeys + (policy.passkey.attestation is not None),
    )
    return can_reach(with_new, wanted_level(sign_in, standing, policy), policy.assurance)


def _higher(one: str, other: str, policy: IdentityPolicy) -> str:
    # A level that this deployment does not know stays the higher one: it is then never reached (R75).
    return other if meets(other, one, policy.assurance) else one
