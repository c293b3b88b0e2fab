"""What a client may say of itself when it registers itself: the rules, and what has to be looked at elsewhere (R72)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from oidc.client_file import NOT_METADATA
from oidc.fetcher import Fetcher, FetchFailed
from oidc.protocol.capabilities import STANDARD, Capabilities
from oidc.protocol.client_metadata import (
    CIBA_GRANT,
    NO_AUTHENTICATION,
    TOKEN_EXCHANGE_GRANT,
    ClientMetadata,
    registration_of,
)
from oidc.protocol.client_registration import ReadMetadata, read_client_metadata
from oidc.protocol.errors import MetadataError, Problem, ProtocolError
from oidc.protocol.keys import read_key_set
from oidc.protocol.sector import require_listed_in_sector_document
from oidc.protocol.software_statement import with_statement
from oidc.protocol.strict_json import json_object
from oidc.provider import Provider
from oidc.registration import RegistrationPolicy

NOT_FOR_EVERYBODY = frozenset({CIBA_GRANT, TOKEN_EXCHANGE_GRANT})
"""Grant types with which a client reaches citizens or other services by itself: strangers do not get them."""


def read_own_metadata(provider: Provider, given: Mapping[str, Any], now: datetime) -> ReadMetadata:
    """The metadata, judged by the rules. Raises `ProtocolError` (RFC 7591 section 3.2.2)."""
    policy = provider.policy.registration
    said = {name: value for name, value in given.items() if name not in NOT_METADATA}
    if policy.mode == "software_statement":
        said = with_statement(said, policy.statement_issuer, read_key_set(policy.statement_keys), now)
    else:
        said.pop("software_statement", None)  # section 3.1.1: may be ignored where none is asked for
    said.pop("client_id", None)
    said.pop("client_secret", None)
    said["require_pkce"] = _must_use_pkce(policy, said)
    return read_client_metadata(said, _able(provider))


def _must_use_pkce(policy: RegistrationPolicy, said: Mapping[str, Any]) -> bool:
    """R3: only a confidential client of the `standard` profile may do without, where the deployment says so."""
    is_public = said.get("token_endpoint_auth_method") == NO_AUTHENTICATION
    is_plain = said.get("profile", STANDARD) == STANDARD
    return policy.require_pkce or is_public or not is_plain or said.get("require_pkce") in (True, "true")


def _able(provider: Provider) -> Capabilities:
    """What the provider can do, as far as it is for those who register themselves. A right to an API is not theirs to
    take; an operator gives it, or the issuer that the operator trusts. Tokens that live longer than others are given
    by an operator alone."""
    capabilities, policy = provider.capabilities, provider.policy.registration
    grant_types = capabilities.grant_types
    if policy.mode == "open":
        grant_types = tuple(name for name in grant_types if name not in NOT_FOR_EVERYBODY)
    scopes = capabilities.service_scopes if policy.mode == "software_statement" else ()
    return msgspec.structs.replace(
        capabilities, grant_types=grant_types, service_scopes=scopes, longest=provider.policy.lifetimes
    )


async def look_up(fetcher: Fetcher, metadata: ClientMetadata) -> None:
    """Fetch what the registration leans on; nothing else that it names is ever fetched. Raises `MetadataError`."""
    problems = [*await _key_problems(fetcher, metadata), *await _sector_problems(fetcher, metadata)]
    if problems:
        raise MetadataError(tuple(problems))


async def _key_problems(fetcher: Fetcher, metadata: ClientMetadata) -> list[Problem]:
    """A key set that nobody can read now will be missing at the first token request."""
    if metadata.jwks_uri is None:
        return []
    try:
        body = await _document(fetcher, metadata.jwks_uri)
    except FetchFailed:
        return [Problem("jwks_uri", "could not be fetched.")]
    return [] if read_key_set(json_object(body)) else [Problem("jwks_uri", "holds no key that can be used.")]


async def _sector_problems(fetcher: Fetcher, metadata: ClientMetadata) -> list[Problem]:
    """OpenID Connect Registration section 5: the document lists every redirect URI."""
    if metadata.sector_identifier_uri is None:
        return []
    try:
        require_listed_in_sector_document(await _document(fetcher, metadata.sector_identifier_uri), metadata)
    except FetchFailed:
        return [Problem("sector_identifier_uri", "could not be fetched.")]
    except ProtocolError as error:
        return [Problem("sector_identifier_uri", error.description.removeprefix("sector_identifier_uri: "))]
    return []


async def _document(fetcher: Fetcher, address: str) -> bytes:
    answer = await fetcher.get(address)
    if answer.status != 200:
        raise FetchFailed(f"status {answer.status}")
    return answer.body


def client_information(
    client_id: str, metadata: ClientMetadata, *, issued_at: datetime, address: str, token: str, secret: str | None
) -> dict[str, Any]:
    """RFC 7591 section 3.2.1, RFC 7592 section 3. A secret is told once, when it is made: only its digest is kept."""
    members: dict[str, Any] = {
        "client_id": client_id,
        "client_id_issued_at": int(issued_at.timestamp()),
        "registration_access_token": token,
        "registration_client_uri": address,
        **registration_of(metadata),
    }
    if secret is not None:
        members |= {"client_secret": secret, "client_secret_expires_at": 0}
    return members
