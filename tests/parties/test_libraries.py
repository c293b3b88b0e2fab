"""Relying-party libraries as their manuals show them: each signs a person in and reads the claims."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from party import Visitor, provider, registered
from relying_parties import play, served
from services import SQLITE, Backend
from simulated import Simulator, free_port

SECRET = "what this service and the provider alone know"
POSTS = {"token_endpoint_auth_method": "client_secret_post"}

# The script -> where its callback is, where a person begins, what differs in its registration.
SERVICES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "express_openid_connect.mjs": ("/callback", "/login", {}),
    "grant.mjs": ("/connect/ours/callback", "/login", {}),
    "auth_core.mjs": ("/auth/callback/ours", "/login", {}),
    "django_mozilla.py": ("/oidc/callback/", "/oidc/authenticate/", POSTS),
    "django_social_auth.py": ("/complete/oidc/", "POST /login/oidc/", {}),
    "django_allauth.py": ("/accounts/oidc/citizens/login/callback/", "/accounts/oidc/citizens/login/", {}),
}
SCRIPTS = (
    "simple_oauth2.mjs",
    "badgateway_oauth2_client.mjs",
    "arctic.mjs",
    "requests_oauthlib_client.py",
    "pyoidc_client.py",
    "idpyoidc_client.py",
)
PORTS = {script: free_port() for script in SERVICES}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, dict[str, Visitor]]]:
    """One simulator for all, and somebody for each library."""
    clients = [
        registered(script, SECRET, **{**metadata, "redirect_uris": [f"http://localhost:{PORTS[script]}{callback}"]})
        for script, (callback, _, metadata) in SERVICES.items()
    ]
    names = [*SERVICES, *SCRIPTS]
    clients += [registered(script, SECRET) for script in SCRIPTS]
    here = Backend(SQLITE, "", "")
    with provider(tmp_path_factory.mktemp("libraries"), here, clients, people=len(names)) as (running, visitors):
        yield running, dict(zip(names, visitors, strict=True))


@pytest.mark.parametrize("script", SERVICES)
def test_a_service_made_with_this_library_signs_a_person_in(
    script: str, simulated: tuple[Simulator, dict[str, Visitor]], tmp_path: Path
) -> None:
    """It runs by itself, as its manual says; a person comes to its page and goes where it sends a browser."""
    running, visitors = simulated
    method, _, path = SERVICES[script][1].rpartition(" ")
    told = {"ISSUER": running.issuer, "CLIENT_ID": script, "CLIENT_SECRET": SECRET}
    with served(script, PORTS[script], tmp_path / "log", **told) as service:
        visitor = visitors[script]

        found = service.found(visitor.browse(service.address + path, method or "GET"))

        assert visitor.seen == ["sign-in", "second-factor", "consent"]
        assert found["email"] == f"{visitor.handle}@example.org"
        if script != "django_mozilla.py":  # which keeps the address alone
            assert found["name"] == "Ada Lovelace"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_made_with_this_library_signs_a_person_in(
    script: str, simulated: tuple[Simulator, dict[str, Visitor]]
) -> None:
    """Libraries that leave listening to the service: the whole code flow, then userinfo."""
    visitor = simulated[1][script]

    claims = play(script, visitor, client_id=script, client_secret=SECRET)

    assert visitor.seen == ["sign-in", "second-factor", "consent"]
    assert (claims["name"], claims["email"]) == ("Ada Lovelace", f"{visitor.handle}@example.org")
