"""The consent page of an interaction: what a service asks for, in plain words, with the citizen's own values (R13)."""

import hmac
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency

from accounts.account import data_key_of
from accounts.activity import record
from accounts.citizen import Browser
from accounts.database import Transaction
from accounts.pages.page import form_of, page, see_other
from accounts.vault import Vault
from identity.device import device_name
from identity.session import SessionView
from oidc.detail import allowed_by, details_to_agree
from oidc.endpoints.agreement import NOTICE, agree
from oidc.endpoints.authorization_response import AnyRequest
from oidc.endpoints.authorization_steps import denied, finish, step_of
from oidc.endpoints.claim_words import all_claims, shared_values
from oidc.endpoints.own_values import masked_email, own_values
from oidc.endpoints.visit import Visit, answered, returned
from oidc.interaction import consent
from oidc.protocol.claims import SCOPE_CLAIMS
from oidc.protocol.prompt import AskConsent
from oidc.provider import Provider
from oidc.resource import allowed_at


async def consent_page(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    visit: Visit,
    session: SessionView,
    step: AskConsent,
    language: str,
) -> Response[Any]:
    """The question: only what is new stands out, and what the citizen's record does not have is said."""
    values = await own_values(db, vault, session.account_id, session.locale)
    known = set(visit.agreed.claims) if visit.agreed else set()
    new = set(all_claims(step.new_scope, step.new_claims)) - known
    before = set(all_claims(step.scope, step.claims)) & known
    return page(
        request,
        "consent.html",
        keeps_opener=True,
        client=visit.client,
        purpose=visit.client.text_in("purpose", language),
        is_known=visit.agreed is not None,
        new=shared_values(new, values, language, step.essential),
        before=shared_values(before, values, language),
        is_lasting=step.offline,
        acts=allowed_at(provider.resources, step.scope, language),
        details=allowed_by(provider.detail_kinds, visit.asked.authorization_details, language),
        is_new=bool(new) or bool(step.new_details) or bool(set(step.new_scope) - {"openid", *SCOPE_CLAIMS}),
        signed_in_as=masked_email(values),
        hidden={
            "interaction": str(visit.held.id),
            "language": language,
            "shown": _seal_of_what_is_shown(vault, visit, session, step, language),
        },
    )


def _seal_of_what_is_shown(vault: Vault, visit: Visit, session: SessionView, step: AskConsent, language: str) -> str:
    """Binds the answer to the question: this citizen, this service, these details, these words. What changed in
    another tab meanwhile is asked again."""
    shown = [str(visit.held.id), str(session.account_id), step.scope, step.claims, step.new_details, language, NOTICE]
    return vault.mac("consent.shown", msgspec.json.encode(shown))[:16].hex()


@post("/authorize/consent", status_code=303)
async def answer_consent(
    request: AnyRequest,
    db: NamedDependency[Transaction],
    now: NamedDependency[datetime],
    vault: NamedDependency[Vault],
    browser: NamedDependency[Browser],
    session_secret: NamedDependency[str | None],
    provider: NamedDependency[Provider],
    address: NamedDependency[str],
) -> Response[Any]:
    """The answer. Allowed: one agreement, however often the form is posted. Refused: the service is told."""
    form = await form_of(request)

    async def judge() -> Response[Any]:
        visit = await returned(request, db, vault, provider, browser, session_secret, form.get("interaction"), now)
        step, session = await step_of(db, provider, visit, now), visit.session
        language = form.get("language", "")
        if session is None or not isinstance(step, AskConsent):
            return see_other(visit.held.address)
        shown = _seal_of_what_is_shown(vault, visit, session, step, language)
        if not hmac.compare_digest(shown.encode(), form.get("shown", "").encode()):
            return see_other(visit.held.address)
        if form.get("action") == "refuse":
            await finish(db, visit, "refused", now)
            key = await data_key_of(db, vault, session.account_id)
            name = visit.client.name_in(language)
            await record(db, session.account_id, "consent_refused", now, key=key, service=name)
            raise denied(visit, "The citizen did not agree.")
        if form.get("action") == "allow" and await consent(db, visit.held, session.account_id, now):
            device = device_name(request.headers.get("user-agent", ""))
            await _agree(db, vault, provider, visit, session, step, language, device, address, now)
        return see_other(visit.held.address)

    return await answered(request, db, provider, now, judge())


async def _agree(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    visit: Visit,
    session: SessionView,
    step: AskConsent,
    language: str,
    device: str,
    address: str,
    now: datetime,
) -> None:
    """Write the agreement down, with what stood before, and tell every contact of it (R67)."""
    scopes = {*step.scope, *(visit.agreed.scopes if visit.agreed else ())}
    before = visit.agreed.details if visit.agreed else ()
    await agree(
        db,
        vault,
        visit.client,
        session.account_id,
        scopes=step.scope,
        claims=step.claims,
        allowed=allowed_at(provider.resources, scopes, language),
        details=details_to_agree(provider.detail_kinds, visit.asked.authorization_details, before, language),
        before=visit.agreed,
        is_lasting=step.offline,
        language=language,
        locale=session.locale,
        device=device,
        address=address,
        now=now,
    )


handlers = [answer_consent]
