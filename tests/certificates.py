"""Certificates that services hold, and the header in which a proxy tells of them (RFC 9440)."""

import base64
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from town import NOON

Private = ec.EllipticCurvePrivateKey


def certificate(
    subject: str,
    *,
    key: Private | None = None,
    issuer: tuple[x509.Name, Private] | None = None,
    names: tuple[x509.GeneralName, ...] = (),
    days: int = 30,
) -> x509.Certificate:
    """A certificate, signed by its own key or by an issuer's."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject)
    issuer_name, issuer_key = issuer or (name, key)
    builder = x509.CertificateBuilder(issuer_name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOON - timedelta(days=60)).not_valid_after(NOON + timedelta(days=days))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def header(held: x509.Certificate) -> str:
    """`Client-Cert` (RFC 9440 section 2.2)."""
    return ":" + base64.b64encode(held.public_bytes(Encoding.DER)).decode() + ":"


def thumbprint(held: x509.Certificate) -> str:
    """`x5t#S256` (RFC 8705 section 3.1)."""
    return base64.urlsafe_b64encode(held.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
