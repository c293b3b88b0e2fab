"""The vault: what is sealed opens in its own place only, and what is looked up tells nothing."""

import os
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.vault import DataKey, SealBroken, Vault, VaultKeys

KEYS = VaultKeys(wrapping={1: b"1" * 32}, current=1, blind_index=b"b" * 32, pepper=b"p" * 32)
VAULT = Vault(KEYS)
ACCOUNT, ROW = uuid4(), uuid4()
KEY, WRAPPED = VAULT.new_data_key(ACCOUNT)


def with_keys(**changes):
    return Vault(msgspec.structs.replace(KEYS, **changes))


@given(st.binary(max_size=300), st.text(max_size=30), st.uuids() | st.binary(min_size=1, max_size=64))
def test_what_is_sealed_opens_again(value, place, row):
    """R60: by the account's key and by the vault's."""
    assert KEY.open(place, row, KEY.seal(place, row, value)) == value
    assert VAULT.open(place, row, VAULT.seal(place, row, value)) == value


@pytest.mark.parametrize("sealer", [KEY, VAULT], ids=["data key", "vault"])
def test_a_seal_is_bound_to_table_column_and_row(sealer):
    """R60: moved to another column or another citizen's row it does not open."""
    sealed = sealer.seal("contact.value", ROW, b"ada@example.org")
    for place, row in (
        ("contact.other", ROW),
        ("contact.value", uuid4()),
        ("contact.valu", b"e" + ROW.bytes),
        ("", ROW),
    ):
        with pytest.raises(SealBroken):
            sealer.open(place, row, sealed)


@pytest.mark.parametrize("sealer", [KEY, VAULT], ids=["data key", "vault"])
def test_place_and_row_cannot_be_shifted_into_one_another(sealer):
    """The place's length is bound too."""
    sealed = sealer.seal("ab", b"c", b"value")
    with pytest.raises(SealBroken):
        sealer.open("a", b"bc", sealed)


@pytest.mark.parametrize("sealer", [KEY, VAULT], ids=["data key", "vault"])
def test_changed_or_cut_bytes_do_not_open(sealer):
    """R60: every byte counts; the empty value too."""
    sealed = sealer.seal("contact.value", ROW, b"ada@example.org")
    for at in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open("contact.value", ROW, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        with pytest.raises(SealBroken):
            sealer.open("contact.value", ROW, sealed[:at])


def test_equal_values_do_not_look_equal():
    """R60: a dump shows no repetition."""
    assert len({KEY.seal("a.b", ROW, b"same") for _ in range(100)}) == 100
    assert len({VAULT.seal("a.b", ROW, b"same") for _ in range(100)}) == 100


def test_a_data_key_opens_for_its_account_alone():
    """R60: a wrapped key copied to another account's row is no key."""
    sealed = KEY.seal("a.b", ROW, b"value")
    assert VAULT.data_key(ACCOUNT, WRAPPED).open("a.b", ROW, sealed) == b"value"
    with pytest.raises(SealBroken):
        VAULT.data_key(uuid4(), WRAPPED)


def test_accounts_do_not_share_keys():
    """R64: destroying one erases one."""
    other, _ = VAULT.new_data_key(ACCOUNT)
    with pytest.raises(SealBroken):
        other.open("a.b", ROW, KEY.seal("a.b", ROW, b"value"))


def test_a_wrapped_key_is_no_sealed_value_and_the_other_way_round():
    """R11 in spirit: one thing is never accepted where another is expected."""
    with pytest.raises(SealBroken):
        VAULT.open("account.data_key", ACCOUNT, WRAPPED)
    with pytest.raises(SealBroken):
        VAULT.data_key(ACCOUNT, VAULT.seal("account.data_key", ACCOUNT, os.urandom(32)))


def test_the_wrapping_key_rotates_while_old_values_stay_readable():
    """R60: online; a new key seals, the old one still opens, and without it nothing opens."""
    sealed = VAULT.seal("a.b", ROW, b"value")
    rotated = with_keys(wrapping={1: b"1" * 32, 2: b"2" * 32}, current=2)
    finished = with_keys(wrapping={2: b"2" * 32}, current=2)

    assert rotated.open("a.b", ROW, sealed) == b"value"
    assert isinstance(rotated.data_key(ACCOUNT, WRAPPED), DataKey)
    resealed = rotated.seal("a.b", ROW, b"value")
    assert finished.open("a.b", ROW, resealed) == b"value"
    for old in (lambda: finished.open("a.b", ROW, sealed), lambda: finished.data_key(ACCOUNT, WRAPPED)):
        with pytest.raises(SealBroken, match="does not have"):
            old()


def test_another_deployments_key_of_the_same_number_opens_nothing():
    """R75: said as a broken seal."""
    with pytest.raises(SealBroken):
        with_keys(wrapping={1: b"x" * 32}).open("a.b", ROW, VAULT.seal("a.b", ROW, b"value"))


@pytest.mark.parametrize("nothing", [b"", b"\x01", b"\x09" + bytes(40)])
def test_what_was_never_sealed_does_not_open(nothing):
    """R75."""
    with pytest.raises(SealBroken):
        VAULT.open("a.b", ROW, nothing)
    with pytest.raises(SealBroken):
        VAULT.data_key(ACCOUNT, nothing)


def test_a_blind_index_finds_equals_and_hides_the_value():
    """R60, R79: the same for the same, by kind, by key; the wrapping key and the pepper have no part in it."""
    index = VAULT.blind("email", "ada@example.org")

    assert len(index) == 32
    assert index == with_keys(wrapping={7: b"7" * 32}, current=7, pepper=b"q" * 32).blind("email", "ada@example.org")
    assert index != VAULT.blind("phone", "ada@example.org")
    assert index != VAULT.blind("email", "ada@example.com")
    assert index != with_keys(blind_index=b"c" * 32).blind("email", "ada@example.org")


def test_a_keyed_hash_serves_one_purpose():
    """R23: by purpose and by pepper; the pepper itself is not the key."""
    mac = VAULT.mac("recovery_code", b"value")

    assert len(mac) == 32
    assert mac != VAULT.mac("confirmation_code", b"value")
    assert mac != with_keys(pepper=b"q" * 32).mac("recovery_code", b"value")
    assert mac == with_keys(wrapping={7: b"7" * 32}, current=7, blind_index=b"c" * 32).mac("recovery_code", b"value")
