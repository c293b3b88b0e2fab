"""The next step of an authorization, computed from what is stored, and what each step does."""

from datetime import datetime
from typing import Any

from litestar import Response

from accounts.account import data_key_of
from accounts.activity import record
from accounts.database import Transaction
from accounts.pages.page import see_other
from accounts.vault import Vault
from identity.policy import IdentityPolicy
from identity.session import is_due_for_touch, touch
from identity.sign_in import Onward, begin
from oidc.authorization_code import issue_code
from oidc.detail import canonical_details, still_agreed
from oidc.endpoints.authorization_response import AnyRequest, InteractionOver, answer
from oidc.endpoints.visit import Visit
from oidc.interaction import Interaction, Outcome, complete
from oidc.protocol.errors import ACCESS_DENIED, AuthorizationError, ProtocolError, may_travel
from oidc.protocol.id_token_hint import hinted_sub, verify_id_token_hint
from oidc.protocol.prompt import Agreed, Authenticate, Issue, Progress, SignedIn, Step, next_step
from oidc.provider import Provider
from oidc.pushed_request import complete_pushed

SUSPENDED = "The account is suspended."
CLOSED = "The account is closed."


async def step_of(db: Transaction, provider: Provider, visit: Visit, now: datetime) -> Step:
    """What to do now. Raises `AuthorizationError`."""
    session, asked = visit.session, visit.asked
    step = next_step(
        asked,
        visit.client,
        provider.capabilities,
        _progress(visit),
        _signed_in(visit),
        _agreed(provider, visit),
        hinted_sub=await _person_asked_for(db, provider, visit, now),
        details=canonical_details(asked.authorization_details),
    )
    if session is None or session.account_state == "active" or isinstance(step, Authenticate):
        return step
    if session.account_state == "enrolling" and "none" not in asked.prompt:
        # Not an account yet: the sign-in leads through what is missing, and back.
        return Authenticate(acr=provider.capabilities.minimum_acr)
    # Said only now, to who has proved to be its owner: before, it would tell strangers about accounts (R27).
    raise denied(visit, CLOSED if session.account_state == "closed" else SUSPENDED)


def _agreed(provider: Provider, visit: Visit) -> Agreed | None:
    agreed, session, interaction = visit.agreed, visit.session, visit.interaction
    if agreed is None:
        return None
    here = session is not None and interaction is not None and interaction.consented == session.account_id
    details = still_agreed(provider.detail_kinds, agreed.details, in_this_visit=here) if agreed.details else ()
    return Agreed(frozenset(agreed.scopes), frozenset(agreed.claims), frozenset(details))


def denied(visit: Visit, why: str) -> AuthorizationError:
    """`access_denied`, addressed to the service (RFC 6749 section 4.1.2.1)."""
    return may_travel(ProtocolError(ACCESS_DENIED, why), visit.asked.reply_to)


def _progress(visit: Visit) -> Progress:
    interaction = visit.interaction
    if interaction is None:
        return Progress(visit.opened_at)
    return Progress(
        interaction.opened_at,
        consented_by=str(interaction.consented) if interaction.consented else None,
        chosen_by=str(interaction.account_chosen) if interaction.account_chosen else None,
    )


async def _person_asked_for(db: Transaction, provider: Provider, visit: Visit, now: datetime) -> str | None:
    if visit.asked.id_token_hint is None:
        return None
    keys = await provider.keys.current(db, now)
    algorithms = provider.capabilities.signing_algorithms
    try:
        hint = verify_id_token_hint(visit.asked.id_token_hint, keys.verifying, provider.issuer, algorithms)
        return hinted_sub(hint, visit.client.client_id)
    except ProtocolError as error:
        raise may_travel(error, visit.asked.reply_to) from error


def _signed_in(visit: Visit) -> SignedIn | None:
    session = visit.session
    if session is None:
        return None
    # Whom this service has never met is nobody it can name: "" equals no `sub`.
    return SignedIn(str(session.account_id), visit.entrance.sub or "", session.acr, session.auth_time)


async def issue(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    policy: IdentityPolicy,
    visit: Visit,
    step: Issue,
    language: str,
    now: datetime,
) -> Response[Any]:
    """A code, sent to the service. With a session and an agreement at hand nothing else is written."""
    session, agreed = visit.session, visit.agreed
    if session is None or agreed is None:
        raise RuntimeError("a code without session or agreement: the rules never say so")
    await finish(db, visit, "issued", now)
    if visit.interaction is not None:
        # A silent return writes no line of its own: the grant says when, and "services you use" shows it.
        key = await data_key_of(db, vault, session.account_id)
        name = visit.client.name_in(language)
        await record(db, session.account_id, "service_entered", now, key=key, service=name)
    if is_due_for_touch(session, policy.session, now):
        await touch(db, session, policy.session, now)
    code = await issue_code(
        db,
        vault,
        provider.policy,
        client=visit.client,
        session=session,
        consent_id=agreed.id,
        request=visit.asked,
        scopes=step.scope,
        acr=step.acr,
        sub=visit.entrance.sub,
        now=now,
    )
    return await answer(request, db, provider, visit.asked.reply_to, {"code": code}, now)


async def authenticate(
    db: Transaction,
    vault: Vault,
    visit: Visit,
    interaction: Interaction,
    step: Authenticate,
    service: str,
    now: datetime,
) -> Response[Any]:
    """Hand the citizen to identity, which knows nothing of OpenID Connect, and have them back at this interaction."""
    onward = Onward(
        service_name=service,
        cancel=cancel_path(interaction),
        hint=step.login_hint,
        language=visit.languages,
        start="choose" if step.another else step.start,
    )
    path = await begin(
        db,
        vault,
        visit.browser,
        required_acr=step.acr,
        fresh_after=step.fresh_after,
        return_to=interaction.address,
        onward=onward,
        now=now,
    )
    return see_other(path)


def cancel_path(interaction: Interaction) -> str:
    """Where "cancel" leads on every page of an interaction."""
    return f"/authorize/cancel?interaction={interaction.id}"


async def finish(db: Transaction, visit: Visit, outcome: Outcome, now: datetime) -> None:
    """The request is answered: its interaction is complete, and the pushed request it came from. Without either nothing
    is written. Raises `InteractionOver` when another tab was first: there is never a second answer."""
    if visit.pushed is not None and not await complete_pushed(db, visit.pushed, now):
        raise InteractionOver("completed", visit.client)
    if visit.interaction is not None and not await complete(db, visit.interaction, outcome, now):
        raise InteractionOver("completed", visit.client)
