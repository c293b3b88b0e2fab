"""Request objects: the security profile's plan with signed requests, and the same modules of message signing."""

from typing import Any

import pytest

from conformance.clients import KEYS, RSA
from conformance.fapi import Fapi, check_refused_object, fapi
from conformance.kit import Suite, check_code, unsigned
from conformance.modules import FAPI2, SIGNING

PLANS = (FAPI2, SIGNING)


@pytest.fixture
def party(suite: Suite, plan: str) -> Fapi:
    """The first client of the plan."""
    return fapi(suite, plan)


def accepted(party: Fapi, **changes: Any) -> None:
    """The whole flow with a request object that is unusual and right."""
    asked = party.request()
    end = party.visit(party.suite.browser(), party.pushed(asked, **changes))
    party.taken(asked, party.redeem(check_code(end, asked, party.suite.issuer)))


def refused(party: Fapi, **changes: Any) -> None:
    """One that is wrong does not get past PAR."""
    check_refused_object(party, party.push(party.request(), **changes))


def test_fapi2_security_profile_final_ensure_request_object_with_multiple_aud_succeeds(party: Fapi) -> None:
    """Our issuer among other audiences."""
    accepted(party, aud=[party.suite.issuer, "https://other1.example.com", "invalid"])


def test_fapi2_security_profile_final_ensure_request_object_without_exp_fails(party: Fapi) -> None:
    """Message Signing section 5.3.1-4."""
    refused(party, exp=None)


def test_fapi2_security_profile_final_ensure_request_object_without_nbf_fails(party: Fapi) -> None:
    """Message Signing section 5.3.1-3."""
    refused(party, nbf=None)


def test_fapi2_security_profile_final_ensure_expired_request_object_fails(party: Fapi) -> None:
    """RFC 7519 section 4.1.4."""
    now = party.suite.now()
    refused(party, exp=now - 300, nbf=now - 600, iat=now - 600)


def test_fapi2_security_profile_final_ensure_request_object_with_bad_aud_fails(party: Fapi) -> None:
    """RFC 9101 section 4."""
    refused(party, aud="https://www.other1.example.com/")


def test_fapi2_security_profile_final_ensure_request_object_with_exp_over_60_fails(party: Fapi) -> None:
    """Message Signing section 5.3.1-4: `exp` at most 60 minutes after `nbf`."""
    refused(party, exp=party.suite.now() + 70 * 60)


def test_fapi2_security_profile_final_ensure_request_object_with_nbf_over_60_fails(party: Fapi) -> None:
    """Message Signing section 5.3.1-3: `nbf` at most 60 minutes ago."""
    refused(party, nbf=party.suite.now() - 70 * 60)


def test_fapi2_security_profile_final_ensure_request_object_with_nbf_8_seconds_in_the_future_is_accepted(
    party: Fapi,
) -> None:
    """Clocks differ: up to ten seconds are fine."""
    now = party.suite.now()
    accepted(party, nbf=now + 8, iat=now + 8)


def test_fapi2_security_profile_final_ensure_signed_request_object_with_RS256_fails(  # noqa: N802 - as it is named
    party: Fapi,
) -> None:
    """Security Profile section 5.4: RS256 is not among the algorithms, even with a key that is registered."""
    refused(party, header={"alg": "RS256"}, key=RSA)


def test_fapi2_security_profile_final_ensure_request_object_signature_algorithm_is_not_none(party: Fapi) -> None:
    """Section 5.4.2-2."""
    now = party.suite.now()
    claims = {**party.request(), "iss": party.client_id, "aud": party.suite.issuer, "nbf": now, "exp": now + 300}

    check_refused_object(party, party.send({"client_id": party.client_id, "request": unsigned(claims)}))


def test_fapi2_security_profile_final_ensure_request_object_with_invalid_signature_fails(party: Fapi) -> None:
    """RFC 9101 section 6.2."""
    good = party.object(party.request())
    bad = good[:-8] + ("AAAAAAAA" if not good.endswith("AAAAAAAA") else "BBBBBBBB")

    check_refused_object(party, party.send({"client_id": party.client_id, "request": bad}))


def test_fapi2_security_profile_final_ensure_matching_key_in_authorization_request(party: Fapi) -> None:
    """The other client's key does not sign for this one, under its own name or under ours."""
    refused(party, key=KEYS["second"])
    refused(party, key=KEYS["second"], header={"kid": "first"})


def test_fapi2_security_profile_final_ensure_unsigned_request_at_par_endpoint_fails(party: Fapi) -> None:
    """Message Signing section 5.3.2-1: parameters without an object."""
    check_refused_object(party, party.send(party.request()))


def test_fapi2_security_profile_final_par_authorization_request_containing_request_uri(party: Fapi) -> None:
    """RFC 9126 section 2.1: no `request_uri` inside the object either."""
    refused(party, request_uri="urn:ietf:params:oauth:request_uri:one-of-somebody")
