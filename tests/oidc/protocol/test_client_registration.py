"""Registration metadata: every rule, each naming its field (OpenID Connect Registration 2, RFC 7591 2)."""

from datetime import timedelta

import msgspec
import pytest

from oidc.protocol import capabilities as feature
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client_metadata import ClientMetadata, registration_of
from oidc.protocol.client_registration import FEATURE_OF, read_client_metadata
from oidc.protocol.errors import MetadataError
from oidc.protocol.lifetimes import Lifetimes

CALLBACK = "https://parks.example/callback"
ALL_FEATURES = frozenset(value for value in vars(feature).values() if isinstance(value, str))


@pytest.fixture(scope="module")
def whole():
    """A provider with everything switched on."""
    return Capabilities(
        issuer="https://id.example",
        grant_types=(
            *("authorization_code", "refresh_token", "client_credentials"),
            *("urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"),
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        response_modes=("query", "form_post", "jwt"),
        client_authentication_methods=(
            *("private_key_jwt", "client_secret_basic", "client_secret_post", "none"),
            *("tls_client_auth", "self_signed_tls_client_auth"),
        ),
        signing_algorithms=("ES256", "PS256", "RS256"),
        encryption_algorithms=("ECDH-ES", "RSA-OAEP-256"),
        content_encryption_algorithms=("A256GCM",),
        detail_types=(feature.DetailType(type="payment"),),
        features=ALL_FEATURES,
    )


@pytest.fixture
def accepted(metadata_of, capabilities):
    """The metadata, registered."""

    def register(with_=capabilities, **changes):
        return read_client_metadata(metadata_of(**changes), with_).metadata

    return register


@pytest.fixture
def refused(metadata_of, capabilities):
    """The fields named in the refusal, with what is said of them."""

    def register(with_=capabilities, **changes):
        with pytest.raises(MetadataError) as error:
            read_client_metadata(metadata_of(**changes), with_)
        said = {problem.field: problem.problem for problem in error.value.problems}
        assert '"' not in "".join(said.values()), "RFC 6749 section 5.2: a quote would arrive as a question mark"
        return said

    return register


def test_what_is_left_out_gets_the_defaults_of_the_specification(accepted):
    """OpenID Connect Registration section 2: code, web, Basic, RS256; and PKCE, which is ours (R3)."""
    metadata = accepted()

    assert metadata == ClientMetadata(redirect_uris=(CALLBACK,), client_name="Parks")
    assert metadata.response_types == ("code",)
    assert metadata.grant_types == ("authorization_code",)
    assert metadata.token_endpoint_auth_method == "client_secret_basic"
    assert metadata.id_token_signed_response_alg == "RS256"
    assert metadata.subject_type == "pairwise"
    assert metadata.require_pkce
    assert metadata.uses_secret
    assert not metadata.is_public


def test_the_defaults_can_be_the_deployments(metadata_of):
    """Clients from our own files sign with ES256; a deployment may prefer public subjects."""
    public = Capabilities(issuer="https://id.example", default_subject_type="public")
    metadata = read_client_metadata(metadata_of(), public, default_signing_algorithm="ES256").metadata

    assert metadata.id_token_signed_response_alg == "ES256"
    assert metadata.subject_type == "public"


def test_every_problem_is_named_not_only_the_first(refused):
    """RFC 7591 section 3.2.2; a reviewed file gets all its wrong lines at once."""
    problems = refused(
        redirect_uris=["http://parks.example/", "https://parks.example/#x"],
        contacts="ada@example.org",
        subject_type="secret",
        grant_types=["password"],
        jwks={"keys": []},
    )

    assert set(problems) == {"redirect_uris", "contacts", "subject_type", "grant_types", "jwks"}


def test_unknown_fields_are_ignored_and_named(metadata_of, capabilities):
    """RFC 7591 section 2."""
    read = read_client_metadata(metadata_of(favourite_colour="green", **{"scope#fr": "x"}), capabilities)

    assert [warning.field for warning in read.warnings] == ["favourite_colour", "scope#fr"]
    assert read.metadata == ClientMetadata(redirect_uris=(CALLBACK,), client_name="Parks")


def test_null_and_empty_count_as_omitted(accepted):
    """RFC 7591 section 2: so do the forms that libraries send for "not set"."""
    assert accepted(logo_uri="", contacts=[], jwks={}) == accepted()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_name", 7),
        ("client_name", "a\nb"),
        ("client_name", "n" * 2049),
        ("redirect_uris", CALLBACK),
        ("redirect_uris", [CALLBACK, 7]),
        ("redirect_uris", [CALLBACK] * 101),
        ("contacts", {"0": "ada"}),
        ("require_auth_time", "yes"),
        ("require_auth_time", 1),
        ("default_max_age", "3600"),
        ("default_max_age", -1),
        ("default_max_age", True),
        ("default_max_age", 1.5),
        ("scope", ["openid"]),
        ("scope", " "),
        ("scope", 'open"id'),
        ("jwks", "https://parks.example/jwks"),
        ("client_name#fr", 7),
        ("client_name#not a tag", "Parcs"),
        ("tos_uri#fr", "http://parks.example/cgu"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(refused, field, value):
    """And nothing else is said of that field: a second complaint would mislead."""
    assert list(refused(**{field: value})) == [field]


def test_true_and_false_may_be_written_as_words(accepted):
    """Many libraries send form-like values."""
    assert accepted(require_auth_time="true").require_auth_time
    assert not accepted(require_auth_time="false").require_auth_time


@pytest.mark.parametrize(
    "uri",
    [
        "https://parks.example",
        "https://parks.example/",
        "https://parks.example:8443/cb?tenant=1&x=%20",
        "https://xn--prks-6na.example/cb",
        "https://192.0.2.7/cb",
        "https://[2001:db8::7]/cb",
    ],
)
def test_a_web_service_comes_back_to_an_https_address(accepted, uri):
    """OpenID Connect Core section 3.1.2.1; a query is allowed (module oidcc-redirect-uri-query-OK)."""
    assert accepted(redirect_uris=[uri]).redirect_uris == (uri,)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://parks.example/cb", "https"),
        ("http://localhost:8000/cb", "https"),
        ("https://localhost/cb", "own machine"),
        ("https://127.0.0.1/cb", "own machine"),
        ("https://parks.example/cb#", "fragment"),
        ("https://parks.example/cb#x", "fragment"),
        ("https://ada@parks.example/cb", "user name"),
        ("https://parks.example@evil.example/cb", "user name"),
        ("https://*.parks.example/cb", "wildcard"),
        ("https:///cb", "host"),
        ("https:cb", "host"),
        ("https://parks..example/cb", "host"),
        ("https://-parks.example/cb", "host"),
        ("https://[::1/cb", "absolute"),
        ("https://parks.example:99999/cb", "absolute"),
        ("https://parks.example:0/cb", "absolute"),
        ("https://parks.example:x/cb", "absolute"),
        ("//parks.example/cb", "absolute"),
        ("/cb", "absolute"),
        ("https://parks.example/a b", "absolute"),
        ("https://parks.example\\@evil.example/", "absolute"),
        ("https://parks.example/%zz", "absolute"),
        ("https://pärks.example/cb", "absolute"),
        ("https://parks.example/" + "a" * 2048, "texts"),
        ("javascript:alert(1)", "https"),
        ("data:text/html,x", "https"),
        ("org.example.parks:/cb", "https"),
        ("urn:ietf:wg:oauth:2.0:oob", "https"),
    ],
)
def test_any_other_address_of_a_web_service_is_refused(refused, uri, why):
    """R1: no fragment (module oidcc-redirect-uri-regfrag), wildcard, user name; nothing a browser reads differently."""
    problems = refused(redirect_uris=[uri])

    assert list(problems) == ["redirect_uris"]
    assert why in problems["redirect_uris"]


@pytest.mark.parametrize(
    "uri",
    [
        "org.example.parks:/cb",
        "http://127.0.0.1/cb",
        "http://[::1]:8000/cb",
        "http://localhost/cb",
        "https://parks.example/app",
    ],
)
def test_a_native_app_comes_back_to_itself(accepted, uri):
    """RFC 8252 section 7: private-use scheme, loopback, claimed https address."""
    assert accepted(redirect_uris=[uri], application_type="native").redirect_uris == (uri,)


@pytest.mark.parametrize(
    "uri",
    [
        "parks:/cb",
        "javascript:alert(1)",
        "http://parks.example/cb",
        "Org.Example:/cb#x",
        "data:text/html,x",
        "file:///x",
    ],
)
def test_a_native_app_has_no_other_address(refused, uri):
    """RFC 8252 section 7.1: the scheme is a reversed domain name, which nobody else may claim."""
    assert list(refused(redirect_uris=[uri], application_type="native")) == ["redirect_uris"]


def test_loopback_http_is_for_the_simulator(accepted, refused):
    """R72: one setting, and no public host by it."""
    simulator = Capabilities(issuer="http://localhost:8600", loopback_http=True)
    uris = ["http://parks.localhost:9000/cb", "http://127.0.0.1:9000/cb"]

    metadata = accepted(simulator, redirect_uris=uris, backchannel_logout_uri=uris[0], subject_type="public")
    assert metadata.redirect_uris == tuple(uris)
    assert list(refused(simulator, redirect_uris=["http://parks.example/cb"])) == ["redirect_uris"]
    assert list(refused(simulator, backchannel_logout_uri="http://parks.example/out")) == ["backchannel_logout_uri"]
    assert set(refused(redirect_uris=uris, subject_type="public")) == {"redirect_uris"}


@pytest.mark.parametrize(
    "field",
    ["jwks_uri", "initiate_login_uri", "client_uri", "logo_uri", "policy_uri", "tos_uri", "backchannel_logout_uri"],
)
@pytest.mark.parametrize(
    "uri", ["http://parks.example/x", "ftp://parks.example/x", "parks", "https://u:p@parks.example/"]
)
def test_addresses_that_are_linked_or_called_use_https(refused, field, uri):
    """R72; module oidcc-3rd_party-init-login-nohttps."""
    assert list(refused(**{field: uri})) == [field]


def test_a_request_uri_may_end_in_the_digest_of_what_it_holds(accepted, refused):
    """OpenID Connect Core section 6.2."""
    assert accepted(request_uris=["https://parks.example/r#abc"]).request_uris == ("https://parks.example/r#abc",)
    assert list(refused(request_uris=["http://parks.example/r#abc"])) == ["request_uris"]


def test_a_client_that_signs_people_in_has_an_address(refused):
    """OpenID Connect Registration section 2: redirect_uris is required."""
    assert list(refused(redirect_uris=None)) == ["redirect_uris"]


@pytest.mark.parametrize("grant_types", [["implicit"], ["authorization_code", "password"], ["client_credentials"]])
def test_grant_types_that_are_not_offered_are_refused(refused, grant_types):
    """R2: no implicit, no password; the others when they are switched on."""
    assert "grant_types" in refused(grant_types=grant_types)


@pytest.mark.parametrize("response_types", [["token"], ["id_token"], ["code id_token"], ["code", "token"], ["none"]])
def test_response_types_other_than_code_are_refused(refused, response_types):
    """R2."""
    assert list(refused(response_types=response_types)) == ["response_types"]


def test_response_type_and_grant_type_belong_together(refused, accepted, whole):
    """RFC 7591 section 2.1."""
    machine = {"grant_types": ["client_credentials"], "redirect_uris": None}

    assert accepted(whole, **machine).response_types == ()
    assert list(refused(whole, response_types=["code"], **machine)) == ["response_types"]


def test_a_refresh_token_needs_somebody_who_signed_in(refused, accepted, whole):
    """RFC 6749 section 4.4.3: client_credentials gives none."""
    assert "grant_types" in refused(whole, grant_types=["client_credentials", "refresh_token"], redirect_uris=None)
    assert accepted(grant_types=["authorization_code", "refresh_token"]).grant_types[1] == "refresh_token"


@pytest.mark.parametrize("grant_type", ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"])
def test_a_public_client_cannot_act_on_its_own(refused, whole, grant_type):
    """RFC 6749 section 4.4, RFC 8693 section 2.1: both are for confidential clients."""
    problems = refused(whole, grant_types=[grant_type], token_endpoint_auth_method="none", redirect_uris=None)
    assert list(problems) == ["grant_types"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("application_type", "desktop"),
        ("subject_type", "transient"),
        ("profile", "fapi1"),
        ("token_endpoint_auth_method", "client_secret_jwt"),
        ("token_endpoint_auth_method", "tls_client_auth"),
        ("token_endpoint_auth_signing_alg", "HS256"),
        ("id_token_signed_response_alg", "none"),
        ("id_token_signed_response_alg", "HS256"),
        ("scope", "openid launch_missiles"),
        ("default_acr_values", ["aal9"]),
        ("authorization_details_types", ["payment"]),
        ("response_modes", ["form_post"]),
    ],
)
def test_values_we_do_not_have_are_refused_by_field(refused, field, value):
    """R61: no symmetric signatures; a misspelt value fails here and not at the first citizen."""
    assert list(refused(**{field: value})) == [field]


@pytest.mark.parametrize("field", sorted(set(FEATURE_OF) - {"backchannel_logout_uri"}))
def test_what_this_release_cannot_honour_is_refused_by_name(refused, metadata_of, capabilities, field):
    """Forgetting it instead would leave the service less protected than it believes."""
    flag = field.startswith(("require_", "dpop_", "tls_client_certificate", "backchannel_user"))
    value = True if flag else "https://parks.example/x" if field.endswith(("_uri", "endpoint")) else "ES256"

    assert "cannot be honoured" in refused(**{field: value})[field]
    if flag:
        assert read_client_metadata(metadata_of(**{field: False}), capabilities)


def test_logout_by_the_back_channel_is_honoured(accepted):
    """Back-Channel Logout 1.0 section 2.2."""
    uri = "https://parks.example/out"
    metadata = accepted(backchannel_logout_uri=uri, backchannel_logout_session_required=True)

    assert (metadata.backchannel_logout_uri, metadata.backchannel_logout_session_required) == (uri, True)


@pytest.mark.parametrize("kind", ["backchannel", "frontchannel"])
def test_a_session_can_only_be_required_where_logout_is_told(accepted, refused, whole, kind):
    """Back-Channel Logout 1.0 section 2.2, Front-Channel Logout 1.0 section 2."""
    field = f"{kind}_logout_session_required"
    assert list(refused(whole, **{field: True})) == [field]
    uri = {f"{kind}_logout_uri": "https://parks.example/out"}
    assert getattr(accepted(whole, **{field: True}, **uri), field)


def test_front_channel_logout_stays_on_the_services_own_origin(accepted, refused, whole):
    """Front-Channel Logout 1.0 section 2."""
    assert accepted(whole, frontchannel_logout_uri="https://parks.example/out?x=1").frontchannel_logout_uri
    for uri in ("https://taxes.example/out", "https://parks.example:8443/out"):
        assert list(refused(whole, frontchannel_logout_uri=uri)) == ["frontchannel_logout_uri"]


def test_addresses_to_go_to_after_logout_are_as_exact(accepted, refused):
    """R1."""
    uri = "https://parks.example/bye?lang=en"
    assert accepted(post_logout_redirect_uris=[uri]).post_logout_redirect_uris == (uri,)
    assert list(refused(post_logout_redirect_uris=["https://parks.example/#bye"])) == ["post_logout_redirect_uris"]


def test_several_hosts_need_one_sector(accepted, refused):
    """OpenID Connect Core section 8.1; paths and ports do not make a host another."""
    uris = [CALLBACK, "https://forests.example/cb"]

    assert list(refused(redirect_uris=uris)) == ["sector_identifier_uri"]
    assert accepted(redirect_uris=uris, subject_type="public")
    assert accepted(redirect_uris=uris, sector_identifier_uri="https://parks.example/sector.json")
    assert accepted(redirect_uris=[CALLBACK, "https://parks.example:8443/cb"])


def test_who_signs_has_published_keys(accepted, refused, keys):
    """RFC 7591 section 2: jwks or jwks_uri, not both."""
    jwks = {"keys": [keys["ec"].as_dict(private=False)]}
    signing = {"token_endpoint_auth_method": "private_key_jwt"}

    assert accepted(jwks=jwks, **signing).jwks == jwks
    assert accepted(jwks_uri="https://parks.example/jwks", **signing)
    assert list(refused(**signing)) == ["token_endpoint_auth_method"]
    assert list(refused(jwks=jwks, jwks_uri="https://parks.example/jwks", **signing)) == ["jwks"]
    assert accepted(jwks=jwks, token_endpoint_auth_signing_alg="ES256", **signing)
    assert list(refused(jwks=jwks, token_endpoint_auth_signing_alg="PS256", **signing)) == ["jwks"]
    broken = refused(jwks={"keys": [7]}, token_endpoint_auth_signing_alg="PS256", **signing)
    assert "key 1 is not" in broken["jwks"]


@pytest.mark.parametrize(
    "change",
    [
        {"request_object_signing_alg": "ES256"},
        {"require_signed_request_object": True},
        {"id_token_encrypted_response_alg": "ECDH-ES"},
        {"backchannel_authentication_request_signing_alg": "ES256"},
    ],
)
def test_who_signs_requests_or_reads_ciphertext_has_published_keys(refused, whole, change):
    """RFC 9101 section 6, OpenID Connect Core section 10.2."""
    assert list(refused(whole, **change)) == list(change)


def test_unsigned_request_objects_need_no_key(accepted, whole):
    """OpenID Connect Registration section 2: "none" is a value of request_object_signing_alg."""
    assert accepted(whole, request_object_signing_alg="none").request_object_signing_alg == "none"


def test_keys_that_are_private_symmetric_or_weak_are_refused(refused, keys):
    """A service that publishes a private key has to hear of it."""
    private = keys["ec"].as_dict(private=True)
    public = keys["ec"].as_dict(private=False)
    for broken, why in [
        ({"keys": [public, private]}, "key 2 is private"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "key 1 is private"),
        ({"keys": [{**public, "x": "AAAA"}]}, "key 1 is not a public key"),
        ({"keys": [public] * 33}, "more than 32"),
        ({"keys": "x"}, "at least one key"),
        ({"key": []}, "at least one key"),
    ]:
        problems = refused(token_endpoint_auth_method="private_key_jwt", jwks=broken)
        assert why in problems["jwks"]


def test_an_enc_never_comes_alone(accepted, refused, whole, keys):
    """OpenID Connect Registration section 2."""
    jwks = {"keys": [keys["ec"].as_dict(private=False)]}

    both = {"userinfo_encrypted_response_alg": "ECDH-ES", "userinfo_encrypted_response_enc": "A256GCM"}
    assert accepted(whole, jwks=jwks, **both).userinfo_encrypted_response_enc == "A256GCM"
    assert list(refused(whole, userinfo_encrypted_response_enc="A256GCM")) == ["userinfo_encrypted_response_enc"]
    assert list(refused(whole, jwks=jwks, id_token_encrypted_response_alg="RSA1_5")) == [
        "id_token_encrypted_response_alg"
    ]
    problems = refused(
        whole, jwks=jwks, id_token_encrypted_response_alg="ECDH-ES", id_token_encrypted_response_enc="A128CBC-HS256"
    )
    assert list(problems) == ["id_token_encrypted_response_enc"]


def test_a_certificate_is_named_in_exactly_one_way(accepted, refused, whole):
    """RFC 8705 section 2.1.2."""
    pki = {"token_endpoint_auth_method": "tls_client_auth"}

    assert accepted(whole, tls_client_auth_san_dns="parks.example", **pki)
    assert list(refused(whole, **pki)) == ["token_endpoint_auth_method"]
    both = {"tls_client_auth_san_dns": "parks.example", "tls_client_auth_subject_dn": "CN=parks"}
    assert list(refused(whole, **both, **pki)) == ["token_endpoint_auth_method"]


def test_backchannel_authentication_says_how_it_is_told(accepted, refused, whole):
    """CIBA Core section 4."""
    ciba = {"grant_types": ["urn:openid:params:grant-type:ciba"], "redirect_uris": None}

    assert accepted(whole, backchannel_token_delivery_mode="poll", **ciba)
    assert list(refused(whole, **ciba)) == ["backchannel_token_delivery_mode"]
    ping = {"backchannel_token_delivery_mode": "ping"}
    assert list(refused(whole, **ping, **ciba)) == ["backchannel_client_notification_endpoint"]
    assert accepted(whole, backchannel_client_notification_endpoint="https://parks.example/ping", **ping, **ciba)
    assert list(refused(whole, backchannel_token_delivery_mode="push", **ciba)) == ["backchannel_token_delivery_mode"]


def test_pkce_can_be_waived_for_a_confidential_standard_client_with_a_warning(
    metadata_of, capabilities, refused, whole
):
    """R3: the certification plan sends none."""
    read = read_client_metadata(metadata_of(require_pkce=False), capabilities)
    strict = msgspec.structs.replace(capabilities, pkce_may_be_waived=False)

    assert not read.metadata.require_pkce
    assert [warning.field for warning in read.warnings] == ["require_pkce"]
    assert list(refused(require_pkce=False, token_endpoint_auth_method="none")) == ["require_pkce"]
    assert list(refused(strict, require_pkce=False)) == ["require_pkce"]
    assert "require_pkce" in refused(whole, require_pkce=False, profile="fapi2")


@pytest.mark.parametrize(
    ("field", "longest"),
    [("access_token_lifetime", 86400), ("id_token_lifetime", 86400), ("refresh_token_lifetime", 365 * 86400)],
)
def test_a_lifetime_of_its_own_is_within_what_key_and_grant_allow(accepted, refused, capabilities, field, longest):
    """RFC 9700 section 2.2, OpenID Connect Core section 10.1.1: what is signed outlives no key; nothing outlives a
    grant. A provider may allow less."""
    assert getattr(accepted(), field) is None
    for seconds in (1, longest):
        assert getattr(accepted(**{field: seconds}), field) == seconds
    for seconds in (0, longest + 1):
        assert refused(**{field: seconds}) == {field: f"must be 1 to {longest} seconds."}
    assert list(refused(**{field: "ten"})) == [field]
    shorter = msgspec.structs.replace(capabilities, longest=Lifetimes(*[timedelta(minutes=5)] * 4))
    assert getattr(accepted(shorter, **{field: 300}), field) == 300
    assert list(refused(shorter, **{field: 301})) == [field]


def test_a_profile_is_refused_while_it_cannot_be_enforced_whole(refused):
    """A FAPI client that is not protected as FAPI says is worse than none."""
    assert "cannot be honoured" in refused(profile="fapi2")["profile"]


def test_a_fapi_client_keeps_the_whole_profile(accepted, refused, metadata_of, whole, keys):
    """FAPI 2.0 Security Profile sections 5.3.2 and 5.4."""
    jwks = {"keys": [keys["ec"].as_dict(private=False)]}
    fapi = {"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}

    assert accepted(whole, **fapi).id_token_signed_response_alg == "ES256"
    assert list(refused(whole, **fapi | {"token_endpoint_auth_method": "client_secret_basic"})) == [
        "token_endpoint_auth_method"
    ]
    assert list(refused(whole, id_token_signed_response_alg="RS256", **fapi)) == ["id_token_signed_response_alg"]
    app = {"application_type": "native", "redirect_uris": ["org.example.parks:/cb"]}
    assert list(refused(whole, **fapi, **app)) == ["redirect_uris"]
    named = read_client_metadata(metadata_of(**fapi), whole, default_signing_algorithm="PS256").metadata
    assert named.id_token_signed_response_alg == "PS256"
    unbound = msgspec.structs.replace(whole, features=ALL_FEATURES - {"dpop", "mtls"})
    assert list(refused(unbound, **fapi)) == ["profile"]
    no_jarm = msgspec.structs.replace(whole, features=ALL_FEATURES - {"jarm"})
    assert list(refused(no_jarm, **fapi | {"profile": "fapi2-message-signing"})) == ["profile"]
    no_ciba = msgspec.structs.replace(whole, features=ALL_FEATURES - {"ciba"})
    assert list(refused(no_ciba, **fapi | {"profile": "fapi-ciba"})) == ["profile"]
    weak = "backchannel_authentication_request_signing_alg"
    assert list(refused(whole, **fapi, **{weak: "RS256"})) == [weak]
    assert list(refused(whole, **fapi | {"profile": "fapi-ciba", weak: "Ed25519"})) == [weak]


def test_metadata_survives_being_stored(accepted, keys):
    """Kept as JSON, read back unjudged."""
    metadata = accepted(
        jwks={"keys": [keys["ec"].as_dict(private=False)]},
        scope="openid email",
        default_max_age=0,
        require_pkce=False,
        **{"client_name#fr": "Parcs", "tos_uri#ar": "https://parks.example/ar"},
    )
    stored = msgspec.json.encode(metadata)

    assert msgspec.json.decode(stored, type=ClientMetadata) == metadata
    assert msgspec.convert(msgspec.to_builtins(metadata), ClientMetadata) == metadata


def test_a_registration_is_answered_in_the_form_it_was_sent(accepted):
    """RFC 7591 section 3.2.1."""
    registered = registration_of(
        accepted(scope="openid email", contacts=["a@b.example"], **{"client_name#fr": "Parcs"})
    )

    assert registered["scope"] == "openid email"
    assert registered["contacts"] == ["a@b.example"]
    assert registered["client_name#fr"] == "Parcs"
    assert registered["require_pkce"] is True
    assert "jwks" not in registered
    assert "localized" not in registered
