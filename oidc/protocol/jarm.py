"""Signed authorization responses and the ways a response travels (JARM, OAuth 2.0 Multiple Response Types)."""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from oidc.protocol.client import Client
from oidc.protocol.errors import ReplyTo

# JARM section 2.1: recommended at most ten minutes.
LIFETIME = timedelta(minutes=10)
Carrier = Literal["query", "fragment", "form_post"]


class Delivery(msgspec.Struct, frozen=True):
    """How an answer reaches the client: by which carrier, and whether as one signed `response`."""

    carrier: Carrier
    signed: bool


DELIVERIES: dict[str, Delivery] = {
    "query": Delivery("query", signed=False),
    "fragment": Delivery("fragment", signed=False),
    "form_post": Delivery("form_post", signed=False),
    # JARM section 2.3.4: for a code, `jwt` means the query.
    "jwt": Delivery("query", signed=True),
    "query.jwt": Delivery("query", signed=True),
    "fragment.jwt": Delivery("fragment", signed=True),
    "form_post.jwt": Delivery("form_post", signed=True),
}


def delivery_of(reply_to: ReplyTo) -> Delivery:
    """How to answer; a mode that an older release kept, and that we no longer know, is the plainest."""
    return DELIVERIES.get(reply_to.response_mode, DELIVERIES["query"])


def signing_algorithm(client: Client) -> str:
    """JARM section 3: RS256 where the client registered nothing, which FAPI 2.0 does not allow (section 5.4.1)."""
    return client.metadata.authorization_signed_response_alg or ("ES256" if client.is_fapi else "RS256")


def signed_response_claims(reply_to: ReplyTo, issuer: str, answer: dict[str, str], now: datetime) -> dict[str, Any]:
    """JARM section 2.1: the answer's parameters inside a JWT for this one client. It goes out as `response` alone."""
    state = {} if reply_to.state is None else {"state": reply_to.state}
    expires = int((now + LIFETIME).timestamp())
    return {"iss": issuer, "aud": reply_to.client_id, "exp": expires, **answer, **state}
