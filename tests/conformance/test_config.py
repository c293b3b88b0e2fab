"""What discovery says: the config plan, and the same module in the dynamic plan."""

from conformance.kit import Suite
from conformance.modules import CONFIG, DYNAMIC

PLANS = (CONFIG, DYNAMIC)


def test_oidcc_discovery_endpoint_verification(suite: Suite, plan: str) -> None:
    """OpenID Connect Discovery sections 3, 4 and 7.2, RFC 8414 section 2."""
    answer = suite.http.get(f"{suite.issuer}/.well-known/openid-configuration")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    said = answer.json()
    assert said["issuer"] == suite.issuer
    for name in ("authorization", "token", "userinfo"):
        assert said[f"{name}_endpoint"].startswith(f"{suite.issuer}/")
    assert said["jwks_uri"].startswith(f"{suite.issuer}/")
    assert "openid" in said["scopes_supported"]
    assert "code" in said["response_types_supported"]
    assert {"authorization_code"} <= set(said["grant_types_supported"])
    assert set(said["subject_types_supported"]) <= {"public", "pairwise"}
    assert "RS256" in said["id_token_signing_alg_values_supported"]
    assert "none" not in said["token_endpoint_auth_signing_alg_values_supported"]
    assert set(said["display_values_supported"]) <= {"page", "popup", "touch", "wap"}
    assert set(said["claim_types_supported"]) <= {"normal", "aggregated", "distributed"}
    assert {"sub", "name", "email"} <= set(said["claims_supported"])
    assert said["claims_parameter_supported"] is True
    assert isinstance(said["request_parameter_supported"], bool)
    assert isinstance(said["request_uri_parameter_supported"], bool)
    assert "S256" in said["code_challenge_methods_supported"]
    assert "plain" not in said["code_challenge_methods_supported"]
    assert all(value not in (None, [], "") for value in said.values()), "what is empty is left out (section 4.2)"
    if plan == DYNAMIC:
        assert said["registration_endpoint"].startswith(f"{suite.issuer}/")
    keys = suite.jwks()
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any({"d", "p", "q", "k"} & key.keys() for key in keys)
    assert {"RSA", "EC"} <= {key["kty"] for key in keys}
    assert suite.http.get(f"{suite.issuer}/.well-known/oauth-authorization-server").json()["issuer"] == suite.issuer
