"""Relying parties in another language: npm's openid-client and oauth4webapi, each a process of its own."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey
from party import BY_ITSELF, BYE, Ear, provider, registered
from relying_parties import play

SECRET = "what the JavaScript client and the provider alone know"
KEY = ECKey.generate_key("P-256", {"kid": "of-javascript", "use": "sig", "alg": "ES256"})
PUBLIC = {"token_endpoint_auth_method": "none"}
BY_KEY = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY.as_dict(private=False)]}}
ES256 = {"id_token_signed_response_alg": "ES256"}


def test_openid_client_completes_the_whole_flow(tmp_path: Path) -> None:
    """As a confidential and as a public client; its checks of state, nonce, iss, signature, max_age are on."""
    with Ear() as ear:
        clients = [
            registered("trusted", SECRET, token_endpoint_auth_method="client_secret_post",
                       backchannel_logout_uri=ear.address("trusted"), **ES256),
            registered("public", backchannel_logout_uri=ear.address("public"), **PUBLIC, **ES256),
        ]  # fmt: skip
        with provider(tmp_path, BY_ITSELF, clients) as (_, visitors):
            for client, visitor in zip(clients, visitors, strict=False):
                known = {name: client[name] for name in ("client_id", "client_secret") if name in client}

                found = play("openid_client.mjs", visitor, **known)

                assert visitor.seen == ["sign-in", "second-factor", "consent"]
                assert found["claims"]["acr"] == "aal2"
                assert found["userinfo"]["email"] == f"{visitor.handle}@example.org"
                assert (found["rotated"], found["same"]) == (True, True)
                assert found["active"] in (True, None)
                assert found["returned"] == f"{BYE}?state=bye"
                assert found["ended"] == "invalid_token", "the session is over, and what leaned on it"
                assert ear.token(client["client_id"]).count(".") == 2


def test_oauth4webapi_completes_the_whole_flow(tmp_path: Path) -> None:
    """By secret and by key; revoking the refresh token ends the access token with it."""
    clients = [
        registered("by-secret", SECRET, token_endpoint_auth_method="client_secret_basic", **ES256),
        registered("by-key", **BY_KEY, **ES256),
    ]
    with provider(tmp_path, BY_ITSELF, clients) as (_, visitors):
        proofs: list[dict[str, Any]] = [{"client_secret": SECRET}, {"jwk": KEY.as_dict(private=True)}]
        for client, visitor, proof in zip(clients, visitors, proofs, strict=False):
            found = play("oauth4webapi.mjs", visitor, client_id=client["client_id"], **proof)

            assert found["claims"]["acr"] == "aal2"
            assert found["userinfo"]["name"] == "Ada Lovelace"
            assert (found["type"], found["rotated"], found["same"]) == ("bearer", True, True)
            assert (found["revoked"], found["active"]) == (True, False)
            assert found["returned"] == f"{BYE}?state=bye"


@pytest.mark.parametrize("profile", ["fapi2", "fapi2-message-signing"])
def test_oauth4webapi_as_fapi_has_it(profile: str, tmp_path: Path) -> None:
    """FAPI 2.0: PAR, DPoP, private_key_jwt and JARM together, and JAR for Message Signing; a token in other hands is
    worth nothing."""
    client = registered("bank", profile=profile, dpop_bound_access_tokens=True,
                        require_pushed_authorization_requests=True,
                        authorization_signed_response_alg="ES256", **BY_KEY, **ES256)  # fmt: skip
    with provider(tmp_path, BY_ITSELF, [client]) as (running, [visitor, *_]):
        says = httpx2.get(f"{running.issuer}/.well-known/openid-configuration").json()
        assert {"pushed_authorization_request_endpoint", "dpop_signing_alg_values_supported"} <= says.keys()

        signs = profile == "fapi2-message-signing"
        key = KEY.as_dict(private=True)

        found = play("oauth4webapi.mjs", visitor, client_id="bank", jwk=key, fapi=True, signs=signs)

        assert found["type"] == "dpop"
        assert found["userinfo"]["sub"] == found["claims"]["sub"]
        assert found["same"] is True
        assert found["rotated"] is False, "a confidential client's bound refresh token stays (R8)"
        assert found["thefts"] == [401, 401]
        assert (found["revoked"], found["active"]) == (True, False)
        assert found["returned"] == f"{BYE}?state=bye"
