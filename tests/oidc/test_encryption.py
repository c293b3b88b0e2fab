"""What is encrypted for one client (OpenID Connect Core sections 5.3.2 and 10.2, JARM 2.2, RFC 9701 section 5)."""

from typing import Any

import msgspec
import pytest
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from town import ISSUER, Citizen, Service, Town, claims_of

from oidc.protocol.errors import MetadataError

pytestmark = pytest.mark.anyio

RSA, EC, X = RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("X25519")
ALL = ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]
ALL += ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"]


def public(key: Key, **facts: str) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": "enc-1", **facts}]}


def opened(sealed: str, key: Key) -> tuple[dict[str, Any], str]:
    """Header and content of a JWE."""
    found = jwe.decrypt_compact(sealed, key, algorithms=ALL)
    assert found.plaintext is not None
    return dict(found.protected), found.plaintext.decode()


async def entered(town: Town, key: Key = EC, **registered: Any) -> tuple[Service, Citizen]:
    parks = await town.service(**{"jwks": public(key, use="enc"), **registered})
    ada, _ = await town.citizen()
    return parks, ada


@pytest.mark.parametrize(
    ("key", "algorithm", "content"),
    [
        (RSA, "RSA-OAEP-256", None),
        (RSA, "RSA-OAEP", "A256GCM"),
        (EC, "ECDH-ES", "A128GCM"),
        (EC, "ECDH-ES+A256KW", "A256CBC-HS512"),
        (X, "ECDH-ES+A128KW", None),
    ],
)
async def test_an_id_token_is_signed_and_then_encrypted(
    town: Town, key: Key, algorithm: str, content: str | None
) -> None:
    """Core section 10.2: a JWT inside, signed as ever; the enc that was registered, else A128CBC-HS256."""
    parks, ada = await entered(
        town, key, id_token_encrypted_response_alg=algorithm, id_token_encrypted_response_enc=content
    )

    tokens = await parks.enter(ada)

    header, inside = opened(tokens["id_token"], key)
    assert header["alg"] == algorithm
    assert header["enc"] == (content or "A128CBC-HS256")
    assert (header["cty"], header["kid"]) == ("JWT", "enc-1")
    keys = KeySet.import_key_set((await town.wire.get("/jwks")).json())
    assert jwt.decode(inside, keys, algorithms=["ES256"]).claims["aud"] == "parks"


async def test_userinfo_is_encrypted_signed_or_not(town: Town) -> None:
    """Core section 5.3.2: application/jwt; signed first where both are registered, with iss and aud."""
    parks, ada = await entered(town, userinfo_encrypted_response_alg="ECDH-ES")
    both = await town.service(
        "both",
        jwks=public(EC),
        userinfo_encrypted_response_alg="ECDH-ES",
        userinfo_signed_response_alg="ES256",
    )

    plain = await parks.userinfo((await parks.enter(ada))["access_token"])
    signed = await both.userinfo((await both.enter(ada))["access_token"])

    assert plain.headers["content-type"] == signed.headers["content-type"] == "application/jwt"
    header, content = opened(plain.text, EC)
    assert '"email":"ada@example.org"' in content
    assert f'"iss":"{ISSUER}"' in content
    header, content = opened(signed.text, EC)
    assert header["cty"] == "JWT"
    assert claims_of(content)["aud"] == "both"


async def test_the_answer_of_authorize_is_encrypted(town: Town) -> None:
    """JARM section 2.2."""
    parks, ada = await entered(
        town, authorization_signed_response_alg="ES256", authorization_encrypted_response_alg="ECDH-ES"
    )
    await parks.enter(ada)

    answer = parks.answer(await ada.get(parks.address(response_mode="jwt")))

    assert "code" in claims_of(opened(answer["response"], EC)[1])


async def test_introspection_is_encrypted(town: Town) -> None:
    """RFC 9701 section 5: whoever registered for it gets no answer in the open, whatever it accepts."""
    parks, ada = await entered(town, introspection_encrypted_response_alg="ECDH-ES")
    tokens = await parks.enter(ada)

    answer = await parks.post("/introspect", token=tokens["access_token"])

    assert answer.headers["content-type"] == "application/token-introspection+jwt"
    assert claims_of(opened(answer.text, EC)[1])["token_introspection"]["active"] is True


async def test_without_a_key_nothing_goes_out_in_the_open(town: Town) -> None:
    """Fail closed (R75): the code is not spent, and nothing is sent unencrypted instead."""
    parks = await town.service(
        jwks=None, jwks_uri="https://parks.example/jwks", id_token_encrypted_response_alg="RSA-OAEP-256"
    )
    ada, _ = await town.citizen()
    shown = await ada.see(parks.address())
    code = parks.answer(await ada.follow(await ada.press(shown, "allow")))["code"]

    nobody = await parks.redeem(code)
    assert nobody.status_code == 400
    assert "id_token" not in nobody.json()
    town.house.provider.client_keys._fetcher = town.outside  # type: ignore[assignment]
    town.outside.documents["https://parks.example/jwks"] = msgspec.json.encode(public(RSA))
    assert opened((await parks.redeem(code)).json()["id_token"], RSA)[0]["alg"] == "RSA-OAEP-256"


@pytest.mark.parametrize(
    "registered",
    [
        {"id_token_encrypted_response_alg": "RSA1_5"},
        {"id_token_encrypted_response_alg": "dir"},
        {"id_token_encrypted_response_alg": "RSA-OAEP-256"},
        {"id_token_encrypted_response_enc": "A128GCM"},
        {"id_token_encrypted_response_alg": "ECDH-ES", "jwks": public(EC, use="sig")},
        {"id_token_encrypted_response_alg": "ECDH-ES", "jwks": None},
        {"request_object_encryption_alg": "ECDH-ES"},
    ],
)
async def test_what_could_not_be_honoured_cannot_be_registered(town: Town, registered: dict[str, Any]) -> None:
    """OpenID Connect Registration section 2: unknown algorithms, an enc without alg, no key that fits."""
    with pytest.raises(MetadataError):
        await town.service(**{"jwks": public(EC, use="enc"), **registered})


async def test_discovery_says_so(town: Town) -> None:
    """OpenID Connect Discovery section 3: for what we send, and not for requests."""
    document = (await town.wire.get("/.well-known/openid-configuration")).json()

    for what in ("id_token", "userinfo", "authorization", "introspection"):
        assert "RSA-OAEP-256" in document[f"{what}_encryption_alg_values_supported"]
        assert "A128CBC-HS256" in document[f"{what}_encryption_enc_values_supported"]
    assert "request_object_encryption_alg_values_supported" not in document
