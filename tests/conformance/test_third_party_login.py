"""Third-party initiated login."""

from conformance.kit import Suite
from conformance.modules import THIRD_PARTY

PLANS = (THIRD_PARTY,)


def test_oidcc_3rd_party_init_login(suite: Suite) -> None:
    """OpenID Connect Core section 4, Registration sections 2 and 3.2: kept, and told again."""
    address = "https://suite.example.org/test/a/house/initiate_login"

    registered = suite.register(initiate_login_uri=address).json()

    assert registered["initiate_login_uri"] == address
    headers = {"authorization": f"Bearer {registered['registration_access_token']}"}
    kept = suite.http.get(registered["registration_client_uri"], headers=headers)
    assert kept.status_code == 200
    assert kept.headers["content-type"].startswith("application/json")
    assert kept.json()["client_id"] == registered["client_id"]
    assert kept.json()["initiate_login_uri"] == address


def test_oidcc_3rd_party_init_login_nohttps(suite: Suite) -> None:
    """Section 4: it must be https."""
    refused = suite.register(initiate_login_uri="http://suite.example.org/test/a/house/initiate_login")

    assert refused.headers["content-type"].startswith("application/json")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
