"""Clients that register themselves at `/connect/register` (RFC 7591, RFC 7592, OpenID Connect Registration)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from services import Backend
from sqlalchemy import select
from town import ISSUER, Citizen, Service, Shown, Town, new_town

from oidc.client import ClientRecord, find_client
from oidc.registration import Invitation, Registration, invite

pytestmark = pytest.mark.anyio

OPEN = {"registration": {"mode": "open"}}
INVITED = {"registration": {"mode": "initial_token"}}
PARKS: dict[str, Any] = {"redirect_uris": ["https://parks.example/callback"], "client_name": "Parks"}


@asynccontextmanager
async def town_with(backend: Backend, settings: dict[str, Any]) -> AsyncIterator[Town]:
    async with new_town(backend.database_url, settings) as town:
        yield town


@pytest.fixture
async def town(backend: Backend) -> AsyncIterator[Town]:
    """Registration is open."""
    async with town_with(backend, OPEN) as made:
        yield made


async def register(town: Town, given: dict[str, Any] | None = None, token: str | None = None) -> httpx2.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await town.wire.post("/connect/register", json=PARKS if given is None else given, headers=headers)


async def registered(town: Town, given: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await register(town, given)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(made: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {made['registration_access_token']}"}


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def test_a_program_registers_a_client_and_citizens_come_in_by_it(town: Town) -> None:
    """RFC 7591 section 3.2.1, OpenID Connect Registration section 3.2: all that is registered is told, and works."""
    made = await registered(town, {**PARKS, "id_token_signed_response_alg": "ES256"})
    town.later(seconds=1)

    assert made["client_secret_expires_at"] == 0
    assert made["client_id_issued_at"] == int(town.clock.now().timestamp()) - 1
    assert made["registration_client_uri"] == f"{ISSUER}/connect/register/{made['client_id']}"
    assert made["redirect_uris"] == PARKS["redirect_uris"]
    assert (made["token_endpoint_auth_method"], made["grant_types"]) == ("client_secret_basic", ["authorization_code"])
    async with town.transaction() as db:
        client = await find_client(db, made["client_id"])
    assert client is not None
    citizen: Citizen = (await town.citizen())[0]
    service = Service(town, client)
    asked = await citizen.follow(await citizen.get(service.address(scope="openid")))
    code = service.answer(await citizen.follow(await citizen.press(Shown(asked), "allow")))["code"]
    tokens = await town.wire.post(
        "/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": service.redirect_uri,
            "code_verifier": "a-verifier-that-is-long-enough-for-anybody-0123456789",
        },
        auth=httpx2.BasicAuth(made["client_id"], made["client_secret"]),
    )
    assert tokens.status_code == 200, tokens.text


async def test_the_provider_says_where_when_it_is_on(town: Town) -> None:
    """Discovery 1.0 section 3."""
    found = (await town.wire.get("/.well-known/openid-configuration")).json()
    assert found["registration_endpoint"] == f"{ISSUER}/connect/register"


async def test_registration_is_off_unless_it_is_switched_on(backend: Backend) -> None:
    """R74: no door stands open by itself."""
    async with town_with(backend, {}) as town:
        assert (await register(town)).status_code == 404
        for method in ("GET", "PUT", "DELETE"):
            assert (await town.wire.request(method, "/connect/register/parks")).status_code == 404
        assert "registration_endpoint" not in (await town.wire.get("/.well-known/openid-configuration")).json()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://parks.example/#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://parks.example/callback"]}, "invalid_redirect_uri"),
        ({**PARKS, "initiate_login_uri": "http://parks.example/login"}, "invalid_client_metadata"),
        ({**PARKS, "grant_types": ["implicit"]}, "invalid_client_metadata"),
        ({**PARKS, "grant_types": ["password"]}, "invalid_client_metadata"),
        ({**PARKS, "response_types": ["id_token"]}, "invalid_client_metadata"),
        ({**PARKS, "token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
        ({**PARKS, "id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
        ({**PARKS, "logo_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
        ({**PARKS, "grant_types": ["urn:openid:params:grant-type:ciba"]}, "invalid_client_metadata"),
        ({**PARKS, "jwks_uri": "https://parks.example/keys"}, "invalid_client_metadata"),
        ({**PARKS, "sector_identifier_uri": "https://parks.example/sector"}, "invalid_client_metadata"),
    ],
)
async def test_metadata_that_cannot_be_honoured_is_refused(town: Town, given: dict[str, Any], error: str) -> None:
    """RFC 7591 section 3.2.2, R1, R2; OpenID Connect Core section 4: `initiate_login_uri` is https."""
    answer = await register(town, given)
    assert problem(answer) == (400, error), answer.text
    async with town.transaction() as db:
        assert not await db.all(select(ClientRecord))


async def test_a_body_that_is_no_json_object_is_refused(town: Town) -> None:
    """RFC 7591 section 3.1, R12."""
    for content, kind in ((b"[]", "application/json"), (b"{", "application/json"), (b"{}", "text/plain")):
        answer = await town.wire.post("/connect/register", content=content, headers={"content-type": kind})
        assert problem(answer) == (400, "invalid_client_metadata")


async def test_what_is_fetched_is_read_now_and_what_is_only_shown_is_not(town: Town) -> None:
    """R72, OpenID Connect Registration section 5: the sector's document lists every redirect URI."""
    key = ECKey.generate_key("P-256")
    town.outside.documents = {
        "https://parks.example/keys": msgspec.json.encode({"keys": [key.as_dict(private=False)]}),
        "https://parks.example/sector": msgspec.json.encode(PARKS["redirect_uris"]),
        "https://parks.example/wrong": msgspec.json.encode(["https://elsewhere.example/"]),
        "https://parks.example/empty": b'{"keys": []}',
    }
    given = {
        **PARKS,
        "jwks_uri": "https://parks.example/keys",
        "token_endpoint_auth_method": "private_key_jwt",
        "sector_identifier_uri": "https://parks.example/sector",
        "logo_uri": "https://parks.example/logo.png",
        "policy_uri": "https://parks.example/policy",
    }
    made = await registered(town, given)
    wrong = await register(town, {**given, "sector_identifier_uri": "https://parks.example/wrong"})
    empty = await register(town, {**given, "jwks_uri": "https://parks.example/empty"})

    assert "client_secret" not in made
    assert problem(wrong) == problem(empty) == (400, "invalid_client_metadata")
    assert not [url for url in town.outside.fetched if "logo" in url or "policy" in url]


async def test_without_pkce_only_where_the_deployment_says_so(town: Town, backend: Backend) -> None:
    """R3: the certification plan sends none, so a deployment may let standard clients do without; nobody else."""
    strict = await registered(town, {**PARKS, "require_pkce": False})
    assert strict["require_pkce"] is True

    async with town_with(backend, {"registration": {"mode": "open", "require_pkce": False}}) as lax:
        plain = await registered(lax)
        wants_it = await registered(lax, {**PARKS, "require_pkce": True})
        public = await registered(lax, {**PARKS, "token_endpoint_auth_method": "none"})
    assert [it["require_pkce"] for it in (plain, wants_it, public)] == [False, True, True]


async def test_a_stranger_may_only_shorten_the_life_of_tokens(town: Town, backend: Backend) -> None:
    """An operator gives longer ones. A default that was lowered since counts for who registered before."""
    robot = {
        "grant_types": ["client_credentials"],
        "id_token_signed_response_alg": "ES256",
        "access_token_lifetime": 300,
    }

    async def lives(at: Town, made: dict[str, Any]) -> int:
        asked = {"grant_type": "client_credentials"}
        tokens = await at.wire.post("/token", data=asked, auth=(made["client_id"], made["client_secret"]))
        return int(tokens.json()["expires_in"])

    made = await registered(town, robot)
    longer = await register(town, {**robot, "access_token_lifetime": 601})
    town.later(seconds=1)

    assert made["access_token_lifetime"] == await lives(town, made) == 300
    assert problem(longer) == (400, "invalid_client_metadata")
    assert "access_token_lifetime" in longer.json()["error_description"]
    async with town_with(backend, {**OPEN, "lifetime": {"access_token": 60}}) as stricter:
        assert await lives(stricter, made) == 60


async def test_a_stranger_takes_no_right_to_an_api(backend: Backend) -> None:
    """RFC 7591 section 5: scopes of services are given by an operator."""
    settings = {**OPEN, "api": {"scopes": ["taxes:read"]}}
    async with town_with(backend, settings) as town:
        given = {"grant_types": ["client_credentials"], "scope": "taxes:read"}
        assert problem(await register(town, given)) == (400, "invalid_client_metadata")


async def test_secrets_and_tokens_are_kept_as_digests(town: Town) -> None:
    """R61, R66."""
    made = await registered(town)
    async with town.transaction() as db:
        rows = f"{await db.all(select(ClientRecord))} {await db.all(select(Registration))}"
    assert made["client_secret"] not in rows
    assert made["registration_access_token"] not in rows


async def test_a_client_reads_itself_and_its_secret_is_told_once(town: Town) -> None:
    """RFC 7592 sections 2.1 and 3."""
    made = await registered(town)
    answer = await town.wire.get(made["registration_client_uri"], headers=bearer(made))

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    del made["client_secret"], made["client_secret_expires_at"]
    assert answer.json() == made


async def test_a_client_changes_itself_whole(town: Town) -> None:
    """RFC 7592 section 2.2: what is left out falls back to its default; the secret stays."""
    made = await registered(town, {**PARKS, "contacts": ["it@parks.example"]})
    anew = {"client_id": made["client_id"], "redirect_uris": ["https://parks.example/other"], "client_name": "Gardens"}
    answer = await town.wire.put(made["registration_client_uri"], json=anew, headers=bearer(made))

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["client_name"], told["redirect_uris"]) == ("Gardens", ["https://parks.example/other"])
    assert "contacts" not in told
    assert "client_secret" not in told
    async with town.transaction() as db:
        client = await find_client(db, made["client_id"])
    assert client is not None
    assert client.has_secret


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"client_secret": "chosen-by-myself"},
        {"redirect_uris": ["http://parks.example/"]},
    ],
)
async def test_a_change_that_breaks_a_rule_changes_nothing(town: Town, wrong: dict[str, Any]) -> None:
    """RFC 7592 section 2.2: the client_id is the one of the address, and a secret is never chosen by the client."""
    made = await registered(town)
    anew = {"client_id": made["client_id"], **PARKS, "client_name": "Changed", **wrong}
    answer = await town.wire.put(made["registration_client_uri"], json=anew, headers=bearer(made))
    after = await town.wire.get(made["registration_client_uri"], headers=bearer(made))

    assert answer.status_code == 400, answer.text
    assert after.json()["client_name"] == "Parks"


async def test_a_client_that_begins_to_need_a_secret_gets_one(town: Town) -> None:
    """RFC 7592 section 2.2."""
    made = await registered(town, {**PARKS, "token_endpoint_auth_method": "none"})
    anew = {"client_id": made["client_id"], **PARKS}
    told = (await town.wire.put(made["registration_client_uri"], json=anew, headers=bearer(made))).json()
    assert "client_secret" not in made
    assert len(told["client_secret"]) >= 43


async def test_one_client_never_touches_another(town: Town) -> None:
    """RFC 7592 section 4: another's token, a wrong one and none are answered as if the client were not there."""
    one, other = await registered(town), await registered(town)
    for headers in (bearer(other), {"authorization": "Bearer wrong"}, {}):
        for method in ("GET", "PUT", "DELETE"):
            answer = await town.wire.request(method, one["registration_client_uri"], headers=headers, json=one)
            assert problem(answer) == (401, "invalid_token")
            assert answer.headers["www-authenticate"].startswith('Bearer realm="registration"')
    unknown = await town.wire.get("/connect/register/unknown", headers=bearer(one))
    assert problem(unknown) == (401, "invalid_token")
    assert (await town.wire.get(one["registration_client_uri"], headers=bearer(one))).status_code == 200


async def test_a_client_of_the_operators_is_nobodys_to_change(town: Town) -> None:
    """RFC 7592: only a client that registered itself has a token."""
    await town.service()
    made = await registered(town)
    answer = await town.wire.get("/connect/register/parks", headers=bearer(made))
    assert problem(answer) == (401, "invalid_token")


async def test_a_client_removes_itself(town: Town) -> None:
    """RFC 7592 section 2.3: from then on it is unknown, and its token worth nothing."""
    made = await registered(town)
    answer = await town.wire.delete(made["registration_client_uri"], headers=bearer(made))
    town.later(seconds=1)
    again = await town.wire.get(made["registration_client_uri"], headers=bearer(made))
    token = await town.wire.post(
        "/token", data={"grant_type": "client_credentials"}, auth=(made["client_id"], made["client_secret"])
    )

    assert answer.status_code == 204
    assert answer.content == b""
    assert problem(again) == (401, "invalid_token")
    assert problem(token) == (401, "invalid_client")


async def test_one_address_cannot_fill_the_registry(backend: Backend) -> None:
    """RFC 7591 section 5, R73: limited by address and in all, also where the store loses its memory (R75)."""
    async with town_with(backend, {"registration": {"mode": "open", "per_address": 2}}) as town:
        codes = [(await register(town)).status_code for _ in range(3)]
        await town.house.store.close()
        limited = await register(town)
        town.later(hours=1)
        codes.append((await register(town)).status_code)
    assert codes == [201, 201, 429, 201]
    assert int(limited.headers["retry-after"]) > 0


async def test_there_is_an_end_to_all_registrations(backend: Backend) -> None:
    """R73."""
    async with town_with(backend, {"registration": {"mode": "open", "max_clients": 1}}) as town:
        assert [(await register(town)).status_code for _ in range(2)] == [201, 503]


async def test_who_was_invited_registers_once(backend: Backend) -> None:
    """RFC 7591 section 3: an initial access token, spent by the registration that happens and by no other."""
    async with town_with(backend, INVITED) as town:
        async with town.transaction() as db:
            token = (await invite(db, "City parks", timedelta(hours=1), town.clock.now())).token
        uninvited, wrong = await register(town), await register(town, token="wrong")
        mistaken = await register(town, {"redirect_uris": []}, token)
        first, second = await register(town, token=token), await register(town, token=token)

        assert problem(uninvited) == problem(wrong) == problem(second) == (401, "invalid_token")
        assert mistaken.status_code == 400
        assert first.status_code == 201
        async with town.transaction() as db:
            assert token not in str(await db.all(select(Invitation)))


async def test_an_invitation_ends(backend: Backend) -> None:
    """RFC 7591 section 3."""
    async with town_with(backend, INVITED) as town:
        async with town.transaction() as db:
            token = (await invite(db, "City parks", timedelta(hours=1), town.clock.now())).token
        town.later(hours=1)
        assert problem(await register(town, token=token)) == (401, "invalid_token")


async def test_an_invitation_lets_in_one_of_many_that_race(backend: Backend) -> None:
    """R78: 20 at once, one client."""
    async with town_with(backend, {"registration": {"mode": "initial_token", "per_address": 100}}) as town:
        async with town.transaction() as db:
            token = (await invite(db, "City parks", timedelta(hours=1), town.clock.now())).token
        codes: list[int] = []

        async def try_it() -> None:
            codes.append((await register(town, token=token)).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(try_it)
        assert sorted(codes) == [201, *[401] * 19]


async def test_a_statement_of_a_trusted_issuer_is_needed_and_outranks_the_rest(
    backend: Backend, tmp_path: Path
) -> None:
    """RFC 7591 sections 2.3 and 3.1.1."""
    key, foreign = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    keys = tmp_path / "registry.json"
    keys.write_bytes(msgspec.json.encode({"keys": [key.as_dict(private=False)]}))
    issuer = "https://registry.example.gov"
    settings = {
        "mode": "software_statement",
        "statement_issuer": issuer,
        "statement_keys": str(keys),
    }

    def statement(by: ECKey = key, **claims: Any) -> str:
        said = {"iss": issuer, "software_id": "parks-1", "client_name": "City Parks", **claims}
        return jwt.encode({"alg": "ES256"}, said, by)

    async with town_with(backend, {"registration": settings}) as town:
        past = int(town.clock.now().timestamp()) - 60
        good = await register(town, {**PARKS, "software_statement": statement()})
        refused = {
            "missing": await register(town),
            "foreign": await register(town, {**PARKS, "software_statement": statement(iss="https://evil.example")}),
            "forged": await register(town, {**PARKS, "software_statement": statement(foreign)}),
            "expired": await register(town, {**PARKS, "software_statement": statement(exp=past)}),
            "no jwt": await register(town, {**PARKS, "software_statement": "x"}),
        }
    assert good.status_code == 201, good.text
    assert (good.json()["client_name"], good.json()["software_id"]) == ("City Parks", "parks-1")
    assert {name: answer.json()["error"] for name, answer in refused.items()} == {
        "missing": "unapproved_software_statement",
        "foreign": "unapproved_software_statement",
        "forged": "invalid_software_statement",
        "expired": "invalid_software_statement",
        "no jwt": "invalid_software_statement",
    }
