"""The FAPI-CIBA plan: what happens between a request and its tokens. Poll and ping; `private_key_jwt`, and client
certificates where a module is about them. TLS versions and ciphers, which the plan looks at as well, are the proxy's.
"""

import secrets

import pytest

from conformance.ciba import GRANT, NOT_YET, Ciba, check_pending, ciba, party, person, second
from conformance.clients import CERTIFICATES, RSA
from conformance.kit import Browser, Suite, check_id_token, check_token_error, check_tokens
from conformance.modules import CIBA

__all__ = ["party", "person", "second"]

PLANS = (CIBA,)


def test_fapi_ciba_id1_discovery_end_point_verification(suite: Suite) -> None:
    """CIBA Core section 4, RFC 8705 section 3.3."""
    said = suite.metadata
    assert said["backchannel_authentication_endpoint"].startswith(f"{suite.issuer}/")
    assert set(said["backchannel_token_delivery_modes_supported"]) >= {"poll", "ping"}
    assert {"ES256", "PS256"} <= set(said["backchannel_authentication_request_signing_alg_values_supported"])
    assert said["backchannel_user_code_parameter_supported"] is False
    assert GRANT in said["grant_types_supported"]
    assert said["tls_client_certificate_bound_access_tokens"] is True
    assert {"private_key_jwt", "self_signed_tls_client_auth"} <= set(said["token_endpoint_auth_methods_supported"])
    assert {"ES256", "PS256"} <= set(said["token_endpoint_auth_signing_alg_values_supported"])
    assert "ES256" in said["id_token_signing_alg_values_supported"]
    assert said["token_endpoint"].startswith(f"{suite.issuer}/")


def test_fapi_ciba_id1(suite: Suite, party: Ciba, second: Ciba, person: Browser) -> None:
    """Both clients from end to end. The second one's request differs in all that may differ; its token opens nothing
    over the first one's certificate (RFC 8705 section 3), its `auth_req_id` is good once (CIBA Core section 11)."""
    name = party.begin(**party.proof(suite.issuer))
    check_pending(party.poll(name))
    suite.later(5)
    check_pending(party.poll(name))
    party.answer(person)
    token = party.entered(name).tokens["access_token"]
    for accepted in ("application/json", "application/json, */*"):
        answer = party.userinfo(token, accept=accepted, **{"x-fapi-customer-ip-address": "2001:db8::1893:25c8:1946"})
        assert answer.status_code == 200, accepted

    asked = second.request(acr_values="aal2", requested_expiry=300, client_notification_token="t" * 1024
                           if party.mode == "ping" else None)  # fmt: skip
    name = second.begin(second.object(asked, {"typ": "oauth-authz-req+jwt"}),
                        **second.proof(suite.metadata["token_endpoint"]))  # fmt: skip
    second.answer(person)
    signed_in = second.entered(name)
    assert signed_in.claims["acr"] == "aal2"
    second.certificate = CERTIFICATES["first"]
    assert second.userinfo(signed_in.tokens["access_token"]).status_code == 401
    second.certificate = CERTIFICATES["second"]
    check_token_error(second.poll(name), "invalid_grant")


@pytest.mark.parametrize("mode", ["poll", "ping"])
def test_fapi_ciba_id1_user_rejects_authentication(suite: Suite, mode: str, person: Browser) -> None:
    """CIBA Core section 11: `access_denied`; a client that is pinged hears of it as well."""
    party = ciba(suite, mode)
    name = party.begin()
    party.answer(person, "refuse")
    if mode == "ping":
        party.pinged(name)
    check_token_error(party.poll(name), "access_denied")


def test_fapi_ciba_id1_multiple_call_to_token_endpoint(party: Ciba, person: Browser) -> None:
    """Twenty polls at once are answered in order; afterwards everything goes on."""
    name = party.begin()
    assert {check_token_error(party.poll(name), *NOT_YET) for _ in range(20)} == set(NOT_YET)
    party.answer(person)
    if party.mode == "ping":
        party.pinged(name)
    party.suite.later(65)
    check_tokens(party.poll(name))


def test_fapi_ciba_id1_auth_req_id_expired(suite: Suite, party: Ciba) -> None:
    """CIBA Core section 11: `expired_token`, after the time that was asked for."""
    name = party.begin(party.object(party.request(requested_expiry=30)))
    suite.later(31)
    check_token_error(party.poll(name), "expired_token")


def test_fapi_ciba_id1_ensure_authorization_request_with_binding_message_succeeds(party: Ciba, person: Browser) -> None:
    """CIBA Core section 7.1: the person sees it."""
    name = party.begin(party.object(party.request(binding_message="1234")))
    assert "<bdi>1234</bdi>" in party.answer(person)
    party.entered(name)


def test_fapi_ciba_id1_ensure_other_scope_order_succeeds(party: Ciba, person: Browser) -> None:
    """RFC 6749 section 3.3."""
    name = party.begin(party.object(party.request(scope="email openid")))
    party.answer(person)
    assert party.entered(name).tokens.get("scope", "email openid").split() in (["email", "openid"], ["openid", "email"])


def test_fapi_ciba_id1_ensure_requested_expiry_as_string_succeeds(party: Ciba, person: Browser) -> None:
    """CIBA Core section 7.1.1: `requested_expiry` is a number or a string."""
    name = party.begin(party.object(party.request(requested_expiry="30")))
    party.answer(person)
    party.entered(name)


def test_fapi_ciba_id1_ensure_authorization_request_with_potentially_bad_binding_message(party: Ciba) -> None:
    """CIBA Core section 13: what cannot be shown whole is `invalid_binding_message`."""
    message = (
        "1234 \N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-6} 品川 " + "as long as no small screen is " * 8
    )
    check_token_error(party.ask(party.object(party.request(binding_message=message))), "invalid_binding_message")


def test_fapi_ciba_id1_ensure_wrong_auth_req_id_in_token_endpoint_request(party: Ciba, second: Ciba) -> None:
    """CIBA Core section 11: another client's is none."""
    check_token_error(second.poll(party.begin()), "invalid_grant")


@pytest.mark.parametrize("mode", ["poll", "ping"])
def test_fapi_ciba_id1_ensure_different_client_id_and_issuer_in_backchannel_authorization_request(
    suite: Suite, mode: str
) -> None:
    """The first client's request and certificate under the second one's name: `invalid_client`, 401."""
    party = ciba(suite, mode, name="tls")
    token = party.object(party.request())
    party.client_id = ciba(suite, mode, "second", "tls").client_id
    answer = party.ask(token)
    assert answer.status_code == 401
    check_token_error(answer, "invalid_client")


@pytest.mark.parametrize("mode", ["poll", "ping"])
def test_fapi_ciba_id1_ensure_wrong_client_id_in_token_endpoint_request(suite: Suite, mode: str) -> None:
    """RFC 8705 section 2: a certificate speaks for one client."""
    party = ciba(suite, mode, name="tls")
    name = party.begin()
    party.client_id = ciba(suite, mode, "second", "tls").client_id
    check_token_error(party.poll(name), "invalid_client")


@pytest.mark.parametrize("mode", ["poll", "ping"])
def test_fapi_ciba_id1_ensure_wrong_client_id_in_backchannel_authorization_request(suite: Suite, mode: str) -> None:
    """The same where the request is made, signed by the first client as if it were the second."""
    party = ciba(suite, mode, name="tls")
    party.client_id = ciba(suite, mode, "second", "tls").client_id
    check_token_error(party.ask(), "invalid_client", "invalid_request")


def test_fapi_ciba_id1_ensure_without_client_assertion_in_token_endpoint_request(party: Ciba) -> None:
    """RFC 6749 section 5.2: a name is no proof."""
    name = party.begin()
    party.method = "none"
    check_token_error(party.poll(name), "invalid_client", "invalid_request")


def test_fapi_ciba_id1_ensure_without_client_assertion_in_backchannel_authorization_request(party: Ciba) -> None:
    """CIBA Core section 13."""
    party.method = "none"
    check_token_error(party.ask(), "invalid_client", "invalid_request")


def test_fapi_ciba_id1_ensure_client_assertion_signature_algorithm_in_token_endpoint_request_is_RS256_fails(  # noqa: N802 - as it is named
    suite: Suite, party: Ciba
) -> None:
    """FAPI-CIBA section 7.10: though the key is the client's."""
    name, party.key = party.begin(), RSA
    check_token_error(party.poll(name, **party.proof(suite.issuer)), "invalid_client")


def test_fapi_ciba_id1_ensure_client_assertion_with_iss_aud_to_token_endpoint_succeeds(
    suite: Suite, party: Ciba
) -> None:
    """CIBA Core section 7.1, RFC 7523 section 3: our issuer is an audience everywhere."""
    check_pending(party.poll(party.begin(), **party.proof(suite.issuer)))


def test_fapi_ciba_id1_refresh_token(party: Ciba, second: Ciba, person: Browser) -> None:
    """RFC 6749 section 6, OpenID Connect Core section 12.2: for the same person, and only for the same client."""
    for client in (party, second):
        name = client.begin(**client.proof(client.suite.issuer))
        client.answer(person)
        before = client.entered(name)
        token = before.tokens["refresh_token"]
        after = check_tokens(client.refresh(token))
        assert after["access_token"] != before.tokens["access_token"]
        claims = check_id_token(client, after, None)
        assert [claims[name] for name in ("iss", "sub", "aud")] == [
            before.claims[name] for name in ("iss", "sub", "aud")
        ]
        assert client.userinfo(after["access_token"]).status_code == 200
    check_token_error(party.refresh(token), "invalid_grant")


@pytest.mark.parametrize("name", ["ciba", "tls"])
@pytest.mark.parametrize("mode", ["poll", "ping"])
def test_fapi_ciba_id1_ensure_mtls_holder_of_key_required(suite: Suite, person: Browser, mode: str, name: str) -> None:
    """RFC 8705 section 3, FAPI-RW section 5.2.2: no token without a certificate, even once the person has agreed."""
    party = ciba(suite, mode, name=name)
    waiting = party.begin()
    party.shows_certificate = False
    refusals = ("invalid_client", "invalid_request", "invalid_grant")
    check_token_error(party.poll(waiting), *refusals)
    party.answer(person)
    suite.later(10)
    check_token_error(party.poll(waiting), *refusals)
    party.shows_certificate = True
    check_tokens(party.poll(waiting))


@pytest.fixture
def pinged(suite: Suite) -> Ciba:
    """The first client that is pinged, for the modules about how it answers."""
    return ciba(suite, "ping")


def answering(party: Ciba, person: Browser, status: int, body: bytes = b"", **headers: str) -> str:
    """Somebody allows a request, and the notification endpoint answers the ping in this way; tokens are there."""
    answers = party.suite.ear.answers
    answers[party.client_id] = (status, headers, body)
    name = party.begin()
    party.answer(person)
    party.pinged(name)
    del answers[party.client_id]
    party.entered(name)
    return name


def test_fapi_ciba_id1_ping_backchannel_notification_endpoint_response_has_body(pinged: Ciba, person: Browser) -> None:
    """CIBA Core section 10.2: a body is not looked at."""
    answering(pinged, person, 200, b"The body of an answer.")


def test_fapi_ciba_id1_ping_backchannel_notification_endpoint_response_401(pinged: Ciba, person: Browser) -> None:
    """The tokens are the client's all the same."""
    answering(pinged, person, 401, b"Unauthorized")


def test_fapi_ciba_id1_ping_backchannel_notification_endpoint_response_403(pinged: Ciba, person: Browser) -> None:
    """The same."""
    answering(pinged, person, 403, b"Forbidden")


def test_fapi_ciba_id1_ping_with_mtls_ciba_notification_endpoint_response_401_and_require_server_does_not_retry(
    pinged: Ciba, person: Browser
) -> None:
    """CIBA Core section 10.2: it was told once. Whatever had been put off is done before the second request's ping."""
    name, notification = answering(pinged, person, 401, b"Unauthorized"), pinged.token
    pinged.suite.later(300)
    answering(pinged, person, 204)
    pinged.token = notification
    assert len(pinged.pinged(name)) == 1


def test_fapi_ciba_id1_ping_backchannel_notification_endpoint_return_redirect_request(
    pinged: Ciba, person: Browser
) -> None:
    """CIBA Core section 10.2: a redirect is not followed, nor the ping repeated."""
    elsewhere = f"elsewhere-{secrets.token_hex(4)}"
    name = answering(pinged, person, 301, location=pinged.suite.ear.address(elsewhere))
    assert not pinged.suite.ear.heard(elsewhere)
    assert len(pinged.pinged(name)) == 1
