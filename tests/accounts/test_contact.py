"""Contacts: one canonical form, one account an address, sealed and found blind."""

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select, update
from stage import race

from accounts.contact import (
    Contact,
    add_contact,
    canonical_email,
    canonical_phone,
    contacts_of,
    find_account_by_email,
    masked,
)
from accounts.errors import Refusal

anyio_test = pytest.mark.anyio


@pytest.mark.parametrize(
    "written",
    [
        "ada@example.org",
        " Ada@Example.ORG ",
        "ADA@EXAMPLE.ORG\n",
        "ａｄａ@ｅｘａｍｐｌｅ.org",
        "ada@example。org",
        "𝐚da@example.org",
    ],
)
def test_every_spelling_of_an_address_is_one_address(written):
    """R79: NFKC, case folded."""
    assert canonical_email(written) == "ada@example.org"


def test_a_domain_is_known_by_its_ascii_name():
    """R79: IDNA."""
    assert canonical_email("Zoë@BÜCHER.example") == canonical_email("zoë@xn--bcher-kva.example")
    assert canonical_email("zoë@bücher.example") == canonical_email(unicodedata.normalize("NFD", "zoë@bücher.example"))


def test_different_mailboxes_stay_different():
    """What a mail server may tell apart we do not merge: dots and plus tags."""
    assert len({canonical_email(a) for a in ("ada@example.org", "a.da@example.org", "ada+x@example.org")}) == 3


@given(st.text(min_size=1, max_size=20))
@example("aß\u0301b")
@example("aΪ\u0301b")
def test_the_canonical_form_is_its_own_canonical_form(local):
    """R79: found again by whatever form is typed."""
    try:
        canonical = canonical_email(f"{local}@example.org")
    except Refusal:
        return
    assert canonical_email(canonical) == canonical


@given(st.text(max_size=100))
def test_whatever_is_typed_is_an_address_or_is_refused(written):
    """R12 in spirit: any Unicode gets a plain answer."""
    for read in (canonical_email, canonical_phone):
        with suppress(Refusal):
            assert read(written).strip()


@pytest.mark.parametrize(
    "written",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@localhost",
        "ada@[127.0.0.1]",
        "Ada <ada@example.org>",
        "ada@example.org, eve@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada @example.org",
        "ada@exa mple.org",
        "a" * 300 + "@example.org",
        "ada@example.invalid",
    ],
)
def test_an_address_that_could_do_something_else_is_refused(written):
    """R66: no second address, no header of the attacker's."""
    with pytest.raises(Refusal, match="email_invalid"):
        canonical_email(written)


def test_addresses_for_testing_are_addresses():
    """RFC 2606: .test and .example are there for people like those of the simulator."""
    assert canonical_email("ada@people.test") == "ada@people.test"
    assert canonical_email("ada@people.example") == "ada@people.example"


@pytest.mark.parametrize("written", ["+44 20 7946 0958", "+442079460958", "＋44-20-7946-0958", "+44 (0)20 7946 0958"])
def test_every_spelling_of_a_number_is_one_number(written):
    """R79: E.164."""
    assert canonical_phone(written) == "+442079460958"


@pytest.mark.parametrize(
    "written", ["", "020 7946 0958", "+", "+44", "911", "+999 123456", "call me", "+4420794609580000"]
)
def test_a_number_without_its_country_is_no_number(written):
    """Nobody guesses where a citizen is."""
    with pytest.raises(Refusal, match="phone_invalid"):
        canonical_phone(written)


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("email", "ada@example.org", "a•••@e•••.org"),
        ("phone", "+442079460958", "•••58"),
        ("email", "a@b.c", "a•••@b•••.c"),
    ],
)
def test_a_masked_contact_tells_its_owner_enough_and_others_nothing(kind, value, shown):
    """R66."""
    assert masked(kind, value) == shown


@anyio_test
async def test_an_address_finds_its_account(db, vault, ada, bob, now):
    """R60, R79: by blind index, in every spelling."""
    await add_contact(
        db, vault, ada.key, ada.account_id, "email", " Ada@Example.org ", now, verified=True, primary=True
    )
    await add_contact(db, vault, bob.key, bob.account_id, "email", "bob@example.org", now, verified=True)

    assert await find_account_by_email(db, vault, canonical_email("ADA@EXAMPLE.ORG")) == ada.account_id
    assert await find_account_by_email(db, vault, "eve@example.org") is None
    [contact] = await contacts_of(db, ada.key, ada.account_id)
    assert (contact.kind, contact.value, contact.is_verified, contact.is_primary) == (
        "email",
        "Ada@Example.org",
        True,
        True,
    )


@anyio_test
async def test_an_unverified_or_removed_address_signs_nobody_in(db, vault, ada, now):
    """Claimed is not proved."""
    await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=False)
    assert await find_account_by_email(db, vault, "ada@example.org") is None

    await db.execute(update(Contact).values(verified_at=now))
    assert await find_account_by_email(db, vault, "ada@example.org") == ada.account_id

    await db.execute(update(Contact).values(removed_at=now))
    assert await find_account_by_email(db, vault, "ada@example.org") is None
    assert await contacts_of(db, ada.key, ada.account_id) == []


@anyio_test
async def test_an_address_belongs_to_one_account(db, vault, ada, bob, now):
    """R79: the index decides; the refused one keeps its transaction."""
    assert await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True)
    assert not await add_contact(db, vault, bob.key, bob.account_id, "email", "ADA@example.org", now, verified=True)
    assert not await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True)
    assert await add_contact(db, vault, bob.key, bob.account_id, "email", "bob@example.org", now, verified=True)

    await db.execute(update(Contact).where(Contact.account_id == ada.account_id).values(removed_at=now))
    assert await add_contact(db, vault, bob.key, bob.account_id, "email", "ada@example.org", now, verified=True)


@anyio_test
async def test_of_a_hundred_that_race_for_an_address_one_has_it(database, vault, ada, now):
    """R78."""
    added = await race(
        database,
        lambda db: add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True),
    )
    assert len([contact for contact in added if contact is not None]) == 1


@anyio_test
async def test_a_household_may_share_a_telephone(db, vault, ada, bob, now):
    """One number, two accounts; and it signs nobody in."""
    for person in (ada, bob):
        assert await add_contact(
            db, vault, person.key, person.account_id, "phone", "+44 20 7946 0958", now, verified=True
        )
    [contact] = await contacts_of(db, bob.key, bob.account_id)
    assert contact.value == "+442079460958"
    assert await find_account_by_email(db, vault, "+442079460958") is None


@anyio_test
async def test_a_dump_reveals_no_address(db, vault, ada, now):
    """R60."""
    await add_contact(db, vault, ada.key, ada.account_id, "email", "ada@example.org", now, verified=True)
    row = await db.first(select(Contact.value, Contact.blind_index))
    assert b"ada" not in row.value
    assert b"example" not in row.value
    assert row.blind_index == vault.blind("email", "ada@example.org")
