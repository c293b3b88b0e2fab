"""An authenticator in software: answers WebAuthn ceremonies as a browser would hand them on, or as a liar would."""

import hashlib
import json
import os

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


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
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        data = self._authenticator_data(lies, AT) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": self._client_data("webauthn.create", asked["challenge"], lies),
                "attestationObject": bytes_to_base64url(attestation),
                "transports": lies.get("transports", ["internal", "hybrid"]),
            },
            lies,
        )

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
        handle = lies.get("user_handle", self.user_handle)
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
