"""Which level of assurance a request asks for, and which one is reported (OpenID Connect Core 5.5.1.1, RFC 9470)."""

import msgspec

from oidc.protocol.authorization import AuthorizationRequest
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.errors import UNMET_AUTHENTICATION_REQUIREMENTS, ProtocolError


class Assurance(msgspec.Struct, frozen=True):
    """The least level that will do, and the only names that may be reported (none: the level's own)."""

    required: str
    capabilities: Capabilities
    reportable: tuple[str, ...] = ()

    def to_report(self, reached: str | None) -> str | None:
        """The level an ID token says for what was reached (R10), or None where that does not do.

        Where the request insists on certain values, the strongest of them that was met: section 5.5.1.1 wants one of
        them, and a higher level meets a lower one. Who asks in a framework's names is answered in them.
        """
        if reached is None or not meets(reached, self.required, self.capabilities):
            return None
        met = [name for name in self.capabilities.acr_names if name in self.reportable]
        met = [name for name in met if meets(reached, name, self.capabilities)]
        return met[-1] if met else reached


def assurance_for(request: AuthorizationRequest, capabilities: Capabilities) -> Assurance:
    """The lowest level asked for that we know, and never less than the deployment's minimum.

    Voluntary values that we do not know are ignored. An essential `acr` that cannot be met is an error and not a lower
    token (section 5.5.1.1): `unmet_authentication_requirements`.
    """
    asked = request.claims.id_token.get("acr")
    wanted = tuple(str(value) for value in asked.values) if asked else ()
    essential = bool(asked and asked.essential and wanted)
    # `claims` is the more exact way to say it; where both come, the specification leaves the outcome open.
    known = tuple(name for name in capabilities.acr_names if name in (wanted or request.acr_values))
    if essential and not known:
        raise ProtocolError(UNMET_AUTHENTICATION_REQUIREMENTS, "None of the acr values asked for can be reached here.")
    aliases = tuple(name for name, _ in capabilities.acr_aliases)
    reportable = known if essential else aliases if set(known) <= set(aliases) and known else ()
    return Assurance(level_for(known, capabilities), capabilities, reportable)


def is_out_of_reach(request: AuthorizationRequest, acr: str, capabilities: Capabilities) -> bool:
    """Whether the request insists on a level that is higher than anybody can get here by signing in."""
    asked, highest = request.claims.id_token.get("acr"), capabilities.highest_acr
    return bool(asked and asked.essential and highest) and not meets(highest, acr, capabilities)


def level_for(acr_values: tuple[str, ...], capabilities: Capabilities) -> str:
    """The level to reach, also where a citizen answers on another device (RFC 8628, CIBA Core section 7.1): the lowest
    of those asked for that we know, and never less than the deployment's minimum."""
    known = [rank for rank in (capabilities.acr_rank(name) for name in acr_values) if rank is not None]
    minimum = capabilities.acr_values.index(capabilities.minimum_acr)
    return capabilities.acr_values[max(minimum, min(known, default=minimum))]


def meets(reached: str, required: str, capabilities: Capabilities) -> bool:
    """Whether a session's level does. A name that we do not know does not (R75)."""
    rank, least = capabilities.acr_rank(reached), capabilities.acr_rank(required)
    return rank is not None and least is not None and rank >= least
