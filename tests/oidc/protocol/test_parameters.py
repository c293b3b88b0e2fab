"""Parameters are read strictly (RFC 6749 section 3.1 and appendix B, R12, R73)."""

import pytest

from oidc.protocol.errors import ProtocolError
from oidc.protocol.parameters import (
    Parameters,
    parameters_of,
    read_form,
    read_hint,
    read_query,
    read_seconds,
    require_at_most,
    split_scope,
    split_words,
)

FORM = "application/x-www-form-urlencoded"


def test_values_are_decoded_as_a_form_is():
    """RFC 6749 appendix B: plus is a space, percent escapes are UTF-8."""
    parameters = read_query(b"scope=openid+profile&state=%C3%A9%2B&%6eonce=n")

    assert parameters.get("scope") == "openid profile"
    assert parameters.get("state") == "é+"
    assert parameters.get("nonce") == "n"


def test_an_empty_value_counts_as_absent():
    """RFC 6749 section 3.1: parameters sent without a value are treated as if they were omitted."""
    parameters = read_query(b"state=&nonce&prompt=login&prompt=")

    assert "state" not in parameters
    assert parameters.get("nonce") is None
    assert parameters.get("prompt") == "login"


def test_a_repeated_parameter_is_refused():
    """RFC 6749 section 3.1, R12."""
    with pytest.raises(ProtocolError, match="client_id is repeated") as refused:
        read_query(b"client_id=a&scope=openid&client_id=b")
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)
    with pytest.raises(ProtocolError, match="code is repeated"):
        read_form(b"code=1&code=1", FORM)


def test_a_kept_repeat_cannot_be_read_by_mistake():
    """R12: neither the first nor the last of two values wins."""
    parameters = read_query(b"state=a&state=b&scope=openid", repeats="keep")

    assert parameters.repeated == ("state",)
    assert parameters.get("scope") == "openid"
    with pytest.raises(ProtocolError, match="state is repeated"):
        parameters.get("state")
    assert read_form(b"state=a&state=b", FORM, repeats="keep").repeated == ("state",)


@pytest.mark.parametrize("name", ["resource", "audience"])
def test_resource_and_audience_may_repeat(name):
    """RFC 8707 section 2, RFC 8693 section 2.1."""
    parameters = read_form(f"{name}=https://a.example&{name}=https://b.example".encode(), FORM)

    assert parameters.all(name) == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"state=%", "percent-encoded"),
        (b"state=%zz", "percent-encoded"),
        (b"state=%C3", "UTF-8"),
        (b"state=%ff%fe", "UTF-8"),
        (b"state=\xc3\xa9", "UTF-8"),
        (b"state=%ED%A0%80", "UTF-8"),
        (b"state=a%00b", "control"),
        (b"state=a%0d%0aSet-Cookie:x", "control"),
        (b"state=" + b"a" * 16_385, "too long"),
        (b"&".join(b"resource=%d" % number for number in range(65)), "more than 64"),
    ],
)
def test_what_does_not_decode_exactly_is_refused(raw, why):
    """R12, R73."""
    with pytest.raises(ProtocolError, match=why) as refused:
        read_query(raw)
    assert refused.value.code == "invalid_request"


def test_sixty_four_parameters_and_a_long_value_are_fine():
    """R73 draws the line above them."""
    raw = b"&".join(b"resource=%d" % number for number in range(63)) + b"&state=" + b"a" * 16_384

    assert len(read_query(raw).all("resource")) == 63


@pytest.mark.parametrize(
    "unknown",
    [
        *(b"utm_campaign=caf%E9", b"utm=%", b"utm=\xe9", b"utm=a%00b%0d%0a", b"utm=" + b"a" * 20_000),
        *(b"st%0aate=a", b"%E9=1", b"n" * 257 + b"=a", b"x=1&x=2&x=3"),
        b"&".join(b"p%d=1" % number for number in range(1000)),
    ],
)
def test_what_is_unknown_is_ignored_before_it_is_judged(unknown):
    """RFC 6749 section 3.1: the authorization server MUST ignore unrecognized request parameters."""
    for raw in (unknown + b"&state=s", b"state=s&" + unknown):
        assert read_query(raw) == read_form(raw, FORM) == Parameters({"state": ("s",)})


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_a_body_may_end_as_a_line_does(end):
    """Many programs send it so; inside it stays refused."""
    assert read_form(b"state=s&code=c" + end, FORM).get("code") == "c"
    with pytest.raises(ProtocolError):
        read_form(b"code=c" + end + b"c", FORM)


def test_a_charset_that_reads_the_same_is_accepted_and_another_named():
    """RFC 6749 appendix B: UTF-8, of which ASCII is a part in every such charset."""
    assert read_form(b"code=c+d%20e", f"{FORM}; charset=ISO-8859-1").get("code") == "c d e"
    for raw, charset in ((b"code=%E9", "iso-8859-1"), (b"code=%C3%A9", "iso-8859-1"), (b"code=c", "utf-16")):
        with pytest.raises(ProtocolError, match="charset"):
            read_form(raw, f"{FORM}; charset={charset}")


def test_a_hint_that_is_too_long_is_ignored():
    """OpenID Connect Core section 3.1.2.1: it only helps."""
    assert read_hint(parameters_of({"login_hint": "n" * 512}), "login_hint") == "n" * 512
    assert read_hint(parameters_of({"login_hint": "n" * 513}), "login_hint") is None


def test_json_may_be_written_over_several_lines():
    """OpenID Connect Core section 5.5: `claims` is JSON, and JSON has line breaks."""
    assert read_query(b"claims=%7B%0A%09%7D").get("claims") == "{\n\t}"


def test_a_body_that_is_too_large_is_refused_before_it_is_read():
    """R73: 413 says so."""
    with pytest.raises(ProtocolError) as refused:
        read_form(b"a=" + b"b" * 100, FORM, max_bytes=100)
    assert refused.value.status == 413
    with pytest.raises(ProtocolError) as refused:
        read_query(b"&" * 65_537)
    assert refused.value.status == 413


@pytest.mark.parametrize("content_type", [FORM, f"{FORM};charset=UTF-8", f'{FORM.upper()} ; charset="utf-8"'])
def test_a_form_says_that_it_is_one(content_type):
    """RFC 6749 section 3.2."""
    assert read_form(b"code=b", content_type).get("code") == "b"


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json", f"{FORM}; charset=utf-16", f"{FORM}x"]
)
def test_any_other_body_is_refused(content_type):
    """R12."""
    with pytest.raises(ProtocolError) as refused:
        read_form(b"a=b", content_type)
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)


def test_a_missing_parameter_is_named():
    """The description tells a developer which."""
    with pytest.raises(ProtocolError, match="grant_type is missing"):
        Parameters().require("grant_type")


def test_a_value_longer_than_its_place_is_refused():
    """State and nonce are stored and echoed; they are bounded."""
    assert require_at_most(parameters_of({"nonce": "n" * 64}), "nonce", 64) == "n" * 64
    assert require_at_most(Parameters(), "nonce", 64) is None
    with pytest.raises(ProtocolError, match="longer than 64"):
        require_at_most(parameters_of({"nonce": "n" * 65}), "nonce", 64)


def test_a_list_of_words_keeps_its_order_and_no_repeats():
    """RFC 6749 section 3.3."""
    assert split_words("b a  b ") == ("b", "a")
    assert split_words(None) == ()
    assert split_scope("openid profile openid") == ("openid", "profile")


@pytest.mark.parametrize("scope", ['open"id', "open\\id", "opénid", "open\tid"])
def test_a_scope_with_a_forbidden_character_is_refused(scope):
    """RFC 6749 appendix A.4."""
    with pytest.raises(ProtocolError) as refused:
        split_scope(scope)
    assert refused.value.code == "invalid_scope"


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("10000", 10_000), ("9" * 18, 10**9)])
def test_seconds_are_a_whole_number(value, seconds):
    """OpenID Connect Core section 3.1.2.1; what is longer than a lifetime is as good as for ever."""
    assert read_seconds(parameters_of({"max_age": value}), "max_age") == seconds


@pytest.mark.parametrize("value", ["-1", "1.5", "ten", "1e3", " 1", "١٢", "9" * 19])
def test_anything_else_is_no_number_of_seconds(value):
    """OpenID Connect Core section 3.1.2.1."""
    with pytest.raises(ProtocolError, match="max_age must be a whole number"):
        read_seconds(parameters_of({"max_age": value}), "max_age")


def test_seconds_that_are_not_there_are_none():
    """Nothing asked, nothing assumed."""
    assert read_seconds(Parameters(), "max_age") is None
