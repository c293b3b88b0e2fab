"""Levels of assurance: what proofs reach, and what they never reach."""

from itertools import chain, combinations

import pytest

from identity.assurance import METHODS, AssurancePolicy, amr_of, completing, meets, methods_of, reached

POLICY = AssurancePolicy()
EVERY_COMBINATION = [
    frozenset(methods)
    for methods in chain.from_iterable(combinations(sorted(METHODS), size) for size in range(len(METHODS) + 1))
]


@pytest.mark.parametrize(
    ("methods", "level"),
    [
        ([], None),
        (["email"], None),
        (["pwd"], "aal1"),
        (["otp"], "aal1"),
        (["passkey"], "aal1"),
        (["pwd", "email"], "aal1"),
        (["pwd", "otp"], "aal2"),
        (["pwd", "recovery"], "aal2"),
        (["pwd", "sms"], "aal2"),
        (["pwd", "passkey"], "aal2-phr"),
        (["passkey_uv"], "aal2-phr"),
        (["passkey_hardware"], "aal3"),
    ],
)
def test_proofs_reach_the_level_of_nist(methods, level):
    """R20, R25, NIST SP 800-63B-4 sections 2.1-2.3: two factors are two kinds of thing; e-mail is no authenticator."""
    assert reached(methods, POLICY) == level


@pytest.mark.parametrize(
    "methods", [["otp", "recovery"], ["otp", "sms"], ["sms", "recovery", "otp"], ["otp", "passkey"]]
)
def test_two_things_of_one_kind_are_one_factor(methods):
    """R25: one channel never counts twice; things held are one kind, however many."""
    assert reached(methods, POLICY) == "aal1"


def test_nothing_but_attested_hardware_reaches_aal3():
    """R20: a synced passkey is never AAL3, whatever is added to it."""
    assert all(reached(methods, POLICY) != "aal3" for methods in EVERY_COMBINATION if "passkey_hardware" not in methods)


def test_proving_more_never_lowers_the_level():
    """A step-up can only raise."""
    for methods in EVERY_COMBINATION:
        for more in METHODS:
            before, after = reached(methods, POLICY), reached(methods | {more}, POLICY)
            assert before is None or meets(after, before, POLICY)


def test_a_session_remembers_exactly_the_level_it_proved():
    """R10, R20: from its `amr` a session's proofs reach the level they reached, no more and no less."""
    for methods in EVERY_COMBINATION:
        assert reached(methods_of(amr_of(methods)), POLICY) == reached(methods, POLICY)


def test_a_step_up_on_a_remembered_session_is_never_worth_more_than_all_proofs_together():
    """R20: going through `amr` forgets which proof it was, and must not forget towards more."""
    for methods in EVERY_COMBINATION:
        for more in METHODS:
            together = reached(methods | {more}, POLICY)
            remembered = reached(methods_of(amr_of(methods)) | {more}, POLICY)
            assert remembered is None or meets(together, remembered, POLICY)


def test_amr_says_what_was_done():
    """RFC 8176 section 2: registered values; `mfa` exactly from two factors on."""
    assert amr_of(["pwd"]) == ("pwd",)
    assert amr_of(["pwd", "otp"]) == ("mfa", "otp", "pwd")
    assert amr_of(["pwd", "recovery"]) == ("mfa", "otp", "pwd")
    assert amr_of(["passkey_uv"]) == ("mfa", "pop", "user")
    assert amr_of(["passkey"]) == ("pop", "user")
    assert amr_of(["passkey_hardware"]) == ("hwk", "mfa", "user")
    assert amr_of([]) == ()
    for methods in EVERY_COMBINATION:
        level = reached(methods, POLICY)
        assert ("mfa" in amr_of(methods)) == meets(level, "aal2", POLICY)


@pytest.mark.parametrize("required", POLICY.levels)
def test_a_step_up_asks_only_for_what_completes_it(required):
    """Every method offered completes; every one left out does not."""
    for methods in EVERY_COMBINATION:
        offered = completing(methods, required, POLICY)
        for method in METHODS:
            assert (method in offered) == meets(reached(methods | {method}, POLICY), required, POLICY)


def test_after_a_password_a_code_or_a_passkey_completes_aal2():
    """NIST SP 800-63B-4 section 2.2.1."""
    assert completing(["pwd"], "aal2", POLICY) == {
        "otp",
        "recovery",
        "sms",
        "passkey",
        "passkey_uv",
        "passkey_hardware",
    }
    assert completing(["pwd"], "aal3", POLICY) == {"passkey_hardware"}


def test_a_level_nobody_knows_is_never_met():
    """R75: an odd value fails closed."""
    assert not meets("aal2", "aal4", POLICY)
    assert not meets("aal4", "aal1", POLICY)
    assert not meets(None, "aal1", POLICY)
    assert not meets("", "", POLICY)
    assert reached(["retina", "mfa"], POLICY) is None


def test_levels_bear_the_names_a_deployment_gives_them():
    """Configurable names; the order stays."""
    policy = AssurancePolicy(levels=("low", "substantial", "substantial-phr", "high"), minimum="substantial")

    assert reached(["pwd", "otp"], policy) == "substantial"
    assert meets("high", "low", policy)
    assert not meets("low", "high", policy)
    assert not meets("aal3", "low", policy)


@pytest.mark.parametrize(
    ("levels", "minimum"), [(("a", "b", "c", "d"), "aal2"), (("a", "a", "b", "c"), "a"), (("a", "b", "c", "d"), "")]
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(levels, minimum):
    """R74: the message names the setting."""
    with pytest.raises(ValueError, match=r"assurance\.(levels|minimum)"):
        AssurancePolicy(levels=levels, minimum=minimum)
