"""Modules that are in the basic and in the dynamic plan: once with clients given by hand, once with registered ones."""

import pytest

from conformance.kit import (
    Party,
    Suite,
    check_code,
    check_page,
    check_refreshed,
    check_token_error,
    unsigned,
)
from conformance.modules import BASIC, DYNAMIC

PLANS = (BASIC, DYNAMIC)


@pytest.fixture
def parties(suite: Suite, plan: str) -> tuple[Party, Party]:
    """Two clients."""
    if plan == BASIC:
        return suite.known("basic"), suite.known("basic-second")
    grants = ["authorization_code", "refresh_token"]
    return suite.party(grant_types=grants), suite.party(grant_types=grants)


def test_oidcc_server(suite: Suite, parties: tuple[Party, Party]) -> None:
    """The happy flow."""
    party, _ = parties

    signed_in = party.sign_in(suite.browser())

    assert set(party.about(signed_in)) == {"sub"}, "openid alone tells nothing else"


def test_oidcc_idtoken_unsigned(suite: Suite, parties: tuple[Party, Party]) -> None:
    """Discovery does not offer `none`: then nobody gets it, not even who asks for it."""
    assert "none" not in suite.metadata["id_token_signing_alg_values_supported"]

    refused = suite.register(id_token_signed_response_alg="none")

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


def test_oidcc_ensure_request_object_with_redirect_uri(suite: Suite, parties: tuple[Party, Party]) -> None:
    """The redirect URI in the request object counts, not the one beside it (RFC 6749 section 3.1.2)."""
    party, _ = parties
    asked = party.request()
    sent = {**asked, "request": unsigned(dict(asked)), "redirect_uri": f"{party.redirect_uri}/nonexistent"}

    end = party.come(suite.browser(), sent)

    if end.page:
        check_page(end)
    else:
        party.finish(asked, check_code(end, asked, suite.issuer))


def test_oidcc_refresh_token(suite: Suite, parties: tuple[Party, Party]) -> None:
    """A refresh token is for its client: characters, claims after a refresh, another client is refused."""
    party, other = parties
    asked = {"scope": "openid offline_access", "prompt": "consent"}
    first, second = party.sign_in(suite.browser(), **asked), other.sign_in(suite.browser("ben"), **asked)
    assert "refresh_token" in suite.metadata["grant_types_supported"]
    suite.later(1)

    refreshed = check_refreshed(party, party.refresh(first.tokens["refresh_token"], scope=asked["scope"]), first)
    party.userinfo(refreshed["access_token"]).raise_for_status()
    of_other = check_refreshed(other, other.refresh(second.tokens["refresh_token"]), second)
    other.userinfo(of_other["access_token"]).raise_for_status()

    check_token_error(party.refresh(of_other.get("refresh_token", second.tokens["refresh_token"])), "invalid_grant")
