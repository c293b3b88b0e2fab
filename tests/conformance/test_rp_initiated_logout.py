"""RP-initiated logout: every way to ask for it, and what a stranger cannot do with it."""

import pytest
from joserfc.jwk import RSAKey
from simulated import claims_of, header_of

from conformance.kit import GONE, Browser, End, Party, SignedIn, Suite, check_error, segment, signed
from conformance.modules import LOGOUT

PLANS = (LOGOUT,)
STATE = "the-state-of-the-logout"


class Visit:
    """Somebody who is signed in at the client, and may be signed out by it."""

    def __init__(self, suite: Suite) -> None:
        self.suite: Suite = suite
        self.party: Party = suite.known("basic")
        self.browser: Browser = suite.browser()
        self.signed_in: SignedIn = self.party.sign_in(self.browser)
        self.hint: str = self.signed_in.tokens["id_token"]
        self.browser.seen = []

    def leave(self, **parameters: str) -> End:
        """Go to the end-session endpoint, and stop at a question."""
        address = str(self.browser.http.build_request(
            "GET", self.suite.metadata["end_session_endpoint"], params=parameters).url)  # fmt: skip
        return self.browser.open(address, until="sign-out")

    def confirm(self, **parameters: str) -> End:
        """The same, and the question is answered with yes."""
        request = self.browser.http.build_request("GET", self.suite.metadata["end_session_endpoint"], params=parameters)
        return self.browser.open(str(request.url))

    def is_over(self) -> bool:
        """Whether the person would have to sign in again."""
        asked = self.party.request(prompt="none")
        end = self.party.come(self.browser, asked)
        if "code" in end.fields:
            return False
        check_error(end, asked, self.suite.issuer, "login_required", "interaction_required")
        return True

    def must_ask(self, end: End) -> None:
        """Nobody was signed out, nobody was sent anywhere: the person is asked, or told that something is wrong."""
        assert end.fields == {}
        assert end.page in ("sign-out", "error")
        assert not self.is_over()


@pytest.fixture
def visit(suite: Suite) -> Visit:
    """A fresh sign-in."""
    return Visit(suite)


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(suite: Suite) -> None:
    """RP-Initiated Logout section 2.1."""
    assert suite.metadata["end_session_endpoint"].startswith(f"{suite.issuer}/")


def test_oidcc_rp_initiated_logout(visit: Visit) -> None:
    """All parameters: back with `state`, signed out."""
    end = visit.confirm(id_token_hint=visit.hint, post_logout_redirect_uri=GONE, state=STATE)

    assert (end.address.partition("?")[0], end.fields) == (GONE, {"state": STATE})
    assert visit.is_over()

    again = Visit(visit.suite)
    posted = again.browser.http.post(
        again.suite.metadata["end_session_endpoint"],
        data={"id_token_hint": again.hint, "post_logout_redirect_uri": GONE, "state": STATE},
    )
    assert again.browser.end(posted).fields == {"state": STATE}
    assert again.is_over()


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(visit: Visit) -> None:
    """Section 3: an address that is not registered is never gone to."""
    end = visit.leave(id_token_hint=visit.hint, post_logout_redirect_uri=f"{GONE}/foobar", state=STATE)

    assert end.fields == {}
    assert end.page == "error"


def test_oidcc_rp_initiated_logout_modified_id_token_hint(visit: Visit) -> None:
    """A hint whose signature does not fit proves nothing."""
    head, _, signature = visit.hint.split(".")
    body = segment(str({**claims_of(visit.hint), "sub": "another"}).replace("'", '"').encode())

    visit.must_ask(visit.leave(id_token_hint=f"{head}.{body}.{signature}", post_logout_redirect_uri=GONE, state=STATE))


def test_oidcc_rp_initiated_logout_bad_id_token_hint(visit: Visit) -> None:
    """Neither does one that the client signed itself."""
    kid = header_of(visit.hint)["kid"]
    own = signed({"alg": "RS256", "kid": kid}, claims_of(visit.hint), RSAKey.generate_key(2048))

    visit.must_ask(visit.leave(id_token_hint=own, post_logout_redirect_uri=GONE, state=STATE))


def test_oidcc_rp_initiated_logout_no_id_token_hint(visit: Visit) -> None:
    """Section 2: without a hint the person is asked."""
    visit.must_ask(visit.leave(post_logout_redirect_uri=GONE, state=STATE))


def test_oidcc_rp_initiated_logout_no_params(visit: Visit) -> None:
    """Asked; and who says yes is signed out and told so on a page of ours."""
    visit.must_ask(visit.leave())

    assert visit.confirm().page == "signed-out"
    assert visit.is_over()


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(visit: Visit) -> None:
    """Signed out, and nowhere to go on to."""
    end = visit.confirm(id_token_hint=visit.hint, state=STATE)

    assert (end.page, end.fields) == ("signed-out", {})
    assert visit.is_over()


def test_oidcc_rp_initiated_logout_no_state(visit: Visit) -> None:
    """Section 3: no `state` comes back where none went."""
    end = visit.confirm(id_token_hint=visit.hint, post_logout_redirect_uri=GONE)

    assert (end.address, end.fields) == (GONE, {})
    assert visit.is_over()


def test_oidcc_rp_initiated_logout_only_state(visit: Visit) -> None:
    """As without parameters."""
    visit.must_ask(visit.leave(state=STATE))

    assert visit.confirm(state=STATE).page == "signed-out"
    assert visit.is_over()


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(visit: Visit) -> None:
    """Section 3: byte for byte, the query as well."""
    end = visit.leave(id_token_hint=visit.hint, post_logout_redirect_uri=f"{GONE}?foo=bar", state=STATE)

    assert end.fields == {}
    assert end.page == "error"
