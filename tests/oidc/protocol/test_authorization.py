"""The authorization endpoint's rules, and where each refusal goes (OpenID Connect Core 3.1.2, RFC 6749 4.1)."""

import json

import msgspec
import pytest

from oidc.protocol.authorization import (
    authorization_request_from,
    read_authorization_request,
    require_client_id,
    response_parameters,
)
from oidc.protocol.capabilities import DPOP, RESOURCES, Capabilities
from oidc.protocol.claims import ClaimAsked
from oidc.protocol.errors import AuthorizationError, ProtocolError, ReplyTo
from oidc.protocol.parameters import Parameters, parameters_of, read_query

CALLBACK = "https://parks.example/callback"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.fixture
def request_of(asked, client_of, capabilities):
    """The request that parameters make, for a client."""

    def read(client=None, with_=capabilities, **changes):
        return read_authorization_request(asked(**changes), client or client_of(), with_)

    return read


@pytest.fixture
def told_to_the_client(request_of):
    """The refusal, once it is known to be one that travels."""

    def read(*args, **changes):
        with pytest.raises(AuthorizationError) as refused:
            request_of(*args, **changes)
        return refused.value

    return read


@pytest.fixture
def shown_on_a_page(request_of):
    """The refusal, once it is known to be one that does not travel."""

    def read(*args, **changes):
        with pytest.raises(ProtocolError) as refused:
            request_of(*args, **changes)
        assert not isinstance(refused.value, AuthorizationError)
        return refused.value

    return read


def test_a_request_is_read_whole(request_of):
    """OpenID Connect Core section 3.1.2.1: every parameter has its place."""
    request = request_of(
        scope="openid email openid",
        nonce="n" * 64,
        prompt="login consent",
        max_age="600",
        acr_values="aal2 aal3",
        claims=json.dumps({"userinfo": {"email": {"essential": True}}}),
        login_hint="ada@example.org",
        id_token_hint="a.b.c",
        ui_locales="fr-CA cy",
        claims_locales="fr",
        display="popup",
    )

    assert request.client_id == "parks"
    assert request.redirect_uri == CALLBACK
    assert request.scope == ("openid", "email")
    assert request.is_openid
    assert request.response_mode == "query"
    assert request.state == "s-1"
    assert request.nonce == "n" * 64
    assert request.prompt == ("login", "consent")
    assert request.max_age == 600
    assert request.acr_values == ("aal2", "aal3")
    assert request.claims.userinfo == {"email": ClaimAsked(essential=True)}
    assert request.login_hint == "ada@example.org"
    assert request.id_token_hint == "a.b.c"
    assert request.ui_locales == ("fr-CA", "cy")
    assert request.claims_locales == ("fr",)
    assert request.display == "popup"
    assert request.code_challenge == CHALLENGE


def test_a_request_waits_unchanged(request_of):
    """It is kept as bytes in the interaction's row."""
    claims = {"id_token": {"acr": {"values": ["aal2", 1, True, 1.5]}}, "userinfo": {"email": None}}
    request = request_of(claims=json.dumps(claims), prompt="login", max_age="0", ui_locales="ar")

    assert authorization_request_from(request.to_bytes()) == request


def test_the_clients_own_defaults_fill_what_it_leaves_out(request_of, client_of):
    """OpenID Connect Registration section 2: default_max_age, default_acr_values."""
    client = client_of(default_max_age=3600, default_acr_values=["aal3"])

    assert request_of(client).max_age == 3600
    assert request_of(client).acr_values == ("aal3",)
    assert request_of(client, max_age="0", acr_values="aal2").max_age == 0
    assert request_of(client, max_age="0", acr_values="aal2").acr_values == ("aal2",)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        *(CALLBACK + "/", CALLBACK + "?x=1", CALLBACK + "#x", CALLBACK + "#", CALLBACK + "%20", CALLBACK.upper()),
        *("https://PARKS.example/callback", "https://parks.example:443/callback", "http://parks.example/callback"),
        *("https://parks.example/./callback", "https://evil.example/", "//parks.example/callback", None),
    ],
)
def test_a_redirect_uri_that_is_not_exact_is_never_followed(shown_on_a_page, redirect_uri):
    """R1; modules oidcc-ensure-registered-redirect-uri, -redirect-uri-query-added, -in-authorization-request."""
    assert shown_on_a_page(redirect_uri=redirect_uri).code == "invalid_request"


def test_the_query_of_a_registered_address_is_part_of_it(request_of, shown_on_a_page, client_of):
    """Modules oidcc-redirect-uri-query-OK and -mismatch."""
    client = client_of(redirect_uris=[CALLBACK + "?tenant=1"])

    assert request_of(client, redirect_uri=CALLBACK + "?tenant=1").redirect_uri == CALLBACK + "?tenant=1"
    assert shown_on_a_page(client, redirect_uri=CALLBACK + "?tenant=2").code == "invalid_request"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:51004/cb", "http://127.0.0.1/cb", "http://[::1]:9/cb"])
def test_a_native_app_on_loopback_chooses_its_port(request_of, client_of, uri):
    """RFC 8252 section 7.3."""
    client = client_of(redirect_uris=["http://127.0.0.1:8000/cb", "http://[::1]/cb"], application_type="native")
    assert request_of(client, redirect_uri=uri).redirect_uri == uri


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:9/other", "http://127.0.0.2:9/cb", "http://u@127.0.0.1:9/cb", "http://127.0.0.1:9/cb?x=1",
     "https://127.0.0.1:9/cb", "http://127.0.0.1:9x/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.1:9/cb#", "http://127.0.0.1.evil.example:9/cb"],
)  # fmt: skip
def test_the_port_alone_is_free(shown_on_a_page, client_of, uri):
    """RFC 8252 section 7.3: nothing else of the address is."""
    client = client_of(redirect_uris=["http://127.0.0.1/cb"], application_type="native")
    assert shown_on_a_page(client, redirect_uri=uri).code == "invalid_request"


def test_a_web_service_on_loopback_does_not_choose_its_port(shown_on_a_page, client_of):
    """R1: the exception is for native apps; ports separate services in the simulator."""
    simulator = Capabilities(issuer="http://localhost:8600", loopback_http=True)
    client = client_of(simulator, redirect_uris=["http://localhost:9000/cb"])
    assert shown_on_a_page(client, simulator, redirect_uri="http://localhost:9001/cb").code == "invalid_request"


def test_a_native_app_with_a_claimed_address_is_matched_exactly(shown_on_a_page, client_of):
    """RFC 8252 section 7.2: only loopback http has the exception."""
    client = client_of(redirect_uris=["https://parks.example/app"], application_type="native")
    for uri in ("https://parks.example:444/app", "http://127.0.0.1:9/app"):
        assert shown_on_a_page(client, redirect_uri=uri).code == "invalid_request"


def test_without_a_client_there_is_nobody_to_answer(client_of, asked, capabilities):
    """RFC 6749 section 4.1.2.1: the resource owner is told instead."""
    assert require_client_id(asked()) == "parks"
    with pytest.raises(ProtocolError, match="client_id is missing"):
        require_client_id(Parameters())
    with pytest.raises(ProtocolError) as refused:
        read_authorization_request(asked(client_id="taxes"), client_of(), capabilities)
    assert not isinstance(refused.value, AuthorizationError)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "Code"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "nothing known"}, "invalid_scope"),
        ({"scope": 'open"id'}, "invalid_scope"),
        ({"scope": "profile email"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "smile"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"nonce": "n" * 1025}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://parks.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
    ],
)
def test_every_other_refusal_goes_back_with_state_and_issuer(told_to_the_client, changes, code):
    """RFC 6749 section 4.1.2.1, R9."""
    refused = told_to_the_client(**changes)

    assert refused.code == code
    assert refused.reply_to == ReplyTo("parks", CALLBACK, "query", "s-1")
    answer = response_parameters(refused.reply_to, "https://id.example", refused.fields())
    assert list(answer) == ["error", "error_description", "state", "iss"]
    assert (answer["state"], answer["iss"]) == ("s-1", "https://id.example")


def test_an_answer_without_state_invents_none():
    """RFC 6749 section 4.1.2: REQUIRED if it was in the request, and only then."""
    answer = response_parameters(ReplyTo("parks", CALLBACK), "https://id.example", {"code": "c"})
    assert answer == {"code": "c", "iss": "https://id.example"}


@pytest.mark.parametrize("name", ["scope", "nonce", "prompt", "code_challenge", "request_uri"])
def test_a_repeated_parameter_is_told_to_the_client(client_of, capabilities, name):
    """RFC 6749 section 4.1.2.1, R12."""
    query = f"client_id=parks&redirect_uri={CALLBACK}&state=s&{name}=1&{name}=1".encode()
    with pytest.raises(AuthorizationError, match=f"{name} is repeated") as refused:
        read_authorization_request(read_query(query, repeats="keep"), client_of(), capabilities)
    assert refused.value.reply_to.state == "s"


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_address_is_not_answered_there(client_of, capabilities, name):
    """R12: whose of the two would it be?"""
    query = f"client_id=parks&redirect_uri={CALLBACK}&state=s&{name}=1".encode()
    with pytest.raises(ProtocolError, match=f"{name} is repeated") as refused:
        read_authorization_request(read_query(query, repeats="keep"), client_of(), capabilities)
    assert not isinstance(refused.value, AuthorizationError)


@pytest.mark.parametrize("length", [4097, 16_384])
def test_an_error_carries_the_state_that_came_however_long(told_to_the_client, length):
    """RFC 6749 section 4.1.2.1: REQUIRED if it was in the request."""
    assert told_to_the_client(state="s" * length).reply_to == ReplyTo("parks", CALLBACK, "query", "s" * length)


def test_a_hint_that_is_too_long_is_no_error(request_of):
    """OpenID Connect Core section 3.1.2.1: a hint."""
    assert request_of(login_hint="n" * 513).login_hint is None


def test_a_language_may_be_written_with_an_underscore(request_of):
    """Many programs send their own locale's name."""
    assert request_of(ui_locales="fr_CA cy").ui_locales == ("fr-CA", "cy")


@pytest.mark.parametrize(
    "may_not",
    [
        {"grant_types": ["authorization_code"]},
        {"grant_types": ["authorization_code", "refresh_token"], "scope": "openid profile"},
    ],
)
def test_offline_access_that_a_client_may_not_have_is_dropped(client_of, asked, capabilities, may_not):
    """OpenID Connect Core section 11: ignored; MSAL adds it to every request."""
    found = read_authorization_request(asked(scope="openid profile offline_access"), client_of(**may_not), capabilities)
    assert found.scope == ("openid", "profile")


def test_a_repeated_state_or_mode_is_left_out_of_the_answer(client_of, capabilities):
    """RFC 6749 section 4.1.2.1: still an answer, in the plainest form."""
    query = f"client_id=parks&redirect_uri={CALLBACK}&state=a&state=b&response_mode=query&response_mode=x".encode()
    with pytest.raises(AuthorizationError) as refused:
        read_authorization_request(read_query(query, repeats="keep"), client_of(), capabilities)
    assert refused.value.reply_to == ReplyTo("parks", CALLBACK)


def test_a_long_state_comes_back_whole(request_of):
    """FAPI module ensure-authorization-request-with-long-state."""
    assert request_of(state="s" * 4096).reply_to.state == "s" * 4096


def test_unknown_parameters_and_wishes_are_no_errors(request_of):
    """OpenID Connect Core section 3.1.2.1; modules -unknown-parameter-succeeds, -display-page, -ui-locales."""
    request = request_of(extra="foobar", display="hologram", ui_locales="se ! x--", acr_values="urn:nobody:knows")

    assert request.display is None
    assert request.ui_locales == ("se",)
    assert request.acr_values == ("urn:nobody:knows",)


@pytest.mark.parametrize("prompt", ["none", "login", "login consent", "create", "select_account consent"])
def test_prompts_that_are_offered_are_taken(request_of, prompt):
    """OpenID Connect Core section 3.1.2.1."""
    assert request_of(prompt=prompt).prompt == tuple(prompt.split())


def test_unknown_scopes_are_ignored(request_of):
    """OpenID Connect Core section 3.1.2.1."""
    assert request_of(scope="openid fly email").scope == ("openid", "email")


def test_a_scope_the_client_is_not_registered_for_is_refused(request_of, told_to_the_client, client_of):
    """RFC 7591 section 2; `openid` goes without saying."""
    client = client_of(scope="email")

    assert request_of(client, scope="openid email").scope == ("openid", "email")
    assert told_to_the_client(client, scope="openid profile").code == "invalid_scope"


def test_without_openid_nothing_about_the_person_is_granted(request_of, capabilities):
    """OpenID Connect Core section 3.1.2.1: it is plain OAuth 2.0 then."""
    with_api = msgspec.structs.replace(capabilities, scopes=(*capabilities.scopes, "tax.read"))
    request = request_of(None, with_api, scope="tax.read profile email phone address offline_access")

    assert request.scope == ("tax.read",)
    assert not request.is_openid


def test_a_client_that_may_can_send_no_pkce(request_of, client_of):
    """R3: the certification plan sends none; when it does send one it counts."""
    client = client_of(require_pkce=False)

    assert request_of(client, code_challenge=None, code_challenge_method=None).code_challenge is None
    assert request_of(client).code_challenge == CHALLENGE


def test_a_client_without_the_grant_type_is_refused(told_to_the_client, client_of):
    """RFC 6749 section 4.1.2.1: unauthorized_client."""
    client = client_of()
    machine = msgspec.structs.replace(client.metadata, grant_types=("client_credentials",))
    assert told_to_the_client(msgspec.structs.replace(client, metadata=machine)).code == "unauthorized_client"


def test_a_response_mode_is_one_that_is_on_and_registered(request_of, told_to_the_client, client_of, capabilities):
    """R2: response modes are limited per client."""
    with_post = msgspec.structs.replace(capabilities, response_modes=("query", "form_post"))
    only_post = client_of(with_post, response_modes=["form_post"])

    assert request_of(None, with_post, response_mode="form_post").reply_to.response_mode == "form_post"
    assert told_to_the_client(only_post, with_post, response_mode="query").code == "invalid_request"
    assert told_to_the_client(only_post, response_mode="form_post").code == "invalid_request"


def test_a_signing_client_gets_signed_answers_and_errors(request_of, told_to_the_client, client_of, capabilities):
    """FAPI 2.0 Message Signing section 5.4: an unsigned answer is never asked for, nor given."""
    jarm = msgspec.structs.replace(capabilities, response_modes=("query", "query.jwt", "jwt"))
    client = client_of()
    metadata = msgspec.structs.replace(client.metadata, profile="fapi2-message-signing")
    client = msgspec.structs.replace(client, metadata=metadata)

    assert request_of(client, jarm).response_mode == "jwt"
    assert request_of(client, jarm, response_mode="query.jwt").response_mode == "query.jwt"
    assert told_to_the_client(client, jarm, response_mode="query").reply_to.response_mode == "jwt"


def test_resource_and_dpop_key_count_when_they_are_on(request_of, told_to_the_client, capabilities):
    """RFC 8707 section 2, RFC 9449 section 10; switched off they are unknown parameters."""
    both = msgspec.structs.replace(
        capabilities, features=frozenset({RESOURCES, DPOP}), resources=("https://api.example",)
    )

    assert request_of(resource="https://api.example", dpop_jkt=CHALLENGE).resource == ()
    assert request_of(resource="https://api.example", dpop_jkt="x").dpop_jkt is None
    request = request_of(None, both, resource="https://api.example", dpop_jkt=CHALLENGE)
    assert (request.resource, request.dpop_jkt) == (("https://api.example",), CHALLENGE)
    assert request_of(None, both).dpop_jkt is None
    assert told_to_the_client(None, both, dpop_jkt="x").code == "invalid_request"
    assert told_to_the_client(None, both, resource="https://other.example").code == "invalid_target"


def test_empty_parameters_are_no_parameters(request_of, asked):
    """RFC 6749 section 3.1."""
    assert request_of(request="", prompt="", nonce="").nonce is None
    assert "state" not in parameters_of({"state": ""})
