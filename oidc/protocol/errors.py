"""What a protocol rule says when it refuses, and every error code we use, by the specification that defines it."""

import re

import msgspec

# RFC 6749 sections 4.1.2.1 and 5.2
INVALID_REQUEST = "invalid_request"
UNAUTHORIZED_CLIENT = "unauthorized_client"
ACCESS_DENIED = "access_denied"
UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
INVALID_SCOPE = "invalid_scope"
SERVER_ERROR = "server_error"
TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
INVALID_CLIENT = "invalid_client"
INVALID_GRANT = "invalid_grant"
UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
# OpenID Connect Core 1.0 section 3.1.2.6
INTERACTION_REQUIRED = "interaction_required"
LOGIN_REQUIRED = "login_required"
ACCOUNT_SELECTION_REQUIRED = "account_selection_required"
CONSENT_REQUIRED = "consent_required"
INVALID_REQUEST_URI = "invalid_request_uri"
INVALID_REQUEST_OBJECT = "invalid_request_object"
REQUEST_NOT_SUPPORTED = "request_not_supported"
REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
REGISTRATION_NOT_SUPPORTED = "registration_not_supported"
# OpenID Connect Core Error Code unmet_authentication_requirements 1.0
UNMET_AUTHENTICATION_REQUIREMENTS = "unmet_authentication_requirements"
# RFC 6750 section 3.1
INVALID_TOKEN = "invalid_token"
INSUFFICIENT_SCOPE = "insufficient_scope"
# RFC 7009 section 2.2.1
UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"
# RFC 7591 section 3.2.2
INVALID_REDIRECT_URI = "invalid_redirect_uri"
INVALID_CLIENT_METADATA = "invalid_client_metadata"
INVALID_SOFTWARE_STATEMENT = "invalid_software_statement"
UNAPPROVED_SOFTWARE_STATEMENT = "unapproved_software_statement"
# RFC 8628 section 3.5, CIBA Core 1.0 section 11
AUTHORIZATION_PENDING = "authorization_pending"
SLOW_DOWN = "slow_down"
EXPIRED_TOKEN = "expired_token"
# RFC 8707 section 2
INVALID_TARGET = "invalid_target"
# RFC 9396 section 5
INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
# RFC 9449 sections 5 and 8
INVALID_DPOP_PROOF = "invalid_dpop_proof"
USE_DPOP_NONCE = "use_dpop_nonce"
# RFC 9470 section 3
INSUFFICIENT_USER_AUTHENTICATION = "insufficient_user_authentication"
# CIBA Core 1.0 sections 11 and 13
EXPIRED_LOGIN_HINT_TOKEN = "expired_login_hint_token"
UNKNOWN_USER_ID = "unknown_user_id"
MISSING_USER_CODE = "missing_user_code"
INVALID_USER_CODE = "invalid_user_code"
INVALID_BINDING_MESSAGE = "invalid_binding_message"
TRANSACTION_FAILED = "transaction_failed"

# The status of an answer that is not a redirect; every code that is not named here answers 400.
STATUS = {
    INVALID_CLIENT: 401,
    INVALID_TOKEN: 401,
    INSUFFICIENT_USER_AUTHENTICATION: 401,
    INSUFFICIENT_SCOPE: 403,
    SERVER_ERROR: 500,
    TEMPORARILY_UNAVAILABLE: 503,
}

NOT_FOR_THE_WIRE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class Detail(msgspec.Struct, frozen=True):
    """What the log says of a refusal beside its own words: which of the possible reasons it was, the value that came,
    and what is registered or accepted instead.

    Never a secret, and never what identifies a person. `came` is what a stranger wrote; where it is written down it is
    bounded (oidc/protocol/legible.py), so no rule needs to.
    """

    reason: str = ""
    came: str | tuple[str, ...] | None = None
    accepted: str | tuple[str, ...] | None = None


class ProtocolError(Exception):
    """A refusal in a protocol's own words.

    `code` is one of the codes above. `description` goes on the wire, in the characters RFC 6749 section 5.2 allows
    (others become "?"). It never holds a secret; of what the caller sent it repeats at most what names no person and
    proves nothing (an audience, a scope, a method). `detail` is for the log alone; a text is its reason. `status` is
    the HTTP status where the answer is not a redirect; without it the table above decides.
    """

    def __init__(self, code: str, description: str, *, detail: str | Detail = "", status: int | None = None) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = NOT_FOR_THE_WIRE.sub("?", description)
        self.detail = detail if isinstance(detail, Detail) else Detail(detail)
        self.status = STATUS.get(code, 400) if status is None else status

    def __str__(self) -> str:
        return f"{self.code}: {self.description}" + (f" ({self.detail.reason})" if self.detail.reason else "")

    def fields(self) -> dict[str, str]:
        """The members of the JSON answer or of the redirect (RFC 6749 sections 4.1.2.1 and 5.2)."""
        return {"error": self.code, "error_description": self.description}


class Replayed(ProtocolError):
    """What is good once came again: somebody has a copy, so everything it gave was revoked (RFC 9700 sections 4.5 and
    4.14.2). It stands out in the log."""


class ChangedPlaces(ProtocolError):
    """Name and secret of a client stand in each other's place: the name that came is a secret, and is not logged."""

    def __init__(self) -> None:
        detail = "client_id and client_secret have changed places"
        super().__init__(INVALID_CLIENT, "The client is not known.", detail=detail)


class ReplyTo(msgspec.Struct, frozen=True):
    """Where the answer to an authorization request goes, once client and redirect URI are known to belong together."""

    client_id: str
    redirect_uri: str
    response_mode: str = "query"
    state: str | None = None


class AuthorizationError(ProtocolError):
    """A refusal that may travel to the redirect URI. A plain `ProtocolError` of `/authorize` is shown on a page."""

    def __init__(
        self, code: str, description: str, reply_to: ReplyTo, *, detail: str | Detail = "", status: int | None = None
    ) -> None:
        super().__init__(code, description, detail=detail, status=status)
        self.reply_to = reply_to


def may_travel(error: ProtocolError, reply_to: ReplyTo) -> AuthorizationError:
    """The same refusal, addressed (RFC 6749 section 4.1.2.1)."""
    return AuthorizationError(error.code, error.description, reply_to, detail=error.detail, status=error.status)


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a client's metadata: the field as it was written, and what to do."""

    field: str
    problem: str


class MetadataError(ProtocolError):
    """Registration metadata that cannot be accepted, with every problem named (RFC 7591 section 3.2.2)."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        uris = all(problem.field == "redirect_uris" for problem in problems)
        super().__init__(
            INVALID_REDIRECT_URI if uris else INVALID_CLIENT_METADATA,
            " ".join(f"{problem.field}: {problem.problem}" for problem in problems)[:1000],
        )
        self.problems = problems
