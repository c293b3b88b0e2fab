"""The question that a request from elsewhere puts to its citizen, and the answer: for devices and for CIBA alike.

The consent page asks it, always: whoever allows it must have seen where it came from (RFC 8628 section 5.4).
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import structlog
from litestar import Request, Response

from accounts.account import data_key_of
from accounts.activity import Kind as HistoryKind
from accounts.activity import record
from accounts.citizen import Browser
from accounts.consent import ConsentView, details_of, find_consent
from accounts.database import Transaction
from accounts.errors import Refusal
from accounts.outbox import enqueue
from accounts.pages.page import page, see_other
from accounts.vault import Vault
from identity.device import device_name
from identity.session import SessionView
from identity.sign_in import Onward, begin
from oidc.ciba_ping import PING
from oidc.client import RegisteredClient
from oidc.detail import allowed_by, canonical_details, details_to_agree, still_agreed
from oidc.endpoints.agreement import NOTICE, agree
from oidc.endpoints.claim_words import all_claims, shared_values
from oidc.endpoints.own_values import masked_email, own_values
from oidc.grant import open_grant
from oidc.protocol.assurance import level_for, meets
from oidc.protocol.client_metadata import REFRESH_TOKEN
from oidc.provider import Provider
from oidc.resource import allowed_at
from oidc.subject import subject_of
from oidc.waiting_request import Answer, Waiting, settle

AnyRequest = Request[Any, Any, Any]

log: structlog.stdlib.BoundLogger = structlog.get_logger("waiting")


class Question(msgspec.Struct, frozen=True):
    """A request before its citizen. `path` is the page's own address; `user_code` what was typed, if anything."""

    waiting: Waiting
    client: RegisteredClient
    path: str
    user_code: str = ""

    @property
    def is_lasting(self) -> bool:
        """Whether the client may renew its access without asking again."""
        return self.client.uses(REFRESH_TOKEN)


async def found(db: Transaction, provider: Provider, waiting: Waiting | None, path: str, now: datetime) -> Question:
    """The question that may be shown. Raises Refusal("no_such_request"), also where its service is gone."""
    client = await provider.clients.find(db, waiting.client_id, now) if waiting else None
    if waiting is None or client is None:
        raise Refusal("no_such_request", status=404)
    return Question(waiting, client, path)


async def ask(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    browser: Browser,
    session: SessionView | None,
    question: Question,
    language: str,
    now: datetime,
) -> Response[Any]:
    """The page, once somebody is signed in surely enough; what was answered already, or too late, says so."""
    waiting = question.waiting
    if waiting.answer is not None or waiting.expires_at <= now:
        return page(
            request,
            "waiting_over.html",
            client=question.client,
            answer=waiting.answer or "expired",
            is_device=waiting.kind == "device",
        )
    signed_in = await surely(db, vault, provider, browser, session, question, language, now)
    if isinstance(signed_in, Response):
        return signed_in
    return await _page(request, db, vault, provider, question, signed_in, language)


async def surely(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    browser: Browser,
    session: SessionView | None,
    question: Question,
    language: str,
    now: datetime,
) -> SessionView | Response[Any]:
    """The session, or the way to a sign-in at the level that the client asked for. Raises Refusal("account_...")."""
    required = level_for(question.waiting.asked.acr_values, provider.capabilities)
    is_enrolling = session is not None and session.account_state == "enrolling"
    if session is None or is_enrolling or not meets(session.acr, required, provider.capabilities):
        onward = Onward(service_name=question.client.name_in(language))
        path = await begin(
            db, vault, browser, required_acr=required, fresh_after=None, return_to=question.path, onward=onward, now=now
        )
        return see_other(path)
    if session.account_state != "active":
        raise Refusal(f"account_{session.account_state}", status=403)
    if question.waiting.account_id not in (None, session.account_id):
        raise Refusal("no_such_request", status=404)
    return session


async def _page(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    question: Question,
    session: SessionView,
    language: str,
) -> Response[Any]:
    waiting, client = question.waiting, question.client
    agreed = await find_consent(db, session.account_id, client.client_id)
    values = await own_values(db, vault, session.account_id, session.locale)
    asked = set(all_claims(waiting.asked.scope, ()))
    before = set(agreed.claims) if agreed else set()
    return page(
        request,
        "waiting.html",
        client=client,
        purpose=client.text_in("purpose", language),
        is_known=agreed is not None,
        new=shared_values(asked - before, values, language),
        before=shared_values(asked & before, values, language),
        is_lasting=question.is_lasting,
        acts=allowed_at(provider.resources, waiting.asked.scope, language),
        details=allowed_by(provider.detail_kinds, waiting.asked.details, language),
        is_new=False,
        signed_in_as=masked_email(values),
        action=question.path,
        waiting=waiting,
        user_code=question.user_code,
        hidden={"language": language, "shown": _seal(vault, question, session, agreed, language)},
    )


def _seal(vault: Vault, question: Question, session: SessionView, agreed: ConsentView | None, language: str) -> str:
    """Binds the answer to the question, as on the consent page of an interaction."""
    agreement = str(agreed.id) if agreed else ""
    said = [str(question.waiting.id), str(session.account_id), agreement, question.is_lasting, language, NOTICE]
    return vault.mac("waiting.shown", msgspec.json.encode(said))[:16].hex()


async def answer(
    request: AnyRequest,
    db: Transaction,
    vault: Vault,
    provider: Provider,
    session: SessionView,
    question: Question,
    form: Mapping[str, str],
    address: str,
    now: datetime,
) -> Response[Any]:
    """What the citizen said, once; a form posted twice, or after its time, changes nothing (R45, R78)."""
    agreed = await find_consent(db, session.account_id, question.client.client_id)
    language = form.get("language", "")
    seal = _seal(vault, question, session, agreed, language)
    action = form.get("action")
    if action not in ("allow", "refuse") or not hmac.compare_digest(seal.encode(), form.get("shown", "").encode()):
        return see_other(question.path)
    said: Answer = "granted" if action == "allow" else "refused"
    grant_id = None
    if said == "granted":
        device = device_name(request.headers.get("user-agent", ""))
        consent_id = await _consent(db, vault, provider, session, question, agreed, language, device, address, now)
        grant_id = await open_grant(
            db,
            account_id=session.account_id,
            client_id=question.client.client_id,
            session_id=None,
            consent_id=consent_id,
            sub=await subject_of(db, session.account_id, question.client.subject_sector, now),
            sid=None,
            scopes=question.waiting.asked.scope,
            claims={},
            acr=session.acr,
            amr=session.amr,
            auth_time=session.auth_time,
            now=now,
            details=question.waiting.asked.details,
            key=await data_key_of(db, vault, session.account_id),
            is_offline=True,
        )
    if not await settle(db, question.waiting.id, session.account_id, said, now, grant_id):
        await db.rollback()  # another tab was first: this one's agreement never was
        return see_other(question.path)
    key = await data_key_of(db, vault, session.account_id)
    kind: HistoryKind = "service_entered" if said == "granted" else "consent_refused"
    await record(db, session.account_id, kind, now, key=key, service=question.client.name_in(language))
    if question.waiting.asked.token is not None:
        await enqueue(db, vault, PING, {"request_id": str(question.waiting.id)}, now)
    return see_other(question.path)


async def _consent(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    session: SessionView,
    question: Question,
    agreed: ConsentView | None,
    language: str,
    device: str,
    address: str,
    now: datetime,
) -> Any:
    """The agreement that the grant stands on: the one there is, where it covers all that is asked."""
    # A client that renews its access by itself has what `offline_access` means, whatever it called it.
    asked, kinds = question.waiting.asked, provider.detail_kinds
    scope = {*asked.scope, *(("offline_access",) if question.is_lasting else ())}
    before: tuple[str, ...] = ()
    if agreed is not None:
        key = await data_key_of(db, vault, session.account_id)
        before = details_of(key, agreed.id, agreed.details_sealed, agreed.details).texts
        standing = still_agreed(kinds, before, in_this_visit=False)
        if scope <= set(agreed.scopes) and set(canonical_details(asked.details)) <= set(standing):
            return agreed.id
    return await agree(
        db,
        vault,
        question.client,
        session.account_id,
        scopes=scope,
        allowed=allowed_at(provider.resources, {*scope, *(agreed.scopes if agreed else ())}, language),
        details=details_to_agree(kinds, asked.details, before, language),
        before=agreed,
        is_lasting=question.is_lasting,
        language=language,
        locale=session.locale,
        device=device,
        address=address,
        now=now,
    )
