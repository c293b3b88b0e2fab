"""requests-oauthlib: OAuth 2.0 alone, so that userinfo says who it is."""

import os
from typing import Any

from requests_oauthlib import OAuth2Session
from talk import run, visit

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the simulator answers on loopback, without TLS


def party(issuer: str, client_id: str, client_secret: str, redirect_uri: str, **_: Any) -> dict[str, Any]:
    session = OAuth2Session(client_id, redirect_uri=redirect_uri, scope=["openid", "profile", "email"], pkce="S256")
    address, _state = session.authorization_url(f"{issuer}/authorize")
    came_back = visit(address)
    session.fetch_token(f"{issuer}/token", authorization_response=came_back, client_secret=client_secret)
    claims: dict[str, Any] = session.get(f"{issuer}/userinfo").json()
    return claims


run(party)
