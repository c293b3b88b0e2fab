"""Passwords: what is acceptable, how they are kept, and that checking one tells nothing."""

import asyncio
import hashlib
import time
import unicodedata
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from accounts.database import Database
from accounts.errors import Refusal
from accounts.vault import Vault, VaultKeys
from config.database import open_engine
from identity import password
from identity.common_password import breached_list, is_common
from identity.password import CHEAPEST, Hasher, HashParameters, Password, PasswordPolicy, verify_acceptable

anyio_test = pytest.mark.anyio
POLICY = PasswordPolicy(context_words=("Citizen Account", "login.gov.example"))
SLOW = HashParameters(memory_kib=65536, passes=4)
GOOD = "violet anchors drift"
WORDS = ["anchor", "violet", "drift", "kettle", "marble", "ladder", "cotton", "ember", "walnut", "prairie"]


@pytest.fixture
def hasher(vault):
    made = Hasher(vault, CHEAPEST)
    yield made
    made.close()


def reason(typed, *context, alone=False, policy=POLICY):
    try:
        verify_acceptable(typed, context, alone=alone, policy=policy)
    except Refusal as refusal:
        return refusal.reason
    return None


# What is acceptable


@pytest.mark.parametrize(
    ("length", "alone", "verdict"),
    [
        (7, False, "password_too_short"),
        (8, False, None),
        (14, True, "password_too_short"),
        (15, True, None),
        (128, True, None),
        (129, True, "password_too_long"),
    ],
)
def test_length_is_what_counts(length, alone, verdict):
    """R22: 15 alone, 8 beside a second authenticator, up to 128."""
    typed = ("gk7 tw)fé漢😀vm\u00a0qzx" * 10)[:length]
    assert reason(typed, alone=alone) == verdict


@pytest.mark.parametrize(
    "typed",
    [GOOD, "ночной поезд в осень", "雨の日は本を読みたい", "nnk gq wv", "gkwtmvqz", "93175028461739", "        .xKq"],
)
def test_no_rule_of_composition(typed):
    """R22: any Unicode, no digit or sign demanded, spaces welcome."""
    assert reason(typed) is None


def test_a_character_is_counted_as_a_person_counts():
    """R22: in NFC: an accent typed apart is no second character."""
    assert reason(unicodedata.normalize("NFD", "éèêëàâü")) == "password_too_short"


@pytest.mark.parametrize(
    "typed",
    [
        "password",
        "PASSWORD",
        "Password1",
        "password2026!",
        "P@ssw0rd",
        "pa55word!!",
        "$unsh1ne",
        "12345678",
        "123456789012345",
        "987654321098765",
        "qwertyuiop",
        "poiuytrewq",
        "qwertyuiopasdfghjkl",
        "1qaz2wsx3edc4rfv",
        "aaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "passwordpassword",
        "PasswordPassword1",
        "iloveyou",
        "cymru123",
        "contraseña",
        "motdepasse",
        "correcthorsebatterystaple",
        "ｐａｓｓｗｏｒｄ",
    ],
)
def test_what_everyone_tries_first_is_refused(typed):
    """R22, NIST SP 800-63B-4 section 3.1.1.2: the shipped list, its entries in disguise, repeats and walks."""
    assert reason(typed) == "password_common"


def test_the_shipped_list_is_small_and_whole():
    """At least 3,000 entries of eight characters and more, each of which is refused."""
    from identity.common_password import _shipped

    assert 3_000 <= len(_shipped()) <= 20_000
    assert all(len(entry) >= 8 and entry == entry.casefold() and is_common(entry) for entry in _shipped())


@given(st.lists(st.sampled_from(WORDS), min_size=4, max_size=6, unique=True))
def test_a_passphrase_of_plain_words_is_welcome(words):
    """R22: the blocklist hinders nobody who chose at random."""
    assert reason(" ".join(words), alone=True) is None


@given(st.text(max_size=300))
def test_every_text_gets_a_plain_answer(typed):
    """R22: any Unicode; never a crash."""
    assert reason(typed) in {None, "password_too_short", "password_too_long", "password_common", "password_context"}


@pytest.mark.parametrize(
    "typed",
    [
        "ada.lovelace",
        "AdaLovelace1",
        "lovelace1815",
        "lovelace-ada-19",
        "lovelacelovelace",
        "citizenaccount",
        "Citizen-2026",
        "login.gov!",
        "lovelace12345678",
        "ada lovelace ada",
    ],
)
def test_words_that_lie_at_hand_are_refused(typed):
    """R22: name, address and the service's own words, when little else is there."""
    assert reason(typed, "ada.lovelace", "Ada Lovelace") == "password_context"


def test_a_name_within_a_passphrase_is_no_harm():
    """R22: what is left is long enough."""
    assert reason("lovelace wrote fine notes", "ada.lovelace") is None
    assert reason("adagio for tin whistle", "ada") is None
    assert reason(GOOD, "", "  ", "a", "vi") is None


# The operator's larger list


@pytest.fixture(scope="module")
def larger_list(tmp_path_factory):
    leaked = {f"leaked horse {n}" for n in range(3000)}
    lines = sorted(hashlib.sha1(entry.encode()).hexdigest().upper() for entry in leaked)
    folder = tmp_path_factory.mktemp("lists")
    plain, counted, cut = folder / "plain", folder / "counted", folder / "cut"
    plain.write_text("\n".join(lines) + "\n")
    counted.write_text("".join(f"{line}:{n % 17 + 1}\r\n" for n, line in enumerate(lines)))
    cut.write_text("\n".join(lines))
    return leaked, [str(plain), str(counted), str(cut)]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_larger_list_is_searched_on_disk(larger_list, which):
    """R22: as Pwned Passwords is distributed, with counts or without, with a last line end or without."""
    leaked, paths = larger_list
    listed = breached_list(paths[which])

    assert all(entry in listed for entry in leaked)
    assert not any(f"other horse {n}" in listed for n in range(1000))
    policy = PasswordPolicy(breached_file=paths[which])
    assert reason("leaked horse 42", policy=policy) == "password_common"
    assert reason(GOOD, policy=policy) is None


@pytest.mark.parametrize("content", ["", "password\n12345678\n", "0123456789abcdef" * 3 + "\n"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, content):
    """R74: at start, not at the first sign-in; a list that matches nothing would pass everything."""
    path = tmp_path / "list.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"list\.txt"):
        breached_list(str(path))
    with pytest.raises(FileNotFoundError):
        breached_list(str(tmp_path / "none"))


# How they are kept


@anyio_test
async def test_the_right_password_is_right_and_no_other(db, hasher, ada, bob, now):
    """Each account its own."""
    hashed = await hasher.hash(GOOD)
    await password.set_password(db, ada.account_id, hashed, now)

    assert await password.verify(db, hasher, ada.account_id, GOOD)
    for other in ("", GOOD + " ", GOOD.upper(), GOOD[:-1], "\x00", "x" * 10_000, "\ud800"):
        assert not await password.verify(db, hasher, ada.account_id, other)
    assert not await password.verify(db, hasher, bob.account_id, GOOD)
    assert not await password.verify(db, hasher, None, GOOD)


@anyio_test
async def test_an_accent_typed_apart_is_the_same_password(db, hasher, ada, now):
    """R22: NFC; keyboards and systems differ."""
    await password.set_password(db, ada.account_id, await hasher.hash("café-olé-niño"), now)
    assert await password.verify(db, hasher, ada.account_id, unicodedata.normalize("NFD", "café-olé-niño"))


@anyio_test
async def test_a_new_password_ends_the_old_one(db, hasher, ada, now):
    """Changed and removed."""
    await password.set_password(db, ada.account_id, await hasher.hash(GOOD), now)
    await password.set_password(db, ada.account_id, await hasher.hash("another good one"), now)

    assert not await password.verify(db, hasher, ada.account_id, GOOD)
    assert await password.verify(db, hasher, ada.account_id, "another good one")
    assert await password.remove_password(db, ada.account_id)
    assert not await password.remove_password(db, ada.account_id)
    assert not await password.verify(db, hasher, ada.account_id, "another good one")


@anyio_test
async def test_hashes_are_argon2id_and_worth_nothing_without_the_pepper(hasher):
    """R23: a dump of the database cannot be attacked by itself."""
    hashed = await hasher.hash(GOOD)
    elsewhere = Hasher(Vault(VaultKeys({1: b"w" * 32}, 1, b"b" * 32, b"another pepper of 32 bytes......")), CHEAPEST)

    assert hashed.startswith("$argon2id$v=19$")
    assert (await hasher.check(hashed, GOOD)).is_right
    assert not (await elsewhere.check(hashed, GOOD)).is_right
    elsewhere.close()


def test_the_defaults_are_owasps_floor():
    """R23: OWASP Password Storage Cheat Sheet, Argon2id with m=19456 (19 MiB), t=2, p=1."""
    assert HashParameters() == HashParameters(memory_kib=19456, passes=2, lanes=1)


@anyio_test
async def test_a_hash_of_weaker_parameters_is_made_anew_at_the_next_sign_in(db, hasher, vault, ada, now):
    """R23: and only by the right password."""
    stronger = Hasher(vault, HashParameters(memory_kib=16, passes=2))
    await password.set_password(db, ada.account_id, await hasher.hash(GOOD), now)
    old = await db.scalar(select(Password.hash))

    assert not await password.verify(db, stronger, ada.account_id, "wrong")
    assert await db.scalar(select(Password.hash)) == old
    assert await password.verify(db, stronger, ada.account_id, GOOD)
    raised = await db.scalar(select(Password.hash))
    assert "m=16,t=2" in raised
    assert await password.verify(db, stronger, ada.account_id, GOOD)
    assert await db.scalar(select(Password.hash)) == raised
    stronger.close()


@anyio_test
async def test_a_stored_value_that_is_no_hash_lets_nobody_in(db, hasher, ada, now):
    """R75."""
    for odd in ("", "plain", "$argon2id$v=19$m=8", "$2b$12$abc"):
        await password.set_password(db, ada.account_id, odd, now)
        assert not await password.verify(db, hasher, ada.account_id, odd)


# That checking one tells nothing, and holds nobody up


@anyio_test
async def test_a_missing_account_costs_as_much_as_a_wrong_password(database, vault, ada, bob, now):
    """R27: the same work is done on a dummy hash, also for an account without a password."""
    hasher = Hasher(vault, HashParameters(memory_kib=8192, passes=3))
    async with database.begin() as db:
        await password.set_password(db, ada.account_id, await hasher.hash(GOOD), now)
    took: dict[object, list[float]] = {ada.account_id: [], bob.account_id: [], None: []}
    for _ in range(15):
        for account_id, times in took.items():
            async with database.begin() as db:
                began = time.perf_counter()
                assert not await password.verify(db, hasher, account_id, "wrong")
                times.append(time.perf_counter() - began)
    hasher.close()

    known, without, missing = (median(times) for times in took.values())
    assert 0.6 < missing / known < 1.6
    assert 0.6 < without / known < 1.6


@anyio_test
async def test_hashing_holds_no_connection(backend, database, vault, ada, now):
    """A sign-in storm starves nobody of the database: here, with one connection for all."""
    slow, engine = Hasher(vault, SLOW), open_engine(backend.database_url, 1)
    single = Database(engine, keep=(Refusal,))
    async with single.begin() as db:
        await password.set_password(db, ada.account_id, await slow.hash(GOOD), now)

    async def sign_in():
        async with single.begin() as db:
            return await password.verify(db, slow, ada.account_id, GOOD)

    signing_in = asyncio.create_task(sign_in())
    await asyncio.sleep(0.05)
    async with single.begin() as db:
        await db.scalar(select(Password.set_at))
    assert not signing_in.done(), "hashing was over too soon to show anything"

    assert await signing_in
    slow.close()
    await engine.dispose()


@anyio_test
async def test_when_too_many_wait_the_rest_are_told_to_come_back(vault):
    """R73, stack.md: a queue limit of its own; what was accepted is finished, and room comes back."""
    hasher = Hasher(vault, SLOW, threads=2, queue=3)

    answers = await asyncio.gather(*(hasher.hash(GOOD) for _ in range(50)), return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert len(refused) == 45
    assert {(refusal.reason, refusal.status) for refusal in refused} == {("busy", 503)}
    assert all(refusal.retry_after for refusal in refused)
    assert await hasher.hash(GOOD)
    hasher.close()


@anyio_test
async def test_a_citizen_who_goes_away_leaves_the_queue(vault):
    """A cancelled request frees its place, whether it was waiting or at work."""
    hasher = Hasher(vault, HashParameters(memory_kib=8192, passes=2), threads=1, queue=2)
    for _ in range(5):
        waiting = [asyncio.create_task(hasher.hash(GOOD)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0.2)
    assert await asyncio.gather(*(hasher.hash(GOOD) for _ in range(3)))
    hasher.close()


@anyio_test
async def test_the_event_loop_goes_on_while_hashing(vault):
    """Tokens are served during a sign-in storm."""
    hasher = Hasher(vault, SLOW)
    hashing = asyncio.gather(*(hasher.hash(GOOD) for _ in range(4)))
    ticks = 0
    while not hashing.done():
        await asyncio.sleep(0.005)
        ticks += 1
    hasher.close()
    assert ticks > 10
