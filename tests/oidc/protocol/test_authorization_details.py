"""Rich authorization requests in types that configuration knows (RFC 9396)."""

import json

import msgspec
import pytest

from oidc.protocol.authorization import authorization_request_from, read_authorization_request
from oidc.protocol.authorization_details import canonical, narrow_details, read_authorization_details
from oidc.protocol.capabilities import DetailType
from oidc.protocol.errors import AuthorizationError, ProtocolError

PAYMENT = DetailType(
    type="payment",
    required=("amount", "to"),
    optional=("locations", "actions", "datatypes", "identifier"),
    actions=("initiate", "cancel"),
)
TRANSFER = {"type": "payment", "amount": {"currency": "EUR", "value": "12.50"}, "to": "Parks"}


@pytest.fixture
def read(client_of):
    """The details that a JSON text makes, for a client."""
    client = client_of()

    def run(details, registered=()):
        metadata = msgspec.structs.replace(client.metadata, authorization_details_types=registered)
        raw = details if isinstance(details, str | None) else json.dumps(details)
        return read_authorization_details(raw, (PAYMENT,), msgspec.structs.replace(client, metadata=metadata))

    return run


def test_details_of_a_known_type_are_read(read):
    """RFC 9396 section 2; the common fields of section 2.2."""
    whole = TRANSFER | {
        "locations": ["https://bank.example"],
        "actions": ["initiate"],
        "identifier": "i",
        "datatypes": ["x"],
    }

    assert read([TRANSFER, whole]) == (TRANSFER, whole)
    assert read([TRANSFER], ("payment",)) == (TRANSFER,)
    assert read(None) == ()


@pytest.mark.parametrize(
    "details",
    [
        *("", "{", "[]", "{}", "null", [7], [{}], [{"type": "vote"}], [{"type": 7}], [TRANSFER | {"colour": "red"}]),
        *([{"type": "payment", "amount": 1}], [TRANSFER | {"to": None}], [TRANSFER] * 17),
        *([TRANSFER | {"locations": [place]}] for place in ("bank", "https://bank.example/#x", 7)),
        *([TRANSFER | {"locations": value}] for value in ([], "https://bank.example", {}, ["https://b.example"] * 33)),
        [TRANSFER | {"datatypes": ["a", ""]}],
        *([TRANSFER | {"actions": value}] for value in (["steal"], ["initiate", 7], "initiate")),
        *([TRANSFER | {"identifier": value}] for value in ("", 7, "a\nb")),
        [TRANSFER | {"amount": {"a": {"b": {"c": {"d": {"e": 1}}}}}}],
    ],
)
def test_what_is_not_known_is_refused_and_not_ignored(read, details):
    """RFC 9396 section 5: a citizen must not agree to less than the client will read into it."""
    with pytest.raises(ProtocolError) as refused:
        read(details)
    assert refused.value.code == "invalid_authorization_details"


def test_a_type_that_names_no_actions_knows_any(client_of):
    """RFC 9396 section 2.2: the values are the API's to define."""
    vote = DetailType(type="vote")
    for detail in (
        {"type": "vote", "actions": ["cast"]},
        {"type": "vote", "datatypes": ["a", "b"], "privileges": ["x"]},
    ):
        assert read_authorization_details(json.dumps([detail]), (vote,), client_of()) == (detail,)


def test_a_client_uses_the_types_it_registered(read):
    """RFC 9396 section 10."""
    with pytest.raises(ProtocolError):
        read([TRANSFER], ("vote",))


def test_equal_details_are_equal_however_they_are_written():
    """What consents and grants compare."""
    assert canonical({"a": 1, "b": {"d": 2, "c": 3}}) == canonical({"b": {"c": 3, "d": 2}, "a": 1})
    assert canonical({"a": 1}) != canonical({"a": "1"})


def test_a_token_holds_some_of_what_was_granted(read):
    """RFC 9396 section 6."""
    other = TRANSFER | {"to": "Taxes"}

    assert narrow_details([TRANSFER, other], []) == (0, 1)
    assert narrow_details([TRANSFER, other], [other]) == (1,)
    with pytest.raises(ProtocolError):
        narrow_details([TRANSFER], [TRANSFER | {"amount": {"currency": "EUR", "value": "9999.00"}}])


def test_they_are_part_of_an_authorization_request(asked, client_of, capabilities):
    """RFC 9396 section 2: and wait with it."""
    provider = msgspec.structs.replace(capabilities, detail_types=(PAYMENT,))
    request = read_authorization_request(asked(authorization_details=json.dumps([TRANSFER])), client_of(), provider)

    assert authorization_request_from(request.to_bytes()).authorization_details == (TRANSFER,)
    with pytest.raises(AuthorizationError):
        read_authorization_request(asked(authorization_details='[{"type":"vote"}]'), client_of(), provider)
