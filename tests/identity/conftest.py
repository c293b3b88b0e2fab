"""What tests of identity share."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from identity.assurance import AssurancePolicy
from identity.passkey import PasskeyPolicy
from identity.policy import IdentityPolicy

if TYPE_CHECKING:
    from town import Town


@pytest.fixture
async def town(tmp_path: Path) -> "AsyncIterator[Town]":
    """The whole house with its post, on SQLite: what differs between databases is proved by the verbs' own tests."""
    from town import new_town  # the whole house: only where it is asked for

    async with new_town(f"sqlite+aiosqlite:///{tmp_path}/identity.sqlite") as made:
        yield made


@pytest.fixture
def identity_policy() -> IdentityPolicy:
    """As a deployment is that sets nothing, but that a password alone lets in."""
    return IdentityPolicy(
        passkey=PasskeyPolicy("account.example.gov", "Citizen Account", ("https://account.example.gov",)),
        totp_issuer="Citizen Account",
        assurance=AssurancePolicy(minimum="aal1"),
    )
