"""Attestation: a key reaches AAL3 when a maker whom this deployment trusts vouches for it, and only then."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from residents import answer, options_on, resident, session_of, sign_in
from soft_passkey import BE, BS, UP, UV, Maker, SoftPasskey
from town import ISSUER, Shown, new_town
from webauthn.helpers import base64url_to_bytes

from identity.attestation import AttestationPolicy, is_trusted

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MAKER = Maker()
OTHER = Maker(bytes(16))
MODEL = str(UUID(bytes=MAKER.aaguid))
OPTIONS = json.dumps(
    {
        "challenge": "AAAA",
        "user": {"id": "AAAA"},
        "attestation": "direct",
        "authenticatorSelection": {"residentKey": "required"},
    }
)


def judged(
    policy: AttestationPolicy | None = None, maker: Maker | None = MAKER, now: datetime = NOW, **lies: Any
) -> bool:
    """What is made of a key's registration by who trusts MAKER."""
    created = json.loads(SoftPasskey(synced=False, maker=maker).create(OPTIONS, **lies))["response"]
    given = policy or AttestationPolicy((MAKER.root,), frozenset({MODEL}))
    attestation, client_data = created["attestationObject"], created["clientDataJSON"]
    return is_trusted(base64url_to_bytes(attestation), base64url_to_bytes(client_data), given, now)


def test_a_key_is_trusted_whose_maker_is():
    """WebAuthn section 8.2.1, with the model named, with any model of the maker's, and with the root sent along."""
    assert judged()
    assert judged(AttestationPolicy((OTHER.root, MAKER.root)))
    assert judged(chain=[MAKER.certificate, MAKER.root])
    assert judged(chain=[MAKER.attest(aaguid=None)])


@pytest.mark.parametrize(
    "lie",
    [
        {"maker": None},
        {"maker": OTHER},
        {"chain": []},
        {"chain": [MAKER.root]},
        {"chain": [OTHER.certificate, MAKER.root]},
        {"chain": [MAKER.certificate] * 6},
        {"chain": [MAKER.attest(unit="Firmware Signing")]},
        {"chain": [MAKER.attest(is_authority=True)]},
        {"chain": [MAKER.attest(aaguid=bytes(16))]},
        {"signer": ec.generate_private_key(ec.SECP256R1())},
        {"fmt": "tpm"},
        {"fmt": "compound"},
        {"aaguid": bytes(16)},
        {"now": datetime(2041, 1, 1, tzinfo=UTC)},
        {"policy": AttestationPolicy((MAKER.root,), frozenset({str(UUID(int=7))}))},
        {"policy": AttestationPolicy((OTHER.root,))},
        {"policy": AttestationPolicy(())},
    ],
    ids=lambda lie: next(iter(lie)) if isinstance(lie, dict) else "",
)
def test_nothing_less_is_believed(lie):
    """R20: no self-attestation, no other maker, no certificate for something else, no model it was not made for."""
    assert not judged(**lie)


def test_what_was_signed_is_this_registration():
    """A statement moved to another registration vouches for nothing."""
    one = json.loads(SoftPasskey(synced=False, maker=MAKER).create(OPTIONS))["response"]
    other = json.loads(SoftPasskey(synced=False, maker=MAKER).create(OPTIONS, client_data={"challenge": "BBBB"}))
    policy = AttestationPolicy((MAKER.root,))
    moved = other["response"]["clientDataJSON"]
    assert not is_trusted(base64url_to_bytes(one["attestationObject"]), base64url_to_bytes(moved), policy, NOW)
    assert not is_trusted(b"\xa0", b"{}", policy, NOW)
    assert not is_trusted(b"", b"", policy, NOW)


@pytest.mark.anyio
async def test_who_needs_aal3_is_led_through_setting_up_a_checked_key(tmp_path: Path) -> None:
    """R10, R20, R21: a key nobody vouches for and a copied one are refused in plain words; a checked one is AAL3."""
    (tmp_path / "roots.pem").write_bytes(MAKER.root.public_bytes(Encoding.PEM))
    settings = {"passkey": {"attestation": "direct", "roots": str(tmp_path / "roots.pem"), "aaguids": [MODEL.upper()]}}

    def key(**has: Any) -> SoftPasskey:
        return SoftPasskey(origin=ISSUER, rp_id="account.example.gov", **{"synced": False, **has})

    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/identity.sqlite", settings) as town:
        ada, browser = await resident(town), town.browser()
        await sign_in(town, browser, ada)
        service = await town.service()
        asked = {"claims": json.dumps({"id_token": {"acr": {"essential": True, "values": ["aal3"]}}})}
        page = Shown(await browser.follow(await browser.get(service.address(**asked))))
        assert "security key whose make we can check" in page.text
        assert json.loads(options_on(page))["hints"] == ["security-key"]
        for wrong, lie in ((key(), {}), (key(maker=OTHER), {}), (key(maker=MAKER), {"flags": UP | UV | BE | BS})):
            page = Shown(await answer(browser, page, wrong.create(options_on(page), **lie)))
            assert "yours is not one of them" in page.text

        mine = key(maker=MAKER)
        led = await browser.follow(await answer(browser, page, mine.create(options_on(page))))

        session = await session_of(town, browser)
        assert session is not None
        assert (session.acr, session.amr, led.status_code) == ("aal3", ("hwk", "mfa", "user"), 200)
        again = town.browser()
        page = Shown(await again.follow(await again.get(service.address(**asked))))
        await answer(again, page, mine.get(options_on(page)))
        session = await session_of(town, again)
        assert session is not None
        assert session.acr == "aal3"


@pytest.mark.anyio
async def test_where_nobody_vouches_aal3_is_refused_honestly(tmp_path: Path) -> None:
    """Without a policy no key can be set up that would do, so none is asked for."""
    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/identity.sqlite") as town:
        ada, browser = await resident(town), town.browser()
        await sign_in(town, browser, ada)
        service = await town.service()
        shown = await browser.follow(await browser.get(service.address(acr_values="aal3")))

    assert shown.status_code == 400
    assert "than anything you can set up here" in Shown(shown).text
