"""R11, whole: every kind of artefact offered at every place that accepts one; only the right one passes.

The table is written by the run (artefact_matrix.md beside this file) and compared with what is committed. A new kind of
JWT, a new table of secrets or a new place without a row here fails.
"""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx2
import pytest
from fapi_kit import BEARER, Fapi, fapi
from services import Backend
from sqlalchemy import LargeBinary
from town import FORM, ISSUER, VERIFIER, Citizen, Shown, Town, claims_of, new_town

import oidc.protocol
from config.policies import GRANT_TYPES
from config.tables import metadata
from oidc.protocol.client_metadata import CIBA_GRANT, DEVICE_CODE, TOKEN_EXCHANGE_GRANT
from oidc.protocol.jwt import JwtKind
from oidc.protocol.token_exchange import ACCESS_TOKEN

pytestmark = pytest.mark.anyio

TABLE = Path(__file__).with_name("artefact_matrix.md")
Offer = Callable[["Hall", str], Awaitable[bool]]


class Hall:
    """One citizen, signed in and agreed; one service that may do everything; an artefact of each kind."""

    def __init__(self, town: Town, service: Fapi, citizen: Citizen) -> None:
        self.town, self.service, self.citizen = town, service, citizen
        self.tokens: dict[str, Any] = {}

    async def ask(self, path: str, **fields: str) -> httpx2.Response:
        """A form of the service, authenticated unless it brings an assertion itself."""
        return await self.service.post(
            path, proof=None, assertion={} if "client_assertion" in fields else None, **fields
        )

    def authorize(self, **changes: str | None) -> str:
        """The address of a request that needs no page: pushed ones and objects bring their parameters along."""
        return self.service.service.address(prompt="none", **changes)

    async def code(self) -> str:
        return self.service.service.answer(await self.citizen.get(self.authorize()))["code"]

    async def redeem(self, code: str) -> httpx2.Response:
        """POST /token with a code."""
        grant = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        return await self.ask("/token", redirect_uri=self.service.service.redirect_uri, **grant)

    async def bearer(self, token: str, **headers: str) -> httpx2.Response:
        """GET /userinfo."""
        return await self.town.wire.get("/userinfo", headers={"authorization": f"Bearer {token}", **headers})

    async def open_interaction(self) -> str:
        """A request that waits for the citizen's agreement: its id."""
        answer = await self.citizen.get(self.service.service.address(prompt="consent"))
        return parse_qs(urlsplit(answer.headers["location"]).query)["interaction"][0]

    async def end_session(self, hint: str, citizen: Citizen) -> httpx2.Response:
        """RP-initiated logout."""
        asked = {"id_token_hint": hint, "post_logout_redirect_uri": "https://parks.example/bye"}
        return await citizen.get(f"/end-session?{urlencode(asked)}")


# Kinds: a fresh artefact of each.


async def _device(hall: Hall, member: str) -> str:
    return str((await hall.ask("/device_authorization", scope="openid")).json()[member])


async def _ciba(hall: Hall) -> str:
    asked = await hall.ask("/backchannel-authentication", scope="openid", login_hint="ada@example.org")
    return str(asked.json()["auth_req_id"])


async def _fresh(hall: Hall, member: str) -> str:
    return str((await hall.redeem(await hall.code())).json()[member])


async def _jarm(hall: Hall) -> str:
    return hall.service.service.answer(await hall.citizen.get(hall.authorize(response_mode="jwt")))["response"]


async def _introspection_jwt(hall: Hall) -> str:
    content = urlencode({"token": hall.tokens["access_token"], **hall.service.assertion()})
    accept = {**FORM, "accept": "application/token-introspection+jwt"}
    return (await hall.town.wire.post("/introspect", content=content, headers=accept)).text


async def _service_token(hall: Hall) -> str:
    return str((await hall.ask("/token", grant_type="client_credentials")).json()["access_token"])


async def _jwt_access_token(hall: Hall) -> str:
    """As one for an API is signed (RFC 9068), here for ourselves, which is worse."""
    now = int(hall.town.clock.now().timestamp())
    who = {"iss": ISSUER, "aud": ISSUER, "sub": claims_of(hall.tokens["id_token"])["sub"], "client_id": "parks"}
    claims = {**who, "iat": now, "exp": now + 600, "jti": str(id(who)), "scope": "openid profile"}
    async with hall.town.transaction() as db:
        keys = await hall.town.provider.keys.current(db, hall.town.clock.now())
    return await keys.sign(claims, algorithm="ES256", typ="at+jwt")


async def _sign_out(hall: Hall) -> tuple[str, str]:
    """Somebody else signs out: the logout token, and the one-time address's secret."""
    other = hall.town.browser()
    await other.sign_in(await hall.town.person(email=f"other-{id(other)}@example.org"))
    hall.town.later(seconds=1)
    await enter(hall, other)
    shown = await other.see("/end-session")
    answer = await other.press(shown, "continue")
    await hall.town.work()
    sent = [fields["logout_token"] for _, fields in hall.town.outside.received if "logout_token" in fields]
    return sent[-1], urlsplit(answer.headers["location"]).path.removeprefix("/signed-out/")


async def enter(hall: Hall, citizen: Citizen) -> dict[str, Any]:
    """Through consent to tokens."""
    answer = await citizen.follow(await citizen.get(hall.service.service.address()))
    if answer.status_code == 200:
        answer = await citizen.follow(await citizen.press(Shown(answer), "allow"))
    answered = await hall.redeem(hall.service.service.answer(answer)["code"])
    tokens: dict[str, Any] = answered.json()
    assert answered.status_code == 200, tokens
    hall.town.later(seconds=1)
    return tokens


async def _pushed(hall: Hall) -> str:
    return str((await hall.ask("/par", **hall.service.service.fields(prompt="none"))).json()["request_uri"])


async def _sign_in_path(hall: Hall) -> str:
    hall.stranger = hall.town.browser()  # type: ignore[attr-defined]
    shown = await hall.stranger.get("/sign-in?return_to=/account")  # type: ignore[attr-defined]
    return str(urlsplit(shown.headers["location"]).path.removeprefix("/sign-in/"))


def _now(value: Callable[[Hall], str]) -> Callable[[Hall], Awaitable[str]]:
    async def made(hall: Hall) -> str:
        return value(hall)

    return made


KINDS: dict[str, Callable[[Hall], Awaitable[str]]] = {
    "authorization code": Hall.code,
    "access token": lambda hall: _fresh(hall, "access_token"),
    "refresh token": lambda hall: _fresh(hall, "refresh_token"),
    "ID token": lambda hall: _fresh(hall, "id_token"),
    "service's own access token": _service_token,
    "JWT access token": _jwt_access_token,
    "logout token": lambda hall: _part(_sign_out(hall), 0),
    "sign-out address": lambda hall: _part(_sign_out(hall), 1),
    "userinfo JWT": lambda hall: _text(hall.bearer(hall.tokens["access_token"])),
    "introspection JWT": _introspection_jwt,
    "authorization response JWT": _jarm,
    "client assertion": _now(lambda hall: hall.service.assertion()["client_assertion"]),
    "request object": _now(lambda hall: hall.service.object(prompt="none")),
    "DPoP proof": _now(lambda hall: hall.service.proof("/par", key=hall.proof_key)),  # type: ignore[attr-defined]
    "pushed request_uri": _pushed,
    "device code": lambda hall: _device(hall, "device_code"),
    "user code": lambda hall: _device(hall, "user_code"),
    "CIBA auth_req_id": _ciba,
    "session cookie": _now(lambda hall: hall.citizen.http.cookies["__Host-session"]),
    "browser cookie": _now(lambda hall: hall.citizen.http.cookies["__Host-browser"]),
    "CSRF token": lambda hall: _csrf(hall),
    "interaction id": Hall.open_interaction,
    "sign-in id": _sign_in_path,
    "sid": _now(lambda hall: str(claims_of(hall.tokens["id_token"])["sid"])),
    "sub": _now(lambda hall: str(claims_of(hall.tokens["id_token"])["sub"])),
    "client_id": _now(lambda hall: hall.service.client_id),
    "code verifier": _now(lambda hall: VERIFIER),
}


async def _part(made: Awaitable[tuple[str, str]], number: int) -> str:
    return (await made)[number]


async def _text(answered: Awaitable[httpx2.Response]) -> str:
    return (await answered).text


async def _csrf(hall: Hall) -> str:
    return (await hall.citizen.see("/register")).hidden["csrf_token"]


# Places: whether what is offered passes.


async def _grant(hall: Hall, passes: set[str], **fields: str) -> bool:
    answer = await hall.ask("/token", **fields)
    return answer.status_code == 200 or answer.json()["error"] in passes


async def _assertion(hall: Hall, value: str) -> bool:
    fields = {"client_id": "parks", "client_assertion_type": BEARER, "client_assertion": value}
    return await _grant(hall, {"invalid_grant"}, grant_type="refresh_token", refresh_token="none", **fields)


async def _dpop(hall: Hall, value: str) -> bool:
    content = urlencode({**hall.service.service.fields(), **hall.service.assertion()})
    return (await hall.town.wire.post("/par", content=content, headers={**FORM, "dpop": value})).status_code == 201


async def _active(hall: Hall, value: str) -> bool:
    return bool((await hall.ask("/introspect", token=value)).json().get("active"))


async def _comes_back_with_a_code(hall: Hall, address: str) -> bool:
    answer = await hall.citizen.get(address)
    return answer.status_code == 303 and "code=" in answer.headers["location"]


async def _interaction(hall: Hall, value: str) -> bool:
    answer = await hall.citizen.get(f"/authorize?interaction={quote(value, safe='')}")
    return answer.status_code in (200, 303)


async def _end_session(hall: Hall, value: str) -> bool:
    """Without a hint that counts the citizen is asked first."""
    citizen = hall.town.browser()
    citizen.http.cookies.update(hall.citizen.http.cookies)
    return (await hall.end_session(value, citizen)).status_code == 303


async def _cookie(hall: Hall, value: str) -> bool:
    cookies = f"__Host-browser={hall.citizen.http.cookies['__Host-browser']}; __Host-session={value}"
    return (await hall.town.wire.get("/account", headers={"cookie": cookies})).status_code == 200


async def _form(hall: Hall, value: str) -> bool:
    shown = await hall.citizen.see("/register")
    data = {**shown.hidden, "csrf_token": value, "action": "continue", "identifier": ""}
    headers = {**FORM, "origin": ISSUER}
    answer = await hall.citizen.http.post(shown.action, content=urlencode(data), headers=headers)
    return answer.status_code != 403


async def _signed_out(hall: Hall, value: str) -> bool:
    return (await hall.town.wire.get(f"/signed-out/{quote(value, safe='')}")).status_code == 200


async def _sign_in(hall: Hall, value: str) -> bool:
    return (await hall.stranger.get(f"/sign-in/{quote(value, safe='')}")).status_code == 200  # type: ignore[attr-defined]


async def _user_code(hall: Hall, value: str) -> bool:
    answer = await hall.citizen.press(await hall.citizen.see("/device"), "continue", user_code=value)
    return answer.status_code == 303


async def _subject_token(hall: Hall, value: str) -> bool:
    kind = {"subject_token_type": ACCESS_TOKEN, "scope": "profile"}
    return await _grant(hall, set(), grant_type=TOKEN_EXCHANGE_GRANT, subject_token=value, **kind)


POLLED = {"authorization_pending", "slow_down"}
ACCESS = frozenset({"access token"})
PLACES: dict[str, tuple[frozenset[str], Offer]] = {
    "/token code": (frozenset({"authorization code"}), lambda hall, it: _ok(hall.redeem(it))),
    "/token refresh_token": (
        frozenset({"refresh token"}),
        lambda hall, it: _grant(hall, set(), grant_type="refresh_token", refresh_token=it),
    ),
    "/token device_code": (
        frozenset({"device code"}),
        lambda hall, it: _grant(hall, POLLED, grant_type=DEVICE_CODE, device_code=it),
    ),
    "/token auth_req_id": (
        frozenset({"CIBA auth_req_id"}),
        lambda hall, it: _grant(hall, POLLED, grant_type=CIBA_GRANT, auth_req_id=it),
    ),
    "/token subject_token": (ACCESS, _subject_token),
    "/token client_assertion": (frozenset({"client assertion"}), _assertion),
    "/userinfo header": (ACCESS, lambda hall, it: _ok(hall.bearer(it))),
    "/userinfo body": (
        ACCESS,
        lambda hall, it: _ok(hall.town.wire.post("/userinfo", content=urlencode({"access_token": it}), headers=FORM)),
    ),
    "/introspect token": (ACCESS | {"refresh token", "service's own access token"}, _active),
    "/par request": (
        frozenset({"request object"}),
        lambda hall, it: _ok(hall.ask("/par", client_id="parks", request=it)),
    ),
    "/par DPoP": (frozenset({"DPoP proof"}), _dpop),
    "/authorize request": (
        frozenset({"request object"}),
        lambda hall, it: _comes_back_with_a_code(
            hall, f"/authorize?{urlencode({'client_id': 'parks', 'request': it})}"
        ),
    ),
    "/authorize request_uri": (
        frozenset({"pushed request_uri"}),
        lambda hall, it: _comes_back_with_a_code(hall, hall.service.address(it)),
    ),
    "/authorize id_token_hint": (
        frozenset({"ID token"}),
        lambda hall, it: _comes_back_with_a_code(hall, hall.authorize(id_token_hint=it)),
    ),
    "/authorize interaction": (frozenset({"interaction id"}), _interaction),
    "/end-session id_token_hint": (frozenset({"ID token"}), _end_session),
    "session cookie": (frozenset({"session cookie"}), _cookie),
    "csrf_token of a form": (frozenset({"CSRF token"}), _form),
    "/signed-out/...": (frozenset({"sign-out address"}), _signed_out),
    "/sign-in/...": (frozenset({"sign-in id"}), _sign_in),
    "/device user_code": (frozenset({"user code"}), _user_code),
}


async def _ok(answered: Awaitable[httpx2.Response]) -> bool:
    return (await answered).status_code in (200, 201)


@pytest.fixture
async def hall(backend: Backend) -> AsyncIterator[Hall]:
    async with new_town(backend.database_url) as town:
        service = await fapi(
            town,
            grant_types=list(GRANT_TYPES),
            scope="openid profile email",
            userinfo_signed_response_alg="ES256",
            authorization_signed_response_alg="ES256",
            backchannel_token_delivery_mode="poll",
        )
        citizen, _ = await town.citizen()
        made = Hall(town, service, citizen)
        made.proof_key, service.proof_key = service.proof_key, None  # type: ignore[attr-defined]
        made.tokens = await enter(made, citizen)
        yield made


async def test_only_the_right_artefact_passes_where_one_is_accepted(hall: Hall) -> None:
    """R11: the whole table; what is printed is what was seen."""
    samples = {name: await make(hall) for name, make in KINDS.items()}
    assert all(samples.values()), [name for name, sample in samples.items() if not sample]
    seen: dict[str, set[str]] = {}
    for place, (right, offer) in PLACES.items():
        # The right ones last: many are good for one use, and one of them ends the session.
        passed = {name for name, sample in samples.items() if name not in right and await offer(hall, sample)}
        hall.town.later(seconds=6)  # who polls may not poll too often
        seen[place] = passed
    for place, (right, offer) in sorted(PLACES.items(), key=lambda it: it[0].startswith("/end-session")):
        seen[place] |= {name for name in sorted(right) if await offer(hall, await KINDS[name](hall))}

    wrong = {place: (seen[place], right) for place, (right, _) in PLACES.items() if seen[place] != right}
    assert not wrong, "place: (what passed, what should)"
    print(text := _table(seen))
    kept = TABLE.read_text("utf-8") if TABLE.exists() else ""
    TABLE.write_text(text, "utf-8")
    assert kept == text, f"{TABLE.name} was written anew: commit it"


def _table(seen: dict[str, set[str]]) -> str:
    """Places down, and what passes there; everything else was refused."""
    lines = [
        "# What passes where (R11)",
        "",
        "Written by test_artefact_matrix.py: each of these was offered at each place, and all but those named refused.",
        "",
        f"Kinds: {', '.join(KINDS)}.",
        "",
        "| place | passes | refused |",
        "|---|---|---:|",
        *(f"| `{place}` | {', '.join(sorted(these))} | {len(KINDS) - len(these)} |" for place, these in seen.items()),
    ]
    return "\n".join(lines) + "\n"


JWT_KINDS = {
    "client assertion": "client assertion",
    "request object": "request object",
    "DPoP proof": "DPoP proof",
    "id_token_hint": "ID token",
}
"""What our rules read as JWT, by its name there -> the row here."""
SIGNED = {
    "access_token": "JWT access token",
    "introspection": "introspection JWT",
    "logout_token": "logout token",
}
"""Modules of rules that have a `TYP` of what we sign."""
SECRETS = {
    "authorization_code.digest": "authorization code",
    "access_token.digest": "access token",
    "refresh_token.digest": "refresh token",
    "service_token.digest": "service's own access token",
    "pushed_request.digest": "pushed request_uri",
    "sign_out.digest": "sign-out address",
    "waiting_request.digest": "device code",
    "waiting_request.user_code": "user code",
    "session.secret_digest": "session cookie",
}
ELSEWHERE = {
    "client_registration.token_digest": "registration is off by default: tests/oidc/test_registration.py",
    "client_invitation.digest": "likewise",
    "notice.digest": "in the link of a mail, and asked for at its own page alone",
    "client.secret_digest": "typed nowhere: a secret is compared with one client's own",
    "confirmation_code.digest": "six digits, bound to the registration that asked",
    "recovery_code.digest": "typed by people, bound to the account",
}


def test_every_kind_has_its_row() -> None:
    """A kind of JWT, or a table that keeps a secret's digest, that is new belongs into the table above."""
    found: set[str] = set()
    typed: set[str] = set()
    for module in pkgutil.iter_modules(oidc.protocol.__path__):
        rules = importlib.import_module(f"oidc.protocol.{module.name}")
        found |= {kind.name for kind in vars(rules).values() if isinstance(kind, JwtKind)}
        if isinstance(getattr(rules, "TYP", None), str):
            typed.add(module.name)
    digests = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary) and column.name.endswith(("digest", "user_code"))
    }
    assert found - {"software_statement"} <= JWT_KINDS.keys(), "registration is off unless a deployment has it"
    assert typed <= SIGNED.keys()
    assert digests <= SECRETS.keys() | ELSEWHERE.keys()
    assert {*JWT_KINDS.values(), *SIGNED.values(), *SECRETS.values()} <= KINDS.keys()
    assert {kind for right, _ in PLACES.values() for kind in right} <= KINDS.keys()
