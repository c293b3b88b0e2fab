"""RP-initiated logout: whom to ask, where to send them on (RP-Initiated Logout 1.0 sections 2 and 3)."""

import msgspec

from oidc.protocol.authorization_rules import read_locales
from oidc.protocol.client import Client
from oidc.protocol.errors import INVALID_REQUEST, Detail, ProtocolError
from oidc.protocol.id_token_hint import Hint
from oidc.protocol.parameters import MAX_STATE, Parameters, read_hint, require_at_most


class EndSessionRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a relying party sent along; `id_token_hint` is raw."""

    id_token_hint: str | None = None
    logout_hint: str | None = None
    client_id: str | None = None
    post_logout_redirect_uri: str | None = None
    state: str | None = None
    ui_locales: tuple[str, ...] = ()


class SessionAt(msgspec.Struct, frozen=True):
    """The session of this browser as the asking client sees it; both None where that client has no part in it."""

    sub: str | None = None
    sid: str | None = None


class ReturnTo(msgspec.Struct, frozen=True):
    """Where to go on: a registered address, and the `state` to give back."""

    uri: str
    state: str | None = None


class EndSession(msgspec.Struct, frozen=True):
    """`ask`: the person decides on a page of ours. `return_to`: None ends on our own page."""

    ask: bool
    return_to: ReturnTo | None = None


def read_end_session_request(parameters: Parameters) -> EndSessionRequest:
    """Section 2. Parameters come by GET or POST; unknown ones are ignored."""
    return EndSessionRequest(
        id_token_hint=parameters.get("id_token_hint"),
        logout_hint=read_hint(parameters, "logout_hint"),
        client_id=parameters.get("client_id"),
        post_logout_redirect_uri=parameters.get("post_logout_redirect_uri"),
        state=require_at_most(parameters, "state", MAX_STATE),
        ui_locales=read_locales(parameters, "ui_locales"),
    )


def asking_client(request: EndSessionRequest, hint: Hint | None) -> str | None:
    """Section 2: `client_id` and the audience of the hint name the same client; None where nobody is named."""
    if hint is None:
        return request.client_id
    if request.client_id not in {None, hint.client_id}:
        raise ProtocolError(INVALID_REQUEST, "The id_token_hint was issued to another client.")
    return hint.client_id


def end_session(
    request: EndSessionRequest, hint: Hint | None, client: Client | None, session: SessionAt | None
) -> EndSession:
    """What to do. A refusal is shown on a page and never redirected (section 4).

    `client` is the registered one that `asking_client` named. Without a hint that belongs to the session in this
    browser the person is asked: else any page on the web could sign people out.
    """
    return_to = require_registered_return(request, client)
    if session is None:
        return EndSession(ask=False, return_to=return_to)
    return EndSession(ask=not belongs_to(hint, session), return_to=return_to)


def require_registered_return(request: EndSessionRequest, client: Client | None) -> ReturnTo | None:
    """Section 3: byte for byte one of `post_logout_redirect_uris` (R1). Where no client is named there is no way on."""
    uri = request.post_logout_redirect_uri
    if uri is None or client is None:
        return None
    if uri not in client.metadata.post_logout_redirect_uris:
        detail = Detail("post_logout_redirect_uri not registered", uri, client.metadata.post_logout_redirect_uris)
        raise ProtocolError(
            INVALID_REQUEST, "The post_logout_redirect_uri is not registered for this client.", detail=detail
        )
    return ReturnTo(uri, request.state)


def belongs_to(hint: Hint | None, session: SessionAt) -> bool:
    """Whether the hint is about this person and this session (section 2: "the End-User is the one of the hint")."""
    return hint is not None and hint.sub == session.sub and (hint.sid is None or hint.sid == session.sid)
