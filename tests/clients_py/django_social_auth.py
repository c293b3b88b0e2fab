"""A whole service with Django and social-auth-core (through social-auth-app-django), in one file.

It shows its secret in the header for a code, and in the body for a refresh."""

import os
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

settings.configure(
    DEBUG=True,
    SECRET_KEY="signs the sessions of this service alone",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "social_django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(mkdtemp(), "service.sqlite")}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    AUTHENTICATION_BACKENDS=["social_core.backends.open_id_connect.OpenIdConnectAuth"],
    SOCIAL_AUTH_OIDC_OIDC_ENDPOINT=os.environ["ISSUER"],
    SOCIAL_AUTH_OIDC_KEY=os.environ["CLIENT_ID"],
    SOCIAL_AUTH_OIDC_SECRET=os.environ["CLIENT_SECRET"],
    SOCIAL_AUTH_OIDC_TOKEN_ENDPOINT_AUTH_METHOD="client_secret_basic",
    SOCIAL_AUTH_OIDC_USE_PKCE=True,  # S256
    SOCIAL_AUTH_OIDC_USERNAME_KEY="sub",
    LOGIN_REDIRECT_URL="/",
)
django.setup()


def home(request: HttpRequest) -> JsonResponse:
    """Who is signed in, as userinfo has it."""
    user: Any = request.user
    if not user.is_authenticated:
        return JsonResponse({})
    return JsonResponse({"sub": user.social_auth.get().uid, "name": user.get_full_name(), "email": user.email})


def refresh(request: HttpRequest) -> HttpResponse:
    """A new access token of whoever is signed in."""
    from social_django.utils import load_strategy

    account: Any = request.user.social_auth.get()  # type: ignore[union-attr]
    before = account.access_token
    account.refresh_token(load_strategy(request))
    return JsonResponse({"refreshed": account.access_token != before})


urlpatterns = [path("", home), path("refresh", refresh), path("", include("social_django.urls"))]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", f"localhost:{os.environ['PORT']}"])
