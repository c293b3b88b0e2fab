"""Client profiles: all of it at once (FAPI 2.0, final), and signed answers (JARM)."""

from datetime import timedelta

import msgspec
import pytest

from oidc.protocol.capabilities import FAPI2_ALGORITHMS, PROFILES
from oidc.protocol.errors import ProtocolError, ReplyTo
from oidc.protocol.jarm import Delivery, delivery_of, signed_response_claims, signing_algorithm
from oidc.protocol.profile import (
    RULES_OF_PROFILE,
    algorithms_for,
    require_pushed,
    require_sender_constraint,
    require_signed,
    rules_of,
)


@pytest.fixture
def of(client_of):
    """A client with changed metadata, unjudged."""

    def make(**changes):
        client = client_of()
        return msgspec.structs.replace(client, metadata=msgspec.structs.replace(client.metadata, **changes))

    return make


def refusal(rule, *args, **more):
    with pytest.raises(ProtocolError) as refused:
        rule(*args, **more)
    return refused.value.code


def test_every_profile_has_its_rules():
    """A profile without rules would enforce nothing."""
    assert set(RULES_OF_PROFILE) == set(PROFILES)
    assert all(rules.longest_code <= timedelta(seconds=60) for rules in RULES_OF_PROFILE.values())


def test_a_fapi_client_pushes_its_requests(of):
    """FAPI 2.0 section 5.3.2.2, R5; module ensure-unsigned-authorization-request-without-using-par-fails."""
    for client in (of(profile="fapi2"), of(require_pushed_authorization_requests=True)):
        require_pushed(client, pushed=True)
        assert refusal(require_pushed, client, pushed=False) == "invalid_request"
    require_pushed(of(), pushed=False)


def test_a_message_signing_client_signs(of):
    """Message Signing section 5.3."""
    for client in (of(profile="fapi2-message-signing"), of(require_signed_request_object=True)):
        require_signed(client, signed=True)
        assert refusal(require_signed, client, signed=False) == "invalid_request"
    require_signed(of(profile="fapi2"), signed=False)
    assert rules_of(of(profile="fapi2-message-signing")).signed_responses
    assert rules_of(of(profile="fapi2-message-signing")).pushed_requests


def test_a_token_goes_to_a_key_or_not_at_all(of):
    """FAPI 2.0 section 5.3.2.1; module ensure-holder-of-key-required."""
    fapi = of(profile="fapi2")
    require_sender_constraint(fapi, jkt="k", certificate=None)
    require_sender_constraint(fapi, jkt=None, certificate="c")
    assert refusal(require_sender_constraint, fapi, jkt=None, certificate=None) == "invalid_request"
    require_sender_constraint(of(), jkt=None, certificate=None)


def test_a_client_that_registered_one_way_uses_that_way(of):
    """RFC 9449 section 5.2, RFC 8705 section 3.4."""
    dpop, mtls = of(dpop_bound_access_tokens=True), of(tls_client_certificate_bound_access_tokens=True)

    assert refusal(require_sender_constraint, dpop, jkt=None, certificate="c") == "invalid_request"
    assert refusal(require_sender_constraint, mtls, jkt="k", certificate=None) == "invalid_request"
    assert rules_of(dpop).sender_constrained_tokens
    assert rules_of(mtls).sender_constrained_tokens
    assert not rules_of(of()).sender_constrained_tokens
    require_sender_constraint(dpop, jkt="k", certificate=None)
    require_sender_constraint(mtls, jkt=None, certificate="c")


def test_algorithms_are_the_profiles_and_the_clients(of):
    """FAPI 2.0 section 5.4.1; a registered algorithm is the only one."""
    offered = ("ES256", "RS256", "PS256")

    assert algorithms_for(None, offered) == offered
    assert algorithms_for(of(), offered) == offered
    assert algorithms_for(of(profile="fapi2"), offered) == ("ES256", "PS256")
    assert algorithms_for(of(), offered, "RS256") == ("RS256",)
    assert algorithms_for(of(profile="fapi2"), offered, "RS256") == ()
    assert "RS256" not in FAPI2_ALGORITHMS


def test_pkce_is_every_profiles(of):
    """R3: waived only for a standard client that says so."""
    assert rules_of(of()).pkce
    assert rules_of(of(profile="fapi2", require_pkce=False)).pkce
    assert not rules_of(of(require_pkce=False)).pkce


@pytest.mark.parametrize(
    ("mode", "delivery"),
    [
        ("query", Delivery("query", signed=False)),
        ("form_post", Delivery("form_post", signed=False)),
        ("jwt", Delivery("query", signed=True)),
        ("form_post.jwt", Delivery("form_post", signed=True)),
        ("fragment.jwt", Delivery("fragment", signed=True)),
        ("of-an-older-release", Delivery("query", signed=False)),
    ],
)
def test_a_response_mode_is_a_carrier_and_a_form(mode, delivery):
    """JARM section 2.3."""
    assert delivery_of(ReplyTo("parks", "https://parks.example/", mode)) == delivery


def test_a_signed_answer_uses_the_registered_algorithm(of):
    """JARM section 3: RS256 by default, which FAPI 2.0 does not allow."""
    assert signing_algorithm(of()) == "RS256"
    assert signing_algorithm(of(profile="fapi2")) == "ES256"
    assert signing_algorithm(of(authorization_signed_response_alg="PS256")) == "PS256"


def test_a_signed_answer_is_for_one_client_and_a_few_minutes(now):
    """JARM section 2.1; state inside, and nothing beside it."""
    reply_to = ReplyTo("parks", "https://parks.example/", "jwt", "s")
    claims = signed_response_claims(reply_to, "https://id.example", {"code": "c"}, now)

    assert claims == {
        "iss": "https://id.example",
        "aud": "parks",
        "exp": int(now.timestamp()) + 600,
        "code": "c",
        "state": "s",
    }
    without = signed_response_claims(msgspec.structs.replace(reply_to, state=None), "https://id.example", {}, now)
    assert set(without) == {"iss", "aud", "exp"}
