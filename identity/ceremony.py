"""Ceremonies: WebAuthn's exchanges with a browser, each challenge given once and answered once (R29)."""

import json
import secrets
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.structs import UserVerificationRequirement

from accounts.errors import Refusal
from accounts.store import Store

CEREMONY_SECONDS = 300
MAX_RESPONSE = 16_000


class Ceremony(msgspec.Struct, frozen=True):
    """`id` comes back with the browser's answer; `options` is JSON for `parseCreationOptionsFromJSON` or
    `parseRequestOptionsFromJSON`."""

    id: str
    options: str


class Answer(msgspec.Struct, frozen=True):
    """What a browser answered to a ceremony: its id, the credential as JSON, and what the ceremony is bound to."""

    ceremony: str
    response: str
    bound_to: bytes


class Waiting(msgspec.Struct, frozen=True):
    """What a ceremony in flight is bound to."""

    kind: Literal["create", "get"]
    bound_to: bytes
    account_id: UUID | None
    needs_verification: bool
    needs_attestation: bool = False


async def begin(store: Store, waiting: Waiting, now: datetime) -> tuple[str, bytes]:
    # In the store, not in SQL: every sign-in page begins one, and a store that loses it refuses the answer (R75).
    challenge = secrets.token_bytes(32)
    ceremony = bytes_to_base64url(challenge)
    await store.put(f"passkey:{ceremony}", msgspec.msgpack.encode(waiting), CEREMONY_SECONDS, now)
    return ceremony, challenge


async def end(
    store: Store, ceremony: str, kind: Literal["create", "get"], bound_to: bytes, now: datetime
) -> tuple[Waiting, bytes]:
    """Take the ceremony out of the store: whatever comes of it, its challenge is used up."""
    try:
        challenge = base64url_to_bytes(ceremony)
    except ValueError as error:
        raise Refusal("passkey_expired") from error
    kept = await store.take(f"passkey:{bytes_to_base64url(challenge)}", now) if len(challenge) == 32 else None
    if kept is None:
        raise Refusal("passkey_expired")
    waiting = msgspec.msgpack.decode(kept, type=Waiting)
    if waiting.kind != kind or waiting.bound_to != bound_to:
        raise refused("another ceremony")
    return waiting, challenge


def answer_of(response: str) -> dict[str, Any]:
    """The browser's answer as an object, never from within a page of another origin."""
    try:
        if len(response) > MAX_RESPONSE:
            raise ValueError("too long")
        answer: dict[str, Any] = json.loads(response)
        client_data = json.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
        if client_data.get("crossOrigin", False) is not False or "topOrigin" in client_data:
            raise ValueError("cross-origin")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refused(f"malformed: {type(error).__name__}") from error
    return answer


def verification(needed: bool) -> UserVerificationRequirement:
    return UserVerificationRequirement.REQUIRED if needed else UserVerificationRequirement.PREFERRED


def refused(detail: str) -> Refusal:
    return Refusal("passkey_refused", detail=detail)
