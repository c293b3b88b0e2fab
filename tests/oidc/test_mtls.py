"""Client certificates: authentication and bound tokens, as a listed proxy tells them (RFC 8705, RFC 9440)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from certificates import Private, certificate, header, thumbprint
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from fapi_kit import Fapi
from joserfc import jwt
from joserfc.jwk import ECKey
from services import Backend
from town import FORM, ISSUER, VERIFIER, Service, Shown, Town, new_town

from config.settings import SettingsError, read_settings
from oidc.protocol.client_assertion import ASSERTION_TYPE

pytestmark = pytest.mark.anyio

ALIAS = "https://mtls.account.example.gov"
ROOT = x509.Name.from_rfc4514_string("CN=Services Root,O=Example,C=ES")
PARKS = "CN=parks,O=Parks Agency,C=ES"
ROOT_KEY, SERVICE_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
AUTHORITY = certificate(ROOT.rfc4514_string(), key=ROOT_KEY, days=3650)
ISSUED = (ROOT, ROOT_KEY)


@pytest.fixture
async def behind(backend: Backend, tmp_path: Path) -> AsyncIterator[Town]:
    """A town behind a proxy that asks services for certificates."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(AUTHORITY.public_bytes(Encoding.PEM))
    settings = {
        "proxy": {"trusted": ["127.0.0.0/8"]},
        "mutual_tls": {"enabled": True, "authorities": str(authorities), "address": ALIAS},
    }
    async with new_town(backend.database_url, settings) as made:
        yield made


def by_name(**registered: Any) -> dict[str, Any]:
    registered = registered or {"tls_client_auth_subject_dn": PARKS}
    return {"token_endpoint_auth_method": "tls_client_auth", **registered}


def by_key(key: Private = SERVICE_KEY, **registered: Any) -> dict[str, Any]:
    public = ECKey.import_key(key.public_key()).as_dict(private=False)
    return {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [public]}, **registered}


async def present(
    town: Town, held: x509.Certificate | str | None, path: str = "/token", **form: str
) -> httpx2.Response:
    """A form by name alone, over a connection with this certificate."""
    headers = dict(FORM)
    if held is not None:
        headers["client-cert"] = held if isinstance(held, str) else header(held)
    asked = {
        "client_id": "parks",
        "grant_type": "authorization_code",
        "code": "x",
        "redirect_uri": "https://parks.example/callback",
        "code_verifier": VERIFIER,
        **form,
    }
    return await town.wire.post(path, data=asked, headers=headers)


def error(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


PASSED, REFUSED = (400, "invalid_grant"), (401, "invalid_client")


async def test_the_registered_name_in_a_known_authoritys_certificate(behind: Town) -> None:
    """RFC 8705 section 2.1: this subject, this authority, not expired; and never without a certificate."""
    await behind.service(**by_name())

    assert error(await present(behind, certificate(PARKS, issuer=ISSUED))) == PASSED
    assert error(await present(behind, None)) == REFUSED
    assert error(await present(behind, certificate("CN=taxes,O=Parks Agency,C=ES", issuer=ISSUED))) == REFUSED
    assert error(await present(behind, certificate(PARKS))) == REFUSED, "signed by itself"
    stranger = (ROOT, ec.generate_private_key(ec.SECP256R1()))
    assert error(await present(behind, certificate(PARKS, issuer=stranger))) == REFUSED, (
        "only the name of the authority"
    )
    assert error(await present(behind, certificate(PARKS, issuer=ISSUED, days=-1))) == REFUSED, "expired"


@pytest.mark.parametrize(
    ("field", "value", "good", "bad"),
    [
        ("dns", "parks.example", x509.DNSName("Parks.example"), x509.DNSName("other.example")),
        (
            "uri",
            "urn:service:parks",
            x509.UniformResourceIdentifier("urn:service:parks"),
            x509.UniformResourceIdentifier("urn:service:taxes"),
        ),
        ("email", "it@parks.example", x509.RFC822Name("it@parks.example"), x509.RFC822Name("me@parks.example")),
    ],
)
async def test_an_alternative_name(
    behind: Town, field: str, value: str, good: x509.GeneralName, bad: x509.GeneralName
) -> None:
    """RFC 8705 section 2.1.2: the one kind of name that was registered."""
    await behind.service(**by_name(**{f"tls_client_auth_san_{field}": value}))

    assert error(await present(behind, certificate(PARKS, issuer=ISSUED, names=(good,)))) == PASSED
    assert error(await present(behind, certificate(PARKS, issuer=ISSUED, names=(bad,)))) == REFUSED
    assert error(await present(behind, certificate(PARKS, issuer=ISSUED))) == REFUSED


async def test_a_self_signed_certificate_is_known_by_its_key(behind: Town) -> None:
    """RFC 8705 section 2.2: whatever it says of itself, its key is registered or it is not."""
    await behind.service(**by_key())

    assert error(await present(behind, certificate("CN=anything", key=SERVICE_KEY))) == PASSED
    assert error(await present(behind, certificate("CN=anything"))) == REFUSED
    assert error(await present(behind, None)) == REFUSED


async def test_a_header_that_no_listed_proxy_wrote_says_nothing(behind: Town) -> None:
    """R71, RFC 9440 section 4: from any other peer it is only what a stranger wrote."""
    await behind.service(**by_key())
    app: Any = behind.app
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as stranger:
        answer = await stranger.post(
            "/token",
            data={"client_id": "parks", "grant_type": "authorization_code", "code": "x", "redirect_uri": "x"},
            headers={"client-cert": header(certificate(PARKS, key=SERVICE_KEY))},
        )

    assert error(answer) == REFUSED


@pytest.mark.parametrize("value", ["", "x", ":x:", "::", ":" + "QUJD" * 4 + ":", "QUJD"])
async def test_a_header_that_cannot_be_read_is_refused(behind: Town, value: str) -> None:
    """RFC 9440 section 2.1: a byte sequence with a DER certificate in it."""
    await behind.service(**by_key())

    assert (await present(behind, value or " ")).status_code in {400, 401}


async def entered(town: Town, service: Service, held: x509.Certificate, **changes: Any) -> dict[str, Any]:

    ada, _ = await town.citizen()
    answer = await ada.follow(await ada.get(service.address(**changes)))

    code = service.answer(await ada.follow(await ada.press(Shown(answer), "allow")))["code"]
    tokens = await present(town, held, code=code)
    assert tokens.status_code == 200, tokens.text
    town.later(seconds=1)
    given: dict[str, Any] = tokens.json()
    return given


async def test_a_bound_token_is_used_over_the_same_certificate(behind: Town) -> None:
    """RFC 8705 section 3: userinfo wants it, introspection names it; the token is a Bearer token still."""
    held = certificate(PARKS, key=SERVICE_KEY)
    parks = await behind.service(**by_key(tls_client_certificate_bound_access_tokens=True))
    tokens = await entered(behind, parks, held)
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}

    with_it = await behind.wire.get("/userinfo", headers={**bearer, "client-cert": header(held)})
    without = await behind.wire.get("/userinfo", headers=bearer)
    other = await behind.wire.get("/userinfo", headers={**bearer, "client-cert": header(certificate(PARKS))})
    facts = await present(behind, held, "/introspect", token=tokens["access_token"])

    assert tokens["token_type"] == "Bearer"
    assert with_it.status_code == 200
    assert error(without) == error(other) == (401, "invalid_token")
    assert facts.json()["cnf"] == {"x5t#S256": thumbprint(held)}


async def test_who_did_not_ask_for_bound_tokens_gets_plain_ones(behind: Town) -> None:
    """RFC 8705 section 3.4: the certificate authenticates, and that is all."""
    held = certificate(PARKS, key=SERVICE_KEY)
    parks = await behind.service(**by_key())

    tokens = await entered(behind, parks, held)

    assert (await parks.userinfo(tokens["access_token"])).status_code == 200


async def test_fapi_tokens_are_bound_to_the_certificate_where_there_is_no_proof(behind: Town) -> None:
    """FAPI 2.0 section 5.3.2.1: one of the two; and the refresh token is kept (R8)."""
    held, renewed = certificate(PARKS, key=SERVICE_KEY), certificate("CN=renewed", key=SERVICE_KEY)
    parks = await behind.service(**by_key(profile="fapi2"))
    pushed = await present(behind, held, "/par", **parks.fields())
    ada, _ = await behind.citizen()
    address = f"/authorize?client_id=parks&request_uri={pushed.json()['request_uri']}"
    shown = await ada.see(address)
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]
    tokens = (await present(behind, held, code=code)).json()
    behind.later(seconds=1)

    again = await present(behind, renewed, grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    assert again.status_code == 200
    assert "refresh_token" not in again.json()
    assert error(await parks.userinfo(tokens["access_token"])) == (401, "invalid_token")
    facts = (await present(behind, held, "/introspect", token=again.json()["access_token"])).json()
    assert facts["cnf"] == {"x5t#S256": thumbprint(renewed)}


@pytest.mark.parametrize("base", [ISSUER, ALIAS])
async def test_a_proof_and_a_certificate_can_both_bind(behind: Town, base: str) -> None:
    """RFC 9449 with RFC 8705: who registered for certificates and brings a proof gets both, at either address."""
    held = certificate(PARKS, key=SERVICE_KEY)
    parks = Fapi(behind, await behind.service(**by_key(tls_client_certificate_bound_access_tokens=True)))
    ada, _ = await behind.citizen()
    shown = await ada.see(parks.service.address())
    code = parks.service.answer(await ada.follow(await ada.press(shown, "allow")))["code"]
    form = {"client_id": "parks", "grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    headers = {**FORM, "client-cert": header(held), "dpop": parks.proof("/token", htu=f"{base}/token")}
    form["redirect_uri"] = parks.service.redirect_uri

    tokens = (await behind.wire.post("/token", data=form, headers=headers)).json()

    assert tokens["token_type"] == "DPoP"
    assert error(await parks.userinfo(tokens["access_token"])) == (401, "invalid_token")


@pytest.mark.parametrize("base", [ISSUER, ALIAS])
async def test_an_assertion_may_be_meant_for_either_address(behind: Town, base: str) -> None:
    """RFC 8705 section 5: a client that calls the alias names it as the audience (RFC 7523 section 3)."""
    key = ECKey.import_key(SERVICE_KEY)
    await behind.service(**{**by_key(), "token_endpoint_auth_method": "private_key_jwt"})
    now = int(behind.clock.now().timestamp())
    claims = {"iss": "parks", "sub": "parks", "aud": f"{base}/token", "jti": base, "iat": now, "exp": now + 60}
    assertion = jwt.encode({"alg": "ES256"}, claims, key)

    answer = await present(behind, None, client_assertion=assertion, client_assertion_type=ASSERTION_TYPE)

    assert error(answer) == PASSED


async def test_discovery_names_the_second_address(behind: Town, town: Town) -> None:
    """RFC 8705 section 5, and R74: nothing of it where it is off."""
    on = (await behind.wire.get("/.well-known/openid-configuration")).json()
    off = (await town.wire.get("/.well-known/openid-configuration")).json()

    assert on["tls_client_certificate_bound_access_tokens"] is True
    assert on["mtls_endpoint_aliases"]["token_endpoint"] == ALIAS + "/token"
    assert on["mtls_endpoint_aliases"]["pushed_authorization_request_endpoint"] == ALIAS + "/par"
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(on["token_endpoint_auth_methods_supported"])
    assert "mtls_endpoint_aliases" not in off
    assert "tls_client_auth" not in off["token_endpoint_auth_methods_supported"]


async def test_an_unsafe_setting_is_named() -> None:
    """R74: certificates without a proxy to tell them; an address that is none."""
    base = {"IDENTITY_ISSUER": ISSUER, "IDENTITY_MODE": "demo", "IDENTITY_MUTUAL_TLS__ENABLED": "true"}

    with pytest.raises(SettingsError, match=r"proxy\.trusted"):
        read_settings(None, base)
    with pytest.raises(SettingsError, match=r"mutual_tls\.address"):
        read_settings(None, {**base, "IDENTITY_PROXY__TRUSTED": "10.0.0.0/8", "IDENTITY_MUTUAL_TLS__ADDRESS": "x"})
