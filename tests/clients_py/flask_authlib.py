"""A whole service with Flask and Authlib."""

import os
from typing import Any

from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for

app = Flask(__name__)
app.secret_key = "signs the session of this service alone"
oauth = OAuth(app)
oauth.register(
    "citizens",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=os.environ["ISSUER"] + "/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


@app.get("/login")
def login() -> Any:
    return oauth.citizens.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback() -> Any:
    token = oauth.citizens.authorize_access_token()  # the ID token is verified here
    session["user"] = oauth.citizens.userinfo(token=token)  # name and e-mail address
    return redirect("/")


@app.get("/")
def home() -> Any:
    return session.get("user", {})


if __name__ == "__main__":
    app.run("localhost", int(os.environ["PORT"]))
