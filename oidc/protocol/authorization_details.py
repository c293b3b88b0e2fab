"""Rich authorization requests: what exactly a client asks to do, in types that configuration knows (RFC 9396)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from oidc.protocol.capabilities import DetailType
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_AUTHORIZATION_DETAILS, ProtocolError
from oidc.protocol.strict_json import is_shallow, is_text, json_value
from oidc.protocol.uris import problem_of_uri

MAX_DETAILS = 16
MAX_ITEMS = 32
# RFC 9396 section 2.2
LISTS_OF_TEXT = ("locations", "actions", "datatypes", "privileges")


def read_authorization_details(
    raw: str | None, types: Sequence[DetailType], client: Client
) -> tuple[dict[str, Any], ...]:
    """RFC 9396 sections 2 and 5: a JSON array of objects, each of a type that is known here and registered there."""
    if raw is None:
        return ()
    details = json_value(raw)
    if not isinstance(details, list) or not 1 <= len(details) <= MAX_DETAILS:
        raise refused("The authorization_details are not a JSON array of objects.")
    for detail in details:
        require_known_detail(detail, types, client.metadata.authorization_details_types)
    return tuple(details)


def require_known_detail(detail: object, types: Sequence[DetailType], registered: Collection[str]) -> None:
    """Section 5: unknown types, unknown fields, missing fields and wrong kinds of values are refused, not ignored."""
    if not isinstance(detail, Mapping):
        raise refused("One of authorization_details is no object.")
    kind = next((known for known in types if known.type == detail.get("type")), None)
    if kind is None or (registered and kind.type not in registered):
        raise refused("The type of one of authorization_details is not known for this client.")
    fields = set(detail) - {"type"}
    if not fields <= {*kind.required, *kind.optional}:
        raise refused("One of authorization_details has a field that its type does not know.")
    if not set(kind.required) <= fields:
        raise refused("One of authorization_details lacks a field that its type needs.")
    if not all(is_good_value(name, detail[name], kind) for name in fields):
        raise refused("One of authorization_details has a value that its type does not allow.")


def is_good_value(name: str, value: object, kind: DetailType) -> bool:
    """Section 2.2 for the common fields; any shallow JSON for the type's own."""
    if name == "identifier":
        return is_text(value)
    if name not in LISTS_OF_TEXT:
        return value is not None and is_shallow(value, 4)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ITEMS or not all(is_text(item) for item in value):
        return False
    if name == "locations":
        return not any(problem_of_uri(uri) for uri in value)
    return name != "actions" or not kind.actions or set(value) <= set(kind.actions)


def canonical(detail: Mapping[str, Any]) -> str:
    """The detail as one text that is equal where the details are: what consents and grants compare."""
    return msgspec.json.encode(detail, order="deterministic").decode()


def narrow_details(granted: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """Section 6: a token request names some of the granted details, as they are; nothing named is all of them.
    The places of those among the granted ones."""
    place_of = {canonical(detail): place for place, detail in reversed(list(enumerate(granted)))}
    named = [place_of.get(canonical(detail)) for detail in asked]
    places = tuple(place for place in named if place is not None)
    if len(places) < len(named):
        raise refused("The authorization_details are more than was granted.")
    return places or tuple(range(len(granted)))


def refused(description: str) -> ProtocolError:
    """The one code of this specification."""
    return ProtocolError(INVALID_AUTHORIZATION_DETAILS, description)
