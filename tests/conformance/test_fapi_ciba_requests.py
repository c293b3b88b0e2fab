"""The FAPI-CIBA plan: requests that must be refused (CIBA Core sections 7.1.1 and 13, FAPI-CIBA section 5.2.2)."""

from typing import Any

from conformance.ciba import ENDPOINT, Ciba, check_refused, party, second
from conformance.clients import RSA
from conformance.kit import Claims, Suite, check_token_error
from conformance.modules import CIBA

__all__ = ["party", "second"]

PLANS = (CIBA,)
OTHER = "https://www.other1.example.com/"


def refused(party: Ciba, head: Claims | None = None, **changes: Any) -> None:
    """The request object with these claims changed is refused."""
    check_refused(party.ask(party.object(party.request(), head, **changes)))


def test_fapi_ciba_id1_ensure_request_object_missing_aud_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    refused(party, aud=None)


def test_fapi_ciba_id1_ensure_request_object_bad_aud_fails(party: Ciba) -> None:
    """Meant for somebody else."""
    refused(party, aud=OTHER)


def test_fapi_ciba_id1_ensure_request_object_missing_iss_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    refused(party, iss=None)


def test_fapi_ciba_id1_ensure_request_object_bad_iss_fails(party: Ciba) -> None:
    """Of somebody else, whoever has signed it."""
    refused(party, iss=f"{party.client_id}1")


def test_fapi_ciba_id1_ensure_request_object_missing_exp_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    refused(party, exp=None)


def test_fapi_ciba_id1_ensure_request_object_expired_exp_fails(suite: Suite, party: Ciba) -> None:
    """Five minutes ago."""
    refused(party, exp=suite.now() - 300)


def test_fapi_ciba_id1_ensure_request_object_exp_is_70_minutes_in_future_fails(suite: Suite, party: Ciba) -> None:
    """FAPI-CIBA section 5.2.2: an hour from `nbf` at most."""
    refused(party, exp=suite.now() + 70 * 60)


def test_fapi_ciba_id1_ensure_request_object_missing_iat_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    refused(party, iat=None)


def test_fapi_ciba_id1_ensure_request_object_missing_nbf_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    refused(party, nbf=None)


def test_fapi_ciba_id1_ensure_request_object_nbf_is_10_minutes_in_future_fails(suite: Suite, party: Ciba) -> None:
    """Not yet."""
    refused(party, nbf=suite.now() + 600, exp=suite.now() + 900)


def test_fapi_ciba_id1_ensure_request_object_nbf_is_70_minutes_in_past_fails(suite: Suite, party: Ciba) -> None:
    """FAPI-CIBA section 5.2.2."""
    refused(party, nbf=suite.now() - 70 * 60)


def test_fapi_ciba_id1_ensure_request_object_missing_jti_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    refused(party, jti=None)


def test_fapi_ciba_id1_ensure_request_object_signature_algorithm_is_none_fails(party: Ciba) -> None:
    """CIBA Core section 7.1.1: asymmetric and signed."""
    refused(party, {"alg": "none"})


def test_fapi_ciba_id1_ensure_request_object_signature_algorithm_is_bad_fails(party: Ciba) -> None:
    """A signature that is not the message's."""
    message, _, signature = party.object(party.request()).rpartition(".")
    check_refused(party.ask(f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"))


def test_fapi_ciba_id1_ensure_request_object_signature_algorithm_is_RS256_fails(party: Ciba) -> None:  # noqa: N802 - as it is named
    """FAPI-CIBA section 7.10: though the key is the client's."""
    check_refused(party.ask(party.object(party.request(), {"alg": "RS256"}, RSA)))


def test_fapi_ciba_id1_ensure_request_object_signed_by_other_client_fails(party: Ciba, second: Ciba) -> None:
    """CIBA Core section 7.1.1."""
    check_refused(party.ask(party.object(party.request(), key=second.key)))


def test_fapi_ciba_id1_ensure_authorization_request_with_multiple_hints_fails(party: Ciba) -> None:
    """CIBA Core section 7.1: exactly one."""
    asked = party.request(id_token_hint="ada@example.org", login_hint_token="ada@example.org")
    check_refused(party.ask(party.object(asked)))


def test_fapi_ciba_id1_ensure_unsigned_backchannel_authorization_request_fails(party: Ciba) -> None:
    """FAPI-CIBA section 5.2.2: what is not signed is not heard, as parameters and without an object."""
    check_refused(party.post(ENDPOINT, party.request()))


def test_fapi_ciba_id1_ensure_client_assertion_signature_algorithm_in_backchannel_authorization_request_is_RS256_fails(  # noqa: N802 - as it is named
    suite: Suite, party: Ciba
) -> None:
    """FAPI-CIBA section 7.10."""
    token, party.key = party.object(party.request()), RSA
    check_token_error(party.ask(token, **party.proof(suite.issuer)), "invalid_client")
