"""Passkeys: registered and used by ceremonies that are given once, answered once, and believed in nothing."""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from soft_passkey import BE, BS, UP, UV, SoftPasskey
from sqlalchemy import select, update
from stage import race
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from accounts.errors import Refusal
from identity import passkey
from identity.authenticator import authenticators_of
from identity.ceremony import CEREMONY_SECONDS, answer_of
from identity.passkey import Passkey, PasskeyPolicy, UserHandle
from identity.passkey_assertion import authentication_options, verify_authentication
from identity.passkey_registration import registration_options, verify_registration

pytestmark = pytest.mark.anyio
POLICY = PasskeyPolicy("login.example", "Citizen Account", ("https://login.example",))
HERE = b"this browser, this sign-in"


class Site:
    """The server's side of both ceremonies, for one account."""

    def __init__(self, database, store, person, now):
        self.database, self.store, self.person, self.now = database, store, person, now

    async def offer(self, *, alone=True, bound_to=HERE, attested=False):
        async with self.database.begin() as db:
            return await registration_options(
                db,
                self.store,
                POLICY,
                account_id=self.person.account_id,
                bound_to=bound_to,
                user_name="ada@example.org",
                alone=alone,
                attested=attested,
                now=self.now,
            )

    async def register(self, device, *, alone=True, ceremony=None, bound_to=HERE, later=0, **lies):
        ceremony = ceremony or await self.offer(alone=alone)
        async with self.database.begin() as db:
            return await verify_registration(
                db,
                self.person.key,
                self.store,
                POLICY,
                account_id=self.person.account_id,
                bound_to=bound_to,
                ceremony=ceremony.id,
                response=device.create(ceremony.options, **lies),
                name=" My phone ",
                now=self.now + timedelta(seconds=later),
            )

    async def ask(self, *, account_id=None, needs_verification=True):
        async with self.database.begin() as db:
            return await authentication_options(
                db,
                self.store,
                POLICY,
                bound_to=HERE,
                account_id=account_id,
                needs_verification=needs_verification,
                now=self.now,
            )

    async def use(
        self, device, *, ceremony=None, account_id=None, needs_verification=True, bound_to=HERE, later=0, **lies
    ):
        ceremony = ceremony or await self.ask(account_id=account_id, needs_verification=needs_verification)
        async with self.database.begin() as db:
            return await verify_authentication(
                db,
                self.store,
                POLICY,
                bound_to=bound_to,
                account_id=account_id,
                ceremony=ceremony.id,
                response=lies.pop("response", None) or device.get(ceremony.options, **lies),
                now=self.now + timedelta(seconds=later),
            )


@pytest.fixture
def site(database, store, ada, now):
    return Site(database, store, ada, now)


@pytest.fixture
def bobs(database, store, bob, now):
    return Site(database, store, bob, now)


# What is asked of the browser


async def test_registration_asks_for_a_passkey_that_can_stand_alone(site):
    """W: discoverable and verifying its user; an account's name for the person, a random handle for the machine."""
    asked = json.loads((await site.offer(alone=True)).options)

    assert asked["rp"] == {"name": "Citizen Account", "id": "login.example"}
    assert asked["user"]["name"] == "ada@example.org"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["requireResidentKey"] is True
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["attestation"] == "none"
    assert {-7, -8, -257} == {parameter["alg"] for parameter in asked["pubKeyCredParams"]}
    assert len(base64url_to_bytes(asked["challenge"])) >= 16


async def test_beside_a_password_a_plain_security_key_will_do(site):
    """R21."""
    asked = json.loads((await site.offer(alone=False)).options)
    assert asked["authenticatorSelection"]["residentKey"] == "preferred"
    assert asked["authenticatorSelection"]["userVerification"] == "preferred"


async def test_the_handle_is_random_and_stays(site, bobs, ada):
    """WebAuthn section 14.6.1: 64 bytes that tell nothing, the same for every passkey of an account."""
    handles = [json.loads((await owner.offer()).options)["user"]["id"] for owner in (site, site, bobs)]

    assert handles[0] == handles[1] != handles[2]
    assert len(base64url_to_bytes(handles[0])) == 64
    assert ada.account_id.bytes not in base64url_to_bytes(handles[0])


async def test_of_a_hundred_that_race_one_makes_the_handle(database, ada):
    """R78."""
    handles = await race(database, lambda db: passkey.handle_of(db, ada.account_id))
    assert len(set(handles)) == 1


async def test_a_device_that_is_registered_is_not_offered_again(site):
    """excludeCredentials."""
    device = SoftPasskey()
    await site.register(device)
    [excluded] = json.loads((await site.offer()).options)["excludeCredentials"]
    assert base64url_to_bytes(excluded["id"]) == device.credential_id
    assert excluded["transports"] == ["hybrid", "internal"]


async def test_asking_for_any_passkey_tells_nothing_about_any_account(site):
    """R27: autofill and the button: no credential is named."""
    await site.register(SoftPasskey())
    asked = json.loads((await site.ask()).options)
    assert asked["allowCredentials"] == []
    assert asked["userVerification"] == "required"
    assert asked["rpId"] == "login.example"


async def test_after_a_password_the_accounts_own_passkeys_are_named(site, bobs, ada):
    """So that a key that is not discoverable can answer."""
    device = SoftPasskey(verifies=False, synced=False)
    await site.register(device, alone=False)
    await bobs.register(SoftPasskey())
    asked = json.loads((await site.ask(account_id=ada.account_id, needs_verification=False)).options)
    assert [base64url_to_bytes(named["id"]) for named in asked["allowCredentials"]] == [device.credential_id]
    assert asked["userVerification"] == "preferred"


# What it proves


async def test_a_passkey_signs_its_owner_in(site, ada):
    """R20: with user verification it is two factors that cannot be phished."""
    device = SoftPasskey()
    registered = (await site.register(device)).id

    for _ in range(3):
        asserted = await site.use(device)
        assert (asserted.account_id, asserted.passkey_id) == (ada.account_id, registered)
        assert asserted.method == "passkey_uv"


async def test_its_owner_sees_name_kind_and_last_use(site, db, ada, now):
    """Synced or bound to one device, told truly."""
    phone, key = SoftPasskey(), SoftPasskey(synced=False)
    await site.register(phone)
    await site.register(key, later=1)
    await site.use(key, later=60)

    [first, second] = await passkey.passkeys_of(db, ada.key, ada.account_id)

    assert (first.name, first.is_synced, first.last_used_at) == ("My phone", True, None)
    assert (second.is_synced, second.stands_alone, second.last_used_at) == (False, True, now + timedelta(seconds=60))


async def test_whether_it_is_copied_is_told_as_it_is_now(site, database, ada):
    """R29: eligible for ever or never, copied since it said so; each use says it anew."""
    phone = SoftPasskey()

    async def told():
        async with database.begin() as db:
            [one] = await passkey.passkeys_of(db, ada.key, ada.account_id)
        return one.is_synced, one.is_backed_up

    await site.register(phone, flags=UP | UV | BE)
    assert await told() == (True, False)
    await site.use(phone)
    assert await told() == (True, True)
    await site.use(phone, flags=UP | UV | BE)
    assert await told() == (True, False)


async def test_a_key_that_keeps_nothing_counts_beside_a_password_alone(site, database, ada):
    """WebAuthn section 10.1.3: what is not discoverable cannot say whose it is, even where it knows its user."""
    key = SoftPasskey(synced=False, discoverable=False)
    offered = await site.offer(alone=False)
    registered = await site.register(key, ceremony=offered)

    async with database.begin() as db:
        having = await authenticators_of(db, ada.account_id)
    assert (having.passkeys, having.verifying_passkeys, registered.method) == (1, 0, "passkey_uv")
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.use(key)
    assert (await site.use(key, account_id=ada.account_id, needs_verification=False)).method == "passkey_uv"


async def test_a_key_that_is_here_already_may_come_again_to_be_checked(site, database):
    """Else who once registered it as a plain key could never reach AAL3 with it."""
    await site.register(SoftPasskey(synced=False))
    checked = SoftPasskey(synced=False)
    await site.register(checked)
    async with database.begin() as db:
        which = Passkey.credential_id == checked.credential_id
        await db.execute(update(Passkey).where(which).values(is_attested=True))

    options = json.loads((await site.offer(attested=True)).options)

    assert [one["id"] for one in options["excludeCredentials"]] == [bytes_to_base64url(checked.credential_id)]


async def test_this_device_comes_first_then_the_phone_then_a_key(site):
    """WebAuthn section 5.8.7: hints order what the browser offers, and exclude nothing."""
    options = json.loads((await site.offer()).options)

    assert options["hints"] == ["client-device", "hybrid", "security-key"]
    assert options["attestation"] == "none"
    assert options["extensions"] == {"credProps": True}


async def test_a_key_without_verification_is_a_second_factor_only(site, ada):
    """R20: one thing held; beside a password it counts, alone it is refused."""
    device = SoftPasskey(verifies=False, synced=False)
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.register(device, alone=True)
    await site.register(device, alone=False)

    asserted = await site.use(device, account_id=ada.account_id, needs_verification=False)

    assert asserted.method == "passkey"
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.use(device)


async def test_a_key_that_never_verified_does_not_begin_to_by_saying_so(site, ada):
    """WebAuthn section 4, uvInitialized: the flag counts only for a key that verified when it was registered."""
    device = SoftPasskey(verifies=False, synced=False)
    await site.register(device, alone=False)
    device.verifies = True

    assert (await site.use(device, account_id=ada.account_id, needs_verification=False)).method == "passkey"
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.use(device)


@pytest.mark.parametrize(("synced", "method"), [(True, "passkey_uv"), (False, "passkey_hardware")])
async def test_only_attested_hardware_is_more(site, database, synced, method):
    """R20: a synced passkey is never AAL3, attested or not; a device-bound one only with trusted attestation."""
    device = SoftPasskey(synced=synced)
    await site.register(device)
    assert (await site.use(device)).method == "passkey_uv"
    async with database.begin() as db:
        await db.execute(update(Passkey).values(is_attested=True))
    assert (await site.use(device)).method == method


# One challenge, one answer


async def test_an_answer_counts_once(site):
    """R29: replayed, the ceremony is over."""
    device = SoftPasskey()
    await site.register(device)
    ceremony = await site.ask()
    response = device.get(ceremony.options)

    await site.use(device, ceremony=ceremony, response=response)
    with pytest.raises(Refusal, match="passkey_expired"):
        await site.use(device, ceremony=ceremony, response=response)


async def test_of_a_hundred_that_race_one_answer_counts(site, database, store, now):
    """R29: the challenge is taken, not looked at."""
    device = SoftPasskey()
    await site.register(device)
    ceremony = await site.ask()
    response = device.get(ceremony.options)

    async def answer(db):
        try:
            return await verify_authentication(
                db, store, POLICY, bound_to=HERE, ceremony=ceremony.id, response=response, now=now
            )
        except Refusal as refusal:
            return refusal.reason

    answers = await race(database, answer)

    assert answers.count("passkey_expired") == 99


async def test_one_registration_makes_one_passkey(site):
    """R29, R45: sent twice; and the same credential in a new ceremony is known already."""
    device = SoftPasskey()
    ceremony = await site.offer()
    await site.register(device, ceremony=ceremony)

    with pytest.raises(Refusal, match="passkey_expired"):
        await site.register(device, ceremony=ceremony)
    with pytest.raises(Refusal, match="passkey_known"):
        await site.register(device)


async def test_a_credential_belongs_to_one_account(site, bobs):
    """R29: uniqueness; W section 7.1 step 26."""
    device = SoftPasskey()
    await site.register(device)
    with pytest.raises(Refusal, match="passkey_known"):
        await bobs.register(device)


async def test_a_wrong_answer_uses_the_challenge_up(site):
    """R29: no second guess at one challenge."""
    device = SoftPasskey()
    await site.register(device)
    ceremony = await site.ask()
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.use(device, ceremony=ceremony, key=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(Refusal, match="passkey_expired"):
        await site.use(device, ceremony=ceremony)


async def test_a_ceremony_lasts_five_minutes(site):
    """R29."""
    device = SoftPasskey()
    await site.register(device, later=CEREMONY_SECONDS - 1)
    with pytest.raises(Refusal, match="passkey_expired"):
        await site.use(device, later=CEREMONY_SECONDS)


async def test_a_ceremony_belongs_to_browser_kind_and_account(site, bobs, ada, bob):
    """R29, R45: from another tab's journey, for another purpose, for somebody else."""
    device, other = SoftPasskey(), SoftPasskey()
    await site.register(device)
    await bobs.register(other)
    elsewhere = b"another browser"

    for attempt in (
        site.use(device, bound_to=elsewhere),
        site.register(SoftPasskey(), bound_to=elsewhere),
        site.use(device, ceremony=await site.offer()),
        site.register(SoftPasskey(), ceremony=await bobs.offer()),
        site.use(device, ceremony=await site.ask(account_id=bob.account_id), account_id=ada.account_id),
        site.use(device, ceremony=await site.ask(account_id=ada.account_id)),
        site.use(device, ceremony=await site.ask(), account_id=ada.account_id),
    ):
        with pytest.raises(Refusal, match="passkey_refused"):
            await attempt


@pytest.mark.parametrize("ceremony", ["", "A", "A" * 43, "é", "../../x", "A" * 5000, "%00"])
async def test_a_ceremony_that_never_was_is_over(site, ceremony):
    """R45: empty, odd, invented."""
    device = SoftPasskey()
    await site.register(device)
    real = await site.ask()
    with pytest.raises(Refusal, match="passkey_expired"):
        await site.use(device, ceremony=passkey_ceremony(ceremony, real.options))


def passkey_ceremony(ceremony_id, options):
    return type("Forged", (), {"id": ceremony_id, "options": options})


# What is believed: nothing


OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
LIES = {
    "origin": {"client_data": {"origin": "https://login.example.evil.test"}},
    "origin with a slash": {"client_data": {"origin": "https://login.example/"}},
    "http": {"client_data": {"origin": "http://login.example"}},
    "framed by another site": {"client_data": {"crossOrigin": True}},
    "framed, named": {"client_data": {"topOrigin": "https://evil.test"}},
    "type": {"client_data": {"type": "webauthn.other"}},
    "challenge": {"client_data": {"challenge": bytes_to_base64url(bytes(32))}},
    "empty challenge": {"client_data": {"challenge": ""}},
    "rp id": {"rp_id": "example"},
    "nobody present": {"flags": UV | BE | BS},
    "not verified": {"flags": UP | BE | BS},
    "backed up yet not eligible": {"flags": UP | UV | BS},
    "credential type": {"answer": {"type": "password"}},
    "id": {"answer": {"id": "AAAA"}},
    "no response": {"answer": {"response": None}},
    "client data is a list": {"answer": {"response": {"clientDataJSON": "W10"}}},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_lie_at_registration_is_refused(site, db, lie):
    """R29: origin, RP id hash, type, UP, UV, challenge, backup flags are checked on the server."""
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.register(SoftPasskey(), **lie)
    assert await db.scalar(select(Passkey.id)) is None


@pytest.mark.parametrize(
    "lie",
    [*LIES.values(), {"key": OTHER_KEY}, {"flags": UP | UV}, {"user_handle": bytes(64)}, {"user_handle": None}],
    ids=[*LIES.keys(), "signature", "eligibility changed", "another handle", "no handle"],
)
async def test_a_lie_at_sign_in_is_refused(site, lie):
    """R29; WebAuthn section 7.2 steps 6 and 20: also the owner and the eligibility for backup must be as before."""
    device = SoftPasskey()
    await site.register(device)
    if lie == {"user_handle": None}:
        device.user_handle = None
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.use(device, **lie)


async def test_an_algorithm_that_was_not_offered_is_refused(site):
    """R29."""
    with pytest.raises(Refusal, match="passkey_refused"):
        await site.register(SoftPasskey(), algorithm=-47)


async def test_another_accounts_passkey_does_not_step_up_this_one(site, bobs, ada):
    """R29: bound to the account, with a handle or without."""
    device = SoftPasskey()
    await bobs.register(device)
    for handle in (device.user_handle, None):
        device.user_handle = handle
        with pytest.raises(Refusal, match="passkey_refused"):
            await site.use(device, account_id=ada.account_id)


async def test_a_counter_that_does_not_move_is_a_copy(site):
    """W section 7.2 step 22: a device-bound key counts; the same count again, or a lower one, is refused."""
    device = SoftPasskey(synced=False, counter=7)
    await site.register(device)
    await site.use(device)
    assert device.counter == 8
    for counter in (8, 3, 0):
        with pytest.raises(Refusal, match="passkey_refused"):
            await site.use(device, counter=counter)
    await site.use(device, counter=9)


async def test_two_uses_of_one_count_race_for_one_success(site, database, store, now):
    """R78: two ceremonies, two signatures, one count: the update decides."""
    device = SoftPasskey(synced=False)
    await site.register(device)
    ceremonies = [await site.ask() for _ in range(20)]
    answers = iter([(c.id, device.get(c.options, counter=5)) for c in ceremonies])

    async def answer(db):
        ceremony, response = next(answers)
        try:
            await verify_authentication(db, store, POLICY, bound_to=HERE, ceremony=ceremony, response=response, now=now)
        except Refusal as refusal:
            return refusal.reason
        return "accepted"

    outcomes = await race(database, answer, times=20)

    assert outcomes.count("accepted") == 1
    assert outcomes.count("passkey_refused") == 19


async def test_synced_passkeys_keep_no_counter(site):
    """W section 6.1.1: 0 is fine, always."""
    device = SoftPasskey()
    await site.register(device)
    for _ in range(3):
        await site.use(device, counter=0)


async def test_an_unknown_credential_is_said_to_be_unknown(site):
    """So that the browser can be told to forget it."""
    with pytest.raises(Refusal, match="passkey_unknown"):
        await site.use(SoftPasskey(user_handle=bytes(64)))


async def test_a_removed_passkey_is_gone(site, db, ada, bob, now):
    """And nobody removes another's."""
    device = SoftPasskey()
    registered = (await site.register(device)).id

    assert not await passkey.remove(db, bob.account_id, registered, now)
    assert await passkey.remove(db, ada.account_id, registered, now)
    assert not await passkey.remove(db, ada.account_id, registered, now)
    await db.commit()

    assert await passkey.passkeys_of(db, ada.key, ada.account_id) == []
    with pytest.raises(Refusal, match="passkey_unknown"):
        await site.use(device)


async def test_there_is_an_end_to_passkeys(site, monkeypatch):
    """R44: lists stay lists."""
    monkeypatch.setattr("identity.passkey_registration.MAX_PASSKEYS", 2)
    await site.register(SoftPasskey())
    await site.register(SoftPasskey())
    with pytest.raises(Refusal, match="passkey_too_many"):
        await site.register(SoftPasskey())


async def test_transports_are_told_by_the_browser_and_not_believed(site, db):
    """What is unknown is left out, so that it never comes back in our options."""
    await site.register(SoftPasskey(), transports=["usb", "<script>", 7, {"a": 1}, "usb"])
    assert await db.scalar(select(Passkey.transports)) == ["usb"]


async def test_names_are_sealed_and_handles_are_not_accounts(site, db, ada):
    """R60."""
    await site.register(SoftPasskey())
    assert b"phone" not in await db.scalar(select(Passkey.name))
    assert await db.scalar(select(UserHandle.handle)) != ada.account_id.bytes


@given(
    st.one_of(
        st.text(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["response", "clientDataJSON", "id", "rawId"]), inner, max_size=4)
            ),
        ).map(json.dumps),
    )
)
def test_nothing_that_a_form_can_carry_breaks_it(answer):
    """R73: malformed JSON is a refusal."""
    with pytest.raises(Refusal, match="passkey_refused"):
        answer_of(answer)
    with pytest.raises(Refusal, match="passkey_refused"):
        answer_of("[" * 20_000)


async def test_malformed_cbor_is_a_refusal(site):
    """tests/faults: malformed CBOR."""
    device = SoftPasskey()
    for attestation in (b"", b"\xff", b"\xa1", b"\x9f" * 200, b"\xa3cfmtdnone", b"\x00" * 400):
        ceremony = await site.offer()
        answer = json.loads(device.create(ceremony.options))
        answer["response"]["attestationObject"] = bytes_to_base64url(attestation)
        with pytest.raises(Refusal, match="passkey_refused"):
            await site.register(device, ceremony=ceremony, answer={"response": answer["response"]})
    await site.register(device)
    for data in (b"", b"\x00" * 36, b"\xff" * 37, b"\x00" * 500):
        ceremony = await site.ask()
        answer = json.loads(device.get(ceremony.options))
        answer["response"]["authenticatorData"] = bytes_to_base64url(data)
        with pytest.raises(Refusal, match="passkey_refused"):
            await site.use(device, ceremony=ceremony, response=json.dumps(answer))
