"""The next step of an authorization: one function decides, from stored facts (OpenID Connect Core 3.1.2)."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from oidc.protocol.assurance import assurance_for, is_out_of_reach
from oidc.protocol.authorization import AuthorizationRequest
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.claims import claims_beyond_scopes, claims_of_scopes
from oidc.protocol.client import Client
from oidc.protocol.client_metadata import REFRESH_TOKEN
from oidc.protocol.errors import (
    CONSENT_REQUIRED,
    LOGIN_REQUIRED,
    UNMET_AUTHENTICATION_REQUIREMENTS,
    ProtocolError,
    may_travel,
)


class SignedIn(msgspec.Struct, frozen=True):
    """The session at the keyboard. `subject_key` names the account among us, `sub` to this client."""

    subject_key: str
    sub: str
    acr: str | None
    auth_time: datetime


class Agreed(msgspec.Struct, frozen=True):
    """What this person has agreed to for this client, as it stands now."""

    scope: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()
    # Canonical JSON of each agreed detail (RFC 9396).
    details: frozenset[str] = frozenset()


class Progress(msgspec.Struct, frozen=True):
    """What has happened in this interaction. `opened_at` is the instant the request first arrived, and never moves.

    `consented_by` and `chosen_by` are the subject keys of who answered: an answer does not pass to the next person.
    """

    opened_at: datetime
    consented_by: str | None = None
    chosen_by: str | None = None


class Authenticate(msgspec.Struct, frozen=True):
    """Sign in, at least at `acr`, and not before `fresh_after` (None: any age).

    `start` is where to begin; `another` says that the person of the present session is not the one asked for.
    """

    acr: str
    fresh_after: datetime | None = None
    start: Literal["sign_in", "create"] = "sign_in"
    login_hint: str | None = None
    another: bool = False


class ChooseAccount(msgspec.Struct, frozen=True):
    """Ask which account to go on with."""

    login_hint: str | None = None


class AskConsent(msgspec.Struct, frozen=True):
    """Ask for agreement. `scope` and `claims` are all that is asked for, the `new_` ones what was never agreed to."""

    scope: tuple[str, ...]
    claims: tuple[str, ...]
    new_scope: tuple[str, ...]
    new_claims: tuple[str, ...]
    new_details: tuple[str, ...] = ()
    essential: frozenset[str] = frozenset()
    offline: bool = False


class Issue(msgspec.Struct, frozen=True):
    """Give a code, for this scope and these further claims, saying that `acr` was reached."""

    scope: tuple[str, ...]
    claims: tuple[str, ...]
    acr: str
    auth_time: datetime


Step = Authenticate | ChooseAccount | AskConsent | Issue


def next_step(
    request: AuthorizationRequest,
    client: Client,
    capabilities: Capabilities,
    progress: Progress,
    session: SignedIn | None,
    agreed: Agreed | None,
    *,
    hinted_sub: str | None = None,
    details: tuple[str, ...] = (),
) -> Step:
    """What to do now. Raises `AuthorizationError`; with `prompt=none` that is every answer but `Issue`.

    `hinted_sub` is the `sub` of a verified `id_token_hint`; `details` are the request's authorization details in
    canonical JSON. The answer depends on nothing that passes while the citizen reads: asking again, later, with the
    same facts gives the same step.
    """
    try:
        step = decide(request, client, capabilities, progress, session, agreed, hinted_sub, details)
        return refuse_pages(step, request, capabilities) if "none" in request.prompt else step
    except ProtocolError as error:
        raise may_travel(error, request.reply_to) from error


def decide(
    request: AuthorizationRequest,
    client: Client,
    capabilities: Capabilities,
    progress: Progress,
    session: SignedIn | None,
    agreed: Agreed | None,
    hinted_sub: str | None,
    details: tuple[str, ...],
) -> Step:
    """Who, when, how surely, and with what agreement: in this order, because each answer may change the next."""
    assurance = assurance_for(request, capabilities)
    authenticate = Authenticate(
        acr=assurance.required,
        fresh_after=fresh_after(request, progress),
        start="create" if "create" in request.prompt else "sign_in",
        login_hint=request.login_hint,
    )
    if session is None:
        return authenticate
    if "select_account" in request.prompt and not has_chosen(session, progress):
        return ChooseAccount(request.login_hint)
    if not is_the_person_asked_for(session, request, hinted_sub):
        if session.auth_time >= progress.opened_at:
            raise ProtocolError(LOGIN_REQUIRED, "Another person signed in than the request is about.")
        return msgspec.structs.replace(authenticate, another=True)
    if not is_fresh(session, authenticate.fresh_after):
        return authenticate
    acr = assurance.to_report(session.acr)
    if acr is None:
        return authenticate
    return consent_or_issue(request, client, progress, session, agreed or Agreed(), acr, details)


def fresh_after(request: AuthorizationRequest, progress: Progress) -> datetime | None:
    """Section 3.1.2.1: `prompt=login` and `max_age` are one comparison with `auth_time`, from the first arrival.

    Counting from now instead would send a citizen who reads slowly round in circles.
    """
    if {"login", "create"} & set(request.prompt):
        return progress.opened_at
    if request.max_age is None:
        return None
    return progress.opened_at - timedelta(seconds=request.max_age)


def is_fresh(session: SignedIn, instant: datetime | None) -> bool:
    """Whether the person authenticated at that instant or later."""
    return instant is None or session.auth_time >= instant


def has_chosen(session: SignedIn, progress: Progress) -> bool:
    """Who picked this account, or signed in to it during this interaction, has chosen it."""
    return progress.chosen_by == session.subject_key or session.auth_time >= progress.opened_at


def is_the_person_asked_for(session: SignedIn, request: AuthorizationRequest, hinted_sub: str | None) -> bool:
    """Sections 3.1.2.1 and 5.5.1: `id_token_hint`, or `sub` in `claims`, name one person and nobody else will do."""
    return session.sub == (hinted_sub or session.sub) and session.sub == (request.claims.subject or session.sub)


def consent_or_issue(
    request: AuthorizationRequest,
    client: Client,
    progress: Progress,
    session: SignedIn,
    agreed: Agreed,
    acr: str,
    details: tuple[str, ...],
) -> AskConsent | Issue:
    """Ask for what is new (R13), and with `prompt=consent` once more for everything; then issue what was agreed to."""
    scope = scope_to_grant(request, client)
    claims = claims_beyond_scopes(request.claims, scope) if request.is_openid else ()
    known_claims = agreed.claims | claims_of_scopes(agreed.scope)
    ask = AskConsent(
        scope=scope,
        claims=claims,
        new_scope=tuple(name for name in scope if name not in agreed.scope),
        new_claims=tuple(name for name in claims if name not in known_claims),
        new_details=tuple(detail for detail in details if detail not in agreed.details),
        essential=request.claims.essential,
        offline="offline_access" in scope,
    )
    if progress.consented_by != session.subject_key:
        if "consent" in request.prompt or ask.new_scope or ask.new_claims or ask.new_details:
            return ask
    elif (scope and not set(scope) & agreed.scope) or ask.new_details:
        raise ProtocolError(CONSENT_REQUIRED, "The agreement has been withdrawn.")
    return Issue(
        scope=tuple(name for name in scope if name in agreed.scope),
        claims=tuple(name for name in claims if name in known_claims),
        acr=acr,
        auth_time=session.auth_time,
    )


def scope_to_grant(request: AuthorizationRequest, client: Client) -> tuple[str, ...]:
    """Section 11: `offline_access` is ignored unless consent is asked for and the client may hold refresh tokens."""
    offline = "consent" in request.prompt and client.uses(REFRESH_TOKEN)
    return tuple(name for name in request.scope if offline or name != "offline_access")


def refuse_pages(step: Step, request: AuthorizationRequest, capabilities: Capabilities) -> Issue:
    """Section 3.1.2.6: with `prompt=none`, each page becomes the error that says which page it would have been, or that
    no page would help (Error Code unmet_authentication_requirements 1.0): then the service need not send anybody."""
    if isinstance(step, Issue):
        return step
    if isinstance(step, AskConsent):
        raise ProtocolError(CONSENT_REQUIRED, "The person has to agree first.")
    if isinstance(step, Authenticate) and is_out_of_reach(request, step.acr, capabilities):
        raise ProtocolError(UNMET_AUTHENTICATION_REQUIREMENTS, f"Nobody can reach {step.acr} here.")
    raise ProtocolError(LOGIN_REQUIRED, "The person has to sign in first.")
