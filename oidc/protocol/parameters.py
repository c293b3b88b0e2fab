"""Request parameters, read strictly: what is ambiguous is refused before any rule sees it (RFC 6749 3.1, R12)."""

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec

from oidc.protocol.errors import INVALID_REQUEST, INVALID_SCOPE, ProtocolError

MAX_BYTES = 65_536
MAX_FIELDS = 64
MAX_VALUE = 16_384
# Of what is kept and echoed, and of hints, in characters: the same at every endpoint.
MAX_STATE, MAX_NONCE, MAX_HINT = 4096, 1024, 512

# Every parameter that some endpoint reads. What else comes is skipped before anything about it is judged (RFC 6749
# section 3.1): its encoding, its length, how often it comes.
KNOWN = frozenset(
    {
        *("access_token", "acr_values", "actor_token", "actor_token_type", "audience", "auth_req_id"),
        *("authorization_details", "binding_message", "claims", "claims_locales", "client_assertion"),
        *("client_assertion_type", "client_id", "client_notification_token", "client_secret", "code"),
        *("code_challenge", "code_challenge_method", "code_verifier", "device_code", "display", "dpop_jkt"),
        *("grant_type", "id_token_hint", "interaction", "login_hint", "login_hint_token", "logout_hint"),
        *("max_age", "nonce", "post_logout_redirect_uri", "prompt", "redirect_uri", "refresh_token"),
        *("registration", "request", "request_uri", "requested_expiry", "requested_token_type", "resource"),
        *("response_mode", "response_type", "scope", "state", "subject_token", "subject_token_type", "token"),
        *("token_type_hint", "ui_locales", "user_code", "vtr"),
    }
)

# The only parameters that may come more than once (RFC 8707 section 2, RFC 8693 section 2.1).
MAY_REPEAT = frozenset({"resource", "audience"})
# JSON may be written with line breaks and tabs; nothing else may.
MAY_HOLD_LINE_BREAKS = frozenset({"claims", "authorization_details"})

# Charsets whose first half is ASCII, and what in a form is beyond it.
LIKE_ASCII = frozenset({"iso-8859-1", "iso-8859-15", "latin1", "windows-1252"})
BEYOND_ASCII = re.compile(rb"[\x80-\xff]|%[89A-Fa-f][0-9A-Fa-f]")
FORM = "application/x-www-form-urlencoded"
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CONTROL_BUT_LINE_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# RFC 6749 appendix A.4
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
MAX_SECONDS = 10**9


class Parameters(msgspec.Struct, frozen=True):
    """Parameters by name. An empty value counts as absent; a repeated one cannot be read by mistake."""

    values: dict[str, tuple[str, ...]] = {}

    def get(self, name: str) -> str | None:
        """The one value, or None. Raises `invalid_request` when it came twice."""
        values = self.values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise ProtocolError(INVALID_REQUEST, f"The parameter {name} is repeated.")
        return values[0]

    def require(self, name: str) -> str:
        """The one value. Raises `invalid_request` when it is missing."""
        value = self.get(name)
        if value is None:
            raise ProtocolError(INVALID_REQUEST, f"The parameter {name} is missing.")
        return value

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may repeat, in order."""
        return self.values.get(name, ())

    def __contains__(self, name: object) -> bool:
        return name in self.values

    @property
    def repeated(self) -> tuple[str, ...]:
        """The names that came more than once and may not."""
        return tuple(name for name, values in self.values.items() if len(values) > 1 and name not in MAY_REPEAT)


def parameters_of(pairs: dict[str, str]) -> Parameters:
    """Parameters that were never on the wire as a form (a request object's claims, a test's)."""
    return Parameters({name: (value,) for name, value in pairs.items() if value})


def read_query(raw: bytes, *, repeats: Literal["refuse", "keep"] = "refuse") -> Parameters:
    """The query string of a GET, without "?". `/authorize` keeps repeats, to tell the client later."""
    parameters = Parameters(decode(raw))
    if repeats == "refuse":
        refuse_repeats(parameters)
    return parameters


def read_form(
    raw: bytes, content_type: str | None, *, max_bytes: int = MAX_BYTES, repeats: Literal["refuse", "keep"] = "refuse"
) -> Parameters:
    """The body of a POST. The content type is exact: a browser cannot be made to send another form as ours."""
    if len(raw) > max_bytes:
        raise ProtocolError(INVALID_REQUEST, "The request is too large.", status=413)
    require_form_type(content_type, raw)
    # Some programs end a body as a line; in the encoding neither character can stand.
    parameters = Parameters(decode(raw.rstrip(b"\r\n")))
    if repeats == "refuse":
        refuse_repeats(parameters)
    return parameters


def require_form_type(content_type: str | None, raw: bytes) -> None:
    """RFC 6749 section 3.2 and appendix B: a form, in UTF-8 or in what reads the same. A 400 like every
    `invalid_request` (section 5.2)."""
    media_type, _, rest = (content_type or "").partition(";")
    name, _, charset = rest.replace(" ", "").replace('"', "").lower().partition("=")
    if media_type.strip().lower() != FORM or name not in {"", "charset"}:
        raise ProtocolError(INVALID_REQUEST, f"The content type must be {FORM}.")
    if charset not in {"", "utf-8", "us-ascii"} and not (charset in LIKE_ASCII and not BEYOND_ASCII.search(raw)):
        raise ProtocolError(INVALID_REQUEST, "The charset of the form must be utf-8.")


def refuse_repeats(parameters: Parameters) -> None:
    """RFC 6749 section 3.1: parameters MUST NOT be included more than once."""
    if parameters.repeated:
        raise ProtocolError(INVALID_REQUEST, f"The parameter {parameters.repeated[0][:40]} is repeated.")


def decode(raw: bytes) -> dict[str, tuple[str, ...]]:
    """Names and values of an encoded form, in order; an empty value is no value, and what we do not know is not there
    (RFC 6749 section 3.1)."""
    if len(raw) > MAX_BYTES:
        raise ProtocolError(INVALID_REQUEST, "The request is too large.", status=413)
    found: dict[str, tuple[str, ...]] = {}
    for number, (name, raw_value) in enumerate(known_fields(raw)):
        if number == MAX_FIELDS:
            raise ProtocolError(INVALID_REQUEST, f"There are more than {MAX_FIELDS} parameters.")
        value = decode_text(raw_value)
        require_plain_characters(name, value)
        if value:
            found[name] = (*found.get(name, ()), value)
    return found


def known_fields(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The fields whose names we know; a name that does not decode is none of them."""
    for field in raw.split(b"&"):
        raw_name, _, raw_value = field.partition(b"=")
        try:
            name = decode_text(raw_name)
        except ProtocolError:
            continue
        if name in KNOWN:
            yield name, raw_value


def decode_text(raw: bytes) -> str:
    """Undo the form encoding (RFC 6749 appendix B); what does not decode exactly is refused."""
    try:
        text = raw.decode("ascii")
        if BROKEN_ESCAPE.search(text):
            raise ProtocolError(INVALID_REQUEST, "A parameter is not percent-encoded correctly.")
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(INVALID_REQUEST, "A parameter is not valid UTF-8.") from error


def require_plain_characters(name: str, value: str) -> None:
    """No control characters, nothing absurdly long: such a value could only confuse a log or a header."""
    if len(value) > MAX_VALUE:
        raise ProtocolError(INVALID_REQUEST, "A parameter is too long.")
    if (CONTROL_BUT_LINE_BREAKS if name in MAY_HOLD_LINE_BREAKS else CONTROL).search(value):
        raise ProtocolError(INVALID_REQUEST, "A parameter holds control characters.")


def require_at_most(parameters: Parameters, name: str, length: int) -> str | None:
    """The value, bounded to what we are ready to store and echo."""
    value = parameters.get(name)
    if value is not None and len(value) > length:
        raise ProtocolError(INVALID_REQUEST, f"The parameter {name} is longer than {length} characters.")
    return value


def read_hint(parameters: Parameters, name: str) -> str | None:
    """A hint only helps (OpenID Connect Core section 3.1.2.1): one that is too long is as good as none."""
    value = parameters.get(name)
    return None if value is None or len(value) > MAX_HINT else value


def split_words(value: str | None) -> tuple[str, ...]:
    """A space-separated list: each word once, in the order given."""
    return tuple(dict.fromkeys(word for word in (value or "").split(" ") if word))


def split_scope(value: str | None) -> tuple[str, ...]:
    """RFC 6749 section 3.3: each scope once, in the order given; `invalid_scope` where a character may not stand."""
    scopes = split_words(value)
    if not all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
        raise ProtocolError(INVALID_SCOPE, "The scope holds a character that may not stand in it.")
    return scopes


def read_seconds(parameters: Parameters, name: str) -> int | None:
    """A whole, non-negative number of seconds (`max_age`, `requested_expiry`)."""
    value = parameters.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise ProtocolError(INVALID_REQUEST, f"The parameter {name} must be a whole number of seconds.")
    return min(int(value), MAX_SECONDS)
