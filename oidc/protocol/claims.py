"""Which claims go where: scopes, the `claims` parameter and the citizen's agreement (OpenID Connect Core section 5)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from oidc.protocol.errors import INVALID_REQUEST, ProtocolError
from oidc.protocol.strict_json import json_object

# OpenID Connect Core section 5.4
SCOPE_CLAIMS: dict[str, tuple[str, ...]] = {
    "profile": (
        *("name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture"),
        *("website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}
PERSONAL_CLAIMS = frozenset(claim for claims in SCOPE_CLAIMS.values() for claim in claims)
# What an ID token says about the sign-in itself; nobody has to agree to that.
SIGN_IN_CLAIMS = frozenset({"sub", "acr", "amr", "auth_time", "sid"})

MAX_CLAIMS = 64
CLAIM_NAME = re.compile(r"[\x21-\x7e]{1,200}")
Scalar = str | int | float | bool


class ClaimAsked(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one claim is asked for (section 5.5.1). `values` holds `value` too; empty means any."""

    essential: bool = False
    values: tuple[Scalar, ...] = ()

    def accepts(self, actual: object) -> bool:
        """Whether the value is one of those asked for; `true` is not `1`."""
        return not self.values or any(type(actual) is type(value) and actual == value for value in self.values)


class ClaimsAsked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `claims` parameter: what is asked for the ID token and for userinfo, apart."""

    id_token: dict[str, ClaimAsked] = {}
    userinfo: dict[str, ClaimAsked] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The personal claims asked for by name, without language tag, each once."""
        return tuple(dict.fromkeys(name for asked in (*self.id_token, *self.userinfo)
                                   if (name := base_name(asked)) in PERSONAL_CLAIMS))  # fmt: skip

    @property
    def essential(self) -> frozenset[str]:
        """Those of them that are marked essential."""
        asked = (*self.id_token.items(), *self.userinfo.items())
        return frozenset(base_name(name) for name, how in asked if how.essential)

    @property
    def subject(self) -> str | None:
        """The one `sub` the request is about, if it names one (section 5.5.1)."""
        for member in (self.id_token.get("sub"), self.userinfo.get("sub")):
            if member and member.values:
                return str(member.values[0])
        return None


NO_CLAIMS = ClaimsAsked()


def read_claims(raw: str | None) -> ClaimsAsked:
    """The `claims` parameter (section 5.5). Unknown members are ignored; what is malformed is refused."""
    if raw is None:
        return NO_CLAIMS
    document = json_object(raw)
    if document is None:
        raise ProtocolError(INVALID_REQUEST, "The parameter claims is not a JSON object.")
    asked = ClaimsAsked(read_members(document.get("id_token")), read_members(document.get("userinfo")))
    subjects = {str(value) for member in (asked.id_token, asked.userinfo) if "sub" in member
                for value in member["sub"].values}  # fmt: skip
    if len(subjects) > 1:
        raise ProtocolError(INVALID_REQUEST, "The parameter claims asks for more than one sub.")
    return asked


def read_members(section: object) -> dict[str, ClaimAsked]:
    """One of the two members of `claims`."""
    if section is None:
        return {}
    if not isinstance(section, Mapping) or len(section) > MAX_CLAIMS:
        raise ProtocolError(INVALID_REQUEST, f"A member of claims is not an object of at most {MAX_CLAIMS} claims.")
    return {name: read_claim(how) for name, how in section.items() if CLAIM_NAME.fullmatch(name)}


def read_claim(how: object) -> ClaimAsked:
    """Null, or an object with `essential`, `value`, `values` (section 5.5.1)."""
    if how is None:
        return ClaimAsked()
    if not isinstance(how, Mapping):
        raise ProtocolError(INVALID_REQUEST, "A claim is asked for with null or an object.")
    essential, values = how.get("essential", False), how.get("values", [])
    if not isinstance(essential, bool) or not isinstance(values, list) or len(values) > MAX_CLAIMS:
        raise ProtocolError(INVALID_REQUEST, "In claims, essential is true or false, and values is a list.")
    accepted = [*([how["value"]] if how.get("value") is not None else []), *values]
    # Only plain values can be compared; an object (as for `address`) asks for nothing we could promise.
    return ClaimAsked(essential, tuple(value for value in accepted if isinstance(value, Scalar)))


def base_name(name: str) -> str:
    """The claim without its language tag (section 5.2)."""
    return name.partition("#")[0]


def claims_of_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """What agreeing to scopes releases (section 5.4)."""
    return frozenset(claim for scope in scopes for claim in SCOPE_CLAIMS.get(scope, ()))


def claims_beyond_scopes(asked: ClaimsAsked, scopes: Iterable[str]) -> tuple[str, ...]:
    """The claims asked for by name that no granted scope covers: each needs an agreement of its own."""
    covered = claims_of_scopes(scopes)
    return tuple(name for name in asked.names if name not in covered)


def claims_for_id_token(
    available: Mapping[str, Any], asked: ClaimsAsked, scopes: Iterable[str], agreed_claims: Iterable[str] = ()
) -> dict[str, Any]:
    """What the ID token says about the person: what `claims.id_token` names; scopes speak of userinfo (5.4, R10)."""
    return selected(available, asked.id_token, claims_of_scopes(scopes) | frozenset(agreed_claims))


def claims_for_userinfo(
    available: Mapping[str, Any], asked: ClaimsAsked, scopes: Iterable[str], agreed_claims: Iterable[str] = ()
) -> dict[str, Any]:
    """What userinfo says about the person: the scopes' claims and what `claims.userinfo` names (5.3.2, 5.4)."""
    by_scope = claims_of_scopes(scopes)
    wanted = dict.fromkeys((name for name in SCOPE_ORDER if name in by_scope), ClaimAsked()) | asked.userinfo
    return selected(available, wanted, by_scope | frozenset(agreed_claims))


SCOPE_ORDER = tuple(claim for claims in SCOPE_CLAIMS.values() for claim in claims)


def selected(available: Mapping[str, Any], wanted: Mapping[str, ClaimAsked], agreed: frozenset[str]) -> dict[str, Any]:
    """The wanted claims that exist, are agreed to and have the value asked for, and no others (5.3.2, 5.5.1).

    A claim in a language we do not have it in comes without the tag (section 5.2).
    """
    released: dict[str, Any] = {}
    for name, how in wanted.items():
        base = base_name(name)
        if base not in agreed or base not in PERSONAL_CLAIMS:
            continue
        found = name if is_there(available.get(name)) else base
        if is_there(available.get(found)) and how.accepts(available[found]):
            released[found] = available[found]
    return released


def is_there(value: object) -> bool:
    """Section 5.3.2: a claim without a value is left out, not sent empty."""
    return value is not None and value not in ("", {}, [])
