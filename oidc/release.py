"""The one way out for a citizen's claims: what ID tokens and userinfo say of a person leaves through here."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Select, Uuid, and_, bindparam, select
from sqlalchemy.orm import aliased

from accounts.account import Account
from accounts.consent import Consent
from accounts.contact import Contact
from accounts.database import Transaction
from accounts.profile import Profile, open_claims
from accounts.vault import DataKey, Vault
from oidc.grant import Grant, GrantView, leaning, stands
from oidc.protocol.claims import (
    NO_CLAIMS,
    ClaimsAsked,
    base_name,
    claims_for_id_token,
    claims_for_userinfo,
    claims_of_scopes,
)

Place = Literal["id_token", "userinfo"]

_Email, _Phone = aliased(Contact), aliased(Contact)

RELEASE_COLUMNS = (
    Grant.account_id,
    Grant.claims,
    Consent.claims.label("agreed"),
    Account.data_key,
    Account.locale,
    Profile.claims.label("profile"),
    Profile.updated_at,
    _Email.id.label("email_id"),
    _Email.value.label("email"),
    _Phone.id.label("phone_id"),
    _Phone.value.label("phone"),
)
_FROM_PROFILE = claims_of_scopes(["profile", "address"]) - {"locale", "updated_at"}


def with_sources(query: Select[Any]) -> Select[Any]:
    """Join what claims are made of to a query that joins what `leaning` joins."""
    return (
        query.outerjoin(Profile, Profile.account_id == Account.id)
        .outerjoin(_Email, _is_the_one(_Email, "email"))
        .outerjoin(_Phone, _is_the_one(_Phone, "phone"))
    )


def _is_the_one(contact: Any, kind: str) -> Any:
    """An account's primary contact of a kind, else its oldest. One that is not verified may be somebody else's."""
    candidate = aliased(Contact)
    best = (
        select(candidate.id)
        .where(candidate.account_id == Account.id, candidate.kind == kind)
        .where(candidate.removed_at.is_(None), candidate.verified_at.is_not(None))
        .order_by(candidate.is_primary.desc(), candidate.id)
        .limit(1)
        .correlate(Account)
        .scalar_subquery()
    )
    return and_(contact.account_id == Account.id, contact.id == best)


def released_claims(vault: Vault, row: Any, place: Place, scopes: Collection[str]) -> dict[str, Any]:
    """The claims about the person for one place, from a row that has `RELEASE_COLUMNS`: what the scopes and the
    `claims` parameter ask for, as far as the consent names it. Only what is released is opened."""
    asked = msgspec.convert(row.claims, ClaimsAsked) if row.claims else NO_CLAIMS
    agreed = frozenset(row.agreed)
    wanted = {base_name(name) for name in (asked.id_token if place == "id_token" else asked.userinfo)}
    if place == "userinfo":
        wanted |= claims_of_scopes(scopes)
    wanted &= agreed
    if not wanted or row.data_key is None:
        return {}
    available = _available(vault.data_key(row.account_id, row.data_key), row, wanted)
    select_for = claims_for_id_token if place == "id_token" else claims_for_userinfo
    return select_for(available, asked, scopes, agreed)


def _available(key: DataKey, row: Any, wanted: Collection[str]) -> Mapping[str, Any]:
    available: dict[str, Any] = {}
    if row.profile is not None and not _FROM_PROFILE.isdisjoint(wanted):
        available |= open_claims(key, row.account_id, row.profile)
    if row.updated_at is not None:
        available["updated_at"] = int(row.updated_at.timestamp())
    if row.locale is not None:
        available["locale"] = row.locale
    if row.email is not None and not {"email", "email_verified"}.isdisjoint(wanted):
        available |= {"email": key.open("contact.value", row.email_id, row.email).decode(), "email_verified": True}
    if row.phone is not None and not {"phone_number", "phone_number_verified"}.isdisjoint(wanted):
        number = key.open("contact.value", row.phone_id, row.phone).decode()
        available |= {"phone_number": number, "phone_number_verified": True}
    return {name: value for name, value in available.items() if name in wanted}


async def claims_of_grant(
    db: Transaction, vault: Vault, grant: GrantView, place: Place, scopes: Collection[str], now: datetime
) -> dict[str, Any]:
    """`released_claims` for a grant at hand. Most ID tokens ask for nothing about the person: then nothing is read."""
    if place == "id_token" and not grant.claims.get("id_token"):
        return {}
    row = await db.first(_OF_GRANT, {"grant_id": grant.id, "at": now})
    return {} if row is None else released_claims(vault, row, place, scopes)


_OF_GRANT = with_sources(leaning(select(*RELEASE_COLUMNS).select_from(Grant))).where(
    Grant.id == bindparam("grant_id", type_=Uuid()), stands()
)
