"""Writing an agreement down: what stood before with what is new, the record, and the notice to every contact (R67)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from accounts.account import data_key_of
from accounts.activity import record
from accounts.consent import NO_DETAILS, Allowed, Details, Shown, give_consent
from accounts.database import Transaction
from accounts.pages.page import N_
from accounts.vault import Vault
from identity.notice import Detail, tell
from oidc.client import RegisteredClient
from oidc.endpoints.claim_words import LASTING, all_claims, words_of

NOTICE = "2026-11"
"""The version of the words of the consent page, kept with each agreement (R65). It changes when they mean something
else."""
NO_PURPOSE = N_("It needs this to sign you in and to provide its service.")


class Before(Protocol):
    """An agreement that stands."""

    @property
    def scopes(self) -> tuple[str, ...]: ...

    @property
    def claims(self) -> tuple[str, ...]: ...


async def agree(
    db: Transaction,
    vault: Vault,
    client: RegisteredClient,
    account_id: UUID,
    *,
    scopes: Collection[str],
    claims: Collection[str] = (),
    allowed: Collection[Allowed] = (),
    details: Details = NO_DETAILS,
    before: Before | None,
    is_lasting: bool,
    language: str,
    locale: str | None,
    device: str,
    address: str,
    now: datetime,
) -> UUID:
    """A new agreement to these scopes (`allowed` says in words what those of APIs are for), further claims and details
    (RFC 9396). `language` is that of the page, `locale` the citizen's."""
    released = all_claims(scopes, claims)
    name = client.name_in(language)
    key = await data_key_of(db, vault, account_id)
    consent_id = await give_consent(
        db,
        account_id,
        client.client_id,
        scopes={*scopes, *(before.scopes if before else ())},
        claims={*released, *(before.claims if before else ())},
        shown=Shown(name, client.text_in("purpose", language) or NO_PURPOSE, NOTICE, language, tuple(allowed)),
        lawful_basis="consent",
        now=now,
        details=details,
        key=key,
    )
    await record(db, account_id, "consent_given", now, key=key, service=name, device=device, address=address)
    gets: Sequence[str] = words_of(released)
    await tell(
        db,
        vault,
        key,
        account_id,
        "consent_given",
        Detail(device, address, name),
        now,
        language=locale or language,
        service=name,
        gets=gets,
        # What it may do, by name: what it is about (an amount, a name) is read in the account, not in a mail.
        allowed=[{"name": one.name, "acts": one.acts} for one in (*allowed, *details.allowed)],
        lasting=LASTING if is_lasting else "",
    )
    return consent_id
