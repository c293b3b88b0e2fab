"""What this provider can do and has switched on: what registration, requests and discovery are judged by."""

import msgspec

from oidc.protocol.lifetimes import LONGEST, Lifetimes

# OpenID Connect Core 1.0 sections 5.4 and 11
STANDARD_SCOPES = ("openid", "profile", "email", "phone", "address", "offline_access")
ASYMMETRIC_ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA", "RS256", "ES384", "ES512", "PS384", "PS512")
CLIENT_AUTHENTICATION = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
# What we sign with
SIGNING_ALGORITHMS = ("ES256", "RS256")
# RFC 7518 sections 4 and 5. No RSA1_5: its padding is an oracle (RFC 8725 section 3.2).
ENCRYPTION_ALGORITHMS = ("ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP-256", "RSA-OAEP")
CONTENT_ENCRYPTION_ALGORITHMS = ("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")
# FAPI 2.0 Security Profile section 5.4.1
FAPI2_ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")
# FAPI 1.0 Advanced section 8.6, as FAPI-CIBA section 7.10 has it
FAPI_CIBA_ALGORITHMS = ("ES256", "PS256")

STANDARD, FAPI2, FAPI2_MESSAGE_SIGNING, FAPI_CIBA = "standard", "fapi2", "fapi2-message-signing", "fapi-ciba"
PROFILES = (STANDARD, FAPI2, FAPI2_MESSAGE_SIGNING, FAPI_CIBA)

# Names of what may be switched on; a client's metadata, a request's parameter and a line of discovery hang on each.
BACKCHANNEL_LOGOUT = "backchannel_logout"
FRONTCHANNEL_LOGOUT = "frontchannel_logout"
SESSION_MANAGEMENT = "session_management"
PAR = "pushed_authorization_requests"
JAR = "request_objects"
UNSIGNED_JAR = "unsigned_request_objects"
JARM = "jarm"
DPOP = "dpop"
MTLS = "mtls"
ENCRYPTION = "encryption"
REQUEST_ENCRYPTION = "request_encryption"
SIGNED_USERINFO = "signed_userinfo"
SIGNED_INTROSPECTION = "signed_introspection"
RESOURCES = "resource_indicators"
DEVICE = "device_authorization"
CIBA = "ciba"
TOKEN_EXCHANGE = "token_exchange"


class DetailType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of `authorization_details`: the fields it must and may have, and the actions it knows (none: any)."""

    type: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ("locations", "actions", "datatypes", "identifier", "privileges")
    actions: tuple[str, ...] = ()


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the pure rules need to know about the deployment. `config` fills it, once, at start.

    `acr_values` are ordered, weakest first; `minimum_acr` is the least that is ever issued.
    `resources` are the APIs that tokens are given for (RFC 8707). `features` are names from above.
    `loopback_http` is for demo and simulator only (R72).
    """

    issuer: str
    scopes: tuple[str, ...] = STANDARD_SCOPES
    # Of APIs that services call in their own name; no citizen is ever asked about them.
    service_scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ("aal1", "aal2", "aal2-phr", "aal3")
    minimum_acr: str = "aal2"
    # The level above which nobody gets here, because no authenticator of that kind is taken; empty: none is.
    highest_acr: str = ""
    # Names of a framework for levels of ours (eIDAS), each with the level that is the least to be called so.
    acr_aliases: tuple[tuple[str, str], ...] = ()
    # Where it is written what our vectors of trust mean (RFC 8485 section 4); empty: none are told.
    trustmark: str = ""
    ui_locales: tuple[str, ...] = ("en",)
    default_subject_type: str = "pairwise"
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    response_modes: tuple[str, ...] = ("query",)
    prompt_values: tuple[str, ...] = ("none", "login", "consent", "select_account", "create")
    client_authentication_methods: tuple[str, ...] = CLIENT_AUTHENTICATION
    client_assertion_algorithms: tuple[str, ...] = ASYMMETRIC_ALGORITHMS
    signing_algorithms: tuple[str, ...] = SIGNING_ALGORITHMS
    request_object_algorithms: tuple[str, ...] = ASYMMETRIC_ALGORITHMS
    dpop_algorithms: tuple[str, ...] = ASYMMETRIC_ALGORITHMS
    encryption_algorithms: tuple[str, ...] = ()
    content_encryption_algorithms: tuple[str, ...] = ()
    detail_types: tuple[DetailType, ...] = ()
    resources: tuple[str, ...] = ()
    features: frozenset[str] = frozenset({BACKCHANNEL_LOGOUT})
    loopback_http: bool = False
    # Whether a client may be registered without PKCE (R3); dynamic registration has its own answer.
    pkce_may_be_waived: bool = True
    # What a client may have its tokens live; dynamic registration has its own answer.
    longest: Lifetimes = LONGEST

    def has(self, feature: str) -> bool:
        """Whether the feature is switched on."""
        return feature in self.features

    def acr_rank(self, name: str) -> int | None:
        """How strong the level is that a name stands for, from 0; None for a name that we do not know."""
        level = dict(self.acr_aliases).get(name, name)
        return self.acr_values.index(level) if level in self.acr_values else None

    @property
    def acr_names(self) -> tuple[str, ...]:
        """Every name of a level, the weakest level first."""
        aliases = tuple(name for name, _ in self.acr_aliases)
        return tuple(sorted((*self.acr_values, *aliases), key=lambda name: self.acr_rank(name) or 0))

    @property
    def authorization_details_types(self) -> tuple[str, ...]:
        """The names of the types (RFC 9396 section 10)."""
        return tuple(known.type for known in self.detail_types)

    def __post_init__(self) -> None:
        """A level nobody knows would fail at the first citizen instead of at start (R74)."""
        if self.minimum_acr not in self.acr_values:
            raise ValueError(f"minimum_acr: {self.minimum_acr!r} is not one of acr_values {self.acr_values}")
        if self.highest_acr not in ("", *self.acr_values):
            raise ValueError(f"highest_acr: {self.highest_acr!r} is not one of acr_values {self.acr_values}")
        for name, level in self.acr_aliases:
            if level not in self.acr_values:
                raise ValueError(f"acr_aliases: {level!r}, which {name!r} stands for, is not one of acr_values")
