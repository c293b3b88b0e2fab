"""Rich authorization requests: what exactly a service asks to do, read by the citizen in words (RFC 9396)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from services import Backend
from town import ISSUER, Citizen, Service, Shown, Town, claims_of, new_town

from config.settings import SettingsError, read_settings

pytestmark = pytest.mark.anyio

API = "https://pay.example"
SETTINGS: dict[str, Any] = {
    "resource": [{"uri": API, "name": {"en": "Payments"}}],
    "authorization_detail": [
        {
            "type": "payment",
            "name": {"en": "Make one payment", "es": "Hacer un pago"},
            "fields": {
                "amount": {"en": "Amount", "es": "Importe"},
                "to": {"en": "To"},
                "locations": {"en": "Where"},
            },
            "required": ["amount", "to"],
        },
        {
            "type": "permit",
            "name": {"en": "Your fishing permit"},
            "actions": {"read": {"en": "See it"}, "renew": {"en": "Renew it for you"}},
            "every_time": False,
        },
    ],
}
PAYMENT = {"type": "payment", "amount": {"currency": "EUR", "value": "12.50"}, "to": "Parks Agency"}
PERMIT = {"type": "permit", "actions": ["read"]}


@pytest.fixture
async def city(empty_backend: Backend) -> AsyncIterator[Town]:
    """A town whose services may ask for a payment, and for a permit."""
    async with new_town(empty_backend.database_url, SETTINGS) as made:
        yield made


def asked(*details: dict[str, Any], **more: str) -> dict[str, str]:
    return {"scope": "openid", "authorization_details": json.dumps(details), **more}


async def entered(city: Town, **registered: Any) -> tuple[Service, Citizen]:
    parks = await city.service(**registered)
    ada, _ = await city.citizen()
    return parks, ada


async def test_the_citizen_reads_it_in_words(city: Town) -> None:
    """R13: by the name of its type, its actions, its fields; in the language of the page."""
    parks, ada = await entered(city)

    shown = await ada.see(parks.address(**asked(PAYMENT, PERMIT)))
    spanish = await ada.see(parks.address(**asked(PAYMENT, ui_locales="es")))

    for words in ("Make one payment", "Amount", "EUR 12.50", "Parks Agency", "Your fishing permit", "See it"):
        assert words in shown.text
    assert "Renew it" not in shown.text
    assert "Importe" in spanish.text


async def test_the_token_says_what_was_agreed_to(city: Town) -> None:
    """Sections 7 and 9.2: in the token response and at introspection."""
    parks, ada = await entered(city)

    tokens = await parks.enter(ada, **asked(PAYMENT, PERMIT))
    facts = (await parks.post("/introspect", token=tokens["access_token"])).json()

    assert tokens["authorization_details"] == [PAYMENT, PERMIT]
    assert facts["authorization_details"] == [PAYMENT, PERMIT]


async def test_a_jwt_for_the_api_says_it_too(city: Town) -> None:
    """Section 9.1."""
    parks, ada = await entered(city)

    tokens = await parks.enter(ada, **asked(PAYMENT, resource=API))

    assert claims_of(tokens["access_token"])["authorization_details"] == [PAYMENT]


async def test_a_token_request_names_some_of_them(city: Town) -> None:
    """Section 6: as they were granted, never more; the code is not spent by asking for more."""
    parks, ada = await entered(city)
    shown = await ada.see(parks.address(**asked(PAYMENT, PERMIT, scope="openid offline_access", prompt="consent")))
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]

    more = await parks.redeem(code, authorization_details=json.dumps([{**PAYMENT, "to": "Mallory"}]))
    assert (more.status_code, more.json()["error"]) == (400, "invalid_authorization_details")
    some = (await parks.redeem(code, authorization_details=json.dumps([PERMIT]))).json()
    city.later(seconds=1)
    rest = await parks.post(
        "/token",
        grant_type="refresh_token",
        refresh_token=some["refresh_token"],
        authorization_details=json.dumps([PAYMENT]),
    )

    assert some["authorization_details"] == [PERMIT]
    assert rest.json()["authorization_details"] == [PAYMENT]


async def test_a_payment_is_asked_about_every_time(city: Town) -> None:
    """The same payment again is another payment; with prompt=none it is not made."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PAYMENT))

    again = Shown(await ada.follow(await ada.get(parks.address(**asked(PAYMENT)))))
    silent = parks.answer(await ada.get(parks.address(**asked(PAYMENT, prompt="none"))))

    assert again.name == "consent"
    assert silent["error"] == "consent_required"


async def test_a_permit_is_asked_about_once(city: Town) -> None:
    """An agreement of a type that stands is not asked for again; another action of it is new."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PERMIT))

    assert "code" in parks.answer(await ada.get(parks.address(**asked(PERMIT))))
    await parks.enter(ada, **asked(PAYMENT))
    assert "code" in parks.answer(await ada.get(parks.address(**asked(PERMIT)))), "it stands beside what came later"
    renew = {"type": "permit", "actions": ["read", "renew"]}
    assert (await ada.see(parks.address(**asked(renew)))).name == "consent"


@pytest.mark.parametrize(
    "raw",
    [
        "{",
        "{}",
        "[]",
        "[1]",
        '[{"type":"unknown"}]',
        '[{"type":"payment","amount":"1"}]',
        '[{"type":"payment","amount":"1","to":"x","more":1}]',
        '[{"type":"permit","actions":["delete"]}]',
        '[{"type":"permit","actions":"read"}]',
    ],
)
async def test_what_no_type_allows_is_refused(city: Town, raw: str) -> None:
    """Section 5: unknown types and fields, missing fields, wrong values."""
    parks, ada = await entered(city)

    refused = parks.answer(await ada.get(parks.address(scope="openid", authorization_details=raw)))

    assert refused["error"] == "invalid_authorization_details"


async def test_a_client_asks_for_the_types_it_registered(city: Town) -> None:
    """Section 10, `authorization_details_types`."""
    parks, ada = await entered(city, authorization_details_types=["permit"])

    refused = parks.answer(await ada.get(parks.address(**asked(PAYMENT))))

    assert refused["error"] == "invalid_authorization_details"
    assert (await ada.see(parks.address(**asked(PERMIT)))).name == "consent"


async def test_discovery_says_so(city: Town) -> None:
    """Section 10."""
    document = (await city.wire.get("/.well-known/openid-configuration")).json()

    assert document["authorization_details_types_supported"] == ["payment", "permit"]


def test_a_type_that_a_citizen_could_not_read_is_named(tmp_path: Path) -> None:
    """R74."""
    text = f'issuer = "{ISSUER}"\nmode = "demo"\n[[authorization_detail]]\ntype = "payment"\nname = {{es = "Pago"}}\n'
    text += 'fields = {amount = {es = "Importe"}}\nrequired = ["amount", "to"]\n'
    path = tmp_path / "settings.toml"
    path.write_text(text)

    with pytest.raises(SettingsError) as caught:
        read_settings(path, {})

    for key in ("detail.1.name.en", "detail.1.fields.amount.en", "detail.1.required: 'to'"):
        assert key in str(caught.value)
