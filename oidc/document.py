"""Documents that are made once and answered many times."""

import hashlib

import msgspec


class Document(msgspec.Struct, frozen=True):
    """Bytes and their entity tag (RFC 9110 section 8.8.3)."""

    body: bytes
    etag: str


def document_of(value: object) -> Document:
    """A value as JSON."""
    body = msgspec.json.encode(value)
    return Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
