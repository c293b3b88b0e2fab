"""What each package may do and how long things last, as the settings say."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from cryptography.x509 import Certificate, load_pem_x509_certificates

from accounts.vault import Vault
from config.settings import Settings, SettingsError
from config.site.languages import LANGUAGES
from config.site.theme import Theme
from identity.assurance import AssurancePolicy
from identity.attestation import AttestationPolicy
from identity.common_password import breached_list
from identity.passkey import PasskeyPolicy
from identity.password import PasswordPolicy
from identity.policy import IdentityPolicy
from identity.recovery import RecoveryPolicy
from identity.session import SessionPolicy
from identity.text_guard import TextPolicy
from identity.throttle_policy import ThrottlePolicy
from oidc.fetcher import Fetcher
from oidc.key_holder import KeyHolder
from oidc.mutual_tls import MutualTls
from oidc.protocol.capabilities import (
    BACKCHANNEL_LOGOUT,
    CIBA,
    CLIENT_AUTHENTICATION,
    CONTENT_ENCRYPTION_ALGORITHMS,
    DEVICE,
    DPOP,
    ENCRYPTION,
    ENCRYPTION_ALGORITHMS,
    FRONTCHANNEL_LOGOUT,
    JAR,
    JARM,
    MTLS,
    PAR,
    RESOURCES,
    SESSION_MANAGEMENT,
    SIGNED_INTROSPECTION,
    SIGNED_USERINFO,
    STANDARD_SCOPES,
    UNSIGNED_JAR,
    Capabilities,
)
from oidc.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CIBA_GRANT,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE_GRANT,
)
from oidc.protocol.keys import read_key_set
from oidc.protocol.strict_json import json_object
from oidc.protocol.uris import origin_of
from oidc.provider import Provider, ProviderPolicy, new_provider
from oidc.registration import RegistrationPolicy

FEATURES = frozenset(
    {BACKCHANNEL_LOGOUT, PAR, JAR, JARM, DPOP, ENCRYPTION, SIGNED_USERINFO, SIGNED_INTROSPECTION, DEVICE, CIBA}
)
"""What every deployment offers; what needs a setting is added where it is set."""

GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE, CIBA_GRANT, TOKEN_EXCHANGE_GRANT)


def identity_policy(settings: Settings, theme: Theme) -> IdentityPolicy:
    """What identity needs to know. Raises `SettingsError`, like everything here."""
    host = urlsplit(settings.issuer).hostname or ""
    name = theme.name_in("en") or "Citizen Account"
    return IdentityPolicy(
        session=SessionPolicy(
            absolute=timedelta(seconds=settings.session.absolute),
            idle=timedelta(seconds=settings.session.idle),
            fresh=timedelta(seconds=settings.session.fresh),
        ),
        assurance=AssurancePolicy(
            levels=settings.assurance.levels,
            minimum=settings.assurance.minimum,
            email_codes=settings.assurance.email_codes,
        ),
        password=_password_policy(settings, name, host),
        throttle=ThrottlePolicy(**msgspec.structs.asdict(settings.throttle)),
        recovery=RecoveryPolicy(wait=timedelta(seconds=settings.recovery.wait)),
        text=TextPolicy(
            is_offered=bool(settings.sms.url) or settings.is_throwaway,
            per_range=settings.sms.per_range,
            per_country=settings.sms.per_country,
            everyone=settings.sms.everyone,
            countries=settings.sms.countries,
        ),
        passkey=PasskeyPolicy(
            rp_id=host,
            rp_name=name,
            origins=(origin_of(settings.issuer), *settings.passkey.related_origins),
            attestation=_attestation(settings),
        ),
        totp_issuer=name,
        repeat_codes=settings.assurance.repeat_codes,
        remember=timedelta(seconds=settings.session.remember),
    )


def _password_policy(settings: Settings, *words: str) -> PasswordPolicy:
    path = settings.password.breached_file or None
    if path is not None:
        try:
            breached_list(path)
        except (OSError, ValueError) as error:
            raise SettingsError(f"password.breached_file: {error}") from None
    return PasswordPolicy(context_words=words, breached_file=path)


def _attestation(settings: Settings) -> AttestationPolicy | None:
    chosen = settings.passkey
    if chosen.attestation == "none":
        return None
    roots = _certificates("passkey.roots", chosen.roots)
    return AttestationPolicy(roots, frozenset(str(UUID(aaguid)) for aaguid in chosen.aaguids))


def _certificates(key: str, path: str) -> tuple[Certificate, ...]:
    try:
        return tuple(load_pem_x509_certificates(Path(path).read_bytes()))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key}: {error}") from None


def _scopes(settings: Settings) -> tuple[str, ...]:
    of_resources = (scope for resource in settings.resource for scope in resource.scopes)
    return tuple(dict.fromkeys((*STANDARD_SCOPES, *of_resources)))


def _mutual_tls(settings: Settings) -> MutualTls | None:
    chosen = settings.mutual_tls
    if not chosen.enabled:
        return None
    authorities = _certificates("mutual_tls.authorities", chosen.authorities) if chosen.authorities else ()
    proxies = tuple(ip_network(network) for network in settings.proxy.trusted)
    return MutualTls(proxies, authorities, chosen.address)


def _registration(settings: Settings) -> RegistrationPolicy:
    chosen = settings.registration
    keys = {}
    if chosen.mode == "software_statement":
        try:
            keys = json_object(Path(chosen.statement_keys).read_bytes()) or {}
        except OSError as error:
            raise SettingsError(f"registration.statement_keys: cannot be read ({error.strerror})") from None
        if not read_key_set(keys):
            raise SettingsError("registration.statement_keys: holds no public key that can be used")
    return RegistrationPolicy(
        mode=chosen.mode,
        require_pkce=chosen.require_pkce,
        per_address=chosen.per_address,
        max_clients=chosen.max_clients,
        statement_issuer=chosen.statement_issuer,
        statement_keys=keys,
    )


def capabilities_of(settings: Settings) -> Capabilities:
    """What this deployment offers, and clients and requests are judged by."""
    mutual_tls = _mutual_tls(settings)
    return Capabilities(
        issuer=settings.issuer,
        acr_values=settings.assurance.levels,
        minimum_acr=settings.assurance.minimum,
        # The highest wants a make that is attested.
        highest_acr=settings.assurance.levels[-2 if settings.passkey.attestation == "none" else -1],
        acr_aliases=settings.assurance.eidas.names,
        trustmark=settings.assurance.trustmark,
        ui_locales=tuple(LANGUAGES),
        loopback_http=settings.is_throwaway,
        service_scopes=settings.api.scopes,
        grant_types=GRANT_TYPES,
        response_modes=("query", "form_post", "jwt", "query.jwt", "form_post.jwt"),
        features=FEATURES
        | ({MTLS} if mutual_tls else set())
        | ({RESOURCES} if settings.resource else set())
        | ({UNSIGNED_JAR} if settings.request_object.allow_unsigned else set())
        | ({FRONTCHANNEL_LOGOUT} if settings.logout.front_channel else set())
        | ({SESSION_MANAGEMENT} if settings.logout.session_management else set()),
        encryption_algorithms=ENCRYPTION_ALGORITHMS,
        content_encryption_algorithms=CONTENT_ENCRYPTION_ALGORITHMS,
        resources=tuple(resource.uri for resource in settings.resource),
        scopes=_scopes(settings),
        detail_types=tuple(kind.judged_as for kind in settings.authorization_detail),
        client_authentication_methods=(*CLIENT_AUTHENTICATION, *(mutual_tls.methods if mutual_tls else ())),
    )


def provider_of(settings: Settings, vault: Vault, holder: KeyHolder) -> Provider:
    """The provider, with what this deployment offers."""
    lifetime, mutual_tls = settings.lifetime, _mutual_tls(settings)
    return new_provider(
        capabilities_of(settings),
        ProviderPolicy(
            code=timedelta(seconds=lifetime.code),
            access_token=timedelta(seconds=lifetime.access_token),
            id_token=timedelta(seconds=lifetime.id_token),
            refresh_token=timedelta(seconds=lifetime.refresh_token),
            asked=settings.ciba.per_person,
            registration=_registration(settings),
            dpop_nonce=settings.dpop.require_nonce,
        ),
        vault,
        holder,
        Fetcher(allow_loopback=settings.is_throwaway),
        mutual_tls,
        settings.resource,
        settings.authorization_detail,
    )
