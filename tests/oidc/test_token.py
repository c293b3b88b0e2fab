"""POST /token, as relying parties meet it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from oidc_kit import CALLBACK, ISSUER, SECRET, VERIFIER, Box, basic, decoded, new_box
from services import Backend

from accounts.account import set_state
from accounts.consent import withdraw_consent
from identity.session import end
from oidc.protocol.claims import ClaimAsked, ClaimsAsked
from oidc.protocol.id_token import half_hash

pytestmark = pytest.mark.anyio

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_a_code_becomes_tokens(box: Box) -> None:
    """RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3."""
    code = await box.code(await box.register())

    answer = await box.redeem(code)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope", "id_token", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 600, "openid profile email")
    assert await box.is_alive(tokens["access_token"])


async def test_an_id_token_says_what_is_true(box: Box) -> None:
    """R10, OpenID Connect Core sections 2 and 3.1.3.6: by a published key, for one audience, every claim true."""
    session = await box.session(await box.person(), acr="aal2-phr", amr=("passkey_uv",))
    code = await box.code(await box.register(), session=session)
    box.later(seconds=5)

    tokens = (await box.redeem(code)).json()

    published = KeySet.import_key_set((await box.http.get("/jwks")).json())
    token = jwt.decode(tokens["id_token"], published, algorithms=["ES256"])
    assert token.header["typ"] == "JWT"
    issued = int(box.now.timestamp())
    who = (await box.userinfo(tokens["access_token"])).json()
    assert token.claims.pop("jti")
    assert token.claims.pop("sid")
    assert token.claims == {
        "iss": ISSUER,
        "sub": who["sub"],
        "aud": "parks",
        "iat": issued,
        "exp": issued + 600,
        "auth_time": issued - 5,
        "acr": "aal2-phr",
        "amr": ["passkey_uv"],
        "nonce": "n-0S6_WzA2Mj",
        "at_hash": half_hash(tokens["access_token"], "ES256"),
    }


async def test_an_id_token_holds_only_the_claims_it_was_asked_for(box: Box) -> None:
    """OpenID Connect Core sections 5.4 and 5.5: scopes speak of userinfo, `claims.id_token` of the ID token (R10)."""
    asked = ClaimsAsked(id_token={"email": ClaimAsked(essential=True), "name": ClaimAsked(values=("Charles",))})
    code = await box.code(await box.register(), scopes=("openid", "phone"), asked=asked)

    _, claims = decoded((await box.redeem(code)).json()["id_token"])

    assert claims["email"] == "ada@example.org"
    assert not {"name", "phone_number", "email_verified"} & claims.keys()


async def test_a_client_registered_for_rs256_gets_it(backend: Backend) -> None:
    """OpenID Connect Registration section 2: id_token_signed_response_alg."""
    async with new_box(backend.database_url, algorithms=("ES256", "RS256")) as box:
        code = await box.code(await box.register(id_token_signed_response_alg="RS256"))

        tokens = (await box.redeem(code)).json()

        published = KeySet.import_key_set((await box.http.get("/jwks")).json())
        assert jwt.decode(tokens["id_token"], published, algorithms=["RS256"]).claims["aud"] == "parks"


async def test_without_openid_there_is_no_id_token(box: Box) -> None:
    """Plain OAuth 2.0: an access token, and nothing about the person."""
    code = await box.code(await box.register(), scopes=("other",))

    tokens = (await box.redeem(code)).json()

    assert "id_token" not in tokens
    refused = await box.userinfo(tokens["access_token"])
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


async def test_a_refresh_token_is_for_clients_registered_for_it(box: Box) -> None:
    """Issue's rule: no grant type, no refresh token."""
    code = await box.code(await box.register(grant_types=["authorization_code"]))

    assert "refresh_token" not in (await box.redeem(code)).json()


async def test_a_replayed_code_revokes_the_tokens_it_gave(box: Box) -> None:
    """R4, RFC 6749 section 4.1.2: the second redemption fails and takes the first one's tokens with it."""
    code = await box.code(await box.register())
    tokens = (await box.redeem(code)).json()

    refused = await box.redeem(code)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert not await box.is_alive(tokens["access_token"])
    assert (await box.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_another_client_cannot_revoke_by_a_replay(box: Box) -> None:
    """A code that was redeemed long ago, found in a browser's history, is no weapon in other hands."""
    code = await box.code(await box.register())
    await box.register("taxes")
    tokens = (await box.redeem(code)).json()

    refused = await box.redeem(code, "taxes", redirect_uri=CALLBACK)

    assert refused.json()["error"] == "invalid_grant"
    assert await box.is_alive(tokens["access_token"])


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"code_verifier": VERIFIER[::-1]}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
    ],
)
async def test_a_wrong_guess_spends_the_code(box: Box, wrong: dict[str, str | None], error: str) -> None:
    """R3, R4, RFC 9700 section 4.5: nobody gets a second try at verifier or redirect URI."""
    code = await box.code(await box.register())

    refused = await box.redeem(code, **wrong)
    late = await box.redeem(code)

    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert late.json()["error"] == "invalid_grant"


async def test_a_code_is_bound_to_its_client(box: Box) -> None:
    """RFC 6749 section 4.1.3, `fapi2-...-authorization-code-is-bound-to-client`; it has leaked, so it is spent."""
    code = await box.code(await box.register())
    await box.register("taxes")

    refused = await box.redeem(code, "taxes", redirect_uri=CALLBACK)

    assert refused.json()["error"] == "invalid_grant"
    assert (await box.redeem(code)).json()["error"] == "invalid_grant"


async def test_a_verifier_without_a_challenge_is_refused(box: Box) -> None:
    """R3, RFC 9700 section 2.1.1: else an attacker's code could be slipped in (PKCE downgrade)."""
    parks = await box.register(require_pkce=False)

    refused = await box.redeem(await box.code(parks, pkce=False))
    granted = await box.redeem(
        await box.code(parks, pkce=False, session=await box.session(await box.person(email="b@example.org"))),
        code_verifier=None,
    )

    assert refused.json()["error"] == "invalid_grant"
    assert granted.status_code == 200


async def test_a_code_lives_a_minute(box: Box) -> None:
    """R4."""
    code = await box.code(await box.register())
    box.later(seconds=60)

    assert (await box.redeem(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("what", ["session", "consent", "account", "client"])
async def test_a_code_dies_with_what_it_stands_on(box: Box, what: str) -> None:
    """R13, R42: ending the session, the consent or the account bites before the code is redeemed; so does disabling."""
    parks, account = await box.register(), await box.person()
    session = await box.session(account)
    code = await box.code(parks, session=session)
    await undo(box, what, account, session.id)

    refused = await box.redeem(code)

    assert refused.json()["error"] == ("invalid_client" if what == "client" else "invalid_grant")


@pytest.mark.parametrize("what", ["session", "consent", "account", "client"])
async def test_tokens_die_with_what_they_stand_on(box: Box, what: str) -> None:
    """R13, R42: one SQL condition, on every path."""
    parks, account = await box.register(), await box.person()
    session = await box.session(account)
    tokens = (await box.redeem(await box.code(parks, session=session))).json()
    await undo(box, what, account, session.id)

    assert not await box.is_alive(tokens["access_token"])
    refused = await box.refresh(tokens["refresh_token"])
    assert refused.json()["error"] == ("invalid_client" if what == "client" else "invalid_grant")


async def undo(box: Box, what: str, account, session_id) -> None:  # type: ignore[no-untyped-def]
    """End one of the things a grant stands on."""
    from oidc.client import set_disabled

    box.later(seconds=1)
    async with box.transaction() as db:
        if what == "session":
            assert await end(db, box.vault, session_id, "signed_out", box.now)
        elif what == "consent":
            assert await withdraw_consent(db, account, "parks", box.now)
        elif what == "account":
            assert await set_state(db, account, "suspended", box.now, only_from="active")
        else:
            assert await set_disabled(db, "parks", True, box.now)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "unauthorized_client"),
        ({"code": None}, 400, "invalid_request"),
        ({"code": "never issued"}, 400, "invalid_grant"),
        ({"client_secret": SECRET}, 400, "invalid_request"),
        ({"client_id": "taxes"}, 401, "invalid_client"),
    ],
)
async def test_a_bad_request_is_named(box: Box, change: dict[str, str | None], status: int, error: str) -> None:
    """RFC 6749 section 5.2, R2, R12: each refusal has its code; refresh is not for who is not registered for it."""
    code = await box.code(await box.register(grant_types=["authorization_code"]))

    refused = await box.redeem(**{"code": code, **change})  # type: ignore[arg-type]

    assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_a_refusal_before_the_exchange_spends_nothing(box: Box) -> None:
    """Refuse before you change: a client that fails to authenticate has not touched the code."""
    code = await box.code(await box.register())

    refused = await box.ask(grant_type="authorization_code", code=code, auth=("parks", "wrong"), code_verifier=VERIFIER)

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert (await box.redeem(code)).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("grant_type=authorization_code&code=1&code=2", FORM, 400),
        ("grant_type=authorization_code&grant_type=authorization_code&code=1", FORM, 400),
        ("grant_type=authorization_code&code=%ff", FORM, 400),
        ("grant_type=authorization_code&code=%zz", FORM, 400),
        ("x=" + "y" * 20_000, FORM, 413),
        ("x=" + "y" * 1_000_000, FORM, 413),
        ("&".join(f"p{n}=1" for n in range(100)), FORM, 400),
        ('{"grant_type": "authorization_code"}', {"content-type": "application/json"}, 400),
        ("grant_type=authorization_code&code=1", {"content-type": "text/plain"}, 400),
        ("grant_type=authorization_code&code=1", {}, 400),
        ("grant_type=authorization_code&code=1", {**FORM, "authorization": "Basic !!!"}, 401),
        ("", FORM, 400),
    ],
)
async def test_what_is_ambiguous_or_too_large_is_refused(
    box: Box, body: str, headers: dict[str, str], status: int
) -> None:
    """R12, R73: repeats, broken UTF-8, another content type, more than 16 kB."""
    await box.register()
    sent = {**basic("parks", SECRET), **headers}
    if not headers:
        sent = {**basic("parks", SECRET), "content-type": ""}

    refused = await box.http.post("/token", content=body, headers=sent)

    assert refused.status_code == status, refused.text
    assert refused.json()["error"] == ("invalid_client" if status == 401 else "invalid_request")


async def test_a_browser_may_ask_from_anywhere(box: Box) -> None:
    """Public clients in browsers: a preflight is answered, no cookies are ever allowed along."""
    asked = {"origin": "https://spa.example", "access-control-request-method": "POST"}

    answer = await box.http.options("/token", headers=asked)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_a_public_client_redeems_with_its_name_and_verifier(box: Box) -> None:
    """RFC 7636: `none`, where it is registered; a secret from it is another method than registered."""
    spa = await box.register("spa", token_endpoint_auth_method="none")
    fields = {
        "grant_type": "authorization_code",
        "redirect_uri": "https://spa.example/callback",
        "code_verifier": VERIFIER,
    }
    code = await box.code(spa)

    with_secret = await box.ask(client_id="spa", client_secret="any", code=code, **fields)
    granted = await box.ask(client_id="spa", code=code, **fields)

    assert with_secret.json()["error"] == "invalid_client"
    assert granted.status_code == 200


async def test_no_secret_is_in_the_log(
    box: Box, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """R66: neither code nor verifier nor secret nor token."""
    code = await box.code(await box.register())
    with caplog.at_level("DEBUG"):
        tokens = (await box.redeem(code)).json()
        await box.redeem(code)
        await box.userinfo(tokens["access_token"])

    printed = capsys.readouterr()
    logged = caplog.text + printed.out + printed.err
    for secret in (code, VERIFIER, SECRET, tokens["access_token"], tokens["id_token"], tokens["refresh_token"]):
        assert secret not in logged


@pytest.fixture
async def busy_box(postgres_redis: Backend) -> AsyncIterator[Box]:
    """On PostgreSQL, with enough connections to really race."""
    async with new_box(postgres_redis.database_url, pool_size=20) as made:
        yield made


@pytest.mark.services
async def test_of_a_hundred_redemptions_exactly_one_succeeds(busy_box: Box) -> None:
    """R4, R78: the database lets one through; the others are replays, and take its tokens along."""
    box = busy_box
    code = await box.code(await box.register())

    answers = await asyncio.gather(*(box.redeem(code) for _ in range(100)))

    granted = [answer for answer in answers if answer.status_code == 200]
    assert len(granted) == 1
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    assert not await box.is_alive(granted[0].json()["access_token"])
