"""Clients from files: our own reviewed TOML, and JSON arrays of registration metadata. Every wrong line is named."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from accounts.database import Transaction, digest
from accounts.errors import Refusal
from oidc.client import Source, find_client, put_client
from oidc.client_advice import advice_on
from oidc.client_change import algorithm_line, changes
from oidc.client_lines import Lines
from oidc.fetcher import Fetcher, FetchFailed
from oidc.protocol.capabilities import Capabilities
from oidc.protocol.client_metadata import ClientMetadata
from oidc.protocol.client_registration import read_client_metadata
from oidc.protocol.errors import MetadataError, ProtocolError
from oidc.protocol.sector import require_listed_in_sector_document

CLIENT_ID = re.compile(r"[\x21-\x7e]{1,255}")
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
SHORT = 32
"""Characters; a shorter secret can hardly have the 128 bits it needs (RFC 6749 section 10.10)."""
# What a registration answers beside the metadata (RFC 7591 section 3.2.1, RFC 7592 section 3).
NOT_METADATA = frozenset(
    {"client_id_issued_at", "client_secret_expires_at", "registration_access_token", "registration_client_uri"}
)
OURS = {field.name for field in msgspec.structs.fields(ClientMetadata)} - {"localized"}


class FileProblem(msgspec.Struct, frozen=True):
    """One thing to put right. `line` counts from 1 where it is known."""

    problem: str
    client_id: str | None = None
    field: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        where += [f"client {self.client_id}"] if self.client_id else []
        where += [self.field] if self.field else []
        return f"{', '.join(where)}: {self.problem}" if where else self.problem


class ClientFileError(Refusal):
    """The file has problems; nothing of it was written."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        super().__init__("client_file", detail="; ".join(map(str, problems))[:1000])
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Applied(msgspec.Struct, frozen=True):
    """What a file changed, by client_id."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    warnings: tuple[FileProblem, ...] = ()


class _Wanted(msgspec.Struct, frozen=True):
    client_id: str
    metadata: ClientMetadata
    secret_digest: bytes | None
    algorithm: str
    """The line about how its ID tokens are signed."""


class Judged(msgspec.Struct, frozen=True):
    """A file without a problem. `advice` is for who registers a client for good; a test's client needs none of it."""

    wanted: tuple[_Wanted, ...]
    source: Source
    warnings: tuple[FileProblem, ...]
    advice: tuple[FileProblem, ...]


class Planned(msgspec.Struct, frozen=True):
    """What writing one client would do: `outcome` is new, changed or unchanged."""

    wanted: _Wanted
    outcome: str
    changes: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.outcome}  {self.wanted.client_id}"
        return "\n".join([head, *(f"  {line}" for line in self.changes), f"    {self.wanted.algorithm}"])


async def apply_toml(
    db: Transaction, text: str, capabilities: Capabilities, now: datetime, *, fetcher: Fetcher | None = None
) -> Applied:
    """Write the clients of our own file. Raises `ClientFileError`."""
    judged = judge_toml(text, capabilities)
    return await write(db, judged, await plan(db, judged, fetcher), now)


async def import_json(
    db: Transaction, text: str, capabilities: Capabilities, now: datetime, *, fetcher: Fetcher | None = None
) -> Applied:
    """Write the clients of a JSON array. Raises `ClientFileError`."""
    judged = judge_json(text, capabilities)
    return await write(db, judged, await plan(db, judged, fetcher), now)


def judge_toml(text: str, capabilities: Capabilities) -> Judged:
    """The `[[client]]` tables of our own file: registration metadata with `client_id`, and for a client with a
    secret `client_secret_sha256`, because a secret has no place in a file that is reviewed. ES256 where nothing is
    said, and a field we do not know is a mistake. Raises `ClientFileError`."""
    lines = Lines(text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ClientFileError([FileProblem(f"This is not TOML: {error}.", line=lines.of_message(str(error)))]) from None
    tables = document.pop("client", [])
    problems = [
        FileProblem("stands outside a [[client]] table.", field=name, line=lines.of(-1, name)) for name in document
    ]
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        problems.append(FileProblem("The file holds no [[client]] table."))
        raise ClientFileError(problems)
    judge = _Judge(capabilities, "ES256", "client_secret_sha256", lines)
    judge.problems += problems
    return judge.judged(tables, "file")


def judge_json(text: str, capabilities: Capabilities) -> Judged:
    """A JSON array of registration metadata with `client_id` and, in plain, `client_secret`. RS256 where nothing
    is said (OpenID Connect Registration section 2). Raises `ClientFileError`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise ClientFileError([FileProblem("This is not JSON.", line=line)]) from None
    if not isinstance(document, list) or not all(isinstance(member, dict) for member in document):
        raise ClientFileError([FileProblem("The file must be a JSON array of objects, one a client.")])
    return _Judge(capabilities, "RS256", "client_secret", None).judged(document, "import")


class _Judge:
    """Looks at one client after the other and gathers what is wrong."""

    def __init__(self, capabilities: Capabilities, algorithm: str, secret_field: str, lines: Lines | None) -> None:
        self.problems: list[FileProblem] = []
        self.warnings: list[FileProblem] = []
        self.advice: list[FileProblem] = []
        self._capabilities = capabilities
        self._algorithm = algorithm
        self._secret_field = secret_field
        self._lines = lines
        self._seen: set[str] = set()

    def judged(self, given: Sequence[Mapping[str, Any]], source: Source) -> Judged:
        """All clients of a file. Raises `ClientFileError`."""
        wanted = [self.wanted(number, client) for number, client in enumerate(given)]
        if self.problems:
            raise ClientFileError(self.problems)
        found = tuple(client for client in wanted if client is not None)
        return Judged(found, source, tuple(self.warnings), tuple(self.advice))

    def wanted(self, number: int, given: Mapping[str, Any]) -> _Wanted | None:
        """The client as it shall be, or None where something is wrong."""
        before = len(self.problems)
        known = {name: value for name, value in given.items() if name not in NOT_METADATA}
        client_id, secret = known.pop("client_id", None), known.pop(self._secret_field, None)
        if not isinstance(client_id, str) or not CLIENT_ID.fullmatch(client_id):
            self._refuse(number, None, "client_id", "must be a text without spaces, of at most 255 characters.")
            return None
        if client_id in self._seen:
            self._refuse(number, client_id, "client_id", "is given twice.")
        self._seen.add(client_id)
        if self._lines is not None:
            for name in sorted(known.keys() - OURS):
                if name.partition("#")[0] not in OURS or "#" not in name:
                    self._refuse(number, client_id, name, f"is not known. {self._nearest(name) or 'Is it misspelt?'}")
        try:
            read = read_client_metadata(known, self._capabilities, default_signing_algorithm=self._algorithm)
        except MetadataError as error:
            for problem in error.problems:
                self._refuse(number, client_id, problem.field, problem.problem)
            return None
        for warning in read.warnings:
            hint = "" if warning.field in OURS else self._nearest(warning.field)
            self.warnings.append(self._told(number, client_id, warning.field, f"{warning.problem} {hint}".strip()))
        for field, remark in advice_on(read.metadata, self._capabilities):
            self.advice.append(self._told(number, client_id, field, remark))
        secret_digest = self._digest_of(number, client_id, secret, read.metadata)
        told = algorithm_line(read.metadata, was_given=bool(known.get("id_token_signed_response_alg")))
        return _Wanted(client_id, read.metadata, secret_digest, told) if len(self.problems) == before else None

    def _nearest(self, name: str) -> str:
        names = sorted(OURS | {"client_id", self._secret_field})
        found = get_close_matches(name.partition("#")[0], names, 1, 0.75)
        return f"Did you mean {found[0]}?" if found else ""

    def _digest_of(self, number: int, client_id: str, secret: object, metadata: ClientMetadata) -> bytes | None:
        field = self._secret_field
        if secret in (None, ""):
            if metadata.uses_secret:
                method = metadata.token_endpoint_auth_method
                self._refuse(number, client_id, field, f"is missing: the client authenticates by {method}.")
            return None
        if not metadata.uses_secret:
            self.warnings.append(self._told(number, client_id, field, "is not used by this client and was not kept."))
            return None
        if field == "client_secret_sha256":
            if not isinstance(secret, str) or not SHA256.fullmatch(secret):
                self._refuse(number, client_id, field, "must be the SHA-256 of the secret, in 64 hexadecimal digits.")
                return None
            return bytes.fromhex(secret)
        if not isinstance(secret, str) or not secret.isprintable() or len(secret) > 1024:
            self._refuse(number, client_id, field, "must be a text of at most 1024 characters.")
            return None
        if len(secret) < SHORT:
            self.warnings.append(self._told(number, client_id, field, f"is shorter than {SHORT} characters."))
        return digest(secret)

    def _refuse(self, number: int, client_id: str | None, field: str, problem: str) -> None:
        self.problems.append(self._told(number, client_id, field, problem))

    def _told(self, number: int, client_id: str | None, field: str, problem: str) -> FileProblem:
        line = None if self._lines is None else self._lines.of(number, field)
        return FileProblem(problem, client_id or f"number {number + 1}", field, line)


async def plan(db: Transaction, judged: Judged, fetcher: Fetcher | None = None) -> list[Planned]:
    """What writing the file would change; writes nothing. Raises `ClientFileError` for sector documents."""
    problems: list[FileProblem] = []
    for client in judged.wanted if fetcher is not None else ():
        problems += await _sector_problems(client, fetcher)
    if problems:
        raise ClientFileError(problems)
    planned = []
    for client in judged.wanted:
        was = await find_client(db, client.client_id)
        lines = changes(was, client.metadata, client.secret_digest)
        planned.append(Planned(client, "new" if was is None else "changed" if lines else "unchanged", lines))
    return planned


async def write(db: Transaction, judged: Judged, planned: Sequence[Planned], now: datetime) -> Applied:
    """Write what was planned in the same transaction."""
    done: dict[str, list[str]] = {"created": [], "changed": [], "unchanged": []}
    for client in (each.wanted for each in planned):
        outcome = await put_client(
            db, client.client_id, client.metadata, secret_digest=client.secret_digest, source=judged.source, now=now
        )
        done[outcome].append(client.client_id)
    return Applied(
        created=tuple(done["created"]),
        changed=tuple(done["changed"]),
        unchanged=tuple(done["unchanged"]),
        warnings=judged.warnings,
    )


async def _sector_problems(client: _Wanted, fetcher: Fetcher | None) -> list[FileProblem]:
    """OpenID Connect Registration section 5: the document at `sector_identifier_uri` lists every redirect URI."""
    address = client.metadata.sector_identifier_uri
    if fetcher is None or address is None:
        return []
    try:
        answer = await fetcher.get(address)
        if answer.status != 200:
            raise FetchFailed(f"status {answer.status}")
        require_listed_in_sector_document(answer.body, client.metadata)
    except FetchFailed as error:
        return [FileProblem(f"could not be read: {error.detail}.", client.client_id, "sector_identifier_uri")]
    except ProtocolError as error:
        problem = error.description.removeprefix("sector_identifier_uri: ")
        return [FileProblem(problem, client.client_id, "sector_identifier_uri")]
    return []
