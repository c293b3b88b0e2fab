"""Test people: every mistake of the file is named, and what it says is what there is afterwards."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from simulated import PEOPLE

from config.clock import Clock
from config.demo.people import PeopleError, create_people, read_people
from config.house import House
from config.keys import make_keys
from config.settings import read_settings

ONE = """
[[people]]
handle = "ada"
email = "ada@example.org"
password = "correct horse battery staple"
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (PEOPLE.replace('handle = "ada"', 'handel = "ada"'), ["person 1: handel: unknown", "person 1: handle: must"]),
        (PEOPLE.replace("[people.claims]", "[people.claims]\nshoe_size = 43"), ["(ada): claims.shoe_size: unknown"]),
        (PEOPLE.replace("locality", "town"), ["(ada): claims.address: town"]),
        (PEOPLE.replace('"suspended"', '"tired"'), ["(dora): state: must be one of"]),
        (PEOPLE.replace("ben@example.org", "ADA@example.org"), ["email: ada@example.org is given to more than one"]),
        (PEOPLE.replace('handle = "ben"', 'handle = "ada"'), ["handle: ada is given to more than one"]),
        (PEOPLE.replace('handle = "ben"', 'handle = "ben/x"'), ["handle: must not hold a slash"]),
        (PEOPLE.replace("ben@example.org", "ben"), ["(ben): email: must be an address"]),
        (PEOPLE.replace('"+44 20 7946 0123"', '"0123"'), ["(ada): phone_number: must be a number"]),
        (PEOPLE.replace('"+44 20 7946 0123"', "123"), ["(ada): phone_number: must be a number"]),
        (PEOPLE.replace('totp = "JBSW', 'totp = "1!'), ["(ada): totp: must be a seed in base32"]),
        (ONE + "recovery_codes = 'one'", ["(ada): recovery_codes: must be a list"]),
        (ONE + "locale = 3", ["(ada): locale: must be a language tag"]),
        (ONE + "claims = 'x'", ["(ada): claims: must be a [people.claims] table"]),
        (ONE + "[people.claims]\nname = 3", ["(ada): claims.name: must be a text"]),
        (ONE + "[people.claims]\naddress = 'Rome'", ["(ada): claims.address: must be a table"]),
        (ONE + "[people.claims]\nemail_verified = false", ["(ada): claims.email_verified: people sign in with it"]),
        (ONE + "[people.claims]\nupdated_at = 'now'", ["(ada): claims.updated_at: has the wrong type"]),
        ("[[person]]\nhandle = 'x'", ["person: unknown; people are [[people]] tables"]),
        ("people = 3", ["people: write each person as a [[people]] table"]),
        ("[[people", ["not TOML"]),
    ],
)
def test_every_mistake_is_named(text: str, named: list[str]) -> None:
    with pytest.raises(PeopleError) as refused:
        read_people(text, "people.toml")

    assert all(line.startswith("people.toml: ") for line in str(refused.value).splitlines())
    for words in named:
        assert words in str(refused.value)


def test_a_person_can_have_every_standard_claim() -> None:
    """OpenID Connect Core section 5.1; what is kept elsewhere than in the profile may stand among the claims."""
    (ada,) = read_people(
        ONE
        + """
        [people.claims]
        name = "Ada"
        given_name = "Ada"
        family_name = "L"
        middle_name = "M"
        nickname = "A"
        preferred_username = "ada"
        profile = "https://ada.example"
        picture = "https://ada.example/p.png"
        website = "https://ada.example"
        gender = "female"
        birthdate = 1985-12-10
        zoneinfo = "Europe/London"
        locale = "en-GB"
        phone_number = "+442079460123"
        phone_number_verified = false
        email_verified = true
        updated_at = 1700000000
        address = { formatted = "1 Road", street_address = "1 Road", locality = "L", region = "R", postal_code = "P",
                    country = "C" }
        """.replace('"L",\n', '"L",').replace('"P",\n                    ', '"P", '),
        "people.toml",
    )

    assert ada.claims.birthdate == "1985-12-10"
    assert ada.claims.address is not None
    assert (ada.locale, ada.phone_number, ada.phone_number_verified) == ("en-GB", "+442079460123", False)
    assert ada.updated_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", ["JBSWY3DPEHPK3PXP", "jbsw y3dp ehpk 3pxp", "JBSW-Y3DP-EHPK-3PXP", "GEZDGNBVGY3TQOI="]
)
def test_a_seed_may_be_written_as_apps_show_it(written: str) -> None:
    (ada,) = read_people(ONE + f"totp = '{written}'", "people.toml")

    assert ada.totp is not None
    assert ada.totp.isalnum()
    assert ada.totp == ada.totp.upper()


def test_people_can_be_none() -> None:
    assert read_people("", "people.toml") == []


@pytest.mark.anyio
async def test_people_are_refused_outside_simulator_and_demo(tmp_path: Path) -> None:
    """R74: no account with a known password, ever."""
    make_keys(tmp_path / "keys")
    production = {
        "IDENTITY_ISSUER": "https://account.example.gov",
        "IDENTITY_MAIL__URL": "smtps://mail.example.gov",
        "IDENTITY_MAIL__SENDER": "account@example.gov",
        "IDENTITY_DATABASE__URL": f"sqlite:///{tmp_path / 'identity.sqlite'}",
        "IDENTITY_KEYS__DIRECTORY": str(tmp_path / "keys"),
    }
    house = await House.open(read_settings(None, production), Clock())
    try:
        with pytest.raises(PeopleError, match="for the simulator and the demo alone"):
            await create_people(house, read_people(ONE, "people.toml"), house.clock.now())
    finally:
        await house.close()
