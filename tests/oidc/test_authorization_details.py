"""Rich authorization requests: what exactly a service asks to do, read by the citizen in words (RFC 9396)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from services import Backend
from sqlalchemy import func, select, update
from town import ISSUER, Citizen, Service, Shown, Town, claims_of, new_town

from accounts.account import Account, data_key_of
from accounts.consent import Allowed, Consent, consents_of, details_of
from config.settings import SettingsError, read_settings
from oidc.access_token import AccessToken
from oidc.grant import Grant
from oidc.grant_details import details_of_grant
from oidc.protocol.authorization_details import canonical
from oidc.protocol.client_metadata import CIBA_GRANT, DEVICE_CODE

pytestmark = pytest.mark.anyio

API = "https://pay.example"
SETTINGS: dict[str, Any] = {
    "resource": [{"uri": API, "name": {"en": "Payments"}, "scopes": {"pay:list": {"en": "See your payments"}}}],
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
async def city(backend: Backend) -> AsyncIterator[Town]:
    """A town whose services may ask for a payment, and for a permit."""
    async with new_town(backend.database_url, SETTINGS) as made:
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


async def test_what_was_agreed_to_stands_sealed(city: Town) -> None:
    """R60: neither what is paid nor to whom is in the database; the words that the citizen read are sealed with it."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PAYMENT, PERMIT))

    async with city.transaction() as db:
        kept = [str(await db.all(select(table))) for table in (Consent, Grant, AccessToken)]
        plain = [
            await db.scalar(select(func.count()).where(column.is_not(None)))
            for column in (Consent.details, Grant.authorization_details, AccessToken.authorization_details)
        ]

    assert not [word for word in ("12.50", "Parks Agency", "permit") if word in str(kept)]
    assert plain == [0, 0, 0]


async def test_what_an_earlier_release_wrote_counts(city: Town) -> None:
    """The plain columns are read while rows of theirs stand: an agreement, a grant, a token."""
    parks, ada = await entered(city)
    tokens = await parks.enter(ada, **asked(PERMIT, scope="openid offline_access", prompt="consent"))
    async with city.transaction() as db:
        await db.execute(update(Consent).values(details=[canonical(PERMIT)], details_sealed=None))
        await db.execute(update(Grant).values(authorization_details=[PERMIT], details_sealed=None))
        await db.execute(update(AccessToken).values(authorization_details=[PERMIT], detail_positions=None))

    facts = (await parks.post("/introspect", token=tokens["access_token"])).json()
    again = (await parks.refresh(tokens["refresh_token"])).json()

    assert facts["authorization_details"] == again["authorization_details"] == [PERMIT]
    assert "code" in parks.answer(await ada.get(parks.address(**asked(PERMIT))))


async def test_a_token_of_a_closed_account_says_nothing(city: Town) -> None:
    """R64: with the data key gone nobody can read what was agreed to."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PAYMENT))
    async with city.transaction() as db:
        await db.execute(update(Account).values(data_key=None))
        grant_id = await db.scalar(select(Grant.id))
        assert await details_of_grant(db, city.vault, grant_id) == ()
        assert await details_of_grant(db, city.vault, grant_id, [0]) == ()


async def test_services_you_use_says_what_they_may_do(city: Town) -> None:
    """R13, R65: APIs by what their scopes are for, details with their values, in the words that were agreed to."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PAYMENT, PERMIT, scope="openid pay:list"))

    services = await ada.see("/account/services")
    question = await ada.see(next(link for link in services.links if link.startswith("/account/services/")))

    for words in ("Payments", "See your payments", "Make one payment", "EUR 12.50", "Your fishing permit", "See it"):
        assert words in services.text
    for words in ("Payments", "Make one payment", "See it"):
        assert words in question.text


async def test_the_notice_names_what_was_allowed(city: Town) -> None:
    """R67: by name, in the mail and (so short is a text) in its subject; what it is about is read in the account."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PAYMENT, PERMIT, scope="openid pay:list"))
    await city.work()

    (mail,) = [mail for mail in city.post.sent if "allowed" in mail.subject]
    assert mail.subject == "You have allowed Parks: Payments, Make one payment, Your fishing permit"
    for words in ("- Payments: See your payments\n", "- Make one payment\n", "- Your fishing permit: See it\n"):
        assert words in mail.text
    assert "12.50" not in mail.text


async def test_the_record_keeps_the_words(city: Town) -> None:
    """R65: the agreement can be read years later, whatever the deployment calls its types by then."""
    parks, ada = await entered(city)
    await parks.enter(ada, **asked(PAYMENT, scope="openid pay:list"))

    async with city.transaction() as db:
        account_id = await db.scalar(select(Consent.account_id))
        (given,) = await consents_of(db, account_id)
        key = await data_key_of(db, city.vault, account_id)

    details = details_of(key, given.id, given.details_sealed)
    assert given.shown.allowed == (Allowed("Payments", ("See your payments",)),)
    assert details.texts == (canonical(PAYMENT),)
    assert details.allowed == (Allowed("Make one payment", (), (("Amount", "EUR 12.50"), ("To", "Parks Agency"))),)


@pytest.mark.parametrize("is_pushed", [False, True], ids=["in the address", "pushed"])
async def test_details_alone_need_no_scope(city: Town, is_pushed: bool) -> None:
    """RFC 9396 section 3: `authorization_details` without `scope`; section 5 of RFC 9126 pushes them as well."""
    parks, ada = await entered(city)
    fields = parks.fields(scope=None, nonce=None, authorization_details=json.dumps([PAYMENT]))  # type: ignore[arg-type]
    address = f"/authorize?{urlencode(fields)}"
    if is_pushed:
        pushed = (await parks.post("/par", **fields)).json()
        address = f"/authorize?{urlencode({'client_id': 'parks', 'request_uri': pushed['request_uri']})}"

    shown = await ada.see(address)
    tokens = (await parks.redeem(parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"])).json()

    assert tokens["authorization_details"] == [PAYMENT]
    assert not {"id_token", "scope"} & tokens.keys()
    assert (await parks.userinfo(tokens["access_token"])).status_code in (401, 403)


async def test_neither_scope_nor_details_is_nothing(city: Town) -> None:
    """RFC 6749 section 3.3."""
    parks, ada = await entered(city)
    fields = urlencode(parks.fields(scope=None))
    assert parks.answer(await ada.get(f"/authorize?{fields}"))["error"] == "invalid_scope"


DEVICE = {"grant_types": [DEVICE_CODE], "redirect_uris": None, "post_logout_redirect_uris": None}
PHONE = {**DEVICE, "grant_types": [CIBA_GRANT], "backchannel_token_delivery_mode": "poll"}


@pytest.mark.parametrize("kind", ["device", "ciba"])
async def test_what_is_asked_elsewhere_carries_its_details(city: Town, kind: str) -> None:
    """RFC 9396 section 3 for RFC 8628 and CIBA: read in words, agreed to, said by the token, asked about every time."""
    client, (ada, account_id) = await city.service(**(DEVICE if kind == "device" else PHONE)), await city.citizen()
    details = json.dumps([PAYMENT, PERMIT])

    for _ in range(2):
        secret, address = await asked_elsewhere(ada, client, kind, authorization_details=details)
        question = await ada.see(address)
        for words in ("Make one payment", "EUR 12.50", "Your fishing permit", "See it"):
            assert words in question.text
        await ada.press(question, "allow")
        tokens = (await client.post("/token", **secret)).json()
        assert tokens["authorization_details"] == [PAYMENT, PERMIT]
        city.later(seconds=1)
    async with city.transaction() as db:
        given = await consents_of(db, account_id)
    assert len(given) == 2, "a payment is agreed to each time"


@pytest.mark.parametrize("kind", ["device", "ciba"])
async def test_an_agreement_that_stands_covers_it_elsewhere(city: Town, kind: str) -> None:
    """A type that is not asked about every time: the second request stands on the first agreement."""
    client, (ada, account_id) = await city.service(**(DEVICE if kind == "device" else PHONE)), await city.citizen()
    for _ in range(2):
        secret, address = await asked_elsewhere(ada, client, kind, authorization_details=json.dumps([PERMIT]))
        await ada.press(await ada.see(address), "allow")
        assert (await client.post("/token", **secret)).json()["authorization_details"] == [PERMIT]
        city.later(seconds=1)
    async with city.transaction() as db:
        assert len(await consents_of(db, account_id)) == 1


async def asked_elsewhere(ada: Citizen, client: Service, kind: str, **fields: str) -> tuple[dict[str, str], str]:
    """What the client polls with, and where its question waits."""
    if kind == "device":
        given = (await client.post("/device_authorization", scope="openid", **fields)).json()
        typed = await ada.press(await ada.see("/device"), "continue", user_code=given["user_code"])
        return {"grant_type": DEVICE_CODE, "device_code": given["device_code"]}, typed.headers["location"]
    hint = {"scope": "openid", "login_hint": "ada@example.org"}
    given = (await client.post("/backchannel-authentication", **hint, **fields)).json()
    listed = await ada.see("/account/requests")
    waiting = next(link for link in listed.links if link.startswith("/account/requests/"))
    return {"grant_type": CIBA_GRANT, "auth_req_id": given["auth_req_id"]}, waiting


async def test_agreements_without_details_cost_no_statement_more(city: Town) -> None:
    """Performance: most agreements have none; their silent return and their tokens read no data key for it."""
    parks, ada = await entered(city)
    await parks.enter(ada)
    async with city.transaction() as db:
        await db.execute(update(Account).values(data_key=b"not a key that could be opened"))

    code = parks.answer(await ada.get(parks.address()))["code"]
    tokens = (await parks.redeem(code)).json()

    assert (await parks.post("/introspect", token=tokens["access_token"])).json()["active"] is True
