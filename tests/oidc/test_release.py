"""The one way out for a citizen's claims."""

from typing import Any

import pytest
from oidc_kit import ADA, Box, decoded
from sqlalchemy import update

from accounts.account import Account, data_key_of
from accounts.consent import Consent
from accounts.contact import Contact, add_contact
from accounts.profile import Claims
from oidc.protocol.claims import ClaimAsked, ClaimsAsked

pytestmark = pytest.mark.anyio

ALL = ("openid", "profile", "email", "phone", "address")


async def released(
    box: Box, scopes: tuple[str, ...] = ALL, asked: ClaimsAsked | None = None, **person: Any
) -> dict[str, Any]:
    """What userinfo says of a new citizen."""
    session = await box.session(await box.person(**person))
    code = await box.code(await box.register(), session=session, scopes=scopes, asked=asked)
    tokens = (await box.redeem(code)).json()
    said: dict[str, Any] = (await box.userinfo(tokens["access_token"])).json()
    return said


async def test_a_claim_without_a_value_is_left_out(box: Box) -> None:
    """OpenID Connect Core section 5.3.2: omitted, not null, not empty."""
    said = await released(box, claims=Claims(name="Björk"), phone=None)

    assert said.keys() == {"sub", "name", "locale", "updated_at", "email", "email_verified"}
    assert said["name"] == "Björk"


async def test_openid_alone_releases_the_subject_alone(box: Box) -> None:
    """Core section 5.4: nothing more than was asked (R10)."""
    assert (await released(box, ("openid",))).keys() == {"sub"}


async def test_a_claim_asked_for_by_name_is_released_once_agreed(box: Box) -> None:
    """Core section 5.5: `claims.userinfo` without the scope; a value that is not met is left out (5.5.1)."""
    asked = ClaimsAsked(
        userinfo={"phone_number": ClaimAsked(essential=True), "given_name": ClaimAsked(values=("Charles",))}
    )

    said = await released(box, ("openid",), asked)

    assert said.keys() == {"sub", "phone_number"}


async def test_nothing_leaves_that_the_consent_does_not_name(box: Box) -> None:
    """R13: the agreement is binding at the door, whatever the grant asks for."""
    session = await box.session(await box.person())
    asked = ClaimsAsked(id_token={"phone_number": ClaimAsked()}, userinfo={"phone_number": ClaimAsked()})
    code = await box.code(await box.register(), session=session, scopes=("openid", "profile"), asked=asked)
    async with box.transaction() as db:
        await db.execute(update(Consent).values(claims=["name"]))

    tokens = (await box.redeem(code)).json()

    assert (await box.userinfo(tokens["access_token"])).json().keys() == {"sub", "name"}
    assert "phone_number" not in decoded(tokens["id_token"])[1]


async def test_an_unverified_contact_is_nobodys_yet(box: Box) -> None:
    """Only verified contacts leave, the primary one first; a removed one never."""
    ada = await box.person(phone=None)
    async with box.transaction() as db:
        key = await data_key_of(db, box.vault, ada)
        await add_contact(db, box.vault, key, ada, "phone", "+34600000009", box.now, verified=False, primary=True)
        await add_contact(db, box.vault, key, ada, "email", "second@example.org", box.now, verified=True)
    code = await box.code(await box.register(), session=await box.session(ada), scopes=ALL)
    token = (await box.redeem(code)).json()["access_token"]

    first = (await box.userinfo(token)).json()
    async with box.transaction() as db:
        primary = (Contact.kind == "email") & Contact.is_primary
        await db.execute(update(Contact).where(primary).values(removed_at=box.now))
    second = (await box.userinfo(token)).json()

    assert first["email"] == "ada@example.org"
    assert "phone_number" not in first
    assert second["email"] == "second@example.org"


async def test_userinfo_says_what_is_true_now(box: Box) -> None:
    """Claims are read when they are asked for, not frozen in the token."""
    from accounts.profile import write_profile

    ada = await box.person()
    token = (await box.redeem(await box.code(await box.register(), session=await box.session(ada)))).json()[
        "access_token"
    ]
    box.later(seconds=30)
    async with box.transaction() as db:
        await write_profile(db, await data_key_of(db, box.vault, ada), ada, Claims(name="Ada King"), box.now)

    said = (await box.userinfo(token)).json()

    assert said["name"] == "Ada King"
    assert said["updated_at"] == int(box.now.timestamp())
    assert "given_name" not in said


async def test_an_erased_account_says_nothing(box: Box) -> None:
    """R64: with its data key gone nothing can be opened, and nothing is."""
    ada = await box.person(ADA)
    token = (await box.redeem(await box.code(await box.register(), session=await box.session(ada)))).json()[
        "access_token"
    ]
    async with box.transaction() as db:
        await db.execute(update(Account).values(data_key=None))

    assert (await box.userinfo(token)).json().keys() == {"sub"}


async def test_a_dump_of_the_database_shows_no_claim(box: Box) -> None:
    """R60: what is released in clear lies sealed."""
    await released(box)
    async with box.transaction() as db:
        from sqlalchemy import text

        from accounts.database import Base

        dump = b""
        for table in Base.metadata.sorted_tables:
            rows = await db.all(text(f'SELECT * FROM "{table.name}"'))
            dump += b"".join(
                value
                if isinstance(value, bytes)
                else bytes(value)
                if isinstance(value, memoryview)
                else str(value).encode()
                for row in rows
                for value in row
            )

    for secret in (b"Lovelace", b"1815-12-10", b"ada@example.org", b"600000001"):
        assert secret not in dump
