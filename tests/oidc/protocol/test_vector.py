"""Names that frameworks give to levels, and vectors of trust: asked for, sought, and answered truthfully."""

import json

import pytest

from oidc.protocol.assurance import level_for, meets
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.errors import ProtocolError
from oidc.protocol.vector import levels_of, vector_of

LOA = "http://eidas.europa.eu/LoA/"
EIDAS = Capabilities(
    issuer="https://account.example.gov",
    minimum_acr="aal1",
    acr_aliases=((LOA + "low", "aal1"), (LOA + "substantial", "aal2"), (LOA + "high", "aal3")),
    trustmark="https://account.example.gov/trust",
)


@pytest.mark.parametrize(
    ("amr", "vector"),
    [
        (("pwd",), "P1.Cc.Ma.Ac"),
        (("mfa", "otp", "pwd"), "P1.Cc.Cd.Ma.Ac"),
        (("mfa", "pwd", "sms"), "P1.Cc.Ma.Ac"),
        (("mfa", "pop", "user"), "P1.Ce.Ma.Ac"),
        (("hwk", "mfa", "user"), "P1.Ce.Cf.Ma.Ac"),
        ((), "P1.Ma.Ac"),
    ],
)
def test_a_vector_says_what_was_done(amr, vector):
    """R10, RFC 8485 appendix A: every part is true, and what has no name there is left out."""
    assert vector_of(amr, encrypted=False) == vector
    assert vector_of(amr, encrypted=True) == vector.replace("Ac", "Ad")


@pytest.mark.parametrize(
    ("vtr", "levels"),
    [
        ('["Cc"]', ("aal1",)),
        ('["P1.Cc.Cd.Ac"]', ("aal2",)),
        ('["P2.Ce","Ce.Ac","Cc"]', ("aal2-phr",)),
        ('["Cf"]', ("aal3",)),
        ('["P3","Mc","Ca",""]', ()),
        ("[]", ()),
        (None, ()),
    ],
)
def test_the_first_vector_that_can_be_met_is_sought(vtr, levels):
    """RFC 8485 section 4.1: one that asks for proofing or a part we never have is passed over."""
    assert levels_of(vtr, EIDAS) == levels


@pytest.mark.parametrize("vtr", ["Cc", "{}", '[["Cc"]]', "[1]", "null", "[" * 1000])
def test_what_is_no_list_of_vectors_is_refused(vtr):
    with pytest.raises(ProtocolError, match="vtr"):
        levels_of(vtr, EIDAS)


def test_without_a_trustmark_nobody_is_asked_and_nothing_is_said():
    """RFC 8485 section 4: a vector means nothing without the page that says what it means."""
    assert levels_of('["Cf"]', Capabilities(issuer="https://account.example.gov")) == ()


def test_names_of_a_framework_are_names_of_levels():
    """The least of those asked for, known or not; a name that is not configured is never met (R75)."""
    assert level_for((LOA + "high", LOA + "substantial"), EIDAS) == "aal2"
    assert level_for((LOA + "high", "aal2-phr", "gold"), EIDAS) == "aal2-phr"
    assert level_for(("gold",), EIDAS) == "aal1"
    assert meets("aal2-phr", LOA + "substantial", EIDAS)
    assert not meets("aal2-phr", LOA + "high", EIDAS)
    assert not meets("aal3", LOA + "highest", EIDAS)


def test_a_name_for_a_level_that_is_not_there_stops_the_start():
    """R74."""
    with pytest.raises(ValueError, match="acr_aliases"):
        Capabilities(issuer="https://account.example.gov", acr_aliases=((LOA + "low", "aal9"),))


def test_every_part_that_we_tell_can_be_asked_for() -> None:
    """RFC 8485 section 4.1: a service that asks for what it was told before is understood."""
    told = vector_of(("hwk", "otp", "pwd"), encrypted=True)

    assert levels_of(json.dumps([told]), EIDAS) == (EIDAS.acr_values[3],)
