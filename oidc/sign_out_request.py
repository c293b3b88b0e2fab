"""A request to sign out, judged: who asks, whether the citizen has to be asked, where to lead on."""

from datetime import datetime

import msgspec
import structlog

from accounts.database import Transaction
from accounts.vault import Vault
from identity.session import SessionView
from oidc.client import RegisteredClient
from oidc.protocol.end_session import EndSession, SessionAt, asking_client, end_session, read_end_session_request
from oidc.protocol.errors import ProtocolError
from oidc.protocol.id_token_hint import Hint, verify_id_token_hint
from oidc.protocol.parameters import Parameters
from oidc.provider import Provider
from oidc.subject import find_account_by_subject, sid_of

log: structlog.stdlib.BoundLogger = structlog.get_logger("sign_out")


class SignOutRequest(msgspec.Struct, frozen=True):
    """What was asked for and what is to be done. `is_proved`: a valid hint came along, so that a redirect without a
    further question goes where an ID token of ours has been."""

    client: RegisteredClient | None
    decision: EndSession
    ui_locales: tuple[str, ...]
    is_proved: bool


async def judge_sign_out(
    db: Transaction,
    vault: Vault,
    provider: Provider,
    session: SessionView | None,
    parameters: Parameters,
    now: datetime,
) -> SignOutRequest:
    """The rules of RP-Initiated Logout 1.0. Raises `ProtocolError`, for a page."""
    request = read_end_session_request(parameters)
    hint = None
    if request.id_token_hint is not None:
        keys = await provider.keys.current(db, now)
        algorithms = provider.capabilities.signing_algorithms
        try:
            hint = verify_id_token_hint(request.id_token_hint, keys.verifying, provider.issuer, algorithms)
        except ProtocolError as error:
            # A forged hint proves that somebody is at play: nothing else of the request is believed either.
            log.info("id_token_hint_refused", description=error.description, detail=error.detail.reason)
            request = msgspec.structs.replace(request, client_id=None)
    client = await provider.clients.find(db, asking_client(request, hint), now)
    at = None if session is None else await _session_at(db, vault, session, client, hint)
    decision = end_session(request, hint, client, at)
    return SignOutRequest(client, decision, request.ui_locales, hint is not None)


async def _session_at(
    db: Transaction, vault: Vault, session: SessionView, client: RegisteredClient | None, hint: Hint | None
) -> SessionAt:
    """The session as the asking client sees it; read only where there is something to compare."""
    if client is None or hint is None:
        return SessionAt()
    owner = await find_account_by_subject(db, client.subject_sector, hint.sub)
    sub = hint.sub if owner == session.account_id else None
    return SessionAt(sub, sid_of(vault, session.id, client.subject_sector))
