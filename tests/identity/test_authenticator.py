"""What an account can prove itself with, and that no step leaves it without a way back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from soft_passkey import SoftPasskey
from sqlalchemy import update
from stage import race

from accounts.citizen import Citizen
from accounts.database import new_id
from accounts.errors import Refusal
from identity import passkey, password, recovery_code, totp
from identity.assurance import AssurancePolicy
from identity.authenticator import Authenticators, authenticators_of, can_reach, has_way_back
from identity.own_authenticators import MAX_APPS, Owner, add_app
from identity.passkey import Passkey, PasskeyPolicy
from identity.passkey_registration import registration_options, verify_registration
from identity.session import Device

POLICY = AssurancePolicy()
LAX = AssurancePolicy(minimum="aal1")
PASSKEYS = PasskeyPolicy("login.example", "Citizen Account", ("https://login.example",))


async def register(db, store, person, device, now):
    bound = {"account_id": person.account_id, "bound_to": b"here", "now": now}
    ceremony = await registration_options(db, store, PASSKEYS, user_name="ada", alone=device.verifies, **bound)
    response = device.create(ceremony.options)
    registered = await verify_registration(
        db, person.key, store, PASSKEYS, ceremony=ceremony.id, response=response, name="", **bound
    )
    return registered.id


@pytest.mark.anyio
async def test_what_an_account_has_is_what_was_set_up_and_stands(db, store, vault, ada, bob, now):
    """Offered, removed and another's do not count; of recovery codes the spent ones are counted apart."""
    assert await authenticators_of(db, ada.account_id) == Authenticators()

    await password.set_password(db, ada.account_id, "hash", now)
    await totp.offer(db, ada.key, ada.account_id, now, to=b"a page")
    app = await totp.add(db, ada.key, ada.account_id, totp.new_seed(), "Phone", now)
    codes = await recovery_code.make_codes(db, vault, ada.account_id, now)
    await recovery_code.spend(db, vault, ada.account_id, codes[0], now)
    await register(db, store, ada, SoftPasskey(), now)
    bound = await register(db, store, ada, SoftPasskey(synced=False), now)
    await register(db, store, ada, SoftPasskey(synced=False, verifies=False), now)
    await totp.add(db, bob.key, bob.account_id, totp.new_seed(), "Phone", now)

    assert await authenticators_of(db, ada.account_id) == Authenticators(True, 1, 3, 2, 0, 9, 0, 1)

    await db.execute(update(Passkey).values(is_attested=True))
    assert await authenticators_of(db, ada.account_id) == Authenticators(True, 1, 3, 2, 1, 9, 0, 1)

    await totp.remove(db, ada.account_id, app, now)
    await passkey.remove(db, ada.account_id, bound, now)
    await password.remove_password(db, ada.account_id)
    assert await authenticators_of(db, ada.account_id) == Authenticators(False, 0, 2, 1, 0, 9, 0, 1)
    assert await authenticators_of(db, bob.account_id) == Authenticators(totps=1)


@pytest.mark.parametrize(
    ("having", "levels"),
    [
        (Authenticators(), []),
        (Authenticators(has_password=True), ["aal1"]),
        (Authenticators(recovery_codes_left=10), ["aal1"]),
        (Authenticators(has_password=True, totps=1), ["aal1", "aal2"]),
        (Authenticators(has_password=True, recovery_codes_left=1), ["aal1", "aal2"]),
        (Authenticators(totps=2, recovery_codes_left=9), ["aal1"]),
        (Authenticators(has_password=True, passkeys=1), ["aal1", "aal2", "aal2-phr"]),
        (Authenticators(passkeys=1), ["aal1"]),
        (Authenticators(passkeys=1, verifying_passkeys=1), ["aal1", "aal2", "aal2-phr"]),
        (Authenticators(passkeys=1, verifying_passkeys=1, hardware_passkeys=1), ["aal1", "aal2", "aal2-phr", "aal3"]),
    ],
)
def test_an_account_reaches_what_its_authenticators_reach_together(having, levels):
    """R20: what a relying party may demand of this citizen without a set-up first."""
    assert [level for level in POLICY.levels if can_reach(having, level, POLICY)] == levels


@pytest.mark.parametrize(
    ("having", "has_one"),
    [
        (Authenticators(), False),
        (Authenticators(has_password=True), False),
        (Authenticators(recovery_codes_left=10), False),
        (Authenticators(has_password=True, recovery_codes_left=10), False),
        (Authenticators(has_password=True, totps=1), False),
        (Authenticators(has_password=True, totps=1, recovery_codes_left=10), True),
        (Authenticators(has_password=True, totps=1, recovery_codes_left=1), True),
        (Authenticators(has_password=True, totps=2), False),
        (Authenticators(passkeys=1, verifying_passkeys=1), False),
        (Authenticators(passkeys=1, verifying_passkeys=1, recovery_codes_left=10), True),
        (Authenticators(passkeys=2, verifying_passkeys=2), True),
        (Authenticators(passkeys=1, recovery_codes_left=10), False),
        (Authenticators(has_password=True, passkeys=1, recovery_codes_left=10), True),
        (Authenticators(has_password=True, totps=1, passkeys=1, verifying_passkeys=1), True),
        (Authenticators(has_password=True, totps=1, passkeys=1), False),
    ],
)
def test_two_ways_in_are_a_way_back(having, has_one):
    """R31: recovery codes and another authenticator; a passkey with recovery codes is enough; and a password that can
    be forgotten is a thing that can be lost."""
    assert has_way_back(having, POLICY) == has_one


def test_where_policy_asks_for_less_less_is_enough():
    """`assurance.minimum=aal1`."""
    assert has_way_back(Authenticators(has_password=True, recovery_codes_left=10), LAX)
    assert not has_way_back(Authenticators(has_password=True), LAX)


@st.composite
def accounts(draw):
    passkeys = draw(st.integers(0, 3))
    verifying = draw(st.integers(0, passkeys))
    return Authenticators(
        draw(st.booleans()),
        draw(st.integers(0, 2)),
        passkeys,
        verifying,
        draw(st.integers(0, verifying)),
        draw(st.integers(0, 10)),
    )


@given(accounts(), st.sampled_from(POLICY.levels))
def test_with_a_way_back_any_one_loss_leaves_one_way_in(having, minimum):
    """R31: whichever one thing is lost, an authenticator that reaches the minimum is left, or recovery codes."""
    policy = AssurancePolicy(minimum=minimum)
    if not has_way_back(having, policy):
        return
    lost = msgspec.structs.replace
    losses = [lost(having, has_password=False), lost(having, totps=max(0, having.totps - 1))]
    if having.passkeys:
        losses.append(
            lost(
                having,
                passkeys=having.passkeys - 1,
                verifying_passkeys=max(0, having.verifying_passkeys - 1),
                hardware_passkeys=max(0, having.hardware_passkeys - 1),
            )
        )
    assert can_reach(having, minimum, policy)
    assert all(left.recovery_codes_left or can_reach(left, minimum, policy) for left in losses)


async def test_of_many_apps_that_are_added_at_once_no_more_than_two_stand(database, vault, ada, now):
    """R78: the limit is counted and written with the account held, also where twenty requests count at once."""
    citizen = Citizen(ada.account_id, new_id(now), "aal2", ("otp", "pwd"), now, None)
    owner = Owner(citizen, Device("Firefox on Linux", "192.0.2.7"))
    async with database.begin() as db:
        offers = [await totp.offer(db, ada.key, ada.account_id, now, to=bytes([number])) for number in range(20)]

    async def add(db):
        offered = offers.pop()
        try:
            await add_app(db, vault, owner, offered.id, totp.current_code(offered.seed, now), "", now)
        except Refusal as refusal:
            return refusal.reason
        return "added"

    said = await race(database, add, times=20)

    assert (said.count("added"), said.count("app_too_many")) == (MAX_APPS, 20 - MAX_APPS)
    async with database.begin() as db:
        assert len(await totp.totps_of(db, ada.key, ada.account_id)) == MAX_APPS
