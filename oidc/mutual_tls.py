"""Client certificates: what a certificate says, and whether it is the one a client registered (RFC 8705)."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from oidc.protocol.client_metadata import SELF_SIGNED_TLS, TLS_CLIENT_AUTH, ClientMetadata
from oidc.protocol.errors import INVALID_CLIENT, ProtocolError

Network = IPv4Network | IPv6Network
PUBLIC = (ECKey, OKPKey, RSAKey)


class MutualTls:
    """Whose word we take for a connection's certificate: these proxies', by RFC 9440. `authorities` issue the
    certificates of `tls_client_auth` clients; the proxy asks for a certificate and need not judge it. `address` is
    where it asks, if that is another one than the issuer's."""

    def __init__(
        self, proxies: Sequence[Network], authorities: Sequence[x509.Certificate] = (), address: str = ""
    ) -> None:
        self.proxies = proxies
        self.authorities = authorities
        self.address = address

    @property
    def methods(self) -> tuple[str, ...]:
        """The ways to authenticate that it makes possible: without authorities, no name can be believed."""
        return (TLS_CLIENT_AUTH, SELF_SIGNED_TLS) if self.authorities else (SELF_SIGNED_TLS,)

    def trusts(self, peer: str) -> bool:
        """Whether the peer is a listed proxy."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)


class Certificate(msgspec.Struct, frozen=True):
    """The certificate of a request's connection."""

    parsed: x509.Certificate
    thumbprint: str


def read_certificate(der: bytes) -> Certificate | None:
    """DER; None where it is none."""
    try:
        parsed = x509.load_der_x509_certificate(der)
    except ValueError:
        return None
    return Certificate(parsed, urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode())


def verify_certificate(
    certificate: Certificate | None,
    metadata: ClientMetadata,
    keys: Sequence[Key],
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """RFC 8705 section 2: the registered name in a certificate of a known authority, or a registered key.
    Raises `invalid_client`. Whether an authority took its certificate back is the proxy's to know."""
    if certificate is None:
        raise ProtocolError(INVALID_CLIENT, "The client certificate is missing.")
    if metadata.token_endpoint_auth_method == TLS_CLIENT_AUTH:
        is_good = _is_current(certificate, now) and _is_issued(certificate, authorities)
        is_good = is_good and _is_named(certificate, metadata)
    else:
        # Section 2.2: the key is what is registered, the certificate around it only carries it.
        is_good = _spki(certificate.parsed) in {_spki(key) for key in keys if isinstance(key, PUBLIC)}
    if not is_good:
        raise ProtocolError(INVALID_CLIENT, "The client certificate is not the registered one.")


def _spki(holder: x509.Certificate | ECKey | OKPKey | RSAKey) -> bytes:
    if isinstance(holder, x509.Certificate):
        return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return holder.as_der(private=False)


def _is_current(certificate: Certificate, now: datetime) -> bool:
    return certificate.parsed.not_valid_before_utc <= now <= certificate.parsed.not_valid_after_utc


def _is_issued(certificate: Certificate, authorities: Sequence[x509.Certificate]) -> bool:
    return any(_has_issued(authority, certificate.parsed) for authority in authorities)


def _has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_named(certificate: Certificate, metadata: ClientMetadata) -> bool:
    """Section 2.1.2: the one name that was registered."""
    if (subject := metadata.tls_client_auth_subject_dn) is not None:
        try:
            return x509.Name.from_rfc4514_string(subject) == certificate.parsed.subject
        except ValueError:
            return False
    try:
        names = certificate.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    if (host := metadata.tls_client_auth_san_dns) is not None:
        return host.lower() in {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    if (uri := metadata.tls_client_auth_san_uri) is not None:
        return uri in names.get_values_for_type(x509.UniformResourceIdentifier)
    if (address := metadata.tls_client_auth_san_ip) is not None:
        return address in {str(name) for name in names.get_values_for_type(x509.IPAddress)}
    return metadata.tls_client_auth_san_email in names.get_values_for_type(x509.RFC822Name)
