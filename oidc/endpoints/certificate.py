"""The client certificate of a request, as a listed proxy tells it: the `Client-Cert` header (RFC 9440)."""

import binascii
from base64 import b64decode
from typing import Any

from litestar import Request

from oidc.mutual_tls import Certificate, read_certificate
from oidc.protocol.errors import INVALID_REQUEST, ProtocolError
from oidc.provider import Provider

HEADER = "client-cert"
MAX_HEADER = 12_000


def certificate_of(request: Request[Any, Any, Any], provider: Provider) -> Certificate | None:
    """None without a certificate, and from any other peer: there the header is only what a stranger wrote (R71)."""
    mutual_tls = provider.mutual_tls
    if mutual_tls is None or HEADER not in request.headers:
        return None
    if request.client is None or not mutual_tls.trusts(request.client.host):
        return None
    values = request.headers.getall(HEADER)
    certificate = _read(values[0]) if len(values) == 1 else None
    if certificate is None:
        raise ProtocolError(INVALID_REQUEST, "The Client-Cert header cannot be read.")
    return certificate


def _read(value: str) -> Certificate | None:
    """RFC 9440 section 2.1: a byte sequence (RFC 9651 section 3.3.5), base64 between colons."""
    value = value.strip()
    if len(value) > MAX_HEADER or len(value) < 2 or value[0] != ":" or value[-1] != ":":
        return None
    try:
        return read_certificate(b64decode(value[1:-1], validate=True))
    except binascii.Error:
        return None
