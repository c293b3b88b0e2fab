"""A whole service with Django and django-allauth, in one file."""

import os
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

CITIZENS = {
    "provider_id": "citizens",
    "name": "Citizens",
    "client_id": os.environ["CLIENT_ID"],
    "secret": os.environ["CLIENT_SECRET"],
    "settings": {
        "server_url": os.environ["ISSUER"],
        "token_auth_method": "client_secret_basic",
        "oauth_pkce_enabled": True,
        "scope": ["openid", "profile", "email"],
    },
}

settings.configure(
    DEBUG=True,
    SECRET_KEY="signs the sessions of this service alone",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(mkdtemp(), "service.sqlite")}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    SOCIALACCOUNT_PROVIDERS={"openid_connect": {"APPS": [CITIZENS]}},
    SOCIALACCOUNT_LOGIN_ON_GET=True,
    SOCIALACCOUNT_QUERY_EMAIL=True,
    ACCOUNT_EMAIL_VERIFICATION="none",
    LOGIN_REDIRECT_URL="/",
)
django.setup()


def home(request: HttpRequest) -> JsonResponse:
    """Who is signed in, as userinfo has it."""
    user: Any = request.user
    return JsonResponse(user.socialaccount_set.get().extra_data["userinfo"] if user.is_authenticated else {})


urlpatterns = [path("", home), path("accounts/", include("allauth.urls"))]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", f"localhost:{os.environ['PORT']}"])
