"""Refusals that those who run the service can act on: who asked, what came beside what is accepted, and why not."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs
from town import FORM, SECRET, VERIFIER, Service, Town

pytestmark = pytest.mark.anyio

Try = Callable[[Town, Service, str], Awaitable[Any]]


async def code_for(town: Town, parks: Service) -> str:
    ada, _ = await town.citizen()
    return parks.answer(await ada.follow(await ada.press(await ada.see(parks.address()), "allow")))["code"]


async def again(town: Town, parks: Service, code: str) -> None:
    await parks.redeem(code)
    await parks.redeem(code)


async def too_late(town: Town, parks: Service, code: str) -> None:
    town.later(seconds=120)
    await parks.redeem(code)


async def by_another(town: Town, parks: Service, code: str) -> None:
    await (await town.service("library")).redeem(code)


async def by_a_guess(town: Town, parks: Service, code: str) -> None:
    await parks.redeem("a-guess-that-nobody-ever-issued-as-a-code-00")


async def with_another_verifier(town: Town, parks: Service, code: str) -> None:
    await parks.redeem(code, code_verifier=VERIFIER[::-1])


async def at_another_address(town: Town, parks: Service, code: str) -> None:
    await parks.redeem(code, redirect_uri="https://parks.example/cb?who=ada")


@pytest.mark.parametrize(
    ("attempt", "event", "told"),
    [
        (again, "replayed", {"detail": "replayed", "log_level": "warning"}),
        (too_late, "refused", {"detail": "expired", "log_level": "info"}),
        (by_another, "refused", {"detail": "of another client", "client": "library"}),
        (by_a_guess, "refused", {"detail": "unknown"}),
        (with_another_verifier, "refused", {"detail": "wrong verifier"}),
        (
            at_another_address,
            "refused",
            {"detail": "another redirect_uri", "came": "https://parks.example/cb?who="},
        ),
    ],
)
async def test_the_log_says_what_was_wrong_with_a_code(
    town: Town, attempt: Try, event: str, told: dict[str, Any]
) -> None:
    """The client is told `invalid_grant` and little more; a replay, which revokes, stands out."""
    parks = await town.service()
    code = await code_for(town, parks)

    with capture_logs() as logged:
        await attempt(town, parks, code)

    (line,) = [line for line in logged if line["event"] in ("refused", "replayed")]
    assert line["event"] == event
    assert line == line | {"path": "/token", "client": "parks", "error": "invalid_grant"} | told
    assert not [secret for secret in (code, SECRET, VERIFIER) if secret in str(logged)]


async def test_the_log_says_what_was_wrong_with_a_refresh_token(town: Town) -> None:
    """Unknown, another's, late, used after its rotation, more than was granted."""
    parks, library = await town.service(), await town.service("library")
    tokens = (await parks.redeem(await code_for(town, parks))).json()["refresh_token"]

    with capture_logs() as logged:
        await parks.refresh("nobody-has-ever-issued-this")
        await library.refresh(tokens)
        await parks.post("/token", grant_type="refresh_token", refresh_token=tokens, scope="openid phone")
        await parks.refresh(tokens)
        town.later(seconds=600)
        await parks.refresh(tokens)

    lines = [line for line in logged if line["event"] in ("refused", "replayed")]
    assert [(line["event"], line["client"], line["detail"]) for line in lines] == [
        ("refused", "parks", "unknown"),
        ("refused", "library", "of another client"),
        ("refused", "parks", "scope not granted"),
        ("replayed", "parks", "used again after its rotation"),
    ]
    assert lines[2]["came"] == ["openid", "phone"]
    assert "phone" in lines[2]["why"]
    assert tokens not in str(logged)


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {**FORM, "authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.mark.parametrize("path", ["/token", "/par", "/introspect", "/revoke", "/device_authorization"])
@pytest.mark.parametrize(
    ("client_id", "secret", "detail", "claimed"),
    [
        ("parks", "wrong-secret-of-parks", "wrong secret", "parks"),
        ("prks", SECRET, "unknown client", "prks"),
        ("ada@example.org", SECRET, "unknown client", "(not shown)"),
        ('x","event":"all is well', SECRET, "unknown client", "(not shown)"),
    ],
)
async def test_who_did_not_authenticate_is_named_as_claimed(
    town: Town, path: str, client_id: str, secret: str, detail: str, claimed: str
) -> None:
    """At every endpoint where clients authenticate; what no client is called is not repeated, and forges no line."""
    await town.service()

    with capture_logs() as logged:
        answer = await town.wire.post(path, content="grant_type=x&token=t", headers=basic(client_id, secret))

    assert answer.status_code == 401
    (line,) = [line for line in logged if line["event"] == "refused"]
    assert line == line | {"path": path, "client": None, "client_claimed": claimed, "detail": detail}
    assert secret not in json.dumps(logged)


async def test_a_client_id_and_a_secret_that_changed_places_are_told_and_not_shown(town: Town) -> None:
    """The name that was claimed is then the secret."""
    await town.service()

    with capture_logs() as logged:
        await town.wire.post("/token", content="grant_type=x", headers=basic(SECRET, "parks"))

    (line,) = [line for line in logged if line["event"] == "refused"]
    assert line["detail"] == "client_id and client_secret have changed places"
    assert SECRET not in str(logged)


async def test_another_way_to_authenticate_is_named(town: Town) -> None:
    """What came in the answer, what is registered in the log alone."""
    await town.service("spa", token_endpoint_auth_method="private_key_jwt", jwks_uri="https://spa.example/jwks")

    with capture_logs() as logged:
        answer = await town.wire.post("/token", content="grant_type=x", headers=basic("spa", SECRET))

    assert "client_secret_basic" in answer.json()["error_description"]
    (line,) = [line for line in logged if line["event"] == "refused"]
    assert (line["came"], line["accepted"]) == ("client_secret_basic", "private_key_jwt")


@pytest.mark.parametrize("path", ["/authorize", "/par"])
@pytest.mark.parametrize(
    ("changes", "error", "came", "accepted"),
    [
        (
            {"redirect_uri": "https://parks.example/other?who=ada"},
            "invalid_request",
            "https://parks.example/other?who=",
            ["https://parks.example/callback"],
        ),
        ({"scope": "openid email phone"}, "invalid_scope", ["phone"], ["openid", "email"]),
        ({"response_type": "code id_token"}, "unsupported_response_type", ["code", "id_token"], "code"),
    ],
)
async def test_what_came_stands_beside_what_is_registered(
    town: Town, path: str, changes: dict[str, str], error: str, came: Any, accepted: Any
) -> None:
    """By the front door and by `/par` alike; a scope is named to the client too."""
    parks = await town.service(scope="openid email")
    asked = parks.fields(**changes)

    with capture_logs() as logged:
        if path == "/par":
            await parks.post(path, **asked)
        else:
            await town.wire.get(f"{path}?{urlencode(asked)}")

    (line,) = [line for line in logged if line["event"] in ("refused", "authorization_refused")]
    assert line == line | {"error": error, "came": came, "accepted": accepted}
    assert line["client" if path == "/par" else "client_claimed"] == "parks"


async def test_an_access_token_that_is_refused_names_its_client(town: Town) -> None:
    """At userinfo, where no client authenticates: whose token it was, and that it was too old."""
    parks = await town.service()
    token = (await parks.redeem(await code_for(town, parks))).json()["access_token"]
    town.later(seconds=3600)

    with capture_logs() as logged:
        await parks.userinfo(token)
        await parks.userinfo(token[::-1])

    late, unknown = [line for line in logged if line["event"] == "refused"]
    assert late == late | {"path": "/userinfo", "client_claimed": "parks", "detail": "expired"}
    assert unknown == unknown | {"client": None, "detail": "unknown"}
    assert token not in str(logged)
