"""Relying-party libraries as their manuals show them: each signs a person in and reads the claims."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from party import BY_ITSELF, Visitor, provider, registered
from relying_parties import Service, play, served
from simulated import Simulator, free_port

SECRET = "what this service and the provider alone know"
POSTS = {"token_endpoint_auth_method": "client_secret_post"}
NO_PKCE = {"require_pkce": False}

# The script -> where its callback is, where a person begins, what differs in its registration.
SERVICES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "express_openid_connect.mjs": ("/callback", "/login", {}),
    "grant.mjs": ("/connect/ours/callback", "/login", {}),
    "auth_core.mjs": ("/auth/callback/ours", "/login", {}),
    "flask_oidc.py": ("/callback", "/login", NO_PKCE),
    "django_allauth.py": ("/accounts/oidc/citizens/login/callback/", "/accounts/oidc/citizens/login/", {}),
    "mod_auth_openidc.conf": ("/protected/callback", "/protected/claims.json", {}),
}
WITH_A_FAULT_ONCE = {
    "passport.mjs": ("/callback", "/login", NO_PKCE),
    "django_social_auth.py": ("/complete/oidc/", "POST /login/oidc/", {}),
    "flask_authlib.py": ("/callback", "/login", {}),
    "django_mozilla.py": ("/oidc/callback/", "/oidc/authenticate/", POSTS),
}
"""They have tests of their own below."""
SCRIPTS = (
    "simple_oauth2.mjs",
    "badgateway_oauth2_client.mjs",
    "arctic.mjs",
    "requests_oauthlib_client.py",
    "pyoidc_client.py",
    "idpyoidc_client.py",
)
SOMEBODY_ELSE = "somebody else"
ALL = {**SERVICES, **WITH_A_FAULT_ONCE}


class Parties:
    """One simulator for all, and somebody for each library."""

    def __init__(self, simulator: Simulator, ports: dict[str, int], visitors: dict[str, Visitor]) -> None:
        self.simulator, self.ports, self.visitors = simulator, ports, visitors

    def again(self, script: str) -> Visitor:
        """The same person, at another computer."""
        known = self.visitors[script]
        return Visitor(self.simulator, known.handle, known.seed or "")

    @contextmanager
    def service(self, script: str) -> Iterator[Service]:
        """The service of this script, running."""
        told = {"ISSUER": self.simulator.issuer, "CLIENT_ID": script, "CLIENT_SECRET": SECRET}
        with served(script, self.ports[script], **told) as service:
            yield service

    def sign_in(self, service: Service, script: str, visitor: Visitor) -> Any:
        """A person comes to its page and goes where it sends a browser; what it knows of them afterwards."""
        method, _, path = ALL[script][1].rpartition(" ")
        found = service.found(visitor.browse(service.address + path, method or "GET"))
        assert {"sign-in", "second-factor"} <= set(visitor.seen)
        assert found["email"] == f"{visitor.handle}@example.org"
        return found


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    """What all tests of this file share."""
    ports = {script: free_port() for script in ALL}
    clients = [
        registered(script, SECRET, **{**metadata, "redirect_uris": [f"http://localhost:{ports[script]}{callback}"]})
        for script, (callback, _, metadata) in ALL.items()
    ]
    clients += [registered(script, SECRET) for script in SCRIPTS]
    names = [*ALL, *SCRIPTS, SOMEBODY_ELSE]
    with provider(tmp_path_factory.mktemp("libraries"), BY_ITSELF, clients, people=len(names)) as (simulator, visitors):
        yield Parties(simulator, ports, dict(zip(names, visitors, strict=True)))


@pytest.mark.parametrize("script", SERVICES)
def test_a_service_made_with_this_library_signs_a_person_in(script: str, parties: Parties) -> None:
    """It runs by itself, as its manual says."""
    with parties.service(script) as service:
        found = parties.sign_in(service, script, parties.visitors[script])

    assert found["name"] == "Ada Lovelace"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_made_with_this_library_signs_a_person_in(script: str, parties: Parties) -> None:
    """Libraries that leave listening to the service: the whole code flow, then userinfo."""
    visitor = parties.visitors[script]

    claims = play(script, visitor, client_id=script, client_secret=SECRET)

    assert {"sign-in", "second-factor", "consent"} <= set(visitor.seen)
    assert (claims["name"], claims["email"]) == ("Ada Lovelace", f"{visitor.handle}@example.org")


def test_a_secret_may_be_posted_that_was_registered_for_the_header(parties: Parties) -> None:
    """passport-openidconnect knows no other way, and the registration's default is the header (RFC 7591 section 2)."""
    with parties.service("passport.mjs") as service:
        found = parties.sign_in(service, "passport.mjs", parties.visitors["passport.mjs"])

    assert found["name"] == "Ada Lovelace"


def test_a_secret_comes_by_the_header_for_a_code_and_by_the_body_for_a_refresh(parties: Parties) -> None:
    """So does social-auth-core."""
    visitor = parties.visitors["django_social_auth.py"]
    with parties.service("django_social_auth.py") as service:
        found = parties.sign_in(service, "django_social_auth.py", visitor)
        refreshed = service.found(visitor.http.get(f"{service.address}/refresh"))

    assert found["name"] == "Ada Lovelace"
    assert refreshed == {"refreshed": True}


@pytest.mark.parametrize(("script", "times"), [("django_mozilla.py", 2), ("flask_authlib.py", 6)])
def test_the_same_person_signs_in_again_and_the_clock_stands_still(script: str, times: int, parties: Parties) -> None:
    """With the one-time code of the same thirty seconds. A clock that runs ahead makes `iat` a time to come, which
    mozilla-django-oidc refuses at the second sign-in and Authlib at the sixth."""
    with parties.service(script) as service:
        for _ in range(times):
            parties.sign_in(service, script, parties.again(script))


def test_a_refusal_reaches_apache_as_the_answer_to_its_own_request(parties: Parties) -> None:
    """mod_auth_openidc takes an error with `iss` in the query for a sign-in that a third party began, and would begin
    anew: `form_post` is why it does not."""
    with parties.service("mod_auth_openidc.conf") as service:
        page = parties.visitors[SOMEBODY_ELSE].browse(f"{service.address}/protected/claims.json", choice="refuse")

    assert "access_denied" in page.text
