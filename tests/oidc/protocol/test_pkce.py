"""PKCE, S256 and nothing else (RFC 7636, RFC 9700 section 2.1.1, R3)."""

import pytest

from oidc.protocol.errors import ProtocolError
from oidc.protocol.parameters import parameters_of
from oidc.protocol.pkce import read_code_challenge, s256, verify_code_verifier

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def challenge(required=True, **parameters):
    return read_code_challenge(parameters_of(parameters), required=required)


def test_the_example_of_the_specification_works():
    """RFC 7636 appendix B."""
    assert s256(VERIFIER) == CHALLENGE
    assert challenge(code_challenge=CHALLENGE, code_challenge_method="S256") == CHALLENGE
    verify_code_verifier(CHALLENGE, VERIFIER)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"code_challenge": CHALLENGE},
        {"code_challenge": CHALLENGE, "code_challenge_method": "plain"},
        {"code_challenge": CHALLENGE, "code_challenge_method": "s256"},
        {"code_challenge": CHALLENGE + "A", "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE[:-1] + "=", "code_challenge_method": "S256"},
    ],
)
def test_plain_missing_and_malformed_challenges_are_refused(parameters):
    """R3; FAPI module par-plain-pkce-rejected."""
    with pytest.raises(ProtocolError) as refused:
        challenge(**parameters)
    assert refused.value.code == "invalid_request"


def test_a_client_that_may_can_leave_pkce_out():
    """R3: the certification plan sends none."""
    assert challenge(required=False) is None


def test_a_method_without_a_challenge_is_a_mistake():
    """RFC 7636 section 4.3: half of PKCE protects nothing."""
    with pytest.raises(ProtocolError):
        challenge(required=False, code_challenge_method="S256")


@pytest.mark.parametrize("verifier", [None, "", "short", VERIFIER[:-1] + "l", VERIFIER + "é" * 5, "a" * 129, CHALLENGE])
def test_a_verifier_that_does_not_fit_is_refused(verifier):
    """RFC 7636 section 4.6."""
    with pytest.raises(ProtocolError) as refused:
        verify_code_verifier(CHALLENGE, verifier)
    assert refused.value.code == "invalid_grant"


def test_a_verifier_without_a_challenge_is_refused():
    """RFC 9700 section 2.1.1: the PKCE downgrade attack."""
    verify_code_verifier(None, None)
    with pytest.raises(ProtocolError) as refused:
        verify_code_verifier(None, VERIFIER)
    assert refused.value.code == "invalid_grant"
