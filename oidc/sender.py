"""Who holds a token: the key or the certificate that it is bound to (RFC 9449, RFC 8705, FAPI 2.0 section 5.3.2.1)."""

import hmac

import msgspec

from oidc.protocol.access_token import confirmation
from oidc.protocol.client import Client
from oidc.protocol.dpop import Proof, require_bound_key
from oidc.protocol.errors import INVALID_GRANT, ProtocolError
from oidc.protocol.profile import require_sender_constraint, rules_of


class Sender(msgspec.Struct, frozen=True):
    """What a caller has shown to hold: the key of a DPoP proof, and the certificate of its connection
    (its SHA-256 thumbprint, RFC 8705 section 3.1)."""

    proof: Proof | None = None
    certificate: str | None = None

    @property
    def jkt(self) -> str | None:
        """The key's thumbprint."""
        return self.proof.jkt if self.proof else None

    @property
    def confirmation(self) -> dict[str, str]:
        """`cnf` (RFC 7800 section 3.1)."""
        return confirmation(jkt=self.jkt, certificate=self.certificate)

    @property
    def token_type(self) -> str:
        """RFC 9449 section 5: how a token bound to it is to be presented."""
        return "DPoP" if self.proof else "Bearer"


ANYONE = Sender()


def binding_of(client: Client, shown: Sender) -> Sender:
    """What this client's tokens are bound to. Raises `invalid_request` where they must be bound and nothing was shown.

    A proof always binds. A certificate does where the client registered for it, and where it has nothing else.
    """
    require_sender_constraint(client, jkt=shown.jkt, certificate=shown.certificate)
    metadata, must = client.metadata, rules_of(client).sender_constrained_tokens
    by_certificate = metadata.tls_client_certificate_bound_access_tokens or (must and shown.proof is None)
    return shown if by_certificate else msgspec.structs.replace(shown, certificate=None)


def refresh_binding(client: Client, sender: Sender) -> Sender:
    """RFC 9449 section 5, RFC 8705 section 4: the refresh token of a client that cannot authenticate is bound like its
    access token; any other is bound to the client, which may take a new key."""
    return sender if client.metadata.is_public else ANYONE


def keeps_its_refresh_token(client: Client) -> bool:
    """R8, FAPI 2.0 section 5.3.2.1: who authenticates and holds sender-constrained tokens gains nothing by rotation."""
    return not client.metadata.is_public and rules_of(client).sender_constrained_tokens


def require_bound_sender(
    shown: Sender, *, jkt: str | None, certificate: str | None, error: str = INVALID_GRANT
) -> None:
    """What is bound is used by who holds it (RFC 9449 sections 5 and 10, RFC 8705 sections 3 and 4)."""
    require_bound_key(shown.proof, jkt, error=error)
    if certificate is not None and not hmac.compare_digest((shown.certificate or "").encode(), certificate.encode()):
        raise ProtocolError(error, "The client certificate is missing, or is another one.", detail="x5t#S256 mismatch")
