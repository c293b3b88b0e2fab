"""An authenticator in software: answers WebAuthn ceremonies as a browser would hand them on, or as a liar would."""

import hashlib
import json
import os
from datetime import UTC, datetime

import cbor2
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from identity.attestation import AAGUID_EXTENSION

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


class Maker:
    """Who makes keys: a root certificate, and an attestation certificate for one model (or another, or none)."""

    def __init__(self, aaguid: bytes = bytes(range(16))) -> None:
        self.aaguid = aaguid
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign("Maker Root", self.root_key, [], is_authority=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.attest()

    def attest(self, *, aaguid: bytes | None = b"", unit="Authenticator Attestation", is_authority=False):
        """A certificate for this model, or for what the test says."""
        named = self.aaguid if aaguid == b"" else aaguid
        more = [] if named is None else [x509.UnrecognizedExtension(AAGUID_EXTENSION, b"\x04\x10" + named)]
        return self._sign("Maker Model", self.key, more, unit=unit, is_authority=is_authority)

    def _sign(self, name, key, extensions, *, unit="", is_authority=False):
        subject = x509.Name([
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            *([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []),
        ])  # fmt: skip
        issuer = subject if key is self.root_key else self.root.subject
        made = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return made.sign(self.root_key, SHA256())


class SoftPasskey(msgspec.Struct):
    """One credential. `synced`: it can be copied and keeps no counter; `verifies`: it asks for finger or PIN."""

    origin: str = "https://login.example"
    synced: bool = True
    verifies: bool = True
    rp_id: str = "login.example"
    counter: int = 0
    credential_id: bytes = msgspec.field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = msgspec.field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    user_handle: bytes | None = None
    maker: Maker | None = None
    """Who attests it, where it is asked."""
    discoverable: bool = True

    @property
    def flags(self) -> int:
        return UP | (UV if self.verifies else 0) | (BE | BS if self.synced else 0)

    def create(self, options: str, **lies) -> str:
        """Answer `navigator.credentials.create`."""
        asked = json.loads(options)
        self.user_handle = base64url_to_bytes(asked["user"]["id"])
        public = self.key.public_key().public_numbers()
        cose = {
            1: 2,
            3: lies.get("algorithm", -7),
            -1: 1,
            -2: public.x.to_bytes(32, "big"),
            -3: public.y.to_bytes(32, "big"),
        }
        make = lies.get("aaguid", self.maker.aaguid if self.maker else bytes(16))
        attested = make + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        data = self._authenticator_data(lies, AT) + attested
        client_data = self._client_data("webauthn.create", asked["challenge"], lies)
        statement = self._statement(data + hashlib.sha256(base64url_to_bytes(client_data)).digest(), lies)
        is_asked = self.maker is not None and asked.get("attestation") == "direct"
        attestation = cbor2.dumps(
            {"fmt": lies.get("fmt", "packed"), "attStmt": statement, "authData": data}
            if is_asked
            else {"fmt": "none", "attStmt": {}, "authData": data}
        )
        can_stay = self.discoverable and asked.get("authenticatorSelection", {}).get("residentKey") != "discouraged"
        lies = {"answer": {"clientExtensionResults": {"credProps": {"rk": can_stay}}}} | lies
        return self._answer(
            {
                "clientDataJSON": client_data,
                "attestationObject": bytes_to_base64url(attestation),
                "transports": lies.get("transports", ["internal", "hybrid"]),
            },
            lies,
        )

    def _statement(self, signed: bytes, lies: dict) -> dict:
        """`packed` (WebAuthn section 8.2), by the maker's key or whatever signs in its place."""
        if self.maker is None:
            return {}
        chain = lies.get("chain", [self.maker.certificate])
        statement = {"alg": -7, "sig": lies.get("signer", self.maker.key).sign(signed, ec.ECDSA(SHA256()))}
        return statement | ({"x5c": [one.public_bytes(Encoding.DER) for one in chain]} if chain else {})

    def get(self, options: str, **lies) -> str:
        """Answer `navigator.credentials.get`."""
        asked = json.loads(options)
        if not self.synced:
            self.counter += 1
        data = self._authenticator_data(lies, 0)
        client_data = self._client_data("webauthn.get", asked["challenge"], lies)
        signed = data + hashlib.sha256(base64url_to_bytes(client_data)).digest()
        key = lies.get("key", self.key)
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": bytes_to_base64url(data),
            "signature": bytes_to_base64url(key.sign(signed, ec.ECDSA(SHA256()))),
        }
        handle = lies.get("user_handle", self.user_handle if self.discoverable else None)
        if handle is not None:
            response["userHandle"] = bytes_to_base64url(handle)
        return self._answer(response, lies)

    def _authenticator_data(self, lies: dict, more: int) -> bytes:
        rp_id = lies.get("rp_id", self.rp_id)
        flags = lies.get("flags", self.flags) | more
        counter = lies.get("counter", self.counter)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str, lies: dict) -> str:
        told = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return bytes_to_base64url(json.dumps(told | lies.get("client_data", {})).encode())

    def _answer(self, response: dict, lies: dict) -> str:
        credential_id = bytes_to_base64url(lies.get("credential_id", self.credential_id))
        answer = {
            "id": credential_id,
            "rawId": credential_id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }
        return json.dumps(answer | lies.get("answer", {}))
