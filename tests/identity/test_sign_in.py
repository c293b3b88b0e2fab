"""Sign-ins as rows: bound to a browser, advanced from one state at a time, completed once, on both databases."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from stage import Person, race

from accounts.activity import activity_of
from accounts.citizen import Browser
from accounts.contact import add_contact
from accounts.database import Database, Transaction
from accounts.errors import Refusal
from accounts.outbox import Outbox
from accounts.vault import Vault
from identity import password, sign_in, totp
from identity.authenticator import authenticators_of
from identity.password import CHEAPEST, Hasher
from identity.session import Device, Session, SessionView, find_session, start
from identity.sign_in import Onward, SignInView
from identity.sign_in_completion import Completed, complete
from identity.sign_in_proofs import Typed, prove_password
from identity.sign_in_rules import Standing

pytestmark = pytest.mark.anyio
BROWSER, OTHER = Browser("b" * 43), Browser("o" * 43)
DEVICE = Device("Mozilla/5.0 (X11; Linux) Firefox/130.0", "192.0.2.7")


async def begun(database: Database, vault: Vault, now: datetime, **asked: Any) -> SignInView:
    """A sign-in that has just begun in this browser."""
    async with database.begin() as db:
        path = await sign_in.begin(
            db,
            vault,
            BROWSER,
            required_acr=asked.get("required_acr", "aal1"),
            fresh_after=asked.get("fresh_after"),
            return_to="/authorize?interaction=1",
            onward=Onward(service_name="Parks", hint="ada@example.org"),
            now=now,
        )
        found = await sign_in.find(db, vault, UUID(path.rpartition("/")[2]), BROWSER)
    assert found is not None
    return found


async def again(database: Database, vault: Vault, one: SignInView) -> SignInView:
    """The same sign-in as it is now."""
    async with database.begin() as db:
        found = await sign_in.find(db, vault, one.id, BROWSER)
    assert found is not None
    return found


async def finish(db: Transaction, vault: Vault, policy: Any, one: SignInView, session: Any, now: datetime) -> Any:
    """Complete it for whoever has proved something, or whose session counts."""
    account_id = one.account_id or session.account_id
    standing = Standing(account_id, "active", await authenticators_of(db, account_id))
    return await complete(
        db, vault, one, standing, session, browser=BROWSER.digest, device=DEVICE, policy=policy, now=now
    )


async def prove(
    database: Database, vault: Vault, one: SignInView, who: Person, *methods: Any, now: datetime
) -> SignInView:
    """As if these had been proved just now."""
    async with database.begin() as db:
        assert await sign_in.add_proofs(db, one, who.account_id, methods, now)
    return await again(database, vault, one)


async def session_with(database: Database, secret: str | None, now: datetime) -> SessionView:
    """The live session of a cookie."""
    async with database.begin() as db:
        found = await find_session(db, secret, now)
    assert found is not None
    return found


async def test_another_browser_cannot_even_look_at_it(database, vault, now):
    """R45: a sign-in's address in a mail or a log is worth nothing."""
    one = await begun(database, vault, now)

    async with database.begin() as db:
        with pytest.raises(Refusal, match="wrong_browser"):
            await sign_in.find(db, vault, one.id, OTHER)


async def test_what_it_was_begun_with_comes_back_and_is_sealed_meanwhile(database, vault, now):
    """R60: the hint names a person, so a dump does not show it."""
    one = await begun(database, vault, now)

    assert one.onward.hint == "ada@example.org"
    async with database.begin() as db:
        row = await db.first(select(sign_in.SignIn.onward))
    assert row is not None
    assert b"ada" not in row.onward


async def test_a_step_is_taken_from_the_present_state_or_not_at_all(database, vault, ada, now):
    """R45, R78: of two tabs with the same page one takes the step; the other's changes nothing."""
    one = await begun(database, vault, now)

    async with database.begin() as db:
        assert await sign_in.add_proofs(db, one, ada.account_id, {"pwd"}, now)
        assert not await sign_in.add_proofs(db, one, ada.account_id, {"otp"}, now)

    assert [proof.method for proof in (await again(database, vault, one)).proofs] == ["pwd"]


async def test_no_step_is_taken_after_its_time(database, vault, ada, now):
    """A sign-in waits an hour."""
    one = await begun(database, vault, now)

    async with database.begin() as db:
        assert not await sign_in.add_proofs(db, one, ada.account_id, {"pwd"}, now + timedelta(hours=1))


async def test_a_password_of_one_and_a_code_of_another_are_nobodys_sign_in(database, vault, ada, bob, now):
    """What was proved of another account is dropped."""
    one = await prove(database, vault, await begun(database, vault, now), ada, "pwd", now=now)
    one = await prove(database, vault, one, bob, "otp", now=now)

    assert one.account_id == bob.account_id
    assert [proof.method for proof in one.proofs] == ["otp"]


async def test_of_many_completions_one_makes_a_session(database, vault, ada, identity_policy, now):
    """R45, R78: five tabs, a double click, a replay: one session, one entry in the history."""
    one = await prove(database, vault, await begun(database, vault, now), ada, "pwd", now=now)

    done = await race(database, lambda db: finish(db, vault, identity_policy, one, None, now), 20)

    assert len([completed for completed in done if completed is not None]) == 1
    async with database.begin() as db:
        assert len(await db.all(select(Session.id))) == 1
        assert [event.kind for event in await activity_of(db, ada.key, ada.account_id)] == ["signed_in"]


async def test_a_step_up_keeps_the_session_and_changes_its_secret(database, vault, ada, identity_policy, now):
    """R40: row and `sid` stay, the old cookie is worth nothing."""
    async with database.begin() as db:
        session_id, old = await begin_session(db, ada, ["pwd"], identity_policy, now)
    session = await session_with(database, old, now)
    later = now + timedelta(minutes=3)
    async with database.begin() as db:
        await totp.add(db, ada.key, ada.account_id, totp.new_seed(), "Phone", now)
    one = await prove(database, vault, await begun(database, vault, later, required_acr="aal2"), ada, "otp", now=later)

    async with database.begin() as db:
        completed: Completed = await finish(db, vault, identity_policy, one, session, later)

    raised = await session_with(database, completed.secret, later)
    assert (raised.id, raised.acr) == (session_id, "aal2")
    assert set(raised.amr) == {"pwd", "otp", "mfa"}
    assert raised.auth_time == session.auth_time, "the password was typed then, and the level leans on it"
    async with database.begin() as db:
        assert await find_session(db, old, later) is None


async def test_signing_in_again_makes_the_time_new_and_reports_what_was_done_now(
    database, vault, ada, identity_policy, now
):
    """R20: `acr`, `amr` and `auth_time` speak of the same act, also where it was a weaker one than before."""
    async with database.begin() as db:
        session_id, old = await begin_session(db, ada, ["passkey_uv"], identity_policy, now)
    session = await session_with(database, old, now)
    later = now + timedelta(minutes=20)
    one = await begun(database, vault, later, fresh_after=later)
    one = await prove(database, vault, one, ada, "pwd", "otp", now=later)

    async with database.begin() as db:
        completed = await finish(db, vault, identity_policy, one, session, later)

    raised = await session_with(database, completed.secret, later)
    assert (raised.id, raised.acr, raised.auth_time) == (session_id, "aal2", later)
    assert set(raised.amr) == {"pwd", "otp", "mfa"}


async def test_what_an_earlier_session_adds_nothing_to_makes_the_time_new(database, vault, ada, identity_policy, now):
    """R20: a passkey is enough by itself, so its moment is the `auth_time`, and the code of before is not reported."""
    async with database.begin() as db:
        session_id, old = await begin_session(db, ada, ["pwd", "otp"], identity_policy, now)
    later = now + timedelta(minutes=9)
    session = await session_with(database, old, later)
    one = await begun(database, vault, later, required_acr="aal2-phr")
    one = await prove(database, vault, one, ada, "passkey_uv", now=later)

    async with database.begin() as db:
        completed = await finish(db, vault, identity_policy, one, session, later)

    raised = await session_with(database, completed.secret, later)
    assert (raised.id, raised.acr, raised.auth_time) == (session_id, "aal2-phr", later)
    assert not {"pwd", "otp"} & set(raised.amr)


async def test_another_persons_sign_in_ends_the_session_before(database, vault, ada, bob, identity_policy, now):
    """Only another account's sign-in ends the old session, and its services are told."""
    async with database.begin() as db:
        _, old = await begin_session(db, ada, ["pwd", "otp"], identity_policy, now)
    session = await session_with(database, old, now)
    one = await prove(database, vault, await begun(database, vault, now), bob, "pwd", "otp", now=now)

    async with database.begin() as db:
        completed = await finish(db, vault, identity_policy, one, session, now)

    assert (await session_with(database, completed.secret, now)).account_id == bob.account_id
    async with database.begin() as db:
        assert await find_session(db, old, now) is None
        assert await db.scalar(select(Session.end_reason).where(Session.id == session.id)) == "replaced"
        assert [row.kind for row in await db.all(select(Outbox.kind))] == ["session_ended"]


async def test_what_leans_on_a_session_that_has_just_ended_is_not_completed(database, vault, ada, identity_policy, now):
    """R42: ending a session bites within a sign-in that counts on it, and nothing of it stays written."""
    async with database.begin() as db:
        _, old = await begin_session(db, ada, ["pwd"], identity_policy, now)
        await totp.add(db, ada.key, ada.account_id, totp.new_seed(), "Phone", now)
    session = await session_with(database, old, now)
    one = await prove(database, vault, await begun(database, vault, now, required_acr="aal2"), ada, "otp", now=now)
    async with database.begin() as db:
        from identity.session import end

        await end(db, vault, session.id, "ended_by_citizen", now)

    async with database.begin() as db:
        assert await finish(db, vault, identity_policy, one, session, now) is None

    assert (await again(database, vault, one)).completed_at is None


async def test_a_session_that_is_enough_already_is_left_as_it_is(database, vault, ada, identity_policy, now):
    """Five tabs: what another tab has done counts, and its time is not made younger than it is."""
    async with database.begin() as db:
        _, old = await begin_session(db, ada, ["pwd", "otp"], identity_policy, now)
    later = now + timedelta(minutes=9)
    session = await session_with(database, old, later)
    one = await begun(database, vault, later)

    async with database.begin() as db:
        completed = await finish(db, vault, identity_policy, one, session, later)

    assert completed == Completed("/authorize?interaction=1", None)
    assert (await session_with(database, old, later)).auth_time == now


async def test_proofs_made_with_old_credentials_count_no_more(database, vault, ada, now):
    """R30: a sign-in that is half done when the password changes starts over, but for the one that changed it."""
    one = await prove(database, vault, await begun(database, vault, now), ada, "pwd", now=now)
    own = await prove(database, vault, await begun(database, vault, now), ada, "pwd", now=now)

    async with database.begin() as db:
        await sign_in.forget_proofs(db, ada.account_id, now, but=own.id)
        assert not await sign_in.add_proofs(db, one, ada.account_id, {"otp"}, now)

    assert (await again(database, vault, one)).proofs == ()
    assert (await again(database, vault, own)).proofs == own.proofs


async def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(
    database, vault, store, ada, identity_policy, now
):
    """What was read before the hashing is asserted again after it."""
    hasher = Hasher(vault, CHEAPEST)
    async with database.begin() as db:
        await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True)
        await password.set_password(db, ada.account_id, await hasher.hash("the old password"), now)
    one = await begun(database, vault, now)

    class Meanwhile(Hasher):
        async def check(self, stored: str | None, typed: str) -> Any:
            checked = await super().check(stored, typed)
            async with database.begin() as db:
                await password.set_password(db, ada.account_id, await hasher.hash("a new one"), now + timedelta(0, 1))
            return checked

    async with database.begin() as db:
        typed = Typed("ada@example.org", "the old password")
        await prove_password(
            db, vault, store, Meanwhile(vault, CHEAPEST), one, typed, b"browser", DEVICE, identity_policy, now
        )

    assert (await again(database, vault, one)).proofs == ()


@pytest.mark.parametrize("address", ["ada@example.org", "nobody@example.org"])
async def test_a_wrong_password_and_an_unknown_address_are_refused_alike(
    database, vault, store, ada, identity_policy, now, address
):
    """R27: one reason, and what was typed is kept for either."""
    hasher = Hasher(vault, CHEAPEST)
    async with database.begin() as db:
        await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True)
        await password.set_password(db, ada.account_id, await hasher.hash("right"), now)
    one = await begun(database, vault, now)

    typed = Typed(address, "wrong")
    async with database.begin() as db:
        with pytest.raises(Refusal, match="credentials_wrong"):
            await prove_password(db, vault, store, hasher, one, typed, b"browser", DEVICE, identity_policy, now)

    assert (await again(database, vault, one)).identifier == address


async def begin_session(
    db: Transaction, who: Person, methods: list[Any], policy: Any, now: datetime
) -> tuple[UUID, str]:
    """A session in this browser in which these were used."""
    from identity.assurance import amr_of, reached

    return await start(
        db,
        who.key,
        who.account_id,
        browser=BROWSER.digest,
        acr=reached(methods, policy.assurance) or "",
        amr=amr_of(methods),
        device=DEVICE,
        policy=policy.session,
        now=now,
    )
