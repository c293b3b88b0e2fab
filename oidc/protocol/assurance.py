"""Which level of assurance a request asks for, and which one is reported (OpenID Connect Core 5.5.1.1, RFC 9470)."""

import msgspec

from oidc.protocol.authorization import AuthorizationRequest
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.errors import UNMET_AUTHENTICATION_REQUIREMENTS, ProtocolError


class Assurance(msgspec.Struct, frozen=True):
    """The least level that will do, the levels weakest first, and the only ones that may be reported (none: any)."""

    required: str
    levels: tuple[str, ...]
    reportable: tuple[str, ...] = ()

    def to_report(self, reached: str | None) -> str | None:
        """The level an ID token says for what was reached (R10), or None where that does not do.

        Where the request insists on certain values, the strongest of them that was met: section 5.5.1.1 wants one of
        them, and a higher level meets a lower one.
        """
        if reached not in self.levels or self.levels.index(reached) < self.levels.index(self.required):
            return None
        met = [level for level in self.reportable if self.levels.index(level) <= self.levels.index(reached)]
        return max(met, key=self.levels.index, default=reached)


def assurance_for(request: AuthorizationRequest, capabilities: Capabilities) -> Assurance:
    """The lowest level asked for that we know, and never less than the deployment's minimum.

    Voluntary values that we do not know are ignored. An essential `acr` that cannot be met is an error and not a lower
    token (section 5.5.1.1): `unmet_authentication_requirements`.
    """
    levels = capabilities.acr_values
    asked = request.claims.id_token.get("acr")
    wanted = tuple(str(value) for value in asked.values) if asked else ()
    essential = bool(asked and asked.essential and wanted)
    # `claims` is the more exact way to say it; where both come, the specification leaves the outcome open.
    known = [level for level in levels if level in (wanted or request.acr_values)]
    if essential and not known:
        raise ProtocolError(UNMET_AUTHENTICATION_REQUIREMENTS, "None of the acr values asked for can be reached here.")
    minimum = levels.index(capabilities.minimum_acr)
    required = max(minimum, levels.index(known[0])) if known else minimum
    return Assurance(levels[required], levels, tuple(known) if essential else ())


def level_for(acr_values: tuple[str, ...], capabilities: Capabilities) -> str:
    """The level to reach where a citizen answers on another device (RFC 8628, CIBA Core section 7.1): the lowest of
    those asked for that we know, and never less than the deployment's minimum."""
    levels = capabilities.acr_values
    minimum = levels.index(capabilities.minimum_acr)
    known = [levels.index(level) for level in levels if level in acr_values]
    return levels[max(minimum, *known[:1])] if known else levels[minimum]


def meets(reached: str, required: str, capabilities: Capabilities) -> bool:
    """Whether a session's level does. One that we do not know does not (R75)."""
    levels = capabilities.acr_values
    return reached in levels and levels.index(reached) >= levels.index(required)
