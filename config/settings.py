"""Settings: one TOML file, then the environment, then the command line; what is unsafe or wrong names its key (R74)."""

import tomllib
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from config.notify import API_KEY, TEMPLATE
from config.sections import (
    ApiSettings,
    AssuranceSettings,
    CibaSettings,
    DatabaseSettings,
    DpopSettings,
    KeySettings,
    LifetimeSettings,
    ListenSettings,
    LogoutSettings,
    MailSettings,
    MutualTlsSettings,
    PasskeySettings,
    PasswordSettings,
    ProxySettings,
    RecoverySettings,
    RegistrationSettings,
    RequestObjectSettings,
    SessionSettings,
    SiteSettings,
    SmsSettings,
    StoreSettings,
    ThrottleSettings,
)
from oidc.detail import DetailKind, problems_of_details
from oidc.protocol.lifetimes import LONGEST
from oidc.protocol.uris import is_for_tests
from oidc.resource import Resource, problems_of_resources

PREFIX = "IDENTITY_"
Mode = Literal["production", "demo", "simulator"]
LISTS = ("trusted", "levels", "scopes", "countries", "related_origins", "aaguids")
"""Keys that hold lists: commas separate them outside TOML."""
TABLES = ("resource", "authorization_detail")
"""Settings of which there can be many, each a table."""


class SettingsError(Exception):
    """A setting is missing, wrong or unsafe. The message names the key and says what to do."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator can set."""

    issuer: str
    mode: Mode = "production"
    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    keys: KeySettings = KeySettings()
    listen: ListenSettings = ListenSettings()
    assurance: AssuranceSettings = AssuranceSettings()
    throttle: ThrottleSettings = ThrottleSettings()
    lifetime: LifetimeSettings = LifetimeSettings()
    session: SessionSettings = SessionSettings()
    mail: MailSettings = MailSettings()
    sms: SmsSettings = SmsSettings()
    recovery: RecoverySettings = RecoverySettings()
    proxy: ProxySettings = ProxySettings()
    site: SiteSettings = SiteSettings()
    password: PasswordSettings = PasswordSettings()
    passkey: PasskeySettings = PasskeySettings()
    api: ApiSettings = ApiSettings()
    logout: LogoutSettings = LogoutSettings()
    dpop: DpopSettings = DpopSettings()
    ciba: CibaSettings = CibaSettings()
    request_object: RequestObjectSettings = RequestObjectSettings()
    mutual_tls: MutualTlsSettings = MutualTlsSettings()
    resource: tuple[Resource, ...] = ()
    """`[[resource]]`: the APIs that access tokens are given for (oidc/resource.py)."""
    authorization_detail: tuple[DetailKind, ...] = ()
    """`[[authorization_detail]]`: what exactly services may ask to do (oidc/detail.py)."""
    registration: RegistrationSettings = RegistrationSettings()

    @property
    def is_secure(self) -> bool:
        """Whether the issuer is https. Plain http is for loopback in the demo and the simulator alone."""
        return self.issuer.startswith("https://")

    @property
    def is_throwaway(self) -> bool:
        """The demo and the simulator: loopback addresses are allowed, and test people exist."""
        return self.mode != "production"


def read_settings(
    path: Path | None, environment: Mapping[str, str], overrides: Sequence[tuple[str, str]] = ()
) -> Settings:
    """Read, merge and verify settings. Raises `SettingsError`.

    The environment's names are `IDENTITY_SECTION__KEY`, or `IDENTITY_SECTION__KEY_FILE` for a file with the value;
    overrides are dotted keys (`lifetime.code`, "30").
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise SettingsError(f"{path}: no such settings file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from None
    for name, value in sorted(environment.items()):
        if _is_setting(name):
            _put(tree, *_from_environment(name, value))
    for key, value in overrides:
        _put(tree, key, value)
    if isinstance(tree.get("database"), dict) and isinstance(tree["database"].get("url"), str):
        tree["database"]["url"] = _with_driver(tree["database"]["url"])
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_named(str(error))) from None
    problems = list(_problems(settings))
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _is_setting(name: str) -> bool:
    """Others begin like ours: Kubernetes tells each pod of a service named `identity` by IDENTITY_SERVICE_HOST."""
    plain = name.removeprefix(PREFIX).removesuffix("_FILE").lower()
    return name.startswith(PREFIX) and ("__" in plain or plain in Settings.__struct_fields__)


def _from_environment(name: str, value: str) -> tuple[str, str]:
    key = name.removeprefix(PREFIX).lower().replace("__", ".")
    if key.endswith("_file") and key != "password.breached_file":
        key = key.removesuffix("_file")
        try:
            value = Path(value).read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{key}: the file that {name} names cannot be read ({error.strerror})") from None
    return key, value


def _put(tree: dict[str, Any], key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{key}: {section} is a value, not a section")
        tree = inner
    tree[last] = [part.strip() for part in value.split(",") if part.strip()] if last in LISTS else value


def _with_driver(url: str) -> str:
    """The same address by the driver we use: `postgresql://` and `sqlite:///` are what people write."""
    scheme, colon, rest = url.partition("://")
    drivers = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
    return drivers.get(scheme, scheme) + colon + rest


def _named(message: str) -> str:
    """msgspec ends with "- at `$.session.idle`": say the key first, as it is written in the file."""
    text, _, at = message.partition(" - at `$")
    key = at.rstrip("`").lstrip(".")
    if text.startswith("Object contains unknown field `"):
        unknown = text.removeprefix("Object contains unknown field `").rstrip("`")
        return f"{key}.{unknown}".lstrip(".") + ": there is no such setting"
    if key in TABLES and text.startswith("Expected `array`"):
        return f"{key}: a [[{key}]] table, which a settings file alone can hold; see: identity settings"
    if text.startswith("Expected `object`") and key in Settings.__struct_fields__:
        return f"{key}: a section, of which a key can be set ({key}.KEY); see: identity settings"
    if text.startswith("Invalid enum value"):
        return f"{key}: one of {', '.join(_choices(key))}"
    return f"{key}: {text}" if key else text.replace("Object missing required field `issuer`", "issuer: it must be set")


def _choices(key: str) -> tuple[str, ...]:
    kind: Any = Settings
    for part in key.split("."):
        kind = get_type_hints(kind)[part]
    return get_args(kind)


def _problems(settings: Settings) -> list[str]:
    problems = []
    issuer = urlsplit(settings.issuer)
    if issuer.scheme not in ("https", "http") or not issuer.hostname or issuer.query or issuer.fragment:
        problems.append("issuer: a URL like https://account.example.gov, without query and fragment")
    if settings.issuer.endswith("/"):
        problems.append("issuer: no slash at the end; relying parties compare it byte for byte")
    if issuer.scheme == "http" and not (settings.is_throwaway and is_for_tests(issuer.hostname or "")):
        problems.append("issuer: must be https (http is for the demo and the simulator, at loopback, private or .test)")
    if settings.assurance.repeat_codes and settings.mode != "simulator":
        problems.append("assurance.repeat_codes: a code is accepted once (R24); true is for the simulator alone")
    for section in ("lifetime", "session"):
        for key, value in msgspec.structs.asdict(getattr(settings, section)).items():
            if value < 0 or (value == 0 and key != "remember"):
                problems.append(f"{section}.{key}: a number of seconds above 0")
    if settings.lifetime.code > 60:
        problems.append("lifetime.code: at most 60 seconds (R4, FAPI 2.0)")
    for key in ("access_token", "id_token"):
        if getattr(settings.lifetime, key) > getattr(LONGEST, key).total_seconds():
            problems.append(f"lifetime.{key}: at most a day, for which the key that signed it stays published")
    if settings.session.idle > settings.session.absolute:
        problems.append("session.idle: must not be longer than session.absolute")
    if 0 < settings.session.remember < 86400:
        problems.append("session.remember: 0, or a day (86400) at least")
    if len(set(settings.assurance.levels)) != 4:
        problems.append("assurance.levels: four different names, the weakest first")
    elif settings.assurance.minimum not in settings.assurance.levels:
        problems.append(f"assurance.minimum: one of {', '.join(settings.assurance.levels)}")
    elif settings.assurance.email_codes and settings.assurance.minimum != settings.assurance.levels[0]:
        problems.append(
            f"assurance.email_codes: only where assurance.minimum is {settings.assurance.levels[0]}; "
            "an e-mail is no second factor (R25)"
        )
    for name, level in msgspec.structs.asdict(settings.assurance.eidas).items():
        if level and level not in settings.assurance.levels:
            problems.append(f"assurance.eidas.{name}: one of {', '.join(settings.assurance.levels)}")
    if settings.assurance.trustmark and urlsplit(settings.assurance.trustmark).scheme != "https":
        problems.append("assurance.trustmark: an https address where it is written what the vectors mean")
    if settings.recovery.wait < 3600 and not settings.is_throwaway:
        problems.append("recovery.wait: an hour (3600) at least; R51 wants a day (86400)")
    if settings.sms.url and urlsplit(settings.sms.url).scheme != "https" and not settings.is_throwaway:
        problems.append("sms.url: an https address")
    if settings.sms.via == "notify":
        if not settings.sms.url:
            problems.append("sms.url: https://api.notifications.service.gov.uk, where sms.via is notify")
        if not API_KEY.fullmatch(settings.sms.secret):
            problems.append("sms.secret: a whole API key of GOV.UK Notify, name-service-secret")
        if not TEMPLATE.fullmatch(settings.sms.template):
            problems.append("sms.template: the id of a GOV.UK Notify template whose text is ((text))")
    if 0 < settings.keys.rotate_every < 86400 or settings.keys.rotate_every < 0:
        problems.append("keys.rotate_every: 0, or at least 86400 seconds, so that services can follow")
    hardware = {key: getattr(settings.keys, key) for key in ("pkcs11_module", "pkcs11_token", "pkcs11_pin")}
    if any(hardware.values()):
        problems += [
            f"keys.{key}: must be set where signing keys are in a token" for key in hardware if not hardware[key]
        ]
    for key in ("per_address", "per_prefix", "everyone"):
        if getattr(settings.throttle, key) < 1:
            problems.append(f"throttle.{key}: at least 1")
    if settings.ciba.per_person < 1:
        problems.append("ciba.per_person: at least 1")
    if not 0 <= settings.throttle.proof_from <= 1:
        problems.append("throttle.proof_from: from 0 (always) to 1 (when a limit is reached)")
    if not 0 <= settings.throttle.proof_bits <= 20:
        problems.append("throttle.proof_bits: from 0 (never) to 20; beyond that a telephone works for minutes")
    if not settings.database.url.startswith(("sqlite+aiosqlite:///", "postgresql+psycopg://")):
        problems.append("database.url: sqlite+aiosqlite:///FILE or postgresql+psycopg://user@host/name")
    if not 0.1 <= settings.database.statement_timeout <= 60:
        problems.append("database.statement_timeout: from 0.1 to 60 seconds")
    if not settings.store.url.startswith(("redis://", "rediss://", "unix://")) and settings.store.url != "memory://":
        problems.append("store.url: memory:// or redis://host:port/number")
    if settings.store.url == "memory://" and settings.listen.workers > 1:
        problems.append("store.url: more than one worker needs a shared store (redis://...)")
    if settings.registration.mode == "software_statement" and not (
        settings.registration.statement_issuer and settings.registration.statement_keys
    ):
        problems.append("registration.statement_issuer, registration.statement_keys: must be set in this mode")
    for key in ("per_address", "max_clients"):
        if getattr(settings.registration, key) < 1:
            problems.append(f"registration.{key}: at least 1")
    if settings.mutual_tls.enabled and not settings.proxy.trusted:
        problems.append("mutual_tls.enabled: needs proxy.trusted, the proxies whose word we take for a certificate")
    address = urlsplit(settings.mutual_tls.address)
    if settings.mutual_tls.address and (address.scheme != "https" or not address.hostname or address.path):
        problems.append("mutual_tls.address: a URL like https://mtls.account.example.gov, without a path")
    problems += problems_of_resources(settings.resource)
    problems += problems_of_details(settings.authorization_detail)
    problems += _problems_of_passkeys(settings.passkey)
    for network in settings.proxy.trusted:
        try:
            ip_network(network)
        except ValueError:
            problems.append(f"proxy.trusted: {network!r} is not a network like 10.0.0.0/8")
    if settings.mode == "production" and not (settings.mail.url and settings.mail.sender):
        problems.append("mail.url, mail.sender: must be set; without mail nobody can create an account or get back in")
    if settings.mail.url and urlsplit(settings.mail.url).scheme not in ("smtp", "smtps"):
        problems.append("mail.url: smtp://host:port (STARTTLS) or smtps://host:port")
    return problems


def _problems_of_passkeys(chosen: PasskeySettings) -> list[str]:
    problems = []
    for origin in chosen.related_origins:
        parts = urlsplit(origin)
        if parts.scheme != "https" or origin != f"https://{parts.netloc}" or not parts.hostname:
            problems.append(f"passkey.related_origins: {origin!r} is not an origin like https://tax.example.gov")
    for aaguid in chosen.aaguids:
        try:
            UUID(aaguid)
        except ValueError:
            problems.append(f"passkey.aaguids: {aaguid!r} is not like ee882879-721c-4913-9775-3dfcce97072a")
    if chosen.attestation == "direct" and not chosen.roots:
        problems.append("passkey.roots: must be set; an AAGUID that no root vouches for is only a claim")
    if chosen.attestation == "none" and (chosen.roots or chosen.aaguids):
        problems.append('passkey.attestation: "direct", or passkey.roots and passkey.aaguids are of no effect')
    return problems
