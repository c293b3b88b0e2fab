"""What a refusal says, and to whom."""

import pytest

from oidc.protocol.errors import Detail, MetadataError, Problem, ProtocolError, ReplyTo, may_travel


def test_the_description_holds_only_characters_the_wire_allows():
    """RFC 6749 section 5.2: no quote, backslash, control or non-ASCII character."""
    error = ProtocolError("invalid_request", 'A "quoted" \\ é\r\n text.')

    assert error.description == "A ?quoted? ? ??? text."
    assert error.fields() == {"error": "invalid_request", "error_description": error.description}


def test_the_detail_is_for_the_log_alone():
    """style.md: a description for the wire, a detail for the log."""
    error = ProtocolError("invalid_grant", "The code is not valid.", detail="redeemed twice")

    assert "redeemed twice" not in str(error.fields())
    assert str(error) == "invalid_grant: The code is not valid. (redeemed twice)"
    assert str(ProtocolError("invalid_grant", "No.")) == "invalid_grant: No."


@pytest.mark.parametrize(
    ("code", "status"),
    [("invalid_request", 400), ("invalid_client", 401), ("insufficient_scope", 403), ("server_error", 500)],
)
def test_each_code_has_its_status(code, status):
    """RFC 6749 section 5.2, RFC 6750 section 3.1."""
    assert ProtocolError(code, "No.").status == status


def test_a_status_can_be_said():
    """RFC 9449 section 9: the same code is 401 at a resource."""
    assert ProtocolError("use_dpop_nonce", "No.", status=401).status == 401


def test_a_refusal_that_may_travel_keeps_what_it_says():
    """RFC 6749 section 4.1.2.1."""
    reply_to = ReplyTo("parks", "https://parks.example/callback", state="s")
    detail = Detail("no session", "came", ("accepted",))
    error = may_travel(ProtocolError("login_required", "Sign in.", detail=detail), reply_to)

    assert (error.code, error.description, error.detail, error.reply_to) == (
        "login_required",
        "Sign in.",
        detail,
        reply_to,
    )


def test_wrong_redirect_uris_have_their_own_code():
    """RFC 7591 section 3.2.2."""
    uri, name = Problem("redirect_uris", "must use https."), Problem("client_name", "must be a text.")

    assert MetadataError((uri,)).code == "invalid_redirect_uri"
    assert MetadataError((uri, name)).code == "invalid_client_metadata"
    assert "redirect_uris: must use https. client_name: must be" in MetadataError((uri, name)).description
