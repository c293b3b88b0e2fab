"""Token requests: one client, one way to authenticate, one grant (RFC 6749 sections 2.3, 3.2, 4.1.3, 6)."""

from base64 import b64encode
from urllib.parse import quote_plus

import msgspec
import pytest

from oidc.protocol.client_credentials import service_scope
from oidc.protocol.errors import ProtocolError
from oidc.protocol.parameters import parameters_of
from oidc.protocol.token_request import (
    CodeGrant,
    RefreshGrant,
    narrow_scope,
    read_client_credentials,
    read_code_grant,
    read_refresh_grant,
    require_registered_method,
    require_same_redirect_uri,
)

FORM = "application/x-www-form-urlencoded"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def basic(client_id, secret):
    """RFC 6749 section 2.3.1: form-encoded, joined, base64."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def credentials(authorization=None, **parameters):
    return read_client_credentials(parameters_of(parameters), authorization)


@pytest.fixture
def refusal():
    def read(authorization=None, **parameters):
        with pytest.raises(ProtocolError) as refused:
            credentials(authorization, **parameters)
        return refused.value.code

    return read


def test_what_comes_with_a_code_is_read():
    """RFC 6749 section 4.1.3."""
    asked = {"code": "c", "redirect_uri": "https://parks.example/"}

    assert read_code_grant(parameters_of(asked)) == CodeGrant("c", "https://parks.example/", None)
    assert read_code_grant(parameters_of({"code": "c", "code_verifier": "v"})) == CodeGrant("c", None, "v")


@pytest.mark.parametrize(("client_id", "secret"), [("parks", "a:b c+d%é"), ("https://parks.example/", "x"), ("p", ":")])
def test_basic_credentials_are_form_encoded_first(client_id, secret):
    """RFC 6749 section 2.3.1: what most servers get wrong."""
    found = credentials(basic(client_id, secret))
    assert (found.client_id, found.secret, found.method) == (client_id, secret, "client_secret_basic")


def test_a_secret_that_nobody_encoded_may_hold_a_colon():
    """RFC 7617 section 2: the first colon ends the name."""
    found = credentials("Basic " + b64encode(b"parks:a:b").decode())
    assert (found.client_id, found.secret) == ("parks", "a:b")


@pytest.mark.parametrize("secret", ["50%", "%zz", "a+b", "a%20b", "é", "caf%E9"])
def test_a_secret_that_nobody_encoded_is_read_as_it_stands(secret):
    """Authlib and others join the parts as they are; both readings are compared."""
    found = credentials("Basic " + b64encode(f"parks:{secret}".encode()).decode())
    assert secret in found.secrets
    assert found.client_ids == ("parks",)


def test_a_client_id_that_nobody_encoded_is_read_as_it_stands():
    """The form's client_id, where it is there, says which reading is meant."""
    raw = "Basic " + b64encode(b"parks+ids:x").decode()

    assert credentials(raw).client_ids == ("parks ids", "parks+ids")
    assert credentials(raw, client_id="parks+ids").client_ids == ("parks+ids",)
    assert credentials(raw, client_id="parks ids").client_ids == ("parks ids",)


def test_an_empty_password_is_no_second_method(refusal, sign):
    """RFC 6749 section 3.2.1: a public client gives its name; some libraries write it as Basic, too."""
    empty = "Basic " + b64encode(b"app:").decode()

    assert credentials(empty).method == credentials(empty, client_id="app").method == "none"
    assert credentials(empty).client_ids == ("app",)
    assert refusal(empty, client_id="other") == "invalid_client"
    assert refusal(empty, client_secret="x") == "invalid_request"


def test_the_scheme_of_the_header_has_no_case():
    """RFC 9110 section 11.1."""
    assert credentials(basic("parks", "x").replace("Basic", "bASIC")).client_id == "parks"


@pytest.mark.parametrize(
    "header",
    [
        *("Basic", "Basic ", "Basic ====", "Basic x", "Basic é", "Basic cGFya3M6eA== x"),
        *("Basic " + b64encode(pair).decode() for pair in (b"parks", b":x", b":", b"parks:\xff")),
    ],
)
def test_broken_basic_credentials_are_refused(refusal, header):
    """RFC 6749 section 5.2."""
    assert refusal(header) == "invalid_client"


def test_the_secret_may_come_in_the_body():
    """RFC 6749 section 2.3.1; module oidcc-server-client-secret-post."""
    found = credentials(client_id="parks", client_secret="x")
    assert (found.client_id, found.secret, found.method) == ("parks", "x", "client_secret_post")


def test_a_public_client_gives_its_name():
    """RFC 6749 section 3.2.1; another scheme in the header is not ours to read."""
    assert credentials(client_id="app").method == "none"
    assert credentials("DPoP abc", client_id="app").method == "none"


def test_an_assertion_names_its_client(sign):
    """RFC 7521 section 4.2: client_id may be left out."""
    assertion = sign({"sub": "parks"})
    for extra in ({}, {"client_id": "parks"}):
        found = credentials(client_assertion=assertion, client_assertion_type=JWT_BEARER, **extra)
        assert (found.client_id, found.method, found.assertion) == ("parks", "private_key_jwt", assertion)


def test_two_ways_at_once_are_refused(refusal, sign):
    """RFC 6749 section 2.3: MUST NOT use more than one, R12."""
    assertion = {"client_assertion": sign({"sub": "parks"}), "client_assertion_type": JWT_BEARER}

    assert refusal(basic("parks", "x"), client_secret="x") == "invalid_request"
    assert refusal(basic("parks", "x"), **assertion) == "invalid_request"
    assert refusal(client_secret="x", **assertion) == "invalid_request"


def test_the_name_and_the_proof_are_of_one_client(refusal, sign):
    """FAPI module ensure-client-id-in-token-endpoint."""
    assert refusal(basic("parks", "x"), client_id="taxes") == "invalid_client"
    assertion = {"client_assertion": sign({"sub": "parks"}), "client_assertion_type": JWT_BEARER}
    assert refusal(client_id="taxes", **assertion) == "invalid_client"


def test_who_does_not_authenticate_is_refused(refusal, sign):
    """RFC 6749 section 5.2; FAPI module ensure-client-assertion-in-token-endpoint."""
    assert refusal() == "invalid_client"
    assert refusal(client_secret="x") == "invalid_client"
    assert refusal(client_assertion_type=JWT_BEARER, client_id="parks") == "invalid_request"
    assert refusal(client_assertion=sign({"sub": "parks"})) == "invalid_client"
    assert refusal(client_assertion=sign({"sub": "parks"}), client_assertion_type="saml") == "invalid_client"
    for broken in ("x", "a.b.c", sign({}), sign({"sub": 7}), sign({"sub": ""}), sign([])):
        assert refusal(client_assertion=broken, client_assertion_type=JWT_BEARER) == "invalid_client"


@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"])
def test_a_client_authenticates_as_it_registered(client_of, registered, sign):
    """R6: a stolen secret must not do where a key was promised. Header and body show the same secret."""
    client = client_of()
    client = msgspec.structs.replace(
        client, metadata=msgspec.structs.replace(client.metadata, token_endpoint_auth_method=registered)
    )
    given = {
        "client_secret_basic": credentials(basic("parks", "x")),
        "client_secret_post": credentials(client_id="parks", client_secret="x"),
        "none": credentials(client_id="parks"),
        "private_key_jwt": credentials(client_assertion=sign({"sub": "parks"}), client_assertion_type=JWT_BEARER),
    }
    secrets = {"client_secret_basic", "client_secret_post"}
    for same in secrets if registered in secrets else {registered}:
        require_registered_method(given.pop(same), client)
    for other in given.values():
        with pytest.raises(ProtocolError) as refused:
            require_registered_method(other, client)
        assert refused.value.code == "invalid_client"


def test_secrets_prove_nothing_in_fapi(client_of):
    """FAPI 2.0 section 5.3.2.1: however such a client came to be registered."""
    client = client_of()
    metadata = msgspec.structs.replace(
        client.metadata, token_endpoint_auth_method="client_secret_basic", profile="fapi2"
    )
    with pytest.raises(ProtocolError):
        require_registered_method(
            credentials(client_id="parks", client_secret="x"), msgspec.structs.replace(client, metadata=metadata)
        )


def test_offline_access_that_was_not_granted_is_ignored_at_the_refresh():
    """OpenID Connect Core section 11: who adds it to every request adds it here, too."""
    assert narrow_scope(("openid", "email"), ("openid", "offline_access")) == ("openid",)
    for more in (("offline_access",), ("openid", "phone", "offline_access")):
        with pytest.raises(ProtocolError):
            narrow_scope(("openid", "email"), more)


def test_a_certificate_may_speak_for_the_name(client_of):
    """RFC 8705 section 2: the body holds client_id alone."""
    client = client_of()
    metadata = msgspec.structs.replace(client.metadata, token_endpoint_auth_method="tls_client_auth")
    client = msgspec.structs.replace(client, metadata=metadata)
    require_registered_method(credentials(client_id="parks"), client)
    with pytest.raises(ProtocolError):
        require_registered_method(credentials(client_id="parks", client_secret="x"), client)


def test_a_code_is_redeemed_where_it_was_asked_for():
    """RFC 6749 section 4.1.3, R4."""
    require_same_redirect_uri("https://parks.example/cb", "https://parks.example/cb")
    for asked, code in [(None, "invalid_request"), ("https://parks.example/cb/", "invalid_grant")]:
        with pytest.raises(ProtocolError) as refused:
            require_same_redirect_uri(asked, "https://parks.example/cb")
        assert refused.value.code == code


def test_what_a_grant_needs_is_asked_for():
    """RFC 6749 sections 4.1.3 and 6."""
    grant = read_refresh_grant(parameters_of({"refresh_token": "r", "scope": "openid email"}))

    assert grant == RefreshGrant("r", ("openid", "email"))
    for read in (read_code_grant, read_refresh_grant):
        with pytest.raises(ProtocolError, match="is missing"):
            read(parameters_of({}))


def test_a_service_speaks_for_itself_within_what_it_registered(client_of, capabilities):
    """RFC 6749 section 4.4.2: never about a citizen, never more than is registered."""
    provider = msgspec.structs.replace(capabilities, service_scopes=("tax.write", "tax.read", "land.read"))
    client = client_of(provider, scope="openid tax.read tax.write")

    assert service_scope(parameters_of({}), client, provider) == ("tax.write", "tax.read")
    assert service_scope(parameters_of({"scope": "tax.read"}), client, provider) == ("tax.read",)
    assert service_scope(parameters_of({}), client_of(), provider) == ()
    for scope in ("land.read", "openid", "tax.read profile", "nothing"):
        with pytest.raises(ProtocolError) as refused:
            service_scope(parameters_of({"scope": scope}), client, provider)
        assert refused.value.code == "invalid_scope"


def test_scope_shrinks_and_never_grows():
    """RFC 6749 section 6."""
    assert narrow_scope(("openid", "email"), ()) == ("openid", "email")
    assert narrow_scope(("openid", "email"), ("email",)) == ("email",)
    assert narrow_scope(("openid", "email"), ("email", "openid")) == ("email", "openid")
    with pytest.raises(ProtocolError) as refused:
        narrow_scope(("openid", "email"), ("openid", "phone"))
    assert refused.value.code == "invalid_scope"
