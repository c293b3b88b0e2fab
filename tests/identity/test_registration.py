"""Registration as rows: one address, one account, however many race; an address that is known gives nothing away."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select
from stage import race

from accounts.account import Account, data_key_of, open_account, set_state
from accounts.citizen import Browser
from accounts.contact import Contact, add_contact
from accounts.database import Database
from accounts.errors import Refusal
from accounts.outbox import Outbox, lease
from accounts.vault import Vault
from identity import registration, sign_in, totp
from identity.authenticator import authenticators_of
from identity.password import CHEAPEST, Hasher
from identity.registration import RegistrationView
from identity.registration_setup import set_first_password
from identity.sign_in import Onward, SignInView

pytestmark = pytest.mark.anyio
BROWSER = Browser("b" * 43)
EMAIL = "nea@example.org"
PASSWORD = "seven green bicycles"


class Place(msgspec.Struct, frozen=True):
    """What every verb here wants."""

    database: Database
    vault: Vault
    store: Any
    policy: Any
    now: datetime

    async def begin(self, email: str = EMAIL) -> RegistrationView:
        """A registration of this address, in a sign-in of its own, from an address of its own."""
        async with self.database.begin() as db:
            path = await sign_in.begin(
                db,
                self.vault,
                BROWSER,
                required_acr="aal2",
                fresh_after=None,
                return_to="/account",
                onward=Onward(start="create"),
                now=self.now,
            )
        begun = UUID(path.rpartition("=")[2])
        async with self.database.begin() as db:
            one = await registration.start(
                db, self.vault, self.store, begun, email, "cy", "192.0.2.7", self.policy, self.now
            )
        return await self.see(one)

    async def begin_and_read(self, email: str = EMAIL) -> tuple[RegistrationView, str]:
        """A registration, and the code in its mail."""
        one = await self.begin(email)
        [mail] = await self.mails()
        code: str = mail["values"]["code"]
        return one, code

    async def see(self, one: UUID) -> RegistrationView:
        async with self.database.begin() as db:
            found = await registration.find(db, self.vault, one)
        assert found is not None
        return found

    async def mails(self) -> list[dict[str, Any]]:
        """What went out, in order; codes included."""
        async with self.database.begin() as db:
            return [work.payload for work in await lease(db, self.vault, self.now, 200) if work.kind == "message"]

    async def confirm(self, one: RegistrationView, code: str) -> str:
        """The outcome as a word."""
        try:
            async with self.database.begin() as db:
                await registration.confirm(db, self.vault, self.store, one, code, "192.0.2.7", self.policy, self.now)
        except Refusal as refusal:
            return refusal.reason
        return "confirmed"

    async def set_password(self, one: RegistrationView, typed: str = PASSWORD) -> SignInView:
        assert one.account_id is not None
        async with self.database.begin() as db:
            found = await sign_in.find(db, self.vault, one.sign_in_id, BROWSER)
            assert found is not None
            hasher = Hasher(self.vault, CHEAPEST)
            await set_first_password(db, self.vault, hasher, one, one.account_id, found, typed, self.policy, self.now)
            again = await sign_in.find(db, self.vault, one.sign_in_id, BROWSER)
        assert again is not None
        return again

    async def accounts(self) -> list[Any]:
        async with self.database.begin() as db:
            return [(row.id, row.state) for row in await db.all(select(Account.id, Account.state))]


@pytest.fixture
def place(database, vault, store, identity_policy, now) -> Place:
    """Throttling is proved elsewhere: here a hundred mails to one address shall go out."""
    free = msgspec.structs.replace(identity_policy.throttle, free=120, failures=1000, per_day=1000, per_address=100_000)
    return Place(database, vault, store, msgspec.structs.replace(identity_policy, throttle=free), now)


async def test_a_confirmed_address_has_an_account_that_is_not_open_yet(place):
    """R22, R31: nothing but setting it up is possible before a second authenticator is there."""
    one = await place.begin()
    [mail] = await place.mails()
    assert (mail["template"], mail["to"], mail["language"]) == ("confirm_email", EMAIL, "cy")

    assert await place.confirm(one, mail["values"]["code"]) == "confirmed"

    [(account_id, state)] = await place.accounts()
    assert state == "enrolling"
    assert (await place.see(one.id)).account_id == account_id


async def test_a_hundred_confirmations_of_one_address_make_one_account_and_answer_alike(place):
    """R78, R79: the index decides, once; nobody who proved the address is told another thing."""
    spellings = [EMAIL, "Nea@Example.org", "NEA@EXAMPLE.ORG", "ｎｅａ@example.org"]
    waiting = [await place.begin_and_read(spellings[n % 4]) for n in range(100)]
    ones = [one for one, _ in waiting]

    lanes = asyncio.Semaphore(15)  # what waits for a database waits here, not for a connection

    async def confirm(db: Any) -> str:
        one, code = waiting.pop()
        async with lanes:
            await registration.confirm(db, place.vault, place.store, one, code, "192.0.2.7", place.policy, place.now)
            await db.commit()
            await db.close()
        return "confirmed"

    outcomes = await race(place.database, confirm)

    assert outcomes == ["confirmed"] * 100
    [(account_id, _)] = await place.accounts()
    assert {(await place.see(one.id)).account_id for one in ones} == {account_id}
    async with place.database.begin() as db:
        assert len(await db.all(select(Contact.id))) == 1


async def test_a_code_is_accepted_once_of_a_hundred(place):
    """R24: of the same form sent many times, one confirms."""
    one = await place.begin()
    [mail] = await place.mails()

    lanes = asyncio.Semaphore(15)

    async def confirm(db: Any) -> str:
        async with lanes:
            try:
                await registration.confirm(
                    db, place.vault, place.store, one, mail["values"]["code"], "192.0.2.7", place.policy, place.now
                )
            except Refusal as refusal:
                return refusal.reason
            finally:
                await db.commit()
                await db.close()
        return "confirmed"

    outcomes = await race(place.database, confirm, 30)

    assert outcomes.count("confirmed") == 1
    assert set(outcomes) == {"confirmed", "code_wrong"}
    assert len(await place.accounts()) == 1


async def test_a_known_address_gets_one_mail_too_and_no_code_that_works(place):
    """R27: the difference is in the owner's mailbox alone."""
    async with place.database.begin() as db:
        account_id, key = await open_account(db, place.vault, place.now, state="active")
        await add_contact(db, place.vault, key, account_id, "email", EMAIL, place.now, verified=True)

    one = await place.begin("Nea@example.org")

    [mail] = await place.mails()
    assert (mail["template"], mail["to"]) == ("already_registered", "Nea@example.org")
    assert "code" not in mail["values"]
    assert await place.confirm(one, "123456") == "code_wrong"
    async with place.database.begin() as db:
        assert len(await db.all(select(Outbox.id))) == 1


async def test_sending_again_ends_the_code_before(place):
    """R24: there is one code at a time."""
    one = await place.begin()
    [first] = await place.mails()
    async with place.database.begin() as db:
        await registration.send_again(db, place.vault, place.store, one, "192.0.2.7", place.policy, place.now)
    [second] = await place.mails()

    assert await place.confirm(one, first["values"]["code"]) == "code_wrong"
    assert await place.confirm(one, second["values"]["code"]) == "confirmed"


async def test_a_code_waits_ten_minutes(place):
    """R24."""
    one = await place.begin()
    [mail] = await place.mails()
    late = msgspec.structs.replace(place, now=place.now + timedelta(minutes=10))

    assert await late.confirm(one, mail["values"]["code"]) == "code_wrong"


async def test_a_code_belongs_to_the_registration_that_asked(place):
    """R24, R45: the code of one form is nothing in another."""
    one, code = await place.begin_and_read()
    other, _ = await place.begin_and_read("eve@example.org")

    assert await place.confirm(other, code) == "code_wrong"
    assert await place.confirm(one, code) == "confirmed"


async def test_mails_to_one_address_are_slowed(database, vault, store, identity_policy, now):
    """R26: nobody's mailbox is flooded through us; known or not makes no difference."""
    place = Place(database, vault, store, identity_policy, now)
    for _ in range(5):
        await place.begin()

    with pytest.raises(Refusal, match="too_many_attempts"):
        await place.begin()


async def test_the_password_is_the_first_proof_of_the_sign_in(place):
    """From here the sign-in leads: the account is not open before its second authenticator."""
    one = await place.begin()
    [mail] = await place.mails()
    await place.confirm(one, mail["values"]["code"])

    led = await place.set_password(await place.see(one.id))

    assert [proof.method for proof in led.proofs] == ["pwd"]
    assert led.account_id == (await place.see(one.id)).account_id
    assert (await place.see(one.id)).completed_at == place.now


async def test_the_password_is_set_once(place):
    """R45: the form sent twice, or from the tab before, changes nothing any more."""
    one = await place.begin()
    [mail] = await place.mails()
    await place.confirm(one, mail["values"]["code"])
    confirmed = await place.see(one.id)
    await place.set_password(confirmed)

    await place.set_password(confirmed, "somebody else's password")

    hasher = Hasher(place.vault, CHEAPEST)
    async with place.database.begin() as db:
        from identity.password import verify

        assert await verify(db, hasher, confirmed.account_id, PASSWORD)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [("short", "password_too_short"), ("x" * 129, "password_too_long"), ("password", "password_common")],
)
async def test_a_password_that_is_easy_to_guess_is_refused_and_can_be_chosen_anew(place, typed, reason):
    """R22: nothing is used up by the refusal."""
    one = await place.begin()
    [mail] = await place.mails()
    await place.confirm(one, mail["values"]["code"])
    confirmed = await place.see(one.id)

    with pytest.raises(Refusal, match=reason):
        await place.set_password(confirmed, typed)

    assert [proof.method for proof in (await place.set_password(confirmed)).proofs] == ["pwd"]


async def test_an_unfinished_account_belongs_to_whoever_confirms_its_address(place):
    """Abandoned half-way and begun again: what was set up before is gone, and who was half-way starts over."""
    first = await place.begin()
    [mail] = await place.mails()
    await place.confirm(first, mail["values"]["code"])
    led = await place.set_password(await place.see(first.id))
    async with place.database.begin() as db:
        key = await data_key_of(db, place.vault, led.account_id)
        await totp.add(db, key, led.account_id, totp.new_seed(), "Phone", place.now)

    second = await place.begin()
    [mail] = await place.mails()
    assert mail["template"] == "confirm_email", "it is not finished, so it is no account that could sign in"
    await place.confirm(second, mail["values"]["code"])
    await place.set_password(await place.see(second.id), "another long password")

    assert len(await place.accounts()) == 1
    async with place.database.begin() as db:
        having = await authenticators_of(db, led.account_id)
        before = await sign_in.find(db, place.vault, first.sign_in_id, BROWSER)
    assert (having.has_password, having.totps) == (True, 0)
    assert before is not None
    assert before.proofs == ()


async def test_an_account_that_was_finished_meanwhile_is_not_touched(place):
    """Two registrations of one address: the one that comes second finds the account open and changes nothing."""
    (first, code), (second, other_code) = await place.begin_and_read(), await place.begin_and_read()
    assert await place.confirm(first, code) == "confirmed"
    assert await place.confirm(second, other_code) == "confirmed"
    led = await place.set_password(await place.see(first.id))
    async with place.database.begin() as db:
        await set_state(db, led.account_id, "active", place.now, only_from="enrolling")

    late = await place.set_password(await place.see(second.id), "another long password")

    assert late.proofs == ()
    assert (await place.see(second.id)).completed_at is None


async def test_the_address_is_sealed(place):
    """R60: a dump reveals nobody who has begun."""
    await place.begin()
    async with place.database.begin() as db:
        row = await db.first(select(registration.Registration.email))
    assert row is not None
    assert b"nea" not in row.email
