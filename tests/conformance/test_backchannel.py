"""Back-channel logout."""

from conformance.kit import GONE, Suite, check_error, check_jwt
from conformance.modules import BACKCHANNEL

PLANS = (BACKCHANNEL,)
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def test_oidcc_backchannel_logout_discovery_endpoint_verification(suite: Suite) -> None:
    """Back-Channel Logout section 2.1."""
    assert suite.metadata["end_session_endpoint"].startswith(f"{suite.issuer}/")
    assert suite.metadata["backchannel_logout_supported"] is True
    assert suite.metadata["backchannel_logout_session_supported"] is True


def test_oidcc_backchannel_rp_initiated_logout(suite: Suite) -> None:
    """Sections 2.4 and 2.5: a signed logout token arrives, the person comes back with `state`, and is signed out."""
    party, browser = suite.known("told"), suite.browser()
    signed_in = party.sign_in(browser)
    hint = {"id_token_hint": signed_in.tokens["id_token"], "post_logout_redirect_uri": GONE, "state": "bye"}
    request = browser.http.build_request("GET", suite.metadata["end_session_endpoint"], params=hint)

    end = browser.open(str(request.url))

    assert end.fields == {"state": "bye"}
    header, claims = check_jwt(party, suite.ear.token("told"), "RS256")
    assert header["typ"] == "logout+jwt"
    assert claims["iss"] == suite.issuer
    assert claims["aud"] in (party.client_id, [party.client_id])
    assert claims["sub"] == signed_in.claims["sub"]
    assert claims["sid"] == signed_in.claims["sid"]
    assert claims["events"] == {EVENT: {}}
    assert "nonce" not in claims
    assert claims["jti"]
    assert abs(suite.now() - claims["iat"]) < 60
    assert 0 < claims["exp"] - claims["iat"] <= 120
    asked = party.request(prompt="none")
    check_error(party.come(browser, asked), asked, suite.issuer, "login_required", "interaction_required")
