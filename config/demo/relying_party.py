"""The demo's two services, City Parks and Taxes: what a relying-party team would write, with the usual libraries."""

import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Litestar, Request, Response, get, post

from config.demo.openid_client import Claims, OpenIdClient, Pending, SignedIn, SignInFailed

HERE = Path(__file__).parent
COOKIE = "visit"
KEPT = 1000
"""Visits at most; it is a demo."""
TABS = 20
"""Sign-ins at most that one browser has under way."""
WORDS = {
    "name": "Full name",
    "given_name": "First names",
    "family_name": "Family name",
    "nickname": "Nickname",
    "birthdate": "Date of birth",
    "gender": "Gender",
    "zoneinfo": "Time zone",
    "locale": "Language",
    "email": "Email address",
    "phone_number": "Phone number",
    "address": "Address",
}
LEVELS = {
    "aal1": "one proof",
    "aal2": "two proofs",
    "aal2-phr": "a passkey, which cannot be phished",
    "aal3": "a passkey on hardware",
}
COLOURS = {"parks": "#1f5c38", "taxes": "#3a2f73"}
METHODS = {
    "pwd": "password",
    "otp": "one-time code",
    "hwk": "security key",
    "swk": "passkey",
    "user": "presence",
    "mfa": "",
}

AnyRequest = Request[Any, Any, Any]


class Service(msgspec.Struct, frozen=True):
    """One sample service and the addresses it leads on to."""

    key: Literal["parks", "taxes"]
    name: str
    home: str
    neighbour_name: str
    neighbour: str
    inbox: str
    account: str
    issuer: str


class Visit(msgspec.Struct):
    """One browser at this service. `pending` is what each of its tabs waits for, by `state`; `ended_at` is set when the
    provider said that the sign-in is over."""

    pending: dict[str, Pending] = {}
    signed_in: SignedIn | None = None
    ended_at: datetime | None = None


def environment() -> Environment:
    """The templates of the demo's own pages."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def page_headers(form_targets: str = "") -> dict[str, str]:
    """No inline, nothing foreign, nothing kept."""
    return {
        "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        f"img-src 'self'; form-action 'self' {form_targets}; frame-ancestors 'none'; base-uri 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
    }


def assets(colour: str) -> list[Any]:
    """The handlers of the style sheet that all of the demo's own pages share, and of an icon in the page's colour."""
    style = (HERE / "demo.css").read_bytes()
    drawn = f'<circle cx="16" cy="16" r="15" fill="{colour}"/>'
    icon = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{drawn}</svg>'

    @get("/demo.css", sync_to_thread=False)
    def demo_css() -> Response[bytes]:
        return Response(style, media_type="text/css")

    @get("/icon.svg", sync_to_thread=False)
    def icon_svg() -> Response[bytes]:
        return Response(icon.encode(), media_type="image/svg+xml")

    return [demo_css, icon_svg]


def see_other(address: str) -> Response[None]:
    """303: what answered a form is asked for by GET."""
    return Response(None, status_code=303, headers={"location": address, "cache-control": "no-store"})


def create_service(service: Service, client: OpenIdClient, now: Any) -> Litestar:
    """The ASGI application of one service. `now` gives the present instant."""
    templates, visits = environment(), dict[str, Visit]()
    headers = page_headers(service.issuer)

    def visit_of(request: AnyRequest) -> Visit | None:
        return visits.get(request.cookies.get(COOKIE, ""))

    def page(template: str, status: int = 200, **context: Any) -> Response[str]:
        html = templates.get_template(template).render(service=service, **context)
        return Response(html, status_code=status, media_type="text/html", headers=headers)

    @get("/")
    async def home(request: AnyRequest) -> Response[str]:
        """Who is here, and what the service was told about them."""
        visit = visit_of(request)
        if visit is None or visit.signed_in is None:
            return page("service_home.html", ended_at=None if visit is None else visit.ended_at)
        signed_in = visit.signed_in
        return page(
            "service_signed_in.html",
            greeting=signed_in.userinfo.get("given_name") or signed_in.userinfo.get("name") or "",
            told=told(signed_in.userinfo),
            level=LEVELS.get(signed_in.claims.get("acr", ""), signed_in.claims.get("acr", "")),
            methods=", ".join(filter(None, (METHODS.get(m, m) for m in signed_in.claims.get("amr", ())))),
            claims=signed_in.claims,
            id_token=pretty(signed_in.claims),
            userinfo=pretty(signed_in.userinfo),
        )

    @get("/sign-in")
    async def sign_in(request: AnyRequest) -> Response[None]:
        """Away to the provider: `?start=create` for a new account, `?again=1` to prove it once more."""
        parameters = {}
        if request.query_params.get("start") == "create":
            parameters["prompt"] = "create"
        elif request.query_params.get("again"):
            parameters["prompt"] = "login"
        address, pending = await client.start(**parameters)
        visit, secret = visit_of(request), request.cookies.get(COOKIE, "")
        if visit is None:
            while len(visits) >= KEPT:
                visits.pop(next(iter(visits)))
            secret = secrets.token_urlsafe(32)
            visit = visits[secret] = Visit()
        visit.pending[pending.state] = pending
        while len(visit.pending) > TABS:
            visit.pending.pop(next(iter(visit.pending)))
        answer = see_other(address)
        answer.set_cookie(key=COOKIE, value=secret, httponly=True, samesite="lax")
        return answer

    @get("/callback")
    async def callback(request: AnyRequest) -> Response[Any]:
        """Back from the provider."""
        visit = visit_of(request)
        pending = None if visit is None else visit.pending.pop(request.query_params.get("state", ""), None)
        if visit is None or pending is None:
            return page("service_problem.html", 400, error="not_started", description="This browser began no sign-in.")
        try:
            signed_in = await client.finish(pending, dict(request.query_params))
        except SignInFailed as failed:
            return page("service_problem.html", 400, error=failed.error, description=failed.description)
        # A new secret for who is signed in now: one that was planted before knows nothing of it.
        visits.pop(request.cookies[COOKIE], None)
        secret = secrets.token_urlsafe(32)
        visits[secret] = Visit(visit.pending, signed_in)
        answer = see_other("/")
        answer.set_cookie(key=COOKIE, value=secret, httponly=True, samesite="lax")
        return answer

    @post("/sign-out")
    async def sign_out(request: AnyRequest) -> Response[None]:
        """Forget the person here, and have the provider sign them out everywhere."""
        visit = visits.pop(request.cookies.get(COOKIE, ""), None)
        if visit is None or visit.signed_in is None:
            return see_other("/")
        return see_other(await client.sign_out(visit.signed_in.id_token))

    @get("/signed-out", sync_to_thread=False)
    def signed_out() -> Response[str]:
        """Where the provider leads after signing out."""
        return page("service_signed_out.html")

    @post("/backchannel-logout")
    async def backchannel_logout(request: AnyRequest) -> Response[None]:
        """The provider says that a session is over (Back-Channel Logout section 2.5)."""
        token = parse_qs((await request.body()).decode("latin-1")).get("logout_token", [""])[0]
        try:
            sid, sub = await client.read_logout_token(token)
        except SignInFailed:
            return Response(None, status_code=400, headers={"cache-control": "no-store"})
        for visit in visits.values():
            known = visit.signed_in
            if known is not None and (known.claims.get("sid") == sid if sid else known.claims["sub"] == sub):
                visit.signed_in, visit.ended_at = None, now()
        return Response(None, status_code=200, headers={"cache-control": "no-store"})

    @get("/jwks.json", sync_to_thread=False)
    def jwks() -> dict[str, Any]:
        """The keys that this service proves itself with."""
        return client.public_keys

    return Litestar(
        [home, sign_in, callback, sign_out, signed_out, backchannel_logout, jwks, *assets(COLOURS[service.key])],
        openapi_config=None,
        logging_config=None,
    )


def told(userinfo: Claims) -> list[tuple[str, str]]:
    """What a person would recognise of their userinfo, in words."""
    shown = []
    for claim, words in WORDS.items():
        value = userinfo.get(claim)
        if isinstance(value, dict):
            value = value.get("formatted") or ", ".join(str(part) for part in value.values())
        if value:
            shown.append((words, str(value)))
    return shown


def pretty(claims: Claims) -> str:
    """JSON for people to read."""
    return msgspec.json.format(msgspec.json.encode(claims), indent=2).decode()
