"""What tests of the provider share."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from oidc_kit import Box, new_box
from services import Backend

if TYPE_CHECKING:
    from town import Town


@pytest.fixture
async def box(backend: Backend) -> AsyncIterator[Box]:
    """A provider of the test's own, on each database."""
    async with new_box(backend.database_url) as made:
        yield made


@pytest.fixture
async def town(backend: Backend) -> "AsyncIterator[Town]":
    """The whole house with services and citizens around it, on each database."""
    from town import new_town  # the whole house: only where it is asked for

    async with new_town(backend.database_url) as made:
        yield made
