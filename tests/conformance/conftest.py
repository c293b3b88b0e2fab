"""One provider for all ported modules; table.py prints plan, module and result at the end of a run."""

import json
from collections.abc import Iterator

import pytest
from party import Ear
from simulated import simulator

from conformance.clients import clients_told_at
from conformance.kit import PEOPLE, Suite
from conformance.modules import PLANS, module_of
from conformance.site import Site, open_site

SETTINGS = {
    "registration.mode": "open",
    "registration.require_pkce": "false",
    "registration.per_address": "100000",
    "throttle.per_address": "100000",
    "logout.front_channel": "true",
    "logout.session_management": "true",
    "ciba.per_person": "100000",
    "proxy.trusted": "127.0.0.0/8",
    "mutual_tls.enabled": "true",
    "request_object.allow_unsigned": "true",
}


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The provider that is looked at, from outside."""
    options = [f"--setting={key}={value}" for key, value in SETTINGS.items()]
    with Ear() as ear:
        clients = clients_told_at(ear)
        with simulator(tmp_path_factory.mktemp("suite"), *options, people=PEOPLE, clients=clients) as running:
            yield Suite(running, clients, ear)


@pytest.fixture
def site() -> Iterator[Site]:
    """What a relying party publishes."""
    with open_site() as opened:
        yield opened


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A file's tests run once for each plan that it belongs to."""
    plans = getattr(metafunc.module, "PLANS", ())
    if isinstance(plans, tuple) and plans:
        metafunc.fixturenames.append("plan")
        metafunc.parametrize("plan", plans)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which module of which plan a test is: it travels with its report."""
    for item in items:
        plan = getattr(item, "callspec", None) and item.callspec.params.get("plan")  # type: ignore[attr-defined]
        if plan in PLANS:
            item.user_properties.append(("conformance", json.dumps([plan, module_of(plan, item.originalname)])))  # type: ignore[attr-defined]
