"""Resources: the APIs of services that access tokens are given for (RFC 8707), as the deployment registers them."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from accounts.consent import Allowed
from oidc.protocol.capabilities import SIGNING_ALGORITHMS, STANDARD_SCOPES
from oidc.protocol.parameters import SCOPE_TOKEN
from oidc.protocol.uris import problem_of_uri

Words = dict[str, str]
"""By language; English is always there."""


class Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One API. `name` and the scopes' words are what citizens read at consent. `introspected_by` is the client that may
    ask what a token is worth, and in whose sector the API knows citizens; without one, in that of its host."""

    uri: str
    name: Words
    scopes: dict[str, Words] = {}
    introspected_by: str | None = None
    signing_algorithm: str = "ES256"

    def scope_of(self, granted: Iterable[str]) -> tuple[str, ...]:
        """What a token for this API says: those of its scopes that were granted."""
        return tuple(scope for scope in granted if scope in self.scopes)


def allowed_at(resources: Mapping[str, Resource], scopes: Collection[str], language: str) -> tuple[Allowed, ...]:
    """The APIs that these scopes belong to, and what each scope allows, in words."""
    return tuple(
        Allowed(said(resource.name, language), tuple(said(resource.scopes[scope], language) for scope in asked))
        for resource in resources.values()
        if (asked := resource.scope_of(scopes))
    )


def said(words: Words, language: str) -> str:
    """In this language, or in English."""
    return words.get(language) or words.get(language.split("-")[0]) or words["en"]


def problems_of_resources(resources: Iterable[Resource]) -> list[str]:
    """What is wrong with the settings, each with its key (R74)."""
    problems, seen = [], set()
    for number, resource in enumerate(resources, start=1):
        key = f"resource.{number}"
        if problem := problem_of_uri(resource.uri):
            problems.append(f"{key}.uri: {problem}")
        if resource.uri in seen:
            problems.append(f"{key}.uri: is there twice")
        seen.add(resource.uri)
        if "en" not in resource.name:
            problems.append(f"{key}.name.en: must be set; citizens read it where their language has no name")
        for scope, words in resource.scopes.items():
            if scope in STANDARD_SCOPES or not SCOPE_TOKEN.fullmatch(scope):
                problems.append(f"{key}.scopes: {scope!r} is no name for a scope of yours")
            if "en" not in words:
                problems.append(f"{key}.scopes.{scope}.en: must be set; it says what a citizen allows")
        if resource.signing_algorithm not in SIGNING_ALGORITHMS:
            problems.append(f"{key}.signing_algorithm: one of {', '.join(SIGNING_ALGORITHMS)}")
    return problems


def resources_of(resources: Mapping[str, Resource], client_id: str) -> tuple[str, ...]:
    """The APIs whose tokens this client may introspect."""
    return tuple(resource.uri for resource in resources.values() if resource.introspected_by == client_id)
