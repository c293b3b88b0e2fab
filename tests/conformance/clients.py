"""The clients that the plans are given by hand; those of the dynamic plan register themselves."""

from typing import Any

from certificates import certificate
from joserfc.jwk import ECKey, RSAKey
from party import Ear

from conformance.kit import GONE, REDIRECT, public

KEYS = {name: ECKey.generate_key("P-256", {"kid": name, "use": "sig"}) for name in ("first", "second")}
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
"""Of all FAPI clients as well, so that RS256 is refused for itself."""
CERTIFICATES = {which: certificate(f"CN={which}", key=key.private_key) for which, key in KEYS.items()}
"""What a proxy would tell of their connections."""
SECOND_REDIRECT = f"{REDIRECT}?dummy1=lorem&dummy2=ipsum"
"""The suite's second FAPI client has a redirect URI with a query."""


def _plain(client_id: str, **metadata: Any) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_secret": f"the secret of the suite's client {client_id}",
        "client_name": f"Suite {client_id}",
        "redirect_uris": [REDIRECT],
        "post_logout_redirect_uris": [GONE],
        "grant_types": ["authorization_code", "refresh_token"],
        "require_pkce": False,
        **metadata,
    }


def _fapi(profile: str, which: str, redirect_uri: str) -> dict[str, Any]:
    return {
        "client_id": f"{profile}-{which}",
        "client_name": f"Suite {profile} {which}",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "id_token_signed_response_alg": "ES256",
        "jwks": public(KEYS[which], RSA),
        "dpop_bound_access_tokens": True,
        "require_signed_request_object": True,
        "profile": profile,
    }


def _ciba(mode: str, which: str, ear: Ear, method: str = "private_key_jwt", name: str = "ciba") -> dict[str, Any]:
    client_id = f"{name}-{mode}-{which}"
    return {
        "client_id": client_id,
        "client_name": f"Suite {client_id}",
        "grant_types": ["urn:openid:params:grant-type:ciba", "refresh_token"],
        "token_endpoint_auth_method": method,
        "id_token_signed_response_alg": "ES256",
        "jwks": public(KEYS[which], RSA),
        "tls_client_certificate_bound_access_tokens": True,
        "backchannel_token_delivery_mode": mode,
        "backchannel_client_notification_endpoint": ear.address(client_id) if mode == "ping" else None,
        "profile": "fapi-ciba",
    }


def clients_told_at(ear: Ear) -> list[dict[str, Any]]:
    """All of them; logout tokens and pings arrive at this ear."""
    return [
        _plain("basic"),
        _plain("basic-second"),
        _plain("post", token_endpoint_auth_method="client_secret_post"),
        _plain("told", backchannel_logout_uri=ear.address("told"), backchannel_logout_session_required=True),
        _fapi("fapi2", "first", REDIRECT),
        _fapi("fapi2", "second", SECOND_REDIRECT),
        _fapi("fapi2-message-signing", "first", REDIRECT),
        _fapi("fapi2-message-signing", "second", SECOND_REDIRECT),
        *(_ciba(mode, which, ear) for mode in ("poll", "ping") for which in KEYS),
        *(_ciba(mode, which, ear, "self_signed_tls_client_auth", "tls") for mode in ("poll", "ping") for which in KEYS),
    ]
