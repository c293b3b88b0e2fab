"""A whole service with Flask and Flask-pyoidc."""

import os
from typing import Any

from flask import Flask, jsonify
from flask_pyoidc import OIDCAuthentication
from flask_pyoidc.provider_configuration import ClientMetadata, ProviderConfiguration
from flask_pyoidc.user_session import UserSession

PORT = int(os.environ["PORT"])
app = Flask(__name__)
app.config.update(
    OIDC_REDIRECT_URI=f"http://localhost:{PORT}/callback",
    SECRET_KEY="signs the session of this service alone",
)
citizens = ProviderConfiguration(
    issuer=os.environ["ISSUER"],
    client_metadata=ClientMetadata(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]),
    auth_request_params={"scope": ["openid", "profile", "email"]},
)
oidc = OIDCAuthentication({"citizens": citizens}, app)


@app.get("/login")
@oidc.oidc_auth("citizens")
def login() -> Any:
    from flask import session

    return jsonify(UserSession(session).userinfo)


if __name__ == "__main__":
    app.run("localhost", PORT)
