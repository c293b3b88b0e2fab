"""Types of authorization details (RFC 9396), as the deployment registers them: their fields, and their words."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from accounts.consent import Allowed, Details
from oidc.protocol.authorization_details import canonical
from oidc.protocol.capabilities import DetailType
from oidc.resource import Words, said


class DetailKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One type. Every field and action has words: nothing is agreed to that a citizen could not read.

    `every_time`: agreeing covers one visit, as for a payment; otherwise the agreement stands until it is withdrawn.
    """

    type: str
    name: Words
    fields: dict[str, Words] = {}
    required: tuple[str, ...] = ()
    actions: dict[str, Words] = {}
    every_time: bool = True

    @property
    def judged_as(self) -> DetailType:
        """What the rules need to know of it."""
        known = (*self.fields, *(["actions"] if self.actions else []))
        optional = tuple(name for name in known if name not in self.required)
        return DetailType(type=self.type, required=self.required, optional=optional, actions=tuple(self.actions))


def allowed_by(
    kinds: Mapping[str, DetailKind], details: Iterable[Mapping[str, Any]], language: str
) -> tuple[Allowed, ...]:
    """Each detail as a citizen reads it: the name of its type, what it allows, and its fields."""
    return tuple(_allowed(kinds[detail["type"]], detail, language) for detail in details if detail["type"] in kinds)


def _allowed(kind: DetailKind, detail: Mapping[str, Any], language: str) -> Allowed:
    acts = tuple(said(kind.actions[name], language) for name in detail.get("actions", ()) if name in kind.actions)
    rows = ((said(words, language), _text(detail[name])) for name, words in kind.fields.items() if name in detail)
    return Allowed(said(kind.name, language), acts, tuple(rows))


def _text(value: Any) -> str:
    """A value in a line: an amount reads EUR 12.50, a list has commas."""
    if isinstance(value, Mapping):
        return " ".join(_text(part) for part in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return str(value)


def details_to_agree(
    kinds: Mapping[str, DetailKind], asked: Iterable[Mapping[str, Any]], agreed: Iterable[str], language: str
) -> Details:
    """What a new agreement is for: what is asked now, and what stands beside it from before."""
    standing = still_agreed(kinds, agreed, in_this_visit=False)
    texts = tuple(dict.fromkeys((*canonical_details(asked), *standing)))
    return Details(texts, allowed_by(kinds, (msgspec.json.decode(text) for text in texts), language))


def canonical_details(details: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """How consents keep them and compare them."""
    return tuple(canonical(detail) for detail in details)


def still_agreed(kinds: Mapping[str, DetailKind], agreed: Iterable[str], *, in_this_visit: bool) -> tuple[str, ...]:
    """Of what was agreed to, that which covers this visit too."""
    return tuple(text for text in agreed if in_this_visit or not _is_asked_every_time(kinds, text))


def _is_asked_every_time(kinds: Mapping[str, DetailKind], text: str) -> bool:
    kind = kinds.get(msgspec.json.decode(text)["type"])
    return kind is None or kind.every_time


def problems_of_details(kinds: Iterable[DetailKind]) -> list[str]:
    """What is wrong with the settings, each with its key (R74)."""
    problems, seen = [], set()
    for number, kind in enumerate(kinds, start=1):
        key = f"authorization_detail.{number}"
        if not kind.type or kind.type in seen:
            problems.append(f"{key}.type: must be set, and no other's")
        seen.add(kind.type)
        words = {"name": kind.name}
        words |= {f"fields.{name}": said for name, said in kind.fields.items()}
        words |= {f"actions.{name}": said for name, said in kind.actions.items()}
        problems += [
            f"{key}.{place}.en: must be set; citizens read it" for place, said in words.items() if "en" not in said
        ]
        for name in kind.required:
            if name not in kind.fields and not (name == "actions" and kind.actions):
                problems.append(f"{key}.required: {name!r} is not one of its fields")
    return problems
