"""A street for each file of journeys, and the looks that pages are seen in."""

from collections.abc import Iterator

import pytest
from street import Street, open_street


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """The product with Parks and Taxes, started once for the tests of a file."""
    with open_street(tmp_path_factory.mktemp("street")) as opened:
        yield opened
