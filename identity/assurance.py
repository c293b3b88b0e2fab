"""How sure we are: the level that a set of proofs reaches, by one pure function (NIST SP 800-63B-4 section 2, R20)."""

from collections.abc import Collection
from typing import Literal, get_args

import msgspec

Method = Literal["pwd", "otp", "recovery", "sms", "email", "passkey", "passkey_uv", "passkey_hardware"]
"""What was really done. `passkey`: the key alone, without user verification; `passkey_uv`: with it;
`passkey_hardware`: with it, by a key that cannot be copied and whose make is attested."""

METHODS: frozenset[Method] = frozenset(get_args(Method))
_SOMETHING_HELD: frozenset[Method] = frozenset({"otp", "recovery", "sms"})
"""Each makes a second factor beside a password, and none beside another of these: they are of one kind."""

_AMR: dict[Method, tuple[str, ...]] = {
    "pwd": ("pwd",),
    "otp": ("otp",),
    "recovery": ("otp",),  # a one-time password from a printed list; there is no name of its own in the registry
    "sms": ("sms",),
    "email": (),  # no authenticator at any level (section 3.1.3.1), so nothing to report
    "passkey": ("pop", "user"),
    "passkey_uv": ("pop", "user"),
    "passkey_hardware": ("hwk", "user"),
}


class AssurancePolicy(msgspec.Struct, frozen=True):
    """The levels' names as they stand in `acr`, and what a sign-in must reach at least."""

    levels: tuple[str, str, str, str] = ("aal1", "aal2", "aal2-phr", "aal3")
    """One factor; two factors; two factors that cannot be phished; the same in attested hardware. Lowest first."""
    minimum: str = "aal2"
    email_codes: bool = False
    """Whether a password with nothing beside it is followed by a code to the account's address (R25: at the lowest
    level alone, and adding nothing to it)."""

    def __post_init__(self) -> None:
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("assurance.levels: each level needs a name of its own")
        if self.minimum not in self.levels:
            raise ValueError(f"assurance.minimum: {self.minimum!r} is none of {', '.join(self.levels)}")
        if self.email_codes and self.minimum != self.levels[0]:
            raise ValueError("assurance.email_codes: only where assurance.minimum is the lowest level")


def _rank(methods: Collection[str]) -> int:
    """0: nothing proved; 1-4: AAL1, AAL2, AAL2 phishing-resistant, AAL3."""
    proved = set(methods)
    if "passkey_hardware" in proved:
        return 4
    if "passkey_uv" in proved or {"pwd", "passkey"} <= proved:
        return 3
    if "pwd" in proved and proved & _SOMETHING_HELD:
        return 2
    return 1 if proved & (METHODS - {"email"}) else 0


def reached(methods: Collection[str], policy: AssurancePolicy) -> str | None:
    """The level that these proofs reach together; None when they prove nothing."""
    rank = _rank(methods)
    return policy.levels[rank - 1] if rank else None


def meets(acr: str | None, required: str, policy: AssurancePolicy) -> bool:
    """Whether a reached level is enough. A name that this deployment does not know is never enough (R75)."""
    if acr not in policy.levels or required not in policy.levels:
        return False
    return policy.levels.index(acr) >= policy.levels.index(required)


def completing(done: Collection[str], required: str, policy: AssurancePolicy) -> frozenset[Method]:
    """The single methods each of which, added to what was done, is enough: what a step-up asks for."""
    return frozenset(method for method in METHODS if meets(reached([*done, method], policy), required, policy))


def amr_of(methods: Collection[str]) -> tuple[str, ...]:
    """The methods as `amr` values (RFC 8176), sorted; `mfa` from two factors on."""
    values = {value for method in METHODS.intersection(methods) for value in _AMR[method]}
    return tuple(sorted(values | ({"mfa"} if _rank(methods) >= 2 else set())))


def methods_of(amr: Collection[str]) -> frozenset[Method]:
    """The weakest proofs that a session with this `amr` must have given: they reach the same level, so that a
    step-up can build on them."""
    stands: set[Method] = {method for method in ("pwd", "otp", "sms") if method in amr}
    if "hwk" in amr:
        stands.add("passkey_hardware")
    if "pop" in amr:
        stands.add("passkey_uv" if "mfa" in amr and "pwd" not in amr else "passkey")
    return frozenset(stands)
