"""Random walks through sign-in, enrolment and recovery: whatever is done in whatever order, the house tells the truth.

Two browsers with two tabs each go where they like over HTTP: forms filled in rightly, wrongly, with what was removed
or with somebody else's secrets; forms sent twice, out of order, from the other browser; links from the history; pauses
from a second to eight days. After each request every change in the house's records must follow from the walk's own
book (walk_ledger.py): no session whose `acr`, `amr` or `auth_time` is untrue (R10, R20), no open account without a way
back (R31), no step skipped (R45), nothing removed by a recovery (R50, R51), nothing that works once it was removed.

Half of the rules go anywhere by single steps; the other half go far at once, to where a promise could be broken: one
code sent twice, a change while somebody is signed in elsewhere, the last authenticator taken away, a recovery carried
to its end. `REACHED` says how often that must have come about: a walk that comes nowhere proves nothing.

`make walks` walks many more times, longer ways, from a new seed each time.
"""

import asyncio
import os
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, initialize, precondition, rule
from reached import offer_texts
from town import Town, new_town
from walker import EMPTY, ONCE_RIGHT, OTHER_WAY, RIGHT, SECURITY, SOMEBODY_ELSES, STEP, WRONG, Beginning, Walker

from identity import totp

DEEP = int(os.environ.get("WALKS", "0"))
TURN = 11
"""Walks from one seed. Hypothesis leaves the first ten as they are drawn; later ones would be variations of those."""
SETTINGS = {
    "throttle": {"per_address": 100_000},
    "sms": {"per_range": 10_000, "per_country": 10_000, "everyone": 100_000},
}
BEGINNINGS = (
    Beginning(app=True, cleos_app=True),
    Beginning(texts=True, codes=1),
    Beginning(app=True, passkey=True, codes=1, cleos_app=True),
    Beginning(app=True, texts=True, codes=2),
)
REACHED = {
    "session aal2": 20,
    "session aal2-phr": 20,
    "account opened": 6,
    "removed": 6,
    "last way back kept": 1,
    "signed out elsewhere": 4,
    "code sent again": 4,
    "recovery begun": 10,
    "recovery tried too early": 10,
    "recovery completed": 2,
}
DOORS = (
    "/sign-in",
    "/sign-in?fresh=1",
    "/sign-in?start=create",
    "/register",
    "/recovery",
    "/recovery/contacts",
    "/account/security",
    "/account/security/app",
    "/account/security/passkey",
    "/account/security/password",
    "/account/security/password/remove",
    "/account/security/phone",
    "/account/security/recovery-codes",
    "/account/sessions",
)
SETTINGS_DOORS = [door for door in DOORS if door.startswith(SECURITY + "/")]
ROOMS = ("", "/second-factor", "/enrol", "/enrol/passkey", "/passkey", "/recovery-codes", "/password", "/new")
HOUR, DAY = 3600, 86400
PAUSES = (1, 31, 290, 360, 620, 1810, 3700, 13 * HOUR, 25 * HOUR, 8 * DAY)
WAITS = (0, 23 * HOUR, 25 * HOUR, 25 * HOUR, 9 * DAY)
HOW = st.sampled_from((RIGHT, RIGHT, RIGHT, OTHER_WAY, OTHER_WAY, WRONG, EMPTY, ONCE_RIGHT, SOMEBODY_ELSES))
RIGHTLY = st.sampled_from((RIGHT, OTHER_WAY))
BROWSERS = TABS = st.integers(0, 1)
PEOPLE, SETTLED = st.integers(0, 2), st.integers(0, 1)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class Walk(RuleBasedStateMachine):
    """One walk; the house is the same for all, its records are emptied before each."""

    town: Town
    run: Any
    reached: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.walker = Walker(self.town)
        self.run(self.walker.clear())

    @initialize(beginning=st.sampled_from(BEGINNINGS))
    def begin(self, beginning: Beginning) -> None:
        """Ada and Cleo have lived here for a week."""
        self.run(self.walker.settle(beginning))

    def teardown(self) -> None:
        if hasattr(self.walker, "ledger"):
            self.reached.update(self.walker.ledger.reached)

    # Single steps.

    @rule(b=BROWSERS, t=TABS, acr=st.sampled_from(("aal2-phr", "aal3")))
    def be_sent_by_a_service(self, b: int, t: int, acr: str) -> None:
        """Come with a demand of a service's."""
        self.run(self.walker.be_sent(b, t, acr))

    @rule(b=BROWSERS, t=TABS, how=st.lists(HOW, min_size=1, max_size=3), who=PEOPLE)
    def act(self, b: int, t: int, how: list[str], who: int) -> None:
        """Fill in the forms that open, in one way or another."""
        for one in how:
            self.run(self.walker.act(b, t, one, who))

    @rule(b=BROWSERS, t=TABS, n=st.integers(0, 30), to=st.sampled_from(("link", *DOORS, *ROOMS)))
    def wander(self, b: int, t: int, n: int, to: str) -> None:
        """Follow a link of the open page, type an address of the site, or go straight to a step of a begun journey."""
        page, paths = self.walker.tabs[b][t].page, self.walker.paths
        links = [link for link in page.links if link.startswith(("/sign-in", "/re", "/account/s"))] if page else []
        if to == "link" and links:
            self.run(self.walker.get(b, t, links[n % len(links)]))
        elif to in DOORS:
            self.run(self.walker.get(b, t, to))
        elif to in ROOMS and paths:
            self.run(self.walker.get(b, t, paths[-1 - n % len(paths)] + to))

    @precondition(lambda self: any(self.walker.posted))
    @rule(b=BROWSERS, n=st.integers(0, 30), whose=BROWSERS, room=st.sampled_from((None, None, *ROOMS)))
    def send_again(self, b: int, n: int, whose: int, room: str | None) -> None:
        """A form that was sent before, from this browser or the other, to its own address or another step's."""
        posted = self.walker.posted[whose]
        if posted:
            path, fields = posted[-1 - n % len(posted)]
            if room is not None:
                path = re.sub(r"(/[0-9a-f]{8}-[0-9a-f-]{27}).*", r"\1", path) + room
            self.run(self.walker.send(b, 0, path, {**fields, **self.walker.token(b)}))

    @rule(seconds=st.sampled_from(PAUSES))
    def pause(self, seconds: int) -> None:
        """Let time pass."""
        self.town.later(seconds=seconds)

    @rule(b=BROWSERS, n=st.integers(0, 5))
    def say_it_was_not_me(self, b: int, n: int) -> None:
        """Use the link of a notice."""
        links = [link for mail in self.town.post.sent for link in re.findall(r"/not-me/\S+", mail.text)]  # type: ignore[attr-defined]
        if links:
            self.run(self.walker.get(b, 1, links[-1 - n % len(links)]))
            self.run(self.walker.act(b, 1, RIGHT, None))

    @rule(b=BROWSERS)
    def lose_the_session(self, b: int) -> None:
        """Delete the session's cookie."""
        self.walker.browsers[b].http.cookies.delete("__Host-session")

    # Ways that lead far.

    @rule(b=BROWSERS, t=TABS, who=PEOPLE, how=RIGHTLY)
    def come_in(self, b: int, t: int, who: int, how: str) -> None:
        """Sign in, or create an account."""
        self.run(self.walker.come_in(b, t, who, how))

    @rule(b=BROWSERS, who=SETTLED, door=st.sampled_from(SETTINGS_DOORS), how=RIGHTLY)
    def change_it_while_signed_in_elsewhere(self, b: int, who: int, door: str, how: str) -> None:
        """Sign in with both browsers, set something up with one, go on with the other (R30)."""
        self.run(self.walker.be_in(1 - b, 0, who))
        self.run(self.walker.be_in(b, 0, who))
        self.run(self.walker.change(b, 0, door, how))
        self.run(self.walker.get(1 - b, 0, SECURITY))

    @rule(b=BROWSERS, who=SETTLED, picks=st.lists(st.integers(0, 3), min_size=2, max_size=4))
    def remove_one_after_another(self, b: int, who: int, picks: list[int]) -> None:
        """Take away whatever the house lets go (R31)."""
        self.run(self.walker.be_in(b, 0, who))
        for n in picks:
            self.run(self.walker.remove(b, 0, n))

    @rule(b=BROWSERS, other=BROWSERS, who=SETTLED, on_paper=st.booleans())
    def send_one_code_twice(self, b: int, other: int, who: int, on_paper: bool) -> None:
        """The very same right code in two sign-ins, of two browsers or of one (R24)."""
        walker, one = self.walker, self.walker.people[who]
        self.town.later(seconds=STEP.seconds)
        is_asked = [self.run(walker.go_to_second_step(at, t, who)) for at, t in ((b, 0), (other, 1))]
        code = one.codes[0] if on_paper and one.codes else ""
        if not code and one.apps:
            code = totp.current_code(next(reversed(one.apps.values())), self.town.clock.now())
        if code and any(is_asked):
            self.run(walker.type_code(b, 0, code))
            self.run(walker.type_code(other, 1, code))

    @rule(b=BROWSERS, other=BROWSERS, how=st.lists(RIGHTLY, min_size=6, max_size=6))
    def set_up_in_two_tabs(self, b: int, other: int, how: list[str]) -> None:
        """Create one account in two tabs or browsers, a step here and a step there."""
        self.run(self.walker.get(b, 0, "/register"))
        self.run(self.walker.get(other, 1, "/register"))
        for one in how:
            self.run(self.walker.act(b, 0, RIGHT, 2))
            self.run(self.walker.act(other, 1, one, 2))

    @rule(b=BROWSERS, who=SETTLED, wait=st.sampled_from(WAITS), how=RIGHTLY)
    def get_back_in(self, b: int, who: int, wait: int, how: str) -> None:
        """Two visits to recovery with a wait between them, each with a try to be done at once (R51)."""
        walker = self.walker
        for pause in (0, wait):
            self.town.later(seconds=pause)
            visit = self.run(walker.visit_recovery(b, 0, who))
            if visit and not walker.tabs[b][0].path.endswith("/new"):
                self.run(walker.choose_password(b, 0, visit))
        for n in range(2):
            if walker.tabs[b][0].path.endswith("/new"):
                self.run(walker.act(b, 0, RIGHT if n else how, None))


@pytest.fixture
def walk(loop: asyncio.Runner) -> Iterator[type[Walk]]:
    """The walk, through a town of its own."""
    with tempfile.TemporaryDirectory() as folder:
        opened = new_town(f"sqlite+aiosqlite:///{folder}/walks.sqlite", SETTINGS)
        town = loop.run(opened.__aenter__())
        offer_texts(town, per_range=10_000)
        Walk.town, Walk.run = town, staticmethod(loop.run)
        Walk.reached = Counter()
        yield Walk
        loop.run(opened.__aexit__(None, None, None))


@pytest.mark.walks
def test_no_walk_leads_to_what_is_untrue(walk: type[Walk]) -> None:
    """R20, R24, R30, R31, R45, R50, R51: after every request of every walk."""
    chosen = settings(
        max_examples=TURN,
        stateful_step_count=30 if DEEP else 10,
        # To make a failing walk short takes minutes, to explain it many more.
        phases=(Phase.generate, Phase.shrink) if DEEP else (Phase.generate,),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )
    for turn in range(-(-DEEP // TURN) or 4):
        start = secrets.randbits(64) if DEEP else turn
        seed(start)(get_state_machine_test(walk, settings=chosen))()  # type: ignore[no-untyped-call]
    print(walk.reached)
    short = {what: (walk.reached[what], least) for what, least in REACHED.items() if walk.reached[what] < least}
    assert not short or 0 < DEEP < 100, f"the walks came nowhere: {short}"
