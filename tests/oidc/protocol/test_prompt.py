"""One function decides the next step; here is what it promises (OpenID Connect Core sections 3.1.2.1 to 3.1.2.6)."""

import json
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidc.protocol.authorization import AuthorizationRequest
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.claims import read_claims
from oidc.protocol.client import Client
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.errors import AuthorizationError
from oidc.protocol.prompt import (
    Agreed,
    AskConsent,
    Authenticate,
    ChooseAccount,
    Issue,
    Progress,
    SignedIn,
    next_step,
)

MINUTE = timedelta(minutes=1)
AGREED = Agreed(frozenset({"openid", "profile"}))
CLIENT = Client("parks", ClientMetadata(redirect_uris=("https://parks.example/callback",)))
REFRESHING = Client(
    "parks",
    ClientMetadata(
        redirect_uris=("https://parks.example/callback",), grant_types=("authorization_code", "refresh_token")
    ),
)
PROVIDER = Capabilities(issuer="https://id.example", minimum_acr="aal1")


def asking(claims=None, **changes):
    """A request for `openid profile`, with changes."""
    return AuthorizationRequest(
        client_id="parks",
        redirect_uri="https://parks.example/callback",
        scope=changes.pop("scope", ("openid", "profile")),
        state="s",
        claims=read_claims(json.dumps(claims) if claims else None),
        **changes,
    )


@pytest.fixture
def ada(now):
    """Ada, signed in with two factors an hour ago."""
    return SignedIn("ada", "ada-at-parks", "aal2", now - 60 * MINUTE)


@pytest.fixture
def step(now):
    """The next step for a request that has just arrived, or at the progress given."""

    def decide(request, session, agreed=AGREED, client=CLIENT, capabilities=PROVIDER, **more):
        progress = Progress(opened_at=more.pop("opened_at", now), **more.pop("progress", {}))
        return next_step(request, client, capabilities, progress, session, agreed, **more)

    return decide


@pytest.fixture
def refusal(step):
    """The code of the refusal, once it is known to travel back to the client."""

    def decide(*args, **more):
        with pytest.raises(AuthorizationError) as refused:
            step(*args, **more)
        assert refused.value.reply_to.state == "s"
        return refused.value.code

    return decide


def test_who_is_signed_in_and_has_agreed_gets_a_code_at_once(step, ada):
    """Single sign-on: no page at all."""
    assert step(asking(), ada) == Issue(("openid", "profile"), (), "aal2", ada.auth_time)
    assert isinstance(step(asking(prompt=("none",)), ada), Issue)


def test_a_stranger_signs_in(step):
    """Section 3.1.2.3."""
    assert step(asking(login_hint="ada@example.org"), None) == Authenticate("aal1", login_hint="ada@example.org")


def test_no_page_means_no_page(refusal, ada):
    """Section 3.1.2.6; modules oidcc-prompt-none-not-logged-in and -logged-in."""
    quiet = asking(prompt=("none",))
    old = msgspec.structs.replace(quiet, max_age=60)
    strong = msgspec.structs.replace(quiet, acr_values=("aal3",))

    assert refusal(quiet, None) == "login_required"
    assert refusal(old, ada) == "login_required"
    assert refusal(strong, ada) == "login_required"
    assert refusal(quiet, ada, hinted_sub="bob-at-parks") == "login_required"
    assert refusal(quiet, ada, agreed=None) == "consent_required"


# --- who


def test_a_hint_at_another_person_asks_for_that_person(step, refusal, ada):
    """Section 3.1.2.1, id_token_hint; once somebody else has signed in all the same, it is an error."""
    assert isinstance(step(asking(), ada, hinted_sub="ada-at-parks"), Issue)
    assert step(asking(), ada, hinted_sub="bob-at-parks") == Authenticate("aal1", another=True)
    just_now = msgspec.structs.replace(ada, auth_time=ada.auth_time + 61 * MINUTE)
    assert refusal(asking(), just_now, hinted_sub="bob-at-parks") == "login_required"
    at_that_instant = msgspec.structs.replace(ada, auth_time=ada.auth_time + 60 * MINUTE)
    assert refusal(asking(), at_that_instant, hinted_sub="bob-at-parks") == "login_required"


def test_a_sub_in_claims_names_one_person_too(step, ada):
    """Section 5.5.1."""
    assert isinstance(step(asking({"id_token": {"sub": {"value": "ada-at-parks"}}}), ada), Issue)
    other = step(asking({"userinfo": {"sub": {"value": "bob-at-parks"}}}), ada)
    assert other == Authenticate("aal1", another=True)


def test_an_account_is_chosen_once(step, ada):
    """Section 3.1.2.1, prompt=select_account: the choice is of an account, and does not pass to another one."""
    choose = asking(prompt=("select_account",), login_hint="ada")

    assert step(choose, ada) == ChooseAccount("ada")
    assert isinstance(step(choose, ada, progress={"chosen_by": "ada"}), Issue)
    assert isinstance(step(choose, ada, progress={"chosen_by": "bob"}), ChooseAccount)
    assert isinstance(step(choose, None), Authenticate)


def test_who_signed_in_during_the_interaction_has_chosen(step, ada, now):
    """Asking again "which account?" right after a sign-in would be absurd."""
    for minutes in (90, 60):
        assert isinstance(step(asking(prompt=("select_account",)), ada, opened_at=now - minutes * MINUTE), Issue)


# --- when


@pytest.mark.parametrize("request_", [asking(prompt=("login",)), asking(max_age=0)])
def test_a_fresh_sign_in_is_fresh_since_the_request_arrived(step, ada, now, request_):
    """Module oidcc-prompt-login; max_age=0 means the same."""
    assert step(request_, ada) == Authenticate("aal1", fresh_after=now)
    afterwards = msgspec.structs.replace(ada, auth_time=now + MINUTE)
    assert isinstance(step(request_, afterwards), Issue)


def test_max_age_is_counted_from_the_first_arrival(step, ada, now):
    """Modules oidcc-max-age-1 and -10000. Ada's sign-in is an hour old."""
    assert step(asking(max_age=3599), ada) == Authenticate("aal1", fresh_after=now - timedelta(seconds=3599))
    assert isinstance(step(asking(max_age=3600), ada), Issue)
    assert isinstance(step(asking(max_age=10**9), ada), Issue)


def test_a_slow_citizen_is_not_sent_round_in_circles(step, ada, now):
    """max_age=1, and ten minutes on the consent page: the instant to beat never moves."""
    signed_in = msgspec.structs.replace(ada, auth_time=now + MINUTE)
    request = asking(max_age=1)

    assert isinstance(step(request, signed_in, agreed=None), AskConsent)
    assert isinstance(step(request, signed_in, progress={"consented_by": "ada"}), Issue)


def test_creating_an_account_starts_there_and_happens_once(step, ada, now):
    """Initiating User Registration 1.0: also for a browser that is signed in."""
    create = asking(prompt=("create",))

    assert step(create, None) == Authenticate("aal1", fresh_after=now, start="create")
    assert step(create, ada) == Authenticate("aal1", fresh_after=now, start="create")
    grace = SignedIn("grace", "grace-at-parks", "aal2", now + MINUTE)
    assert isinstance(step(create, grace, agreed=None), AskConsent)


# --- how surely


@pytest.mark.parametrize(
    ("minimum", "acr_values", "required"),
    [
        ("aal1", (), "aal1"),
        ("aal2", (), "aal2"),
        ("aal2", ("aal1",), "aal2"),
        ("aal1", ("aal3", "aal2"), "aal2"),
        ("aal1", ("urn:unknown", "aal2-phr"), "aal2-phr"),
        ("aal1", ("urn:unknown",), "aal1"),
    ],
)
def test_the_lowest_known_level_asked_for_will_do_but_never_less_than_the_minimum(step, minimum, acr_values, required):
    """Section 3.1.2.1: acr_values are voluntary; unknown ones are ignored."""
    provider = msgspec.structs.replace(PROVIDER, minimum_acr=minimum)
    assert step(asking(acr_values=acr_values), None, capabilities=provider) == Authenticate(required)


def test_a_session_that_is_too_weak_steps_up(step, ada):
    """RFC 9470: a stronger one passes, and the level reached is what is said (R10)."""
    assert step(asking(acr_values=("aal2-phr",)), ada) == Authenticate("aal2-phr")
    strong = msgspec.structs.replace(ada, acr="aal3")
    assert step(asking(acr_values=("aal2",)), strong).acr == "aal3"
    unknown = msgspec.structs.replace(ada, acr="from-an-older-release")
    assert step(asking(), unknown) == Authenticate("aal1")
    assert step(asking(), msgspec.structs.replace(ada, acr=None)) == Authenticate("aal1")


def test_an_essential_level_is_met_or_it_is_an_error(step, refusal, ada):
    """Section 5.5.1.1; FAPI module test-essential-acr-sca-claim."""
    essential = {"id_token": {"acr": {"essential": True, "values": ["aal3", "urn:unknown"]}}}

    assert step(asking(essential), ada) == Authenticate("aal3")
    assert step(asking(essential), msgspec.structs.replace(ada, acr="aal3")).acr == "aal3"
    impossible = {"id_token": {"acr": {"essential": True, "value": "urn:unknown"}}}
    assert refusal(asking(impossible), ada) == "unmet_authentication_requirements"
    assert refusal(asking(impossible, prompt=("none",)), None) == "unmet_authentication_requirements"


def test_an_essential_level_is_answered_with_one_of_the_values(step, ada):
    """Section 5.5.1.1: the acr returned MUST match; aal3 meets aal2."""
    essential = {"id_token": {"acr": {"essential": True, "values": ["aal1", "aal2"]}}}

    assert step(asking(essential), msgspec.structs.replace(ada, acr="aal3")).acr == "aal2"
    assert step(asking(essential), msgspec.structs.replace(ada, acr="aal1")).acr == "aal1"


def test_a_voluntary_level_in_claims_counts_like_acr_values(step, ada):
    """Section 5.5.1.1; "essential" without a value asks only that the claim be there, which it always is."""
    voluntary = {"id_token": {"acr": {"values": ["urn:unknown", "aal3"]}}}

    assert step(asking(voluntary), ada) == Authenticate("aal3")
    assert isinstance(step(asking({"id_token": {"acr": {"essential": True}}}), ada), Issue)
    assert isinstance(step(asking({"id_token": {"acr": {"value": "urn:unknown"}}}), ada), Issue)


def test_an_essential_level_that_nobody_can_reach_is_told_without_a_page(step, refusal, ada):
    """Error Code unmet_authentication_requirements 1.0: signing in would not help. Who is there already has it."""
    without = msgspec.structs.replace(PROVIDER, highest_acr="aal2-phr")
    essential = {"id_token": {"acr": {"essential": True, "value": "aal3"}}}
    silent = asking(essential, prompt=("none",))

    for session in (None, ada):
        assert refusal(silent, session, capabilities=without) == "unmet_authentication_requirements"
        assert refusal(silent, session) == "login_required"
        assert refusal(asking(prompt=("none",), acr_values=("aal3",)), None, capabilities=without) == "login_required"
    hardware = msgspec.structs.replace(ada, acr="aal3")
    assert isinstance(step(silent, hardware, capabilities=without), Issue)
    either = {"id_token": {"acr": {"essential": True, "values": ["aal3", "aal2-phr"]}}}
    assert refusal(asking(either, prompt=("none",)), ada, capabilities=without) == "login_required"


# --- with what agreement


def test_consent_is_asked_for_what_is_new(step, ada):
    """R13: all that is asked, and what of it was never agreed to."""
    request = asking({"userinfo": {"phone_number": {"essential": True}}}, scope=("openid", "profile", "email"))

    assert step(request, ada) == AskConsent(
        scope=("openid", "profile", "email"),
        claims=("phone_number",),
        new_scope=("email",),
        new_claims=("phone_number",),
        essential=frozenset({"phone_number"}),
    )
    assert step(asking(), ada, agreed=None).new_scope == ("openid", "profile")
    assert step(asking({"userinfo": {"email": None}}), ada).new_claims == ("email",)


def test_a_claim_that_an_agreed_scope_covers_is_not_new(step, ada):
    """R13: who agreed to `profile` has agreed to the name, however it is asked for."""
    issued = step(asking({"id_token": {"name": None}}, scope=("openid",)), ada)
    assert issued == Issue(("openid",), ("name",), "aal2", ada.auth_time)


def test_prompt_consent_asks_once_more_and_only_once(step, ada):
    """Section 3.1.2.1; the answer belongs to who gave it."""
    request = asking(prompt=("consent",))

    assert step(request, ada).new_scope == ()
    assert isinstance(step(request, ada, progress={"consented_by": "ada"}), Issue)
    assert isinstance(step(request, ada, progress={"consented_by": "bob"}), AskConsent)


def test_only_what_was_agreed_to_is_issued(step, ada):
    """A citizen may leave some of it out; nobody asks again in the same interaction."""
    request = asking({"userinfo": {"phone_number": None}}, scope=("openid", "profile", "email"))
    assert step(request, ada, progress={"consented_by": "ada"}) == Issue(
        ("openid", "profile"), (), "aal2", ada.auth_time
    )


def test_an_agreement_withdrawn_meanwhile_is_an_error_not_a_loop(refusal, ada):
    """R13: withdrawing bites at once."""
    assert refusal(asking(), ada, agreed=None, progress={"consented_by": "ada"}) == "consent_required"


def test_offline_access_needs_consent_and_a_client_that_may_refresh(step, ada):
    """Section 11: otherwise the request for it is ignored."""
    scope = ("openid", "offline_access")
    ask = asking(scope=scope, prompt=("consent",))

    assert step(ask, ada, client=REFRESHING).offline
    assert step(ask, ada, client=REFRESHING).scope == scope
    assert step(ask, ada, client=CLIENT).scope == ("openid",)
    assert step(asking(scope=scope), ada, client=REFRESHING) == Issue(("openid",), (), "aal2", ada.auth_time)


def test_authorization_details_are_agreed_to_one_by_one(step, refusal, ada):
    """RFC 9396 section 2: each payment is another one."""
    known = Agreed(AGREED.scope, details=frozenset({'{"type":"payment","amount":1}'}))
    both = ('{"type":"payment","amount":1}', '{"type":"payment","amount":2}')

    assert isinstance(step(asking(), ada, agreed=known, details=both[:1]), Issue)
    assert step(asking(), ada, agreed=known, details=both).new_details == both[1:]
    assert refusal(asking(), ada, agreed=known, details=both, progress={"consented_by": "ada"}) == "consent_required"


# --- all together

PROMPTS = st.sets(st.sampled_from(["login", "consent", "select_account", "create"])).map(tuple) | st.just(("none",))
LEVELS = st.sampled_from(["aal1", "aal2", "aal2-phr", "aal3"])


@given(
    prompt=PROMPTS,
    max_age=st.none() | st.integers(0, 7200),
    acr_values=st.lists(LEVELS | st.just("urn:unknown"), max_size=3).map(tuple),
    scope=st.sets(st.sampled_from(["profile", "email", "offline_access"])).map(lambda names: ("openid", *names)),
    hinted=st.none() | st.sampled_from(["ada-at-parks", "bob-at-parks"]),
    first=st.none() | st.builds(lambda acr, age: ("bob", acr, age), LEVELS, st.integers(1, 7200)),
    refresh=st.booleans(),
    leaves_out=st.sets(st.sampled_from(["profile", "email"])),
    slow=st.integers(1, 600),
)
def test_whoever_does_what_is_asked_arrives(
    now, prompt, max_age, acr_values, scope, hinted, first, refresh, leaves_out, slow
):
    """Ada does each step, slowly; within five of them she has a code or the client an error. No request loops."""
    clock, agreed, progress = now, None, Progress(opened_at=now)
    request = asking(prompt=prompt, max_age=max_age, acr_values=acr_values, scope=scope)
    session = SignedIn(first[0], "bob-at-parks", first[1], now - timedelta(seconds=first[2])) if first else None
    pages = []
    for _ in range(5):
        try:
            step = next_step(
                request, REFRESHING if refresh else CLIENT, PROVIDER, progress, session, agreed, hinted_sub=hinted
            )
        except AuthorizationError as refused:
            expected = {"login_required", "consent_required"} if prompt == ("none",) or hinted == "bob-at-parks" else {}
            if refused.code not in expected:
                raise
            return
        pages.append(type(step))
        clock += timedelta(seconds=slow)
        if isinstance(step, Issue):
            assert len(pages) == len(set(pages)), "no page twice"
            assert step.auth_time == session.auth_time
            assert set(step.scope) <= agreed.scope
            return
        assert prompt != ("none",)
        if isinstance(step, Authenticate):
            session = SignedIn("ada", "ada-at-parks", step.acr, clock)
        elif isinstance(step, ChooseAccount):
            progress = msgspec.structs.replace(progress, chosen_by=session.subject_key)
        else:
            agreed = Agreed(frozenset(step.scope) - leaves_out)
            progress = msgspec.structs.replace(progress, consented_by=session.subject_key)
    pytest.fail(f"still not there after {pages}")
