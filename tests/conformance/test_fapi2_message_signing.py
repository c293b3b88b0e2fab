"""The message signing plan: `private_key_jwt`, PAR with signed requests, DPoP, JARM."""

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey

from conformance.clients import RSA
from conformance.fapi import REFUSED_OBJECT, Fapi, check_refused_object, fapi
from conformance.kit import (
    OF_SCOPE,
    PROFILE,
    Browser,
    End,
    Suite,
    check_code,
    check_error,
    check_page,
    check_refreshed,
    check_token_error,
    check_tokens,
    check_userinfo,
    segment,
)
from conformance.modules import SIGNING

PLANS = (SIGNING,)
OTHER = "https://www.other1.example.com/"
PROOF_REFUSED = ("invalid_dpop_proof", "invalid_grant", "invalid_request")


@pytest.fixture
def party(suite: Suite, plan: str) -> Fapi:
    """The first client."""
    return fapi(suite, plan)


@pytest.fixture
def second(suite: Suite, plan: str) -> Fapi:
    """The second client, whose redirect URI has a query."""
    return fapi(suite, plan, "second")


@pytest.fixture(scope="module")
def person(suite: Suite) -> Browser:
    """Somebody who stays signed in from module to module, as before the suite."""
    return suite.browser()


def answered(party: Fapi, end: End, asked: dict[str, str]) -> None:
    """A code, and tokens for it."""
    party.taken(asked, party.redeem(check_code(end, asked, party.suite.issuer)))


def test_fapi2_security_profile_final_discovery_end_point_verification(suite: Suite) -> None:
    """What both profiles need is said."""
    said = suite.metadata
    assert said["response_types_supported"] == ["code"]
    assert said["pushed_authorization_request_endpoint"].startswith(f"{suite.issuer}/")
    assert said["authorization_response_iss_parameter_supported"] is True
    assert "private_key_jwt" in said["token_endpoint_auth_methods_supported"]
    assert said["code_challenge_methods_supported"] == ["S256"]
    for name in ("token_endpoint_auth", "dpop", "request_object"):
        assert {"ES256", "PS256"} <= set(said[f"{name}_signing_alg_values_supported"])
    assert "ES256" in said["authorization_signing_alg_values_supported"]
    assert "ES256" in said["id_token_signing_alg_values_supported"]
    assert "jwt" in said["response_modes_supported"]
    assert said["request_parameter_supported"] is True
    assert "authorization_code" in said["grant_types_supported"]


def test_fapi2_security_profile_final_happy_flow(suite: Suite, party: Fapi, second: Fapi, person: Browser) -> None:
    """Both clients, the second with a nonce of 43 characters and `dpop_jkt` alone; nothing in the ID token that nobody
    asked for; a token in the address opens nothing, nor one client's with the proof of the other; what the client would
    like to read changes nothing. The suite's checks of TLS are for whoever ends it: the simulator speaks plain http."""
    first = party.fapi_sign_in(person)
    signed_in = second.fapi_sign_in(person, nonce="n" * 43, dpop_jkt=second.proof_key.thumbprint())
    for client, one in ((party, first), (second, signed_in)):
        check_userinfo(client.resource(one.tokens["access_token"]), one.claims["sub"])
        assert not set().union(*OF_SCOPE.values()) & one.claims.keys()
    other = party.dpop("userinfo_endpoint", "GET", signed_in.tokens["access_token"])
    assert second.resource(signed_in.tokens["access_token"], other).status_code == 401

    here, token = suite.metadata["userinfo_endpoint"], first.tokens["access_token"]
    in_the_address = {
        "params": {"access_token": token},
        "headers": {"dpop": party.dpop("userinfo_endpoint", "GET", token)},
    }
    assert 400 <= suite.http.get(here, **in_the_address).status_code < 500
    for accept in ("application/json;charset=UTF-8", "application/json, application/*+json, */*"):
        proof = party.dpop("userinfo_endpoint", "GET", token)
        headers = {"authorization": f"DPoP {token}", "dpop": proof, "accept": accept}
        check_userinfo(suite.http.get(here, headers=headers), first.claims["sub"])


def test_fapi2_security_profile_final_user_rejects_authentication(
    suite: Suite, party: Fapi, second: Fapi, person: Browser
) -> None:
    """OpenID Connect Core section 3.1.2.6: `access_denied`, told to the client."""
    for client in (party, second):
        asked = client.request(prompt="consent")
        end = client.visit(person, client.pushed(asked), choice="refuse")
        check_error(end, asked, suite.issuer, "access_denied")


def test_fapi2_security_profile_final_ensure_authorization_request_without_state_success(
    party: Fapi, person: Browser
) -> None:
    """`state` is optional with PKCE."""
    party.fapi_sign_in(person, state=None)


def test_fapi2_security_profile_final_ensure_authorization_request_without_nonce_success(
    party: Fapi, person: Browser
) -> None:
    """`nonce` is optional as well."""
    assert "nonce" not in party.fapi_sign_in(person, nonce=None).claims


def test_fapi2_security_profile_final_ensure_authorization_request_with_64_char_nonce_success(
    party: Fapi, person: Browser
) -> None:
    """Security Profile section 5.3.2.2."""
    party.fapi_sign_in(person, nonce="n" * 64)


def test_fapi2_security_profile_final_ensure_other_scope_order_succeeds(party: Fapi, person: Browser) -> None:
    """RFC 6749 section 3.3."""
    party.fapi_sign_in(person, scope="email openid")
    party.fapi_sign_in(person, scope="openid email")


def test_fapi2_security_profile_final_test_claims_parameter_identity_claims(party: Fapi, person: Browser) -> None:
    """OpenID Connect Core section 5.5: from each place what was asked for there."""
    claims = {"userinfo": {"name": {"essential": True}}, "id_token": {"given_name": None, "acr": {"essential": True}}}
    signed_in = party.fapi_sign_in(person, claims=json.dumps(claims))

    assert signed_in.claims["given_name"] == PROFILE["given_name"]
    assert "name" not in signed_in.claims
    about = check_userinfo(party.resource(signed_in.tokens["access_token"]), signed_in.claims["sub"])
    assert about == {"sub": signed_in.claims["sub"], "name": PROFILE["name"]}


def test_fapi2_security_profile_final_access_token_type_header_case_sensitivity(party: Fapi, person: Browser) -> None:
    """RFC 9110 section 11.1: the scheme has no case."""
    token = party.fapi_sign_in(person).tokens["access_token"]

    for scheme in ("DPoP", "dpop", "DPOP", "dPoP"):
        assert party.resource(token, scheme=scheme).status_code == 200, scheme


def test_fapi2_security_profile_final_check_dpop_proof_nbf_exp(party: Fapi, person: Browser) -> None:
    """`nbf` and `exp` may be in a proof."""
    asked, code = party.fapi_code(person)
    now = party.suite.now()
    signed_in = party.taken(asked, party.redeem(code, party.dpop("token_endpoint", nbf=now, exp=now + 300)))
    token = signed_in.tokens["access_token"]

    proof = party.dpop("userinfo_endpoint", "GET", token, nbf=now, exp=now + 300)

    assert party.resource(token, proof).status_code == 200


def shifted(party: Fapi, person: Browser, seconds: int) -> None:
    """A client whose clock differs."""
    asked, code = party.fapi_code(person)
    signed_in = party.taken(asked, party.redeem(code, party.dpop("token_endpoint", iat=party.suite.now() + seconds)))
    token = signed_in.tokens["access_token"]
    proof = party.dpop("userinfo_endpoint", "GET", token, iat=party.suite.now() + seconds)
    assert party.resource(token, proof).status_code == 200


def test_fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_before_succeeds(
    party: Fapi, person: Browser
) -> None:
    """Ten seconds late."""
    shifted(party, person, -10)


def test_fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_after_succeeds(
    party: Fapi, person: Browser
) -> None:
    """Ten seconds ahead."""
    shifted(party, person, 10)


def test_fapi2_security_profile_final_ensure_mismatched_dpop_jkt_fails(party: Fapi) -> None:
    """RFC 9449 section 10.1: a proof at PAR and another key as `dpop_jkt`."""
    other = ECKey.generate_key("P-256").thumbprint()

    answer = party.push(party.request(dpop_jkt=other), party.dpop("pushed_authorization_request_endpoint"))

    check_token_error(answer, "invalid_dpop_proof", "invalid_request", "invalid_request_object")


def test_fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(
    party: Fapi, person: Browser
) -> None:
    """The code is bound to the proof at PAR; another key gets nothing."""
    _, code = party.fapi_code(person, party.dpop("pushed_authorization_request_endpoint"))

    answer = party.redeem(code, party.dpop("token_endpoint", key=ECKey.generate_key("P-256")))

    check_token_error(answer, *PROOF_REFUSED)


def test_fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_jkt(
    party: Fapi, person: Browser
) -> None:
    """The same with `dpop_jkt`."""
    _, code = party.fapi_code(person, dpop_jkt=party.proof_key.thumbprint())

    answer = party.redeem(code, party.dpop("token_endpoint", key=ECKey.generate_key("P-256")))

    check_token_error(answer, *PROOF_REFUSED)


def test_fapi2_security_profile_final_ensure_dpopproof_at_par_endpoint_binding_success(
    party: Fapi, person: Browser
) -> None:
    """The same key at PAR and at the token endpoint."""
    asked, code = party.fapi_code(person, party.dpop("pushed_authorization_request_endpoint"))

    party.taken(asked, party.redeem(code))


def test_fapi2_security_profile_final_ensure_dpop_auth_code_binding_success(party: Fapi, person: Browser) -> None:
    """The key that `dpop_jkt` announced."""
    party.fapi_sign_in(person, dpop_jkt=party.proof_key.thumbprint())


def test_fapi2_security_profile_final_ensure_different_nonce_inside_and_outside_request_object(
    party: Fapi, person: Browser
) -> None:
    """RFC 9126 section 4, RFC 9101 section 6.3: the one inside counts."""
    asked = party.request()

    answered(party, party.visit(person, party.pushed(asked), nonce="of-the-query"), asked)


def test_fapi2_security_profile_final_ensure_different_state_inside_and_outside_request_object(
    party: Fapi, person: Browser
) -> None:
    """The same for `state`."""
    asked = party.request()

    answered(party, party.visit(person, party.pushed(asked), state="of-the-query"), asked)


def test_fapi2_security_profile_final_ensure_authorization_request_with_long_nonce(
    party: Fapi, person: Browser
) -> None:
    """384 characters: they come back whole."""
    party.fapi_sign_in(person, nonce="n" * 384)


def test_fapi2_security_profile_final_ensure_authorization_request_with_long_state(
    party: Fapi, person: Browser
) -> None:
    """1,000 characters: they come back whole."""
    party.fapi_sign_in(person, state="s" * 1000)


def test_fapi2_security_profile_final_state_only_outside_request_object_not_used(party: Fapi, person: Browser) -> None:
    """No `state` inside: none comes back."""
    asked = party.request(state=None)

    answered(party, party.visit(person, party.pushed(asked), state="of-the-query"), asked)


def test_fapi2_security_profile_final_ensure_request_object_without_redirect_uri_fails(party: Fapi) -> None:
    """Message Signing section 5.3.2-1: what stands beside the object does not help."""
    asked = party.request(redirect_uri=None)

    fields = {"client_id": party.client_id, "request": party.object(asked), "redirect_uri": party.redirect_uri}
    check_refused_object(party, party.send(fields))


def test_fapi2_security_profile_final_ensure_registered_redirect_uri(party: Fapi) -> None:
    """RFC 9126 section 2.3: refused where it is pushed."""
    answer = party.push(party.request(redirect_uri=f"{party.redirect_uri}/unregistered"))

    check_token_error(answer, "invalid_request", "invalid_request_object", "invalid_redirect_uri")


def test_fapi2_security_profile_final_plain_fapi_tolerate_unregistered_redirect_uri(party: Fapi) -> None:
    """RFC 9126 section 2.4: may be tolerated or refused. We refuse."""
    answer = party.push(party.request(redirect_uri=f"{party.redirect_uri}?unregistered"))

    check_token_error(answer, "invalid_request", "invalid_request_object", "invalid_redirect_uri")


def test_fapi2_security_profile_final_ensure_unsigned_authorization_request_without_using_par_fails(
    suite: Suite, party: Fapi, person: Browser
) -> None:
    """Plain parameters at `/authorize`, and a signed object there as well: both are not pushed."""
    asked = party.request()
    for sent in (asked, {**asked, "request": party.object(asked)}):
        end = party.opened(party.come(person, sent))
        if end.page:
            check_page(end)
        else:
            check_error(end, asked, suite.issuer, *REFUSED_OBJECT)


def test_fapi2_security_profile_final_ensure_redirect_uri_in_authorization_request(party: Fapi) -> None:
    """Section 5.3.2.2-6: required, though one alone is registered."""
    check_refused_object(party, party.push(party.request(redirect_uri=None)))


def test_fapi2_security_profile_final_ensure_response_type_code_idtoken_fails(party: Fapi) -> None:
    """Section 5.3.2.2-1."""
    answer = party.push(party.request(response_type="code id_token"))

    check_token_error(answer, "unsupported_response_type", "invalid_request", "unauthorized_client")


def test_fapi2_security_profile_final_ensure_response_type_token_fails(party: Fapi) -> None:
    """Section 5.3.2.2-1."""
    answer = party.push(party.request(response_type="token"))

    check_token_error(answer, "unsupported_response_type", "invalid_request", "unauthorized_client")


def test_fapi2_security_profile_final_ensure_client_id_in_token_endpoint(
    party: Fapi, second: Fapi, person: Browser
) -> None:
    """RFC 6749 section 5.2: the name of another client beside our assertion."""
    _, code = party.fapi_code(person)

    answer = party.redeem(code, client_id=second.client_id)

    check_token_error(answer, "invalid_client", "invalid_request", "invalid_grant")


def test_fapi2_security_profile_final_ensure_holder_of_key_required(party: Fapi, person: Browser) -> None:
    """Section 5.3.2.1-6: no tokens without a proof, and a token alone opens nothing."""
    _, code = party.fapi_code(person)
    check_token_error(party.redeem(code, None), *PROOF_REFUSED)

    signed_in = party.fapi_sign_in(person)
    token = signed_in.tokens["access_token"]
    assert party.resource(token, None).status_code == 401
    assert party.resource(token, None, scheme="Bearer").status_code == 401


def test_fapi2_security_profile_final_ensure_authorization_code_is_bound_to_client(
    party: Fapi, second: Fapi, person: Browser
) -> None:
    """Another client gets nothing for it."""
    _, code = party.fapi_code(person)
    second.verifier = party.verifier

    check_token_error(second.redeem(code, redirect_uri=party.redirect_uri), "invalid_grant")


def test_fapi2_security_profile_final_attempt_reuse_authorization_code_after_one_second(
    party: Fapi, person: Browser
) -> None:
    """Once; and its token ends (RFC 6749 section 4.1.2)."""
    asked, code = party.fapi_code(person)
    signed_in = party.taken(asked, party.redeem(code))
    party.suite.later(1)

    check_token_error(party.redeem(code), "invalid_grant")

    assert party.resource(signed_in.tokens["access_token"]).status_code == 401


def test_fapi2_security_profile_final_ensure_token_endpoint_fails_with_expired_auth_code(
    party: Fapi, person: Browser
) -> None:
    """Section 5.3.2.1-11: at most 60 seconds."""
    _, code = party.fapi_code(person)
    party.suite.later(62)

    check_token_error(party.redeem(code), "invalid_grant")


def asserted(party: Fapi, person: Browser, assertion: dict[str, str]) -> None:
    """An assertion that is not accepted, at the token endpoint."""
    _, code = party.fapi_code(person)
    check_token_error(party.redeem(code, **assertion), "invalid_client", "invalid_request")


def test_fapi2_security_profile_final_ensure_signed_client_assertion_with_RS256_fails(  # noqa: N802 - as it is named
    party: Fapi, person: Browser
) -> None:
    """Section 5.4."""
    _, code = party.fapi_code(person)
    own, party.key = party.key, RSA
    assertion = party.proof()
    party.key = own

    check_token_error(party.redeem(code, **assertion), "invalid_client", "invalid_request")


def test_fapi2_security_profile_final_ensure_client_assertion_in_token_endpoint(party: Fapi, person: Browser) -> None:
    """Without one, with the name alone."""
    _, code = party.fapi_code(person)
    party.method = "none"

    check_token_error(party.redeem(code, client_id=party.client_id), "invalid_client", "invalid_request")


def test_fapi2_security_profile_final_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(
    party: Fapi, person: Browser
) -> None:
    """Expired."""
    asserted(party, person, party.proof(exp=party.suite.now() - 300, iat=party.suite.now() - 360))


def test_fapi2_security_profile_final_ensure_client_assertion_with_wrong_aud_fails(
    party: Fapi, person: Browser
) -> None:
    """For somebody else."""
    asserted(party, person, party.proof(OTHER))


def test_fapi2_security_profile_final_ensure_client_assertion_with_no_sub_fails(party: Fapi, person: Browser) -> None:
    """RFC 7523 section 3."""
    asserted(party, person, party.proof(sub=None))


def without_alg(proof: str) -> str:
    """The same proof with a header that names no algorithm."""
    head, body, signature = proof.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    del header["alg"]
    return f"{segment(json.dumps(header).encode())}.{body}.{signature}"


def test_fapi2_security_profile_final_dpop_negative_tests(party: Fapi, person: Browser) -> None:
    """RFC 9449 sections 4.1 to 4.3, 7.1 and 7.2, at the resource; and the algorithms at the token endpoint."""
    token = party.fapi_sign_in(person).tokens["access_token"]
    here, now = party.suite.metadata["userinfo_endpoint"], party.suite.now()

    def proof(**changes: Any) -> str:
        return party.dpop("userinfo_endpoint", **{"method": "GET", "access_token": token, **changes})

    good = proof()
    assert party.resource(token, good).status_code == 200
    head, body, signature = proof().split(".")
    wrong = {
        "not a JWT": f"{head}{body}{signature}",
        "no typ": proof(header={"typ": None}),
        "no alg": without_alg(proof()),
        "wrong typ": proof(header={"typ": "JWT"}),
        "no jwk": proof(header={"jwk": None}),
        "private jwk": proof(header={"jwk": party.proof_key.as_dict(private=True)}),
        "no jti": proof(jti=None),
        "no htm": proof(htm=None),
        "no htu": proof(htu=None),
        "no iat": proof(iat=None),
        "no ath": proof(ath=None),
        "alg none": proof(header={"alg": "none"}),
        "bad signature": f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        "wrong htm": proof(htm="PUT"),
        "wrong htu": proof(htu=OTHER),
        "an hour ahead": proof(iat=now + 3600),
        "an hour old": proof(iat=now - 3600),
        "wrong ath": proof(ath="A" * 43),
        "another key": proof(key=ECKey.generate_key("P-256")),
        "used before": good,
        "RS256": party.dpop("userinfo_endpoint", "GET", token, RSA, {"alg": "RS256"}),
    }
    for name, bad in wrong.items():
        assert party.resource(token, bad).status_code in (400, 401), name
    two = [("authorization", f"DPoP {token}"), ("dpop", proof()), ("dpop", proof())]
    capitals = {"authorization": f"DPoP {token}", "DPOP": proof()}
    assert party.suite.http.get(here, headers=capitals).status_code == 200
    assert party.suite.http.get(here, headers=two).status_code in (400, 401)
    assert party.resource(token, proof(), scheme="Bearer").status_code in (400, 401)
    assert party.resource(token, None).status_code in (400, 401)
    assert party.resource(token, None, scheme="Bearer").status_code in (400, 401)
    right = {
        "query and fragment in htu": proof(htu=f"{here}?query=value#fragment"),
        "more claims": proof(header={"extra": "header"}, extra="claim"),
        "scheme and host in capitals": proof(htu=here.replace("http://localhost", "HTTP://LOCALHOST")),
    }
    for name, fine in {**right, "a correct one still works": proof()}.items():
        assert party.resource(token, fine).status_code == 200, name

    _, code = party.fapi_code(person)
    for bad in (party.dpop("token_endpoint", key=RSA, header={"alg": "RS256"}), party.dpop("token_endpoint", "GET")):
        check_token_error(party.redeem(code, bad), *PROOF_REFUSED)


def test_fapi2_security_profile_final_refresh_token(party: Fapi, second: Fapi, person: Browser, suite: Suite) -> None:
    """Bound to client and key; the ID token of a refresh says the same (OpenID Connect Core section 12.2)."""
    signed = []
    for client in (party, second):
        first = client.fapi_sign_in(person, scope="openid offline_access", prompt="consent")
        kept = first.tokens["refresh_token"]
        suite.later(1)
        # The token is bound to a client that authenticates, not to a key of its (RFC 9449 section 5).
        client.proof_key = ECKey.generate_key("P-256")
        again = check_refreshed(client, client.refresh(kept, scope="openid offline_access"), first)
        assert again["token_type"].lower() == "dpop"
        assert again.get("refresh_token", kept) == kept, "no rotation for clients that hold a key (section 5.3.2.1)"
        assert client.resource(again["access_token"]).status_code == 200
        signed.append((kept, again["access_token"]))
    (kept, _), (of_second, access_of_second) = signed
    check_token_error(party.refresh(kept, None), *PROOF_REFUSED)
    check_token_error(party.refresh(kept, party.dpop("token_endpoint"), **party.proof(OTHER)), "invalid_client")
    assert party.resource(access_of_second).status_code == 401, "the second client's access token with our key"
    check_token_error(party.refresh(of_second), "invalid_grant")
    check_tokens(second.refresh(of_second))


def test_fapi2_security_profile_final_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(
    suite: Suite, party: Fapi
) -> None:
    """Section 5.3.2.2: the page may be loaded again, in another browser too, until the request is answered."""
    browser, asked = suite.browser(), party.request()
    request_uri = party.pushed(asked)
    assert party.visit(suite.browser(), request_uri, until="sign-in").page == "sign-in"
    assert party.visit(browser, request_uri, until="sign-in").page == "sign-in"

    answered(party, party.visit(browser, request_uri), asked)


def test_fapi2_security_profile_final_par_attempt_reuse_request_uri(party: Fapi, person: Browser) -> None:
    """RFC 9126 section 7.3: answered once."""
    asked = party.request()
    request_uri = party.pushed(asked)
    answered(party, party.visit(person, request_uri), asked)

    end = party.visit(person, request_uri)

    assert (end.page, end.fields) == ("error", {})


def test_fapi2_security_profile_final_par_attempt_to_use_expired_request_uri(party: Fapi, person: Browser) -> None:
    """RFC 9126 section 2.2."""
    answer = party.push(party.request()).json()
    party.suite.later(answer["expires_in"] + 5)

    check_page(party.visit(person, answer["request_uri"]))


def test_fapi2_security_profile_final_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted(
    party: Fapi, person: Browser
) -> None:
    """Clocks differ."""
    now, asked = party.suite.now(), party.request()
    fields = {"client_id": party.client_id, "request": party.object(asked)}

    answer = party.send(fields, nbf=now + 8, iat=now + 8)

    assert answer.status_code == 201, answer.text
    answered(party, party.visit(person, answer.json()["request_uri"]), asked)


def test_fapi2_security_profile_final_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails(
    party: Fapi,
) -> None:
    """But not by a minute."""
    now = party.suite.now()
    fields = {"client_id": party.client_id, "request": party.object(party.request())}

    check_token_error(party.send(fields, nbf=now + 70, iat=now + 70, exp=now + 130), "invalid_client")


def test_fapi2_security_profile_final_par_attempt_to_use_request_uri_for_different_client(
    party: Fapi, second: Fapi, person: Browser
) -> None:
    """RFC 9126 section 4: bound to who pushed it."""
    check_page(second.visit(person, party.pushed(party.request())))


def test_fapi2_security_profile_final_par_authorization_request_containing_request_uri_form_param(
    party: Fapi,
) -> None:
    """RFC 9126 section 2.1."""
    request_uri = "urn:ietf:params:oauth:request_uri:one-of-somebody"
    fields = {"client_id": party.client_id, "request": party.object(party.request()), "request_uri": request_uri}

    check_token_error(party.send(fields), "invalid_request", "invalid_request_object", "request_uri_not_supported")


def test_fapi2_security_profile_final_par_attempt_invalid_http_method(suite: Suite, party: Fapi) -> None:
    """RFC 9126 section 2.3: POST and nothing else."""
    fields = {**party.proof(), "client_id": party.client_id, "request": party.object(party.request())}

    for method in ("PUT", "GET"):
        address = suite.metadata["pushed_authorization_request_endpoint"]
        sent = {"params": fields} if method == "GET" else {"data": fields}
        assert suite.http.request(method, address, **sent).status_code in (400, 404, 405), method


def test_fapi2_security_profile_final_par_ensure_pkce_required(party: Fapi) -> None:
    """Section 5.3.2.2-5."""
    check_token_error(party.push(party.request(code_challenge=None, code_challenge_method=None)), "invalid_request")


def test_fapi2_security_profile_final_ensure_pkce_code_verifier_required(party: Fapi, person: Browser) -> None:
    """RFC 7636 section 4.6."""
    _, code = party.fapi_code(person)

    check_token_error(party.redeem(code, code_verifier=None), "invalid_grant", "invalid_request")


def test_fapi2_security_profile_final_incorrect_pkce_code_verifier_rejected(party: Fapi, person: Browser) -> None:
    """RFC 7636 section 4.6."""
    _, code = party.fapi_code(person)

    check_token_error(party.redeem(code, code_verifier="v" * 64), "invalid_grant")


def test_fapi2_security_profile_final_par_plain_pkce_rejected(party: Fapi) -> None:
    """Section 5.3.2.2-5: S256 alone."""
    answer = party.push(party.request(code_challenge=party.verifier, code_challenge_method="plain"))

    check_token_error(answer, "invalid_request")


def test_fapi2_security_profile_final_par_without_duplicate_parameters(party: Fapi, person: Browser) -> None:
    """RFC 9101 section 5: `client_id` and `request_uri` alone; with all the others beside them it works too."""
    asked = party.request()
    answered(party, party.visit(person, party.pushed(asked)), asked)
    beside = {name: asked[name] for name in ("response_type", "scope", "redirect_uri", "state", "nonce")}
    answered(party, party.visit(person, party.pushed(asked), **beside), asked)


def audience(party: Fapi, value: Any) -> None:
    """Section 5.3.2.1-8: the issuer as one string."""
    fields = {"client_id": party.client_id, "request": party.object(party.request())}
    check_token_error(party.send(fields, audience=value), "invalid_client")


def test_fapi2_security_profile_final_par_test_array_as_audience_fails(party: Fapi) -> None:
    """An array, even of the issuer."""
    audience(party, [party.suite.issuer])


def test_fapi2_security_profile_final_par_test_par_endpoint_url_as_audience_fails(party: Fapi) -> None:
    """The PAR endpoint."""
    audience(party, party.suite.metadata["pushed_authorization_request_endpoint"])


def test_fapi2_security_profile_final_par_test_token_endpoint_url_as_audience_fails(party: Fapi) -> None:
    """The token endpoint."""
    audience(party, party.suite.metadata["token_endpoint"])
