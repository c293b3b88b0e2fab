"""A service asks for a citizen who is not at its site: `/backchannel-authentication`, `/account/requests` (CIBA)."""

from typing import Any

import anyio
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import func, select
from town import ISSUER, Citizen, Service, Shown, Town, claims_of

from oidc.access_token import AccessToken
from oidc.protocol.client_metadata import CIBA_GRANT
from oidc.waiting_request import WaitingRequest

pytestmark = pytest.mark.anyio

BANK: dict[str, Any] = {
    "grant_types": [CIBA_GRANT],
    "redirect_uris": None,
    "post_logout_redirect_uris": None,
    "client_name": "City Bank",
    "backchannel_token_delivery_mode": "poll",
}
PINGED = {
    "backchannel_token_delivery_mode": "ping",
    "backchannel_client_notification_endpoint": "https://bank.example/ping",
}
TOKEN = "a-notification-token-0123456789"


async def bank(town: Town, client_id: str = "bank", **registered: Any) -> Service:
    return await town.service(client_id, **{**BANK, **registered})


async def ask(service: Service, **fields: str | None) -> httpx2.Response:
    asked = {"scope": "openid profile", "login_hint": "ada@example.org", **fields}
    return await service.post("/backchannel-authentication", **asked)


async def begin(service: Service, **fields: str | None) -> str:
    answer = await ask(service, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["auth_req_id"])


async def poll(service: Service, auth_req_id: str) -> httpx2.Response:
    return await service.post("/token", grant_type=CIBA_GRANT, auth_req_id=auth_req_id)


async def question(citizen: Citizen) -> Shown:
    listed = await citizen.see("/account/requests")
    return await citizen.see(next(link for link in listed.links if link.startswith("/account/requests/")))


def error(answer: httpx2.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"])


async def test_a_citizen_confirms_on_the_phone(town: Town) -> None:
    """CIBA Core sections 7.3, 8, 10.1: asked by mail, answered in the account, polled for."""
    service = await bank(town)
    citizen, account_id = await town.citizen()
    answer = await ask(service, binding_message="Blue 42")
    name = answer.json()["auth_req_id"]
    before = await poll(service, name)
    await town.work()
    shown = await question(citizen)
    done = Shown(await citizen.follow(await citizen.press(shown, "allow")))
    town.later(seconds=5)
    tokens = await poll(service, name)

    assert answer.json() == {"auth_req_id": name, "expires_in": 600, "interval": 5}
    assert answer.headers["cache-control"] == "no-store"
    assert error(before) == "authorization_pending"
    assert [mail for mail in town.post.sent if "City Bank" in mail.subject and "Blue 42" in mail.text]
    assert (shown.name, done.heading) == ("consent", "You have allowed it")
    assert "Blue 42" in shown.text
    assert tokens.status_code == 200, tokens.text
    claims = claims_of(tokens.json()["id_token"])
    assert (claims["aud"], claims["acr"]) == ("bank", "aal2")
    assert "service_entered" in await town.history(account_id)


async def test_discovery_says_how_to_ask(town: Town) -> None:
    """CIBA Core section 4."""
    found = (await town.wire.get("/.well-known/openid-configuration")).json()
    assert found["backchannel_authentication_endpoint"] == f"{ISSUER}/backchannel-authentication"
    assert found["backchannel_token_delivery_modes_supported"] == ["poll", "ping"]
    assert found["backchannel_user_code_parameter_supported"] is False


async def test_an_address_that_is_nobodys_is_answered_like_one_that_is(town: Town) -> None:
    """R27: same status, members and polls; and nobody's mail. Suspended accounts are alike."""
    service = await bank(town)
    await town.person()
    await town.person(email="eve@example.org", state="suspended")
    addresses = ("ada@example.org", "nobody@example.org", "eve@example.org")
    answers = [await ask(service, login_hint=hint) for hint in addresses]
    polls = [error(await poll(service, answer.json()["auth_req_id"])) for answer in answers]
    town.later(minutes=10)
    ends = [error(await poll(service, answer.json()["auth_req_id"])) for answer in answers]
    await town.work()

    assert {(answer.status_code, tuple(answer.json())) for answer in answers} == {
        (200, ("auth_req_id", "expires_in", "interval"))
    }
    assert set(polls) == {"authorization_pending"}
    assert set(ends) == {"expired_token"}
    assert len([mail for mail in town.post.sent if "City Bank" in mail.subject]) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"login_hint": None}, "invalid_request"),
        ({"id_token_hint": "x"}, "invalid_request"),
        ({"login_hint": None, "login_hint_token": "x"}, "invalid_request"),
        ({"login_hint": None, "id_token_hint": "x"}, "invalid_request"),
        ({"login_hint": "nobody"}, "unknown_user_id"),
        ({"login_hint": "@"}, "unknown_user_id"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"binding_message": "x" * 129}, "invalid_binding_message"),
        ({"binding_message": "two\u202elines"}, "invalid_binding_message"),
        ({"requested_expiry": "0"}, "invalid_request"),
        ({"request": "no.j.wt"}, "invalid_request"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused(town: Town, fields: dict[str, str | None], code: str) -> None:
    """CIBA Core sections 7.1, 7.2 and 13."""
    await town.person()
    assert error(await ask(await bank(town), **fields)) == code


async def test_only_registered_and_proved_clients_may_ask(town: Town) -> None:
    """CIBA Core section 13."""
    await town.person()
    assert error(await ask(await town.service())) == "unauthorized_client"
    await bank(town)
    fields = {"client_id": "bank", "scope": "openid", "login_hint": "ada@example.org"}
    assert error(await town.wire.post("/backchannel-authentication", data=fields), 401) == "invalid_client"


async def test_a_sub_or_an_id_token_of_the_clients_own_names_a_citizen(town: Town) -> None:
    """CIBA Core section 7.1: `id_token_hint`, and a `login_hint` that the client knows; another's says nothing."""
    service, other = await bank(town), await bank(town, "rival")
    citizen = (await town.citizen())[0]
    name = await begin(service)
    await citizen.press(await question(citizen), "allow")
    id_token = (await poll(service, name)).json()["id_token"]
    sub = claims_of(id_token)["sub"]

    assert (await ask(service, login_hint=sub)).status_code == 200
    assert (await ask(service, login_hint=None, id_token_hint=id_token)).status_code == 200
    assert error(await ask(other, login_hint=sub)) == "unknown_user_id"
    assert error(await ask(other, login_hint=None, id_token_hint=id_token)) == "invalid_request"


async def test_nobody_is_worn_down(town: Town) -> None:
    """R26 in spirit: ten requests of one client for one person in ten minutes, known or not."""
    service = await bank(town)
    await town.person()
    for hint in ("ada@example.org", "nobody@example.org"):
        assert [(await ask(service, login_hint=hint)).status_code for _ in range(11)] == [*[200] * 10, 429]


async def test_a_refusal_is_told_and_shares_nothing(town: Town) -> None:
    """CIBA Core section 11: `access_denied`."""
    service = await bank(town)
    citizen, account_id = await town.citizen()
    name = await begin(service)
    await citizen.press(await question(citizen), "refuse")
    assert error(await poll(service, name)) == "access_denied"
    assert await town.history(account_id) == ["consent_refused"]


async def test_the_expiry_that_is_asked_for_counts(town: Town) -> None:
    """CIBA Core section 7.1, `requested_expiry`; section 11, `expired_token`."""
    service = await bank(town)
    citizen = (await town.citizen())[0]
    name = await begin(service, requested_expiry="30")
    shown = await question(citizen)
    town.later(seconds=30)
    late = Shown(await citizen.follow(await citizen.press(shown, "allow")))
    assert late.heading == "This took too long"
    assert error(await poll(service, name)) == "expired_token"
    assert "Nothing is waiting" in (await citizen.see("/account/requests")).text


async def test_another_clients_and_unknown_requests_are_no_requests(town: Town) -> None:
    """CIBA Core section 11: `invalid_grant`."""
    service, other = await bank(town), await bank(town, "rival")
    await town.person()
    name = await begin(service)
    assert error(await poll(other, name)) == error(await poll(service, "unknown")) == "invalid_grant"


async def test_another_citizens_request_is_not_there(town: Town) -> None:
    """R53 in spirit: neither listed nor shown nor answered."""
    service = await bank(town)
    citizen, other = (await town.citizen())[0], (await town.citizen(email="bob@example.org"))[0]
    name = await begin(service)
    shown = await question(citizen)
    assert "Nothing is waiting" in (await other.see("/account/requests")).text
    assert (await other.get(shown.action)).status_code == 404
    own = (await other.see("/device")).hidden["csrf_token"]
    assert (await other.press(shown, "allow", csrf_token=own)).status_code == 404
    assert error(await poll(service, name)) == "authorization_pending"


async def test_a_session_that_is_too_weak_steps_up(town: Town) -> None:
    """CIBA Core section 7.1 `acr_values`, RFC 9470: the answer is given at the level asked for, or not at all."""
    service = await bank(town)
    citizen = (await town.citizen())[0]
    await begin(service, acr_values="aal2-phr")
    assert (await question(citizen)).name in ("second-factor", "enrol")


async def test_of_many_polls_that_race_one_gets_tokens(town: Town) -> None:
    """R78: 20 at once."""
    service = await bank(town)
    citizen = (await town.citizen())[0]
    name = await begin(service)
    await citizen.press(await question(citizen), "allow")
    codes: list[int] = []

    async def race() -> None:
        codes.append((await poll(service, name)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(race)
    async with town.transaction() as db:
        assert await db.scalar(select(func.count()).select_from(AccessToken)) == 1
    assert sorted(codes) == [200, *[400] * 19]


@pytest.mark.parametrize("status", [200, 204, 401, 403, 302])
async def test_a_client_is_pinged_once(town: Town, status: int) -> None:
    """CIBA Core section 10.2: with its own token; a refusal or a redirect settles it, nothing is retried."""
    service = await bank(town, **PINGED)
    citizen = (await town.citizen())[0]
    name = await begin(service, client_notification_token=TOKEN)
    town.outside.answers["https://bank.example/ping"] = status
    await citizen.press(await question(citizen), "allow")
    await town.work()
    town.later(minutes=5)
    await town.work()

    assert town.outside.pinged == [("https://bank.example/ping", {"auth_req_id": name}, TOKEN)]
    assert (await poll(service, name)).status_code == 200


async def test_a_server_that_fails_is_pinged_again(town: Town) -> None:
    """R14 in spirit: work that failed waits in the outbox, and ends with the request."""
    service = await bank(town, **PINGED)
    citizen = (await town.citizen())[0]
    await begin(service, client_notification_token=TOKEN)
    for status in (503, None):
        town.outside.answers["https://bank.example/ping"] = status
    await citizen.press(await question(citizen), "refuse")
    await town.work()
    town.later(seconds=30)
    await town.work()
    town.later(minutes=10)
    await town.work()
    assert len(town.outside.pinged) == 2


async def test_ping_needs_its_token(town: Town) -> None:
    """CIBA Core section 7.1."""
    await town.person()
    assert error(await ask(await bank(town, **PINGED))) == "invalid_request"


async def test_a_signed_request_counts_alone_and_once(town: Town) -> None:
    """CIBA Core section 7.1.1, FAPI-CIBA section 5.2.2: signed by the client, for us, current, new."""
    key, foreign = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    service = await bank(
        town,
        jwks={"keys": [key.as_dict(private=False)]},
        backchannel_authentication_request_signing_alg="ES256",
    )
    await town.person()
    now = int(town.clock.now().timestamp())
    good: dict[str, Any] = {
        "iss": "bank", "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 60,
        "scope": "openid", "login_hint": "ada@example.org",
    }  # fmt: skip

    async def signed(
        by: ECKey = key, jti: str | None = "1", beside: dict[str, str] | None = None, **claims: Any
    ) -> int:
        said = {name: value for name, value in {**good, "jti": jti, **claims}.items() if value is not None}
        token = jwt.encode({"alg": "ES256"}, said, by)
        return (await service.post("/backchannel-authentication", request=token, **(beside or {}))).status_code

    assert error(await ask(service)) == "invalid_request"
    assert await signed() == 200
    assert await signed() == 400
    assert await signed(jti="2", beside={"scope": "openid"}) == 400
    assert await signed(foreign, jti="3") == 400
    for number, wrong in enumerate(
        ({"iss": "rival"}, {"iss": None}, {"aud": "https://other.example"}, {"aud": None}, {"exp": now - 60},
         {"exp": None}, {"exp": now + 4200}, {"nbf": now + 600}, {"nbf": None}, {"nbf": now - 4200}, {"iat": None},
         {"jti": None})
    ):  # fmt: skip
        assert await signed(**{"jti": f"w{number}", **wrong}) == 400, wrong


async def test_what_is_kept_is_sealed(town: Town) -> None:
    """R66: neither the name of the request nor the message nor the token stands in the database."""
    service = await bank(town, **PINGED)
    await town.person()
    name = await begin(service, client_notification_token=TOKEN, binding_message="Blue 42")
    async with town.transaction() as db:
        rows = str(await db.all(select(WaitingRequest)))
    assert not [text for text in (name, TOKEN, "Blue 42") if text in rows]


async def test_offline_access_is_dropped_where_a_client_may_not_have_it(town: Town) -> None:
    """OpenID Connect Core section 11: libraries add it to every request."""
    service = await bank(town, scope="openid profile")
    await town.citizen()
    assert (await ask(service, scope="openid profile offline_access")).status_code == 200
