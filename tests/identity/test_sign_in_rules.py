"""The next step of a sign-in, as a pure function of what is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.assurance import AssurancePolicy, amr_of, meets, reached
from identity.authenticator import Authenticators
from identity.passkey import PasskeyPolicy
from identity.policy import IdentityPolicy
from identity.session import SessionView
from identity.sign_in import Onward, Proof, SignInView
from identity.sign_in_rules import PROOF_STANDS, Standing, can_ever_reach, needed, own_level, proven, useful

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA, EVE = UUID(int=1), UUID(int=2)
POLICY = IdentityPolicy(
    passkey=PasskeyPolicy("example.gov", "Example", ("https://example.gov",)), totp_issuer="Example"
)
LAX = msgspec.structs.replace(POLICY, assurance=AssurancePolicy(minimum="aal1"))
MAILED = msgspec.structs.replace(POLICY, assurance=AssurancePolicy(minimum="aal1", email_codes=True))

ALONE = Authenticators(has_password=True)
FULL = Authenticators(has_password=True, totps=1, recovery_codes_left=10)
KEYED = Authenticators(has_password=True, totps=1, passkeys=1, verifying_passkeys=1, recovery_codes_left=10)
PASSKEY_ONLY = Authenticators(passkeys=1, verifying_passkeys=1, recovery_codes_left=10)


def sign_in(*methods: Any, ago: timedelta = timedelta(0), **changes: Any) -> SignInView:
    """A sign-in in which Ada has proved these."""
    plain = SignInView(
        id=UUID(int=9),
        return_to="/account",
        required_acr="aal2",
        fresh_after=None,
        onward=Onward(),
        identifier="",
        account_id=ADA if methods else None,
        proofs=tuple(Proof(method, NOW - ago) for method in methods),
        codes=None,
        version=1,
        expires_at=NOW + timedelta(hours=1),
        completed_at=None,
    )
    return msgspec.structs.replace(plain, **changes)


def session(*methods: Any, ago: timedelta = timedelta(0), account_id: UUID = ADA) -> SessionView:
    """A session of Ada's in which these were used."""
    return SessionView(
        id=UUID(int=8),
        account_id=account_id,
        acr=reached(methods, POLICY.assurance) or "",
        amr=amr_of(methods),
        auth_time=NOW - ago,
        seen_at=NOW,
        alive_until=NOW + timedelta(minutes=30),
        ends_at=NOW + timedelta(hours=12),
        account_state="active",
        locale=None,
    )


def step(
    at: SignInView,
    having: Authenticators | None,
    *,
    by: SessionView | None = None,
    policy: IdentityPolicy = POLICY,
    state: str = "active",
) -> str:
    """What is needed next."""
    standing = None if having is None else Standing(ADA, state, having)
    return needed(at, standing, by, policy, NOW)


def test_nobody_is_asked_for_a_second_factor_before_a_first_one():
    """R45: what the account has does not matter while nothing is proved."""
    assert step(sign_in(), None) == "first"
    assert step(sign_in(account_id=ADA), FULL) == "first"


@pytest.mark.parametrize(
    ("methods", "having", "then"),
    [
        (["pwd"], FULL, "second"),
        (["pwd", "otp"], FULL, "done"),
        (["pwd", "recovery"], FULL, "done"),
        (["passkey_uv"], KEYED, "done"),
        (["passkey_uv"], PASSKEY_ONLY, "done"),
        (["passkey"], KEYED, "second"),
        (["pwd"], ALONE, "enrol"),
        (["pwd"], Authenticators(has_password=True, recovery_codes_left=3), "second"),
    ],
)
def test_two_factors_are_asked_for_and_no_more(methods, having, then):
    """R20, with the usual minimum."""
    assert step(sign_in(*methods), having) == then


def test_who_has_spent_the_last_recovery_code_comes_in_with_new_ones():
    """R31: the phone that is lost next would be the last way in. R30: an old session alone does not get new codes."""
    run_out = Authenticators(has_password=True, totps=1, recovery_codes_spent=10)

    assert step(sign_in("pwd", "recovery"), run_out) == "codes"
    assert step(sign_in("pwd", "otp"), run_out) == "codes"
    assert step(sign_in("pwd"), run_out) == "second"
    assert step(sign_in(), run_out, by=session("pwd", "otp", ago=timedelta(hours=1))) == "first"
    assert step(sign_in("pwd", "otp"), msgspec.structs.replace(run_out, recovery_codes_left=10)) == "done"
    keyed = msgspec.structs.replace(run_out, passkeys=1, verifying_passkeys=1)
    assert step(sign_in("pwd", "otp"), keyed) == "done"


def test_a_password_alone_is_enough_where_policy_and_request_allow_it_and_nothing_else_is_set_up():
    """A person without a second authenticator signs in with the password alone at AAL1."""
    asked = sign_in("pwd", required_acr="aal1")

    assert step(asked, ALONE, policy=LAX) == "done"
    assert step(asked, ALONE, policy=POLICY) == "enrol"
    assert step(sign_in("pwd", required_acr="aal2"), ALONE, policy=LAX) == "enrol"


@pytest.mark.parametrize(
    ("methods", "asked", "state", "then"),
    [
        (["pwd"], "aal1", "active", "second"),
        (["pwd", "email"], "aal1", "active", "done"),
        (["email"], "aal1", "active", "first"),
        (["pwd"], "aal2", "active", "second"),
        (["pwd", "email"], "aal2", "active", "enrol"),
        (["pwd"], "aal1", "enrolling", "enrol"),
    ],
)
def test_a_code_by_email_follows_the_password_before_anything_else_may(methods, asked, state, then):
    """R25, R30: also before something is set up; not where the address has just been confirmed for that."""
    assert step(sign_in(*methods, required_acr=asked), ALONE, policy=MAILED, state=state) == then


def test_who_has_set_up_a_second_authenticator_is_always_asked_for_it():
    """R30: an account's own level is that of what it has set up, however little is asked for."""
    assert own_level(FULL, LAX) == "aal2"
    assert step(sign_in("pwd", required_acr="aal1"), FULL, policy=LAX) == "second"


def test_a_session_counts_so_that_a_step_up_asks_only_for_what_is_missing():
    """Step-up: a session with a password lacks the code alone."""
    assert step(sign_in(), FULL, by=session("pwd")) == "second"
    assert step(sign_in(required_acr="aal2-phr"), KEYED, by=session("pwd", "otp")) == "second"
    assert step(sign_in(), FULL, by=session("pwd", "otp")) == "done"


def test_a_session_does_not_count_where_it_is_too_old_or_another_person_is_wanted():
    """`max_age`, `prompt=login`, `prompt=create`, and the sign-in of somebody else."""
    old = session("pwd", "otp", ago=timedelta(minutes=10))

    assert step(sign_in(fresh_after=NOW - timedelta(minutes=5)), None, by=old) == "first"
    assert step(sign_in(fresh_after=NOW - timedelta(minutes=15)), FULL, by=old) == "done"
    assert step(sign_in(onward=Onward(start="choose")), None, by=session("pwd", "otp")) == "first"
    assert step(sign_in(onward=Onward(start="create")), None, by=session("pwd", "otp")) == "first"
    assert step(sign_in("pwd"), FULL, by=session("pwd", "otp", account_id=EVE)) == "second"


def test_a_proof_does_not_wait_for_ever():
    """A password typed before lunch does not meet a code typed after it."""
    assert step(sign_in("pwd", ago=PROOF_STANDS + timedelta(seconds=1)), FULL) == "first"


def test_what_is_missing_is_set_up_only_within_minutes_of_proving_all_that_is_there():
    """R30: a stolen session, or a password alone, adds no passkey."""
    asked = sign_in(required_acr="aal2-phr")

    assert step(asked, FULL, by=session("pwd", "otp", ago=timedelta(minutes=4))) == "enrol"
    assert step(asked, FULL, by=session("pwd", "otp", ago=timedelta(minutes=6))) == "first"
    assert step(sign_in("pwd", required_acr="aal2-phr"), FULL) == "second"
    assert step(sign_in("pwd", "otp", required_acr="aal2-phr"), FULL) == "enrol"


def test_an_unfinished_account_is_led_through_the_rest_at_every_level():
    """R22, R31: eight characters are enough only because a second authenticator and recovery codes follow."""
    lax = sign_in("pwd", required_acr="aal1")

    assert step(lax, ALONE, policy=LAX, state="enrolling") == "enrol"
    assert (
        step(lax, Authenticators(has_password=True, recovery_codes_left=10), policy=LAX, state="enrolling") == "enrol"
    )
    assert step(sign_in("pwd", "otp"), FULL, state="enrolling") == "codes"
    assert step(sign_in("passkey_uv"), PASSKEY_ONLY, state="enrolling") == "codes"


def test_codes_that_are_shown_are_saved_first():
    """R31: recovery codes that nobody has written down are no way back."""
    assert step(sign_in("pwd", "otp", codes="shown"), FULL) == "codes"
    assert step(sign_in("pwd", "otp", codes="saved"), FULL) == "done"


def test_a_password_alone_leads_to_no_recovery_codes():
    """R20, R45: a recovery code is a second factor, so making new ones asks for one; also where the sign-in that set
    up the first ones is come back to when its own proofs have lapsed."""
    assert step(sign_in("pwd", codes="shown"), FULL) == "second"
    assert step(sign_in("pwd", codes="shown"), FULL, state="enrolling") == "second"


def test_a_closed_account_is_nobody():
    """What was proved of it leads nowhere."""
    assert step(sign_in("pwd", "otp"), FULL, state="closed") == "first"


def test_a_level_nobody_knows_is_never_reached():
    """R75: an odd value fails closed."""
    asked = sign_in("pwd", "otp", "passkey_uv", required_acr="aal9")

    assert step(asked, KEYED) != "done"
    assert not can_ever_reach(asked, Standing(ADA, "active", KEYED), POLICY)


def test_only_ways_that_are_enough_and_there_are_offered():
    """The second page shows no field that cannot help."""

    def ways(having: Authenticators, **changes: Any) -> frozenset[str]:
        at = sign_in("pwd", **changes)
        return useful(at, Standing(ADA, "active", having), proven(at, None, NOW), POLICY)

    assert ways(FULL) == {"otp", "recovery"}
    assert ways(KEYED) == {"otp", "recovery", "passkey", "passkey_uv"}
    assert ways(KEYED, required_acr="aal2-phr") == {"passkey", "passkey_uv"}


METHODS = st.lists(st.sampled_from(["pwd", "otp", "recovery", "passkey", "passkey_uv"]), unique=True)
HAVING = st.builds(
    Authenticators,
    has_password=st.booleans(),
    totps=st.integers(0, 2),
    passkeys=st.integers(0, 2),
    verifying_passkeys=st.integers(0, 2),
    recovery_codes_left=st.integers(0, 2),
)
AGO = st.integers(0, 7200).map(lambda seconds: timedelta(seconds=seconds))


@given(
    here=METHODS,
    earlier=METHODS,
    having=HAVING,
    required=st.sampled_from(["aal1", "aal2", "aal2-phr", "aal3"]),
    proved_ago=AGO,
    session_ago=AGO,
    fresh=st.none() | AGO,
    start=st.sampled_from(["sign_in", "choose", "create"]),
    other=st.booleans(),
)
def test_done_is_never_said_of_less_than_what_was_asked(
    here, earlier, having, required, proved_ago, session_ago, fresh, start, other
):
    """R20, R45: whatever is combined, a sign-in that is done has fresh proofs of one account that reach the level."""
    at = sign_in(
        *here,
        ago=proved_ago,
        required_acr=required,
        fresh_after=None if fresh is None else NOW - fresh,
        onward=Onward(start=start),
    )
    by = session(*earlier, ago=session_ago, account_id=EVE if other else ADA) if earlier else None
    if step(at, having, by=by) != "done":
        return
    counted = proven(at, by, NOW)
    oldest = timedelta.max if fresh is None else fresh
    assert meets(reached(counted.methods, POLICY.assurance), required, POLICY.assurance)
    assert counted.here <= set(here)
    assert not counted.here or proved_ago <= min(oldest, PROOF_STANDS)
    if counted.methods - counted.here:
        assert start == "sign_in"
        assert session_ago <= oldest
        assert not here or not other
