"""A citizen who answers on another device: user codes, polling, backchannel requests (RFC 8628, CIBA Core 1.0)."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidc.protocol.assurance import level_for, meets
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.ciba import (
    backchannel_response,
    read_backchannel_request,
    resolve_backchannel_request,
)
from oidc.protocol.client_metadata import CIBA_GRANT, DEVICE_CODE
from oidc.protocol.device import (
    ALPHABET,
    DeviceRequest,
    device_response,
    read_device_request,
    shown,
    typed,
    user_code_from,
)
from oidc.protocol.errors import ProtocolError
from oidc.protocol.parameters import parameters_of
from oidc.protocol.polling import Poll, Waiting, poll

PROVIDER = Capabilities(issuer="https://id.example")
SECOND = timedelta(seconds=1)


@pytest.fixture
def client(client_of):
    """A client registered for both, unjudged; with changed metadata."""

    def make(**changes):
        known = client_of()
        changes = {"grant_types": (DEVICE_CODE, CIBA_GRANT)} | changes
        return msgspec.structs.replace(known, metadata=msgspec.structs.replace(known.metadata, **changes))

    return make


# --- user codes


@given(st.binary(min_size=16, max_size=32))
def test_a_user_code_is_found_again_as_it_is_shown(random):
    """RFC 8628 section 6.1: eight consonants in two groups."""
    code = user_code_from(random)

    assert len(code) == 8
    assert set(code) <= set(ALPHABET)
    assert typed(shown(code)) == code


def test_every_letter_comes_up():
    """34.5 bits, and not fewer: all of the alphabet at every place."""
    codes = [user_code_from(number.to_bytes(16)) for number in range(0, 20**8, 20**8 // 4003)]
    assert all({code[place] for code in codes} == set(ALPHABET) for place in range(8))


@pytest.mark.parametrize(
    "text", ["WDJBMJHT", "wdjb-mjht", " wdjb mjht ", "WDJB\u2013MJHT", "ＷＤＪＢ－ＭＪＨＴ", "w.d.j.b.m.j.h.t"]
)
def test_a_code_may_be_typed_in_any_way(text):
    """RFC 8628 section 6.1: case and punctuation do not matter (and WCAG 3.3.8)."""
    assert typed(text) == "WDJBMJHT"


@pytest.mark.parametrize("text", ["", "WDJBMJH", "WDJBMJHTT", "ADJBMJHT", "WDJB1JHT", "W" * 1000, "ＡＤＪＢＭＪＨＴ"])
def test_what_is_no_code_is_none(text):
    """RFC 8628 section 6.1."""
    assert typed(text) is None


def test_a_device_says_what_it_wants(client):
    """RFC 8628 section 3.1."""
    parameters = parameters_of({"scope": "openid profile", "acr_values": "aal2"})

    assert read_device_request(parameters, client(), PROVIDER) == DeviceRequest(("openid", "profile"), ("aal2",))
    for wrong in (client(grant_types=("authorization_code",)),):
        with pytest.raises(ProtocolError) as refused:
            read_device_request(parameters, wrong, PROVIDER)
        assert refused.value.code == "unauthorized_client"


def test_a_device_reaches_the_level_that_its_service_registered(client):
    """OpenID Connect Registration section 2, `default_acr_values`: on this path as on every other."""
    service = client(default_acr_values=("aal2-phr",))

    assert read_device_request(parameters_of({"scope": "openid"}), service, PROVIDER).acr_values == ("aal2-phr",)
    named = parameters_of({"scope": "openid", "acr_values": "aal2"})
    assert read_device_request(named, service, PROVIDER).acr_values == ("aal2",)


def test_a_device_shows_code_and_address():
    """RFC 8628 section 3.2."""
    answer = device_response(
        device_code="d",
        user_code="WDJBMJHT",
        verification_uri="https://id.example/device",
        expires_in=600 * SECOND,
        interval=5 * SECOND,
    )
    assert answer == {
        "device_code": "d",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://id.example/device",
        "verification_uri_complete": "https://id.example/device?user_code=WDJB-MJHT",
        "expires_in": 600,
        "interval": 5,
    }


@pytest.mark.parametrize(
    ("acr_values", "required"),
    [((), "aal2"), (("aal1",), "aal2"), (("aal3", "aal2-phr"), "aal2-phr"), (("urn:unknown",), "aal2")],
)
def test_the_level_is_judged_as_at_a_browser(acr_values, required):
    """RFC 9470: the lowest known level asked for, never less than the minimum; an unknown one meets nothing."""
    assert level_for(acr_values, PROVIDER) == required
    assert meets(required, required, PROVIDER)
    assert meets("aal3", required, PROVIDER)
    assert not meets("aal1", required, PROVIDER)
    assert not meets("from-an-older-release", required, PROVIDER)


# --- polling


@pytest.fixture
def said(now):
    """The code of the answer to a poll, or None; and the interval from then on."""

    def ask(seconds=0, **changes):
        waiting = Waiting(expires_at=now + 600 * SECOND, **changes)
        answer: Poll = poll(waiting, now + seconds * SECOND)
        return (answer.refusal.code if answer.refusal else None), answer.interval.total_seconds()

    return ask


def test_the_answer_to_a_poll_is_the_persons(said):
    """RFC 8628 section 3.5, CIBA Core section 11."""
    assert said() == ("authorization_pending", 5)
    assert said(answer="granted") == (None, 5)
    assert said(answer="refused") == ("access_denied", 5)
    assert said(600, answer="granted") == ("expired_token", 5)


def test_who_asks_too_often_has_to_wait_longer(said, now):
    """RFC 8628 section 3.5: five seconds more each time, for all later requests, up to a minute."""
    assert said(4, polled_at=now) == ("slow_down", 10)
    assert said(4, polled_at=now, answer="granted") == ("slow_down", 10)
    assert said(9, polled_at=now, interval=10 * SECOND) == ("slow_down", 15)
    assert said(9, polled_at=now, interval=60 * SECOND) == ("slow_down", 60)


def test_who_waits_as_told_is_answered(said, now):
    """And a network that delivers a little early is no impatience."""
    assert said(5, polled_at=now) == ("authorization_pending", 5)
    assert said(4.6, polled_at=now, answer="granted") == (None, 5)


# --- backchannel requests


def asking(**changes):
    plain = {"scope": "openid email", "login_hint": "ada@example.org"} | changes
    return parameters_of({name: value for name, value in plain.items() if value is not None})


@pytest.fixture
def refusal(client):
    """The code of the refusal of a backchannel request."""

    def read(of=None, **changes):
        with pytest.raises(ProtocolError) as refused:
            read_backchannel_request(asking(**changes), of or client(), PROVIDER)
        return refused.value.code

    return read


def test_a_backchannel_request_is_read_whole(client):
    """CIBA Core section 7.1."""
    parameters = asking(acr_values="aal2", binding_message="Überweisung 4711 ✓", requested_expiry="30")
    request = read_backchannel_request(parameters, client(), PROVIDER)

    assert request.scope == ("openid", "email")
    assert (request.hint_kind, request.hint) == ("login_hint", "ada@example.org")
    assert request.acr_values == ("aal2",)
    assert request.binding_message == "Überweisung 4711 ✓"
    assert request.expires_in == 30 * SECOND
    assert request.client_notification_token is None


def test_the_clients_defaults_count_here_too(client):
    """OpenID Connect Registration section 2."""
    assert read_backchannel_request(asking(), client(default_acr_values=("aal3",)), PROVIDER).acr_values == ("aal3",)


@pytest.mark.parametrize(
    "hints",
    [
        {"login_hint": None},
        {"id_token_hint": "a.b.c"},
        {"login_hint_token": "x"},
        {"login_hint": None, "id_token_hint": "a.b.c", "login_hint_token": "x"},
    ],
)
def test_exactly_one_hint_says_whom_to_ask(refusal, hints):
    """CIBA Core section 7.1; module ensure-authorization-request-with-multiple-hints-fails."""
    assert refusal(**hints) == "invalid_request"


def test_any_one_of_the_hints_will_do(client):
    """CIBA Core section 7.1."""
    request = read_backchannel_request(asking(login_hint=None, id_token_hint="a.b.c"), client(), PROVIDER)
    assert (request.hint_kind, request.hint) == ("id_token_hint", "a.b.c")


def test_it_is_openid_connect_and_registered(refusal, client):
    """CIBA Core section 7.1."""
    assert refusal(scope=None) == "invalid_scope"
    assert refusal(scope="email") == "invalid_scope"
    assert refusal(client(grant_types=("authorization_code",))) == "unauthorized_client"
    api = msgspec.structs.replace(PROVIDER, scopes=("openid", "tax.read"))
    with pytest.raises(ProtocolError, match="must hold openid"):
        read_backchannel_request(asking(scope="tax.read"), client(), api)


@pytest.mark.parametrize("message", ["x" * 129, "\u202eevil", "a\u2028b"])
def test_a_message_can_be_shown_on_both_devices(refusal, message):
    """CIBA Core section 13: invalid_binding_message; nothing that turns the text round."""
    assert refusal(binding_message=message) == "invalid_binding_message"


@pytest.mark.parametrize("token", [None, "x" * 1025, "a b", "é", "=x"])
def test_a_client_that_is_pinged_gives_a_token_for_it(refusal, client, token):
    """CIBA Core section 7.1."""
    ping = client(backchannel_token_delivery_mode="ping")

    assert refusal(ping, client_notification_token=token) == "invalid_request"
    request = read_backchannel_request(asking(client_notification_token="abc-._~+/=="), ping, PROVIDER)
    assert request.client_notification_token == "abc-._~+/=="


@pytest.mark.parametrize(("asked", "given"), [(None, 600), ("30", 30), ("9999", 600)])
def test_a_client_may_shorten_the_wait(client, asked, given):
    """CIBA Core section 7.1, requested_expiry."""
    assert read_backchannel_request(asking(requested_expiry=asked), client(), PROVIDER).expires_in == given * SECOND


@pytest.mark.parametrize("expiry", ["0", "-1", "x"])
def test_an_expiry_is_a_positive_number(refusal, expiry):
    """CIBA Core section 7.1."""
    assert refusal(requested_expiry=expiry) == "invalid_request"


def test_an_accepted_request_is_acknowledged():
    """CIBA Core section 7.3."""
    answer = backchannel_response(auth_req_id="a", expires_in=600 * SECOND, interval=5 * SECOND)
    assert answer == {"auth_req_id": "a", "expires_in": 600, "interval": 5}


# --- signed backchannel requests


@pytest.fixture
def resolve(sign, public_keys, now, client):
    """Resolve a signed request with changed claims (times in seconds from now), or what comes beside it."""

    def run(changes=None, header=None, of=None, **beside):
        claims = {
            **{"iss": "parks", "aud": "https://id.example", "exp": 300, "iat": 0, "nbf": 0, "jti": "j"},
            **{"scope": "openid", "login_hint": "ada", "requested_expiry": 30},
        } | (changes or {})
        claims = {name: value for name, value in claims.items() if value is not None}
        for name in {"exp", "iat", "nbf"} & set(claims):
            claims[name] = int(now.timestamp()) + claims[name]
        parameters = parameters_of({"request": sign(claims, **(header or {})), **beside})
        of = of or client(backchannel_authentication_request_signing_alg="ES256")
        return resolve_backchannel_request(parameters, of, public_keys, PROVIDER, now)

    return run


def test_a_signed_request_holds_everything(resolve, client):
    """CIBA Core section 7.1.1; module requested-expiry-as-string-succeeds: number or string."""
    for expiry in (30, "30"):
        parameters, once = resolve({"requested_expiry": expiry}, client_id="parks", client_assertion="a.b.c")
        request = read_backchannel_request(parameters, client(), PROVIDER)
        assert (request.hint, request.expires_in, once.jti) == ("ada", 30 * SECOND, "j")
    assert resolve(of=client())[1].jti == "j"


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"aud": None},
            {"aud": "https://evil.example"},
            {"iss": None},
            {"iss": "taxes"},
            {"exp": None},
            {"exp": -300},
        ),
        *({"exp": 4200}, {"iat": None}, {"nbf": None}, {"nbf": 600}, {"nbf": -4200}, {"jti": None}, {"jti": 7}),
        *({"client_id": "taxes"}, {"request": "a.b.c"}),
    ],
)
def test_every_claim_of_it_counts(resolve, changes):
    """CIBA Core section 7.1.1, FAPI-CIBA 5.2.2; modules ensure-request-object-*-fails: all `invalid_request`."""
    with pytest.raises(ProtocolError) as refused:
        resolve(changes)
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "header",
    [{"key": "rsa", "alg": "RS256"}, {"key": "rsa", "alg": "PS256"}, {"key": "other", "kid": "ec"}, {"typ": "at+jwt"}],
)
def test_it_is_signed_as_the_client_registered(resolve, header):
    """Modules signature-algorithm-is-RS256-fails, -is-bad-fails, -signed-by-other-client-fails."""
    with pytest.raises(ProtocolError) as refused:
        resolve(None, header)
    assert refused.value.code == "invalid_request"


def test_nothing_but_authentication_stands_beside_it(resolve):
    """CIBA Core section 7.1.1."""
    with pytest.raises(ProtocolError, match="no other parameters"):
        resolve(scope="openid phone")


def test_a_client_that_signs_always_signs(client, public_keys, now):
    """Module ensure-unsigned-backchannel-authorization-request-fails."""
    for must in (client(backchannel_authentication_request_signing_alg="ES256"), client(profile="fapi2")):
        with pytest.raises(ProtocolError) as refused:
            resolve_backchannel_request(asking(), must, public_keys, PROVIDER, now)
        assert refused.value.code == "invalid_request"
    assert resolve_backchannel_request(asking(), client(), public_keys, PROVIDER, now) == (asking(), None)
