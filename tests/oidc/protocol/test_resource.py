"""Tokens for one API: resource indicators, JWTs, introspection, exchange (RFC 8707, 9068, 7662, 8693)."""

from datetime import timedelta

import msgspec
import pytest

from oidc.protocol.access_token import TYP, access_token_claims, confirmation
from oidc.protocol.errors import ProtocolError
from oidc.protocol.introspection import (
    INACTIVE,
    TokenFacts,
    introspection_response,
    may_see,
    signed_introspection_claims,
    wants_jwt,
)
from oidc.protocol.parameters import Parameters, parameters_of
from oidc.protocol.resource import narrow_resources, one_audience, read_resources
from oidc.protocol.token_exchange import (
    ACCESS_TOKEN,
    ExchangeRequest,
    acting,
    exchanged_scope,
    read_exchange_request,
    require_may_act,
)

ISSUER = "https://id.example"
TAX, LAND = "https://tax.example/api", "https://land.example/api"


def refusal(rule, *args):
    with pytest.raises(ProtocolError) as refused:
        rule(*args)
    return refused.value.code


# --- resource indicators


def test_known_resources_are_read_once_each():
    """RFC 8707 section 2: the parameter may repeat."""
    assert read_resources(Parameters({"resource": (TAX, LAND, TAX)}), {TAX, LAND}) == (TAX, LAND)
    assert read_resources(Parameters(), {TAX}) == ()


@pytest.mark.parametrize("resource", ["https://other.example", TAX + "#x", "/api", "tax", TAX + "/"])
def test_a_resource_that_is_not_known_is_no_target(resource):
    """RFC 8707 section 2: invalid_target; absolute and without fragment, even where somebody configured otherwise."""
    assert refusal(read_resources, Parameters({"resource": (resource,)}), {TAX, TAX + "#x", "/api"}) == "invalid_target"


def test_a_token_request_narrows_to_what_was_granted():
    """RFC 8707 section 2.2."""
    assert narrow_resources((TAX, LAND), (LAND,)) == (LAND,)
    assert narrow_resources((TAX, LAND), ()) == (TAX, LAND)
    assert narrow_resources((TAX, LAND), (LAND, TAX)) == (LAND, TAX)
    assert refusal(narrow_resources, (TAX,), (LAND,)) == "invalid_target"


def test_a_token_is_for_one_resource():
    """RFC 9068 section 3: an API must not be able to use a citizen's token at another."""
    assert one_audience((TAX,)) == TAX
    assert one_audience(()) is None
    assert refusal(one_audience, (TAX, LAND)) == "invalid_target"


# --- JWT access tokens


def test_a_jwt_access_token_says_what_an_api_needs(now):
    """RFC 9068 section 2.2, and no identifier of our own."""
    moment = int(now.timestamp())
    claims = access_token_claims(
        issuer=ISSUER,
        audience=TAX,
        sub="ada-at-tax",
        client_id="parks",
        jti="j",
        now=now,
        lifetime=timedelta(minutes=5),
        scope=("tax.read",),
        auth_time=now,
        acr="aal2",
        amr=("pwd",),
        cnf=confirmation(jkt="k"),
    )
    assert claims == {
        "iss": ISSUER,
        "aud": TAX,
        "sub": "ada-at-tax",
        "client_id": "parks",
        "jti": "j",
        "iat": moment,
        "exp": moment + 300,
        "scope": "tax.read",
        "auth_time": moment,
        "acr": "aal2",
        "amr": ["pwd"],
        "cnf": {"jkt": "k"},
    }
    assert TYP == "at+jwt"


def test_a_machine_has_no_sign_in_to_speak_of(now):
    """RFC 9068 section 2.2: client_credentials; nothing is invented."""
    claims = access_token_claims(
        issuer=ISSUER, audience=TAX, sub="parks", client_id="parks", jti="j", now=now, lifetime=timedelta(1), scope=()
    )
    assert set(claims) == {"iss", "aud", "sub", "client_id", "jti", "iat", "exp"}


def test_a_key_is_named_by_its_thumbprint():
    """RFC 9449 section 6.1, RFC 8705 section 3.1."""
    assert confirmation(certificate="c") == {"x5t#S256": "c"}
    assert confirmation() == {}


# --- introspection


@pytest.fixture
def token(now):
    """A live token of Parks for the tax API."""
    return TokenFacts(
        client_id="parks",
        scope=("tax.read",),
        token_type="DPoP",
        issued_at=now,
        expires_at=now + timedelta(minutes=5),
        sub="ada-at-tax",
        audience=(TAX,),
        auth_time=now,
        acr="aal2",
        cnf={"jkt": "k"},
    )


def test_a_live_token_is_described(token, now):
    """RFC 7662 section 2.2, RFC 9470 section 6.2."""
    moment = int(now.timestamp())
    assert introspection_response(token, ISSUER) == {
        "active": True,
        "iss": ISSUER,
        "client_id": "parks",
        "sub": "ada-at-tax",
        "scope": "tax.read",
        "token_type": "DPoP",
        "iat": moment,
        "exp": moment + 300,
        "aud": TAX,
        "auth_time": moment,
        "acr": "aal2",
        "cnf": {"jkt": "k"},
    }
    assert INACTIVE == {"active": False}


def test_what_is_not_known_of_a_token_is_left_out(now):
    """RFC 7662 section 2.2."""
    plain = TokenFacts(
        client_id="p", scope=(), token_type="Bearer", issued_at=now, expires_at=now, audience=(TAX, LAND)
    )
    answer = introspection_response(plain, ISSUER)
    assert set(answer) == {"active", "iss", "client_id", "token_type", "iat", "exp", "aud"}
    assert answer["aud"] == [TAX, LAND]
    whole = msgspec.structs.replace(plain, act={"sub": "tax"}, authorization_details=({"type": "x"},))
    assert introspection_response(whole, ISSUER)["act"] == {"sub": "tax"}
    assert introspection_response(whole, ISSUER)["authorization_details"] == [{"type": "x"}]
    bare = TokenFacts(client_id="p", scope=(), token_type="Bearer", issued_at=now, expires_at=now)
    assert "aud" not in introspection_response(bare, ISSUER)


def test_only_the_holder_and_the_api_it_is_for_may_see_it(token):
    """RFC 7662 section 4: one API never reads another's tokens."""
    assert may_see("parks", (), token)
    assert may_see("tax-api", (TAX,), token)
    assert not may_see("land-api", (LAND,), token)
    assert not may_see("land-api", (), token)


def test_a_signed_answer_is_a_token_of_nothing(now):
    """RFC 9701 section 5: neither `sub` nor `exp` at the top, so that it passes for no other artefact (R11)."""
    claims = signed_introspection_claims({"active": False}, issuer=ISSUER, asking_client_id="tax-api", now=now)
    assert claims == {
        "iss": ISSUER,
        "aud": "tax-api",
        "iat": int(now.timestamp()),
        "token_introspection": {"active": False},
    }


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("application/json", False),
        ("application/token-introspection+jwt", True),
        ("application/json;q=0.5, Application/Token-Introspection+JWT; q=1", True),
    ],
)
def test_a_caller_asks_for_the_signed_answer(accept, wanted):
    """RFC 9701 section 4."""
    assert wants_jwt(accept) is wanted


# --- token exchange


def exchange(**changes):
    return parameters_of({"subject_token": "t", "subject_token_type": ACCESS_TOKEN, **changes})


def test_an_access_token_is_exchanged_for_another():
    """RFC 8693 section 2.1."""
    read = read_exchange_request(exchange(scope="tax.read", resource=TAX, requested_token_type=ACCESS_TOKEN))
    assert read == ExchangeRequest("t", ("tax.read",), (TAX,))
    assert read_exchange_request(exchange()) == ExchangeRequest("t", (), ())


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"subject_token": ""},
            {"subject_token_type": ""},
            {"subject_token_type": "x"},
            {"requested_token_type": "x"},
        ),
        *({"actor_token": "a"}, {"actor_token_type": ACCESS_TOKEN}, {"audience": "tax"}),
    ],
)
def test_nothing_else_is_exchanged(changes):
    """RFC 8693 section 2.1; what is not offered is refused and not forgotten."""
    assert refusal(read_exchange_request, exchange(**changes)) == "invalid_request"


def test_scope_can_only_shrink():
    """standards.md: what the token has, what is asked, what this client may hold."""
    granted = ("openid", "tax.read", "tax.write", "offline_access")

    assert exchanged_scope(granted, (), None) == ("tax.read", "tax.write")
    assert exchanged_scope(granted, ("tax.read",), None) == ("tax.read",)
    assert exchanged_scope(granted, ("tax.read",), ("tax.read",)) == ("tax.read",)
    assert exchanged_scope(granted, (), ("tax.read",)) == ("tax.read",)
    for asked, allowed in [(("land.read",), None), (("tax.write",), ("tax.read",)), (("openid",), None), ((), ())]:
        assert refusal(exchanged_scope, granted, asked, allowed) == "invalid_scope"


def test_who_acts_stays_visible_all_along_the_chain():
    """RFC 8693 section 4.1: delegation is not impersonation; and a chain has an end."""
    first = acting("tax", None)
    second = acting("land", first)
    third = acting("court", second)

    assert second == {"client_id": "land", "sub": "land", "act": {"client_id": "tax", "sub": "tax"}}
    assert refusal(acting, "mint", third) == "invalid_request"


def test_a_token_may_say_who_alone_may_act():
    """RFC 8693 section 4.4."""
    require_may_act(None, "tax")
    require_may_act({"client_id": "tax"}, "tax")
    require_may_act({"sub": "tax"}, "tax")
    assert refusal(require_may_act, {"sub": "land"}, "tax") == "invalid_request"
