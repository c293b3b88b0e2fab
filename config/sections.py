"""The sections of the settings: what an operator can set, with its defaults and its reasons."""

from typing import Literal

import msgspec


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the truth is kept: `sqlite:///FILE` or `postgresql://user@host/name`; how many connections a process
    holds at most; and after how many seconds a statement is broken off (`statement_timeout`, waiting for locks
    included), so that whoever waits is told to come back."""

    url: str = "sqlite+aiosqlite:///identity.sqlite"
    pool_size: int = 10
    statement_timeout: float = 10


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where what may be lost is kept: `memory://` for one process, `redis://host:port/db` for more. `prefix` keeps
    deployments apart that share a Redis."""

    url: str = "memory://"
    prefix: str = "identity:"


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The folder with `wrapping.key`, `blind_index.key` and `pepper.key`, and after how many seconds the worker lets
    the next signing key sign (0: only `identity keys rotate` does).

    With the three of `pkcs11_` new signing keys are made in a hardware token and never leave it: the library that its
    maker gives (`/usr/lib/.../libsofthsm2.so`), the token's label, and the PIN of its user
    (`IDENTITY_KEYS__PKCS11_PIN_FILE`). Needs the package python-pkcs11."""

    directory: str = "keys"
    rotate_every: int = 90 * 86400
    pkcs11_module: str = ""
    pkcs11_token: str = ""
    pkcs11_pin: str = ""


class ListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens (an address, not a name), with how many processes, and whether the outbox worker runs
    inside the serving process or by `identity worker`."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    outbox_worker: bool = True


class EidasSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The least of the levels that each of the names may stand for; empty: it is not known here."""

    low: str = ""
    substantial: str = ""
    high: str = ""

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """The URIs of eIDAS (Commission Implementing Regulation (EU) 2015/1502), each with its level."""
        chosen = msgspec.structs.asdict(self).items()
        return tuple((f"http://eidas.europa.eu/LoA/{name}", level) for name, level in chosen if level)


class AssuranceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the four levels, weakest first, and the least that any sign-in reaches. `eidas` says which of them
    is the least that may be called low, substantial or high, for services that ask so: whoever writes it here vouches
    for the proofing as well, of which a sign-in knows nothing. `trustmark` is where it is written what vectors of
    trust mean here (RFC 8485); without it none are told. `email_codes`: where `minimum` is the lowest level, a password
    with nothing beside it is followed by a code to the citizen's address, which adds no level. `repeat_codes`: an
    app's right code is accepted again; for the simulator alone, whose tests need not wait for the next one."""

    levels: tuple[str, str, str, str] = ("aal1", "aal2", "aal2-phr", "aal3")
    minimum: str = "aal2"
    email_codes: bool = False
    repeat_codes: bool = False
    eidas: EidasSettings = EidasSettings()
    trustmark: str = ""


class ThrottleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attempts in ten minutes from one address (IPv6: one /64), from one /24 (IPv6: one /48), from everyone; a wider
    limit is never lower than a narrower one. Browsers in which an account has signed in before, and passkeys, are not
    counted. From the part `proof_from` of one of the two wider limits on, a guess at a password costs work in the
    browser, or waiting where it runs no scripts (0: always). `proof_bits`: each doubles that work; 12 are a blink on a
    telephone, and up to five more are asked as the limits fill (0: never any, and no waiting)."""

    per_address: int = 100
    per_prefix: int = 2000
    everyone: int = 500_000
    proof_from: float = 0.5
    proof_bits: int = 12


class LifetimeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds until a code and the tokens run out; a refresh token, when it is not used."""

    code: int = 60
    access_token: int = 600
    refresh_token: int = 30 * 86400
    id_token: int = 600


class SessionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds until a session that is not used ends, until any session ends, and until a sign-in is no longer fresh;
    `remember`: for how long a browser may be remembered, where `assurance.minimum` is the lowest level (0: never)."""

    idle: int = 1800
    absolute: int = 12 * 3600
    fresh: int = 300
    remember: int = 30 * 86400


class RecoverySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds between proving two contacts and setting up a new way to sign in: a day, so that a stranger who has both
    can be stopped in time."""

    wait: int = 86400


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How mail leaves: `smtp://` or `smtps://user:password@host:port`. Production needs it."""

    url: str = ""
    sender: str = ""


class SmsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How text messages leave. `via = "http"`: an https address that takes JSON (config/gateway.py) with a bearer
    `secret` (`IDENTITY_SMS__SECRET_FILE`). `via = "notify"`: GOV.UK Notify at `url`
    (https://api.notifications.service.gov.uk), whose API key is the `secret`, with the id of a `template` there whose
    text is `((text))`. Without `url` nobody is asked for a phone number. The limits are messages in an hour: to a range
    of numbers, to a country, in all; `countries` are the calling codes to which we send, empty for all."""

    via: Literal["http", "notify"] = "http"
    url: str = ""
    secret: str = ""
    template: str = ""
    per_range: int = 10
    per_country: int = 1000
    everyone: int = 5000
    countries: tuple[str, ...] = ()


class ProxySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Networks whose `X-Forwarded-For` is believed (R71)."""

    trusted: tuple[str, ...] = ()


class SiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A theme file of the government's own, and its time zone."""

    theme: str = ""
    time_zone: str = "UTC"


class RegistrationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether programs may register clients at /connect/register: `off`, `open`, `initial_token` (who was invited by
    `identity client invite`) or `software_statement` (signed by `statement_issuer` with a key of the JSON Web Key set
    in the file `statement_keys`). `require_pkce` is false only where a certification plan asks for it. `per_address`
    counts an hour's registrations, `max_clients` all there may be."""

    mode: Literal["off", "open", "initial_token", "software_statement"] = "off"
    require_pkce: bool = True
    per_address: int = 20
    max_clients: int = 1000
    statement_issuer: str = ""
    statement_keys: str = ""


class DpopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether each DPoP proof must hold a nonce of ours (RFC 9449 section 8). One is offered with every answer; without
    this, clients that do not know of nonces work as well."""

    require_nonce: bool = False


class RequestObjectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether request objects may come unsigned (`alg: none`, OpenID Connect Core section 6.1). Only the OpenID
    certification of older profiles asks for it; no service needs it."""

    allow_unsigned: bool = False


class CibaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests that one service may put to one person in ten minutes."""

    per_person: int = 10


class MutualTlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Client certificates (RFC 8705), told by the proxies of `proxy.trusted` in the `Client-Cert` header (RFC 9440),
    which they must remove from what clients send. `authorities` is a PEM file of those who issue certificates to
    services; without it certificates are known by their key alone. `address` is where the proxies ask for one, like
    https://mtls.account.example.gov, when that is not the issuer's own host."""

    enabled: bool = False
    authorities: str = ""
    address: str = ""


class LogoutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether services may also be signed out by frames in the browser. Off, because browsers that keep third-party
    cookies back make it miss silently; the back channel reaches every service.

    And whether services may ask a frame of ours if the sign-in is still the same (OpenID Connect Session Management).
    Off, because it needs a cookie that any site's frame brings along, which more and more browsers keep back, and tells
    a service nothing that the back channel does not tell it sooner."""

    front_channel: bool = False
    session_management: bool = False


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scopes of APIs that services call in their own name (`client_credentials`); each client registers those it may
    have, and no citizen is asked about them."""

    scopes: tuple[str, ...] = ()


class PasskeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`related_origins`: other https origins of this deployment where our passkeys may be used.
    `attestation = "direct"` asks security keys for their make and lets those reach the highest level whose makers'
    root certificates stand in the PEM file `roots`; of these only the models in `aaguids`, if it names any. With
    `none` nobody reaches it."""

    related_origins: tuple[str, ...] = ()
    attestation: Literal["none", "direct"] = "none"
    roots: str = ""
    aaguids: tuple[str, ...] = ()


class PasswordSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A larger list of breached passwords: upper-case SHA-1 in hex, one a line, sorted, as Pwned Passwords is
    distributed (a `:count` may follow). It is searched on disk."""

    breached_file: str = ""
