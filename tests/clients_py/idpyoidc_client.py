"""idpy-oidc (which follows pyoidc and oidcrp): its relying-party handler does every step."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptojwt import KeyJar
from idpyoidc.client.rp_handler import RPHandler
from talk import run, visit


def party(issuer: str, client_id: str, client_secret: str, redirect_uri: str, **_: Any) -> dict[str, Any]:
    service = {
        "issuer": issuer,
        "client_id": client_id,
        "client_secret": client_secret,
        "redirect_uris": [redirect_uri],
        "client_type": "oidc",
        "preference": {"response_types_supported": ["code"], "scopes_supported": ["openid", "profile", "email"]},
        "scopes_supported": ["openid", "profile", "email"],
        "add_ons": {
            "pkce": {
                "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
                "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
            }
        },
    }
    no_keys = KeyJar()  # it would make some for itself and keep them in files
    handler = RPHandler(base_url="http://localhost:9", client_configs={"citizens": service}, keyjar=no_keys)
    came_back = visit(handler.begin("citizens"))
    answer = dict(parse_qsl(urlsplit(came_back).query))
    found = handler.finalize(answer["iss"], answer)
    assert "error" not in found, found
    claims: dict[str, Any] = found["userinfo"].to_dict()
    return claims


run(party)
