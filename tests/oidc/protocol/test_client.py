"""A client as the rules see it: its name in the citizen's language, its sector, its grant types."""

import json
from datetime import timedelta

import msgspec
import pytest

from oidc.protocol.client import Client, lifetimes_of, require_grant_type
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.errors import ProtocolError
from oidc.protocol.lifetimes import Lifetimes
from oidc.protocol.sector import require_listed_in_sector_document, sector_of
from oidc.protocol.uris import host_of, origin_of


def test_a_service_is_named_in_the_citizens_language(client_of):
    """OpenID Connect Registration section 2.1: the best tag, then the plain name."""
    client = client_of(**{"client_name#fr": "Parcs", "client_name#cy": "Parciau"})

    assert client.name_in("fr-CA", "en") == "Parcs"
    assert client.name_in("de", "cy") == "Parciau"
    assert client_of(**{"client_name#pt-BR": "Parques"}).name_in("pt-br") == "Parques"
    assert client.name_in("de") == "Parks"
    assert client.name_in() == "Parks"


def test_a_service_without_a_name_is_called_by_its_host(client_of):
    """A citizen must never read an internal identifier where there is anything better."""
    assert client_of(client_name=None).name_in("en") == "parks.example"
    assert client_of(client_name=None, **{"client_name#fr": "Parcs"}).name_in("en") == "Parcs"
    app = client_of(client_name=None, application_type="native", redirect_uris=["http://127.0.0.1/cb"])
    assert app.name_in("en") == "parks"
    local = Client("parks", ClientMetadata(redirect_uris=("http://parks.localhost:9000/cb",)))
    assert local.name_in("en") == "parks.localhost"
    mixed = Client("parks", ClientMetadata(redirect_uris=("org.a:/", "https://a.example/"), application_type="native"))
    assert mixed.name_in("en") == "a.example"


def test_other_texts_and_links_are_localised_too(client_of):
    """OpenID Connect Registration section 2.1."""
    client = client_of(tos_uri="https://parks.example/tos", **{"tos_uri#fr": "https://parks.example/cgu"})

    assert client.text_in("tos_uri", "fr") == "https://parks.example/cgu"
    assert client.text_in("tos_uri", "en") == "https://parks.example/tos"
    assert client.text_in("policy_uri", "en") is None


def test_a_grant_type_that_was_not_registered_is_refused(client_of):
    """RFC 6749 section 5.2."""
    client = client_of()

    require_grant_type(client, "authorization_code")
    with pytest.raises(ProtocolError) as refused:
        require_grant_type(client, "refresh_token")
    assert refused.value.code == "unauthorized_client"


@pytest.mark.parametrize(
    ("metadata", "sector"),
    [
        (ClientMetadata(redirect_uris=("https://Parks.example:8443/cb",)), "parks.example"),
        (
            ClientMetadata(sector_identifier_uri="https://parks.example/s", redirect_uris=("https://a.example/",)),
            "parks.example",
        ),
        (ClientMetadata(redirect_uris=("org.example.app:/cb",), application_type="native"), "client:app"),
        (ClientMetadata(redirect_uris=("http://127.0.0.1/cb",), application_type="native"), "client:app"),
        (
            ClientMetadata(redirect_uris=("http://127.0.0.1/cb", "https://b.example/"), application_type="native"),
            "b.example",
        ),
        (ClientMetadata(redirect_uris=("org.example.app://callback/",), application_type="native"), "client:app"),
        (ClientMetadata(redirect_uris=("org.example.app:/cb",), jwks_uri="https://keys.example/jwks"), "client:app"),
        (ClientMetadata(redirect_uris=("http://parks.localhost:9000/cb",)), "parks.localhost"),
        (ClientMetadata(grant_types=("client_credentials",)), "client:app"),
        (ClientMetadata(jwks_uri="https://keys.example/jwks"), "keys.example"),
    ],
)
def test_a_sector_is_a_host_or_the_client_itself(metadata, sector):
    """OpenID Connect Core section 8.1: else all apps on loopback would share one `sub`."""
    assert sector_of(metadata, "app") == sector
    assert Client("app", metadata).sector == sector


def test_the_sector_document_lists_every_redirect_uri(client_of):
    """OpenID Connect Registration section 5; modules oidcc-registration-sector-uri and -sector-bad."""
    uris = ["https://parks.example/callback", "https://forests.example/cb"]
    metadata = client_of(redirect_uris=uris, sector_identifier_uri="https://parks.example/s").metadata

    require_listed_in_sector_document(json.dumps([*uris, "https://other.example/"]).encode(), metadata)
    for document in (
        json.dumps(uris[:1]),
        json.dumps({"uris": uris}),
        json.dumps([*uris, 7]),
        "",
        "[",
        "null",
        "\udcff",
    ):
        with pytest.raises(ProtocolError) as refused:
            require_listed_in_sector_document(document.encode("utf-8", "surrogateescape"), metadata)
        assert refused.value.code == "invalid_client_metadata"


def test_without_redirect_uris_the_sector_document_lists_the_key_set():
    """CIBA Core section 4."""
    metadata = ClientMetadata(jwks_uri="https://keys.example/jwks")

    require_listed_in_sector_document(b'["https://keys.example/jwks"]', metadata)
    with pytest.raises(ProtocolError):
        require_listed_in_sector_document(b"[]", metadata)
    require_listed_in_sector_document(b"[]", ClientMetadata())


def test_an_origin_is_what_a_form_may_lead_to():
    """stack.md: `form-action` names the origin, or the private-use scheme, of the redirect URI."""
    assert origin_of("https://parks.example:8443/cb?x=1") == "https://parks.example:8443"
    assert origin_of("org.example.app:/cb") == "org.example.app:"
    assert origin_of("not a uri") == ""
    assert host_of("not a uri") == ""


def test_a_client_that_registered_itself_never_has_more_than_the_default():
    """Not even where the default was longer when it registered; what an operator gave stays."""
    own = ClientMetadata(access_token_lifetime=900, id_token_lifetime=900, refresh_token_lifetime=30)
    default = Lifetimes(*(timedelta(seconds=seconds) for seconds in (600, 700, 3600, 7200)))

    theirs = lifetimes_of(Client("p", own, registered_itself=True), default)
    given = lifetimes_of(Client("p", own), default)

    assert [lifetime.total_seconds() for lifetime in msgspec.structs.astuple(theirs)] == [600, 700, 30, 7200]
    assert [lifetime.total_seconds() for lifetime in msgspec.structs.astuple(given)] == [900, 900, 30, 7200]
    assert lifetimes_of(Client("p", ClientMetadata()), default) == default


def test_fapi_clients_always_use_pkce():
    """FAPI 2.0 Security Profile section 5.3.2.2, whatever is stored."""
    assert Client("p", ClientMetadata(profile="fapi2", require_pkce=False)).require_pkce
    assert Client("p", ClientMetadata(profile="fapi2")).is_fapi
    assert Client("p", ClientMetadata()).require_pkce
    assert not Client("p", ClientMetadata(require_pkce=False)).require_pkce
    assert Client("p", ClientMetadata()).profile == "standard"
