"""pyoidc (`oic`): discovery, code, ID token verified, userinfo. It knows PKCE as an extension of its client."""

from typing import Any

from oic import rndstr
from oic.extension.client import Client as WithPkce
from oic.oic import Client
from oic.oic.message import AuthorizationResponse, RegistrationResponse
from oic.utils.authn.client import CLIENT_AUTHN_METHOD
from talk import run, visit


def party(issuer: str, client_id: str, client_secret: str, redirect_uri: str, **_: Any) -> dict[str, Any]:
    client = Client(client_id=client_id, client_authn_method=CLIENT_AUTHN_METHOD)
    client.provider_config(issuer)
    client.store_registration_info(
        RegistrationResponse(client_id=client_id, client_secret=client_secret, redirect_uris=[redirect_uri])
    )
    pkce = WithPkce(config={"code_challenge": {"method": "S256", "length": 64}})
    challenge, verifier = pkce.add_code_challenge()
    state, nonce = rndstr(), rndstr()
    asked = client.construct_AuthorizationRequest(
        request_args={
            "response_type": "code",
            "scope": ["openid", "profile", "email"],
            "redirect_uri": redirect_uri,
            "state": state,
            "nonce": nonce,
            **challenge,
        }
    )
    came_back = visit(asked.request(client.authorization_endpoint))
    answer = client.parse_response(AuthorizationResponse, info=came_back.partition("?")[2], sformat="urlencoded")
    tokens = client.do_access_token_request(
        state=state,
        request_args={"code": answer["code"], "redirect_uri": redirect_uri, "code_verifier": verifier},
        authn_method="client_secret_basic",
    )
    assert tokens["id_token"]["nonce"] == nonce
    claims: dict[str, Any] = client.do_user_info_request(state=state).to_dict()
    return claims


run(party)
