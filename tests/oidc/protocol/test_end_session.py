"""RP-initiated logout: every case of hint, client and address (RP-Initiated Logout 1.0)."""

import pytest

from oidc.protocol.end_session import (
    EndSession,
    EndSessionRequest,
    ReturnTo,
    SessionAt,
    asking_client,
    end_session,
    read_end_session_request,
)
from oidc.protocol.errors import ProtocolError
from oidc.protocol.id_token_hint import Hint
from oidc.protocol.parameters import parameters_of

BYE = "https://parks.example/bye"
ADA = SessionAt("ada-at-parks", "s-1")
HINT = Hint("parks", "ada-at-parks", "s-1")
WAY_BACK = EndSessionRequest(post_logout_redirect_uri=BYE, state="st")


@pytest.fixture
def client(client_of):
    """A service that can be gone back to."""
    return client_of(post_logout_redirect_uris=[BYE])


def test_a_request_is_read_whole_and_nothing_is_required():
    """Section 2; modules -no-params, -only-state."""
    parameters = {
        "id_token_hint": "a.b.c",
        "logout_hint": "ada",
        "client_id": "parks",
        "post_logout_redirect_uri": BYE,
        "state": "s",
        "ui_locales": "cy ! en",
        "x": "1",
    }
    assert read_end_session_request(parameters_of(parameters)) == EndSessionRequest(
        "a.b.c", "ada", "parks", BYE, "s", ("cy", "en")
    )
    assert read_end_session_request(parameters_of({})) == EndSessionRequest()
    with pytest.raises(ProtocolError):
        read_end_session_request(parameters_of({"state": "s" * 4097}))
    assert read_end_session_request(parameters_of({"logout_hint": "h" * 513})).logout_hint is None


def test_hint_and_client_id_name_one_client():
    """Section 2: the OP MUST verify that they match."""
    assert asking_client(EndSessionRequest(), None) is None
    assert asking_client(EndSessionRequest(client_id="parks"), None) == "parks"
    assert asking_client(EndSessionRequest(), HINT) == "parks"
    assert asking_client(EndSessionRequest(client_id="parks"), HINT) == "parks"
    with pytest.raises(ProtocolError, match="another client"):
        asking_client(EndSessionRequest(client_id="taxes"), HINT)


def test_the_hint_of_this_session_ends_it_and_leads_back(client):
    """Module oidcc-rp-initiated-logout: nothing to ask."""
    assert end_session(WAY_BACK, HINT, client, ADA) == EndSession(ask=False, return_to=ReturnTo(BYE, "st"))
    assert end_session(WAY_BACK, Hint("parks", "ada-at-parks"), client, ADA).ask is False


def test_without_an_address_it_ends_on_our_own_page(client):
    """Module -no-post-logout-redirect-uri."""
    assert end_session(EndSessionRequest(state="st"), HINT, client, ADA) == EndSession(ask=False)


def test_without_state_none_comes_back(client):
    """Module -no-state."""
    request = EndSessionRequest(post_logout_redirect_uri=BYE)
    assert end_session(request, HINT, client, ADA).return_to == ReturnTo(BYE)


@pytest.mark.parametrize("uri", [BYE + "?x=1", BYE + "/", BYE + "#", "https://evil.example/", "//parks.example/bye"])
@pytest.mark.parametrize("session", [ADA, None])
def test_an_address_that_is_not_registered_is_never_followed(client, uri, session):
    """R1; modules -bad-post-logout-redirect-uri, -query-added-to-post-logout-redirect-uri."""
    with pytest.raises(ProtocolError) as refused:
        end_session(EndSessionRequest(post_logout_redirect_uri=uri), HINT, client, session)
    assert refused.value.code == "invalid_request"


def test_nobody_known_is_asking_so_there_is_no_way_on():
    """Modules -no-id-token-hint: an address alone is anybody's."""
    assert end_session(WAY_BACK, None, None, ADA) == EndSession(ask=True)


@pytest.mark.parametrize(
    "hint",
    [None, Hint("parks", "bob-at-parks", "s-1"), Hint("parks", "ada-at-parks", "s-0"), Hint("parks", "bob-at-parks")],
)
def test_without_the_hint_of_this_session_the_person_decides(client, hint):
    """Section 2: else any page on the web could sign people out. The way back stays open after a yes."""
    assert end_session(WAY_BACK, hint, client, ADA) == EndSession(ask=True, return_to=ReturnTo(BYE, "st"))


def test_a_service_that_is_not_part_of_the_session_has_to_ask(client):
    """An old ID token of another visit does not end the session of today."""
    assert end_session(WAY_BACK, HINT, client, SessionAt()).ask


def test_where_nothing_is_left_to_end_it_leads_on(client):
    """Section 2: the person has signed out already; a reload arrives at the same place."""
    assert end_session(WAY_BACK, HINT, client, None) == EndSession(ask=False, return_to=ReturnTo(BYE, "st"))
    assert end_session(EndSessionRequest(), None, None, None) == EndSession(ask=False)
