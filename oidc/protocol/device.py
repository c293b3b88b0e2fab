"""Device authorization: the code a person types, and the answer that carries it (RFC 8628)."""

import unicodedata
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from oidc.protocol.authorization_details import read_authorization_details
from oidc.protocol.authorization_rules import read_acr_values, read_scope
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client import Client, require_grant_type
from oidc.protocol.client_metadata import DEVICE_CODE
from oidc.protocol.parameters import Parameters

# RFC 8628 section 6.1: twenty consonants, so that no word and no doubtful letter comes up; eight of them are 34.5 bits,
# which is enough only because tries are counted (section 5.1).
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8


class DeviceRequest(msgspec.Struct, frozen=True):
    """RFC 8628 section 3.1, with the level of assurance that RFC 9470 lets a client ask for, and what exactly it asks
    to do (RFC 9396)."""

    scope: tuple[str, ...]
    acr_values: tuple[str, ...] = ()
    details: tuple[dict[str, Any], ...] = ()


def read_device_request(parameters: Parameters, client: Client, capabilities: Capabilities) -> DeviceRequest:
    """RFC 8628 section 3.1."""
    require_grant_type(client, DEVICE_CODE)
    details = read_authorization_details(parameters.get("authorization_details"), capabilities.detail_types, client)
    scope = read_scope(parameters, client, capabilities, is_needed=not details)
    return DeviceRequest(scope, read_acr_values(parameters) or client.metadata.default_acr_values, details)


def user_code_from(random: bytes) -> str:
    """A user code made of 16 random bytes or more: so many more than eight letters need that no letter is likelier."""
    number = int.from_bytes(random)
    letters = []
    for _ in range(LENGTH):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def shown(user_code: str) -> str:
    """As a screen shows it: WDJB-MJHT."""
    return f"{user_code[:4]}-{user_code[4:]}"


def typed(text: str) -> str | None:
    """What a person typed as the code it means, or None. Case, spaces, dashes and full-width letters do not matter."""
    plain = unicodedata.normalize("NFKC", text[:64]).upper()
    letters = "".join(letter for letter in plain if letter.isalnum())
    return letters if len(letters) == LENGTH and set(letters) <= set(ALPHABET) else None


def device_response(
    *, device_code: str, user_code: str, verification_uri: str, expires_in: timedelta, interval: timedelta
) -> dict[str, Any]:
    """RFC 8628 section 3.2. The complete address still leads to a page that shows the code and asks (section 5.4)."""
    code = shown(user_code)
    return {
        "device_code": device_code,
        "user_code": code,
        "verification_uri": verification_uri,
        "verification_uri_complete": f"{verification_uri}?{urlencode({'user_code': code})}",
        "expires_in": int(expires_in.total_seconds()),
        "interval": int(interval.total_seconds()),
    }
