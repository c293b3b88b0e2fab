"""Attestation: what vouches for a key's make, and whether this deployment's policy takes its word (WebAuthn L3 6.5)."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from webauthn.helpers import parse_attestation_object, parse_cbor
from webauthn.helpers.structs import AttestationFormat
from webauthn.registration.formats.packed import verify_packed

AAGUID_EXTENSION = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
LONGEST_CHAIN = 5


class AttestationPolicy(msgspec.Struct, frozen=True):
    """Who may vouch for a key, and for which makes. Without `aaguids` every make that the roots vouch for will do;
    without roots none would: an AAGUID that nobody has signed is only a claim."""

    roots: tuple[x509.Certificate, ...]
    aaguids: frozenset[str] = frozenset()


def is_trusted(attestation: bytes, client_data: bytes, policy: AttestationPolicy | None, now: datetime) -> bool:
    """Whether the attestation object proves a make that the policy takes (WebAuthn Level 3 section 8.2.1).

    Only `packed` with certificates counts, which is what security keys give. Of anything else nothing is believed: the
    key is then as good as any other, and no more."""
    if policy is None:
        return False
    try:
        parsed = parse_attestation_object(attestation)
        chain = [x509.load_der_x509_certificate(der) for der in parsed.att_stmt.x5c or ()]
        attested = parsed.auth_data.attested_credential_data
        if parsed.fmt != AttestationFormat.PACKED or attested is None or not 0 < len(chain) <= LONGEST_CHAIN:
            return False
        verify_packed(
            attestation_statement=parsed.att_stmt,
            attestation_object=attestation,
            client_data_json=client_data,
            credential_public_key=attested.credential_public_key,
            # It would look at the system's clock, and at none of the two rules about the certificate below.
            pem_root_certs_bytes=[],
        )
        make = UUID(bytes=attested.aaguid)
        return (
            (not policy.aaguids or str(make) in policy.aaguids)
            and _vouches_for(chain[0], make)
            and _leads_to_root(chain, policy.roots, now)
        )
    except Exception:
        return False


def without(attestation: bytes) -> bytes:
    """The same registration with nothing attested: a statement that we cannot judge is no reason to turn a key away."""
    # The three members of section 6.5.4 in CBOR's canonical order; what is registered is all in the last one.
    data: bytes = parse_cbor(attestation)["authData"]
    head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"
    return head + len(data).to_bytes(2, "big") + data


def _vouches_for(leaf: x509.Certificate, make: UUID) -> bool:
    """Section 8.2.1: no authority of its own, made for this, and for this make where it names one. A maker's other
    certificates do not vouch for keys, nor one model's for another."""
    units = leaf.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    if leaf.version is not x509.Version.v3 or [unit.value for unit in units] != ["Authenticator Attestation"]:
        return False
    if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        return False
    try:
        named = leaf.extensions.get_extension_for_oid(AAGUID_EXTENSION).value
    except x509.ExtensionNotFound:
        return True
    return isinstance(named, x509.UnrecognizedExtension) and named.value == b"\x04\x10" + make.bytes


def _leads_to_root(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime) -> bool:
    """Each certificate is issued by the next, the last by a root; a root that is in the policy may also come along."""
    for one, issuer in pairwise(chain):
        if one in roots:
            break
        if not (_is_current(one, now) and _is_authority(issuer) and _has_issued(issuer, one)):
            return False
    else:
        one = chain[-1]
    if not _is_current(one, now):
        return False
    return one in roots or any(_is_current(root, now) and _has_issued(root, one) for root in roots)


def _is_current(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_authority(certificate: x509.Certificate) -> bool:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
